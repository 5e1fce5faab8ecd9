//! The key figures of a run, one card each: what somebody wants to know who reads nothing else.

use maud::{Markup, html};

use super::numbers::{plain, span};
use crate::load::outcome::RunOutcome;
use crate::load::series::{Step, measured_steps};

/// A figure with its name, its unit and a second line.
struct Card {
    name: String,
    value: String,
    unit: &'static str,
    below: String,
}

/// The cards of a run; what was not measured has none.
pub(crate) fn cards(outcome: &RunOutcome) -> Markup {
    let found = [
        throughput(outcome),
        bronze(outcome),
        gold(outcome),
        cost(outcome),
        memory(outcome),
        recovery(outcome),
    ];
    html! {
        div class="cards" {
            @for card in found.into_iter().flatten() {
                div class="card" {
                    div class="name" { (card.name) }
                    div class="value" { (card.value) span class="unit" { (card.unit) } }
                    div class="below" { (card.below) }
                }
            }
        }
    }
}

fn throughput(outcome: &RunOutcome) -> Option<Card> {
    let steps = measured_steps(outcome);
    let length_s: f64 = steps.iter().map(Step::length_s).sum();
    let committed: f64 = steps.iter().map(Step::committed).sum();
    Some(Card {
        name: "Committed events".to_owned(),
        value: plain(committed / positive(length_s)?),
        unit: "/s",
        below: format!("{} records in {}", plain(committed), span(length_s)),
    })
}

fn bronze(outcome: &RunOutcome) -> Option<Card> {
    latency(outcome, "event_to_bronze", "Event to bronze, p95")
}

fn gold(outcome: &RunOutcome) -> Option<Card> {
    latency(outcome, "window_end_to_gold", "End of window to gold, p95")
}

fn latency(outcome: &RunOutcome, path: &str, name: &str) -> Option<Card> {
    let whole = &outcome.latencies.get(path).filter(|latency| latency.whole.count > 0)?.whole;
    Some(Card {
        name: name.to_owned(),
        value: plain(whole.p95_s),
        unit: "s",
        below: format!("p50 {} s, p99 {} s", plain(whole.p50_s), plain(whole.p99_s)),
    })
}

fn cost(outcome: &RunOutcome) -> Option<Card> {
    let steps = measured_steps(outcome);
    let cpu_s: f64 = steps.iter().map(Step::cpu_s).sum();
    let committed: f64 = steps.iter().map(Step::committed).sum();
    let length_s: f64 = steps.iter().map(Step::length_s).sum();
    Some(Card {
        name: "CPU per million events".to_owned(),
        value: plain(cpu_s / positive(committed)? * 1e6),
        unit: "s",
        below: format!("{} of {} cores busy", plain(cpu_s / positive(length_s)?), outcome.machine.cores),
    })
}

fn memory(outcome: &RunOutcome) -> Option<Card> {
    let resident = outcome.samples.iter().map(|sample| sample.resident_mib);
    let most = positive(resident.clone().fold(0.0, f64::max))?;
    let last = resident.rev().find(|mib| *mib > 0.0)?;
    Some(Card {
        name: "Memory, most".to_owned(),
        value: plain(most),
        unit: "MiB",
        below: format!("{} MiB at the end", plain(last)),
    })
}

fn recovery(outcome: &RunOutcome) -> Option<Card> {
    let count = outcome.faults.len();
    if count == 0 {
        return None;
    }
    let recovered: Option<Vec<f64>> = outcome.faults.iter().map(|fault| fault.recovered_after_s).collect();
    let faults = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
    Some(match recovered {
        Some(seconds) => Card {
            name: "Up to date after a fault, worst".to_owned(),
            value: plain(seconds.into_iter().fold(0.0, f64::max)),
            unit: "s",
            below: faults,
        },
        None => Card {
            name: "Up to date after a fault".to_owned(),
            value: "none".to_owned(),
            unit: "",
            below: format!("after at least one of {faults}"),
        },
    })
}

fn positive(number: f64) -> Option<f64> {
    (number > 0.0).then_some(number)
}
