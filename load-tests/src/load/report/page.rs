//! The report as one HTML page: style and script are inside, nothing is fetched, and without the script everything but the
//! values under the pointer can be read.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cards::cards;
use super::chart::Run;
use super::charts::charts;
use super::numbers::{moment, span};
use super::tables;
use crate::load::outcome::RunOutcome;
use crate::load::verdict::reasons_to_fail;

const STYLE: &str = include_str!("style.css");
const READOUT: &str = include_str!("readout.js");

/// The whole page.
pub(crate) fn page(outcome: &RunOutcome) -> Markup {
    let length_s = run_length_s(outcome);
    let run = Run { length_s, phases: &outcome.phases, faults: &outcome.faults };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (outcome.scenario) ": " (verdict_word(outcome)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(outcome, length_s))
                    (verdict(outcome))
                    (cards(outcome))
                    @if !outcome.notes.is_empty() {
                        ul class="notes" { @for note in &outcome.notes { li { (note) } } }
                    }
                    div class="charts" { @for chart in charts(outcome) { (chart.draw(run)) } }
                    (tables::limits(outcome))
                    (tables::latencies(outcome))
                    (tables::faults(outcome))
                    (tables::audit(outcome))
                    (tables::phases(outcome))
                    (tables::figures(outcome))
                    (tables::machine(outcome))
                }
                script { (PreEscaped(READOUT)) }
            }
        }
    }
}

/// To the end of whatever was seen last.
fn run_length_s(outcome: &RunOutcome) -> f64 {
    let phases = outcome.phases.iter().map(|phase| phase.to_s);
    let samples = outcome.samples.iter().map(|sample| sample.at_s);
    let faults = outcome.faults.iter().map(|fault| fault.to_s);
    phases.chain(samples).chain(faults).filter(|end_s| end_s.is_finite()).fold(0.0, f64::max)
}

fn header(outcome: &RunOutcome, length_s: f64) -> Markup {
    let form = if outcome.is_short { "short form" } else { "full length" };
    html! {
        header {
            p class="kicker" { "Pulselake load test" }
            h1 { (outcome.scenario) }
            p class="description" { (outcome.description) }
            p class="facts" {
                (moment(outcome.started_ms)) " · " (span(length_s)) " · " (form) " · events from "
                (outcome.transport) " · engine " (outcome.engine_version)
            }
        }
    }
}

fn verdict_word(outcome: &RunOutcome) -> &'static str {
    if outcome.passed { "passed" } else { "failed" }
}

fn verdict(outcome: &RunOutcome) -> Markup {
    let reasons = reasons_to_fail(outcome);
    html! {
        div class={ "verdict " (verdict_word(outcome)) } {
            strong { @if outcome.passed { "Passed" } @else { "Failed" } }
            @match (outcome.passed, reasons.as_slice()) {
                (true, []) => p { (what_holds(outcome)) },
                (false, []) => p { "The run did not end as it should; no limit, finding or fault says why." },
                (_, reasons) => ul { @for reason in reasons { li { (reason) } } },
            }
        }
    }
}

fn what_holds(outcome: &RunOutcome) -> String {
    let faults = match outcome.faults.len() {
        0 => String::new(),
        1 => ", and the fault shows in the engine's metrics or log".to_owned(),
        count => format!(", and each of the {count} faults shows in the engine's metrics or log"),
    };
    let limits = match outcome.limits.len() {
        0 => String::new(),
        1 => "The limit holds; ".to_owned(),
        count => format!("All {count} limits hold; "),
    };
    format!("{limits}the tables agree with the truth{faults}.")
}

#[cfg(test)]
mod tests {
    use html5ever::tendril::TendrilSink;
    use markup5ever_rcdom::{Handle, NodeData, RcDom};

    use super::*;
    use crate::load::example;

    fn parsed(outcome: &RunOutcome) -> RcDom {
        let text = page(outcome).into_string();
        html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(text)
    }

    /// What a reader sees: text without style and script.
    fn visible_text(node: &Handle, into: &mut String) {
        match &node.data {
            NodeData::Text { contents } => into.push_str(&contents.borrow()),
            NodeData::Element { name, .. } if ["style", "script"].contains(&&*name.local) => return,
            _ => {}
        }
        for child in node.children.borrow().iter() {
            visible_text(child, into);
        }
    }

    fn text_of(outcome: &RunOutcome) -> String {
        let mut text = String::new();
        visible_text(&parsed(outcome).document, &mut text);
        text
    }

    #[test]
    fn the_page_is_well_formed() {
        for outcome in [example::steady(1), example::with_faults(1), example::empty()] {
            let errors = parsed(&outcome).errors.take();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let html = page(&example::with_faults(1)).into_string();
        for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_reader_sees_the_verdict_every_limit_every_fault_and_every_finding() {
        let mut outcome = example::with_faults(1);
        outcome.passed = false;
        outcome.limits[0].met = false;
        outcome.limits[0].measured = Some(outcome.limits[0].limit * 1.7);
        outcome.audit.passed = false;
        outcome.audit.findings = vec!["gold lacks 1 like".to_owned(), "bronze has 2 too many".to_owned()];
        let text = text_of(&outcome);
        assert!(text.contains("Failed") && text.contains("70 % over the limit"), "{text}");
        for limit in &outcome.limits {
            assert!(text.contains(&limit.name), "{}", limit.name);
        }
        for fault in &outcome.faults {
            assert!(text.contains(&fault.kind.replace('_', " ")), "{}", fault.kind);
            assert!(fault.evidence.iter().all(|line| text.contains(line)), "{:?}", fault.evidence);
        }
        assert!(outcome.audit.findings.iter().all(|finding| text.contains(finding)));
        assert!(outcome.settings.iter().chain(&outcome.notes).all(|line| text.contains(line)));
    }

    #[test]
    fn a_good_run_says_so() {
        let text = text_of(&example::steady(1));
        assert!(text.contains("Passed") && !text.contains("Failed"), "{text}");
        assert!(text.contains("limits hold; the tables agree with the truth."), "{text}");
    }

    #[test]
    fn texts_from_outside_stay_texts() {
        let mut outcome = example::with_faults(1);
        let attack = "</style></script><script>alert(1)</script>\"'&";
        outcome.scenario = attack.to_owned();
        outcome.description = attack.to_owned();
        outcome.settings = vec![attack.to_owned()];
        outcome.notes = vec![attack.to_owned()];
        outcome.scenario_file = attack.to_owned();
        outcome.phases[0].name = attack.to_owned();
        outcome.phases[0].kind = attack.to_owned();
        outcome.faults[0].kind = attack.to_owned();
        outcome.faults[0].evidence = vec![attack.to_owned()];
        outcome.limits[0].name = attack.to_owned();
        outcome.audit.findings = vec![attack.to_owned()];
        let latency = outcome.latencies["event_to_bronze"].clone();
        outcome.latencies.insert(attack.to_owned(), latency);
        outcome.figures.insert(attack.to_owned(), 1.0);
        let html = page(&outcome).into_string();
        assert_eq!(html.matches("<script").count(), 1, "the page's own");
        assert!(parsed(&outcome).errors.take().is_empty());
        assert!(text_of(&outcome).matches(attack).count() >= 10);
    }

    #[test]
    fn a_run_of_hours_is_still_a_small_page() {
        let html = page(&example::soak(4 * 3600)).into_string();
        assert!(html.len() < 3_000_000, "{} bytes", html.len());
    }
}
