//! The tables of the report: limits, latencies, phases, faults, the audit, figures, machine and settings.

use maud::{Markup, html};

use super::charts::{PATHS, path_title};
use super::numbers::{moment, plain, span, with_unit};
use crate::load::figure_name::FigureKind;
use crate::load::outcome::{FaultOutcome, LimitOutcome, Percentiles, PhaseOutcome, RunOutcome};

/// A heading with what stands below it.
fn section(title: &str, content: &Markup) -> Markup {
    html! { section { h2 { (title) } (content) } }
}

fn table(headings: &[&str], rows: &[Markup]) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { @for row in rows { (row) } }
            }
        }
    }
}

/// Limits with a bar: how much of what is allowed was used.
pub(crate) fn limits(outcome: &RunOutcome) -> Markup {
    if outcome.limits.is_empty() {
        return section("Limits", &html! { p { "The scenario sets no limits." } });
    }
    let rows: Vec<Markup> = outcome.limits.iter().map(limit_row).collect();
    section("Limits", &table(&["limit", "allowed", "measured", "", ""], &rows))
}

fn limit_row(limit: &LimitOutcome) -> Markup {
    let unit = FigureKind::of(&limit.name).unit();
    let side = if limit.side == "at_least" { "at least" } else { "at most" };
    let measured = limit.measured.map_or_else(|| "not measured".to_owned(), |value| with_unit(value, unit));
    html! {
        tr class=(if limit.met { "met" } else { "missed" }) {
            th scope="row" { (limit.name) }
            td class="number" { (side) " " (with_unit(limit.limit, unit)) }
            td class="number" { (measured) }
            td { @if let Some(percent) = percent_of_limit(limit) { (bar(percent)) } }
            td { (if limit.met { "met" } else { "missed" }) }
        }
    }
}

fn percent_of_limit(limit: &LimitOutcome) -> Option<f64> {
    let percent = limit.measured? / limit.limit * 100.0;
    percent.is_finite().then_some(percent)
}

/// Full width is 150 % of the limit; a notch stands at 100 %.
fn bar(percent: f64) -> Markup {
    let shown = (percent / 1.5).clamp(0.0, 100.0);
    html! {
        span class="bar" title={ (plain(percent)) " % of the limit" } {
            span class="used" style={ "width:" (format!("{shown:.1}")) "%" } {}
        }
    }
}

/// Percentiles over the whole run.
pub(crate) fn latencies(outcome: &RunOutcome) -> Markup {
    let known = PATHS.iter().filter_map(|(path, ..)| Some((*path, outcome.latencies.get(*path)?)));
    let others = outcome.latencies.iter().filter(|(path, _)| !PATHS.iter().any(|(known, ..)| known == path));
    let all = known.chain(others.map(|(path, latency)| (path.as_str(), latency)));
    let rows: Vec<Markup> = all.map(|(path, latency)| latency_row(path, &latency.whole)).collect();
    let headings = ["path", "count", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let content = html! {
        (table(&headings, &rows))
        p class="note" {
            "From the moment at which an event was meant to be sent (open loop: no coordinated omission) until a reader can see it; warm-up left out."
        }
    };
    section("Latencies", &content)
}

fn latency_row(path: &str, percentiles: &Percentiles) -> Markup {
    let Percentiles { count, p50_s, p90_s, p95_s, p99_s, p999_s, max_s } = *percentiles;
    html! {
        tr {
            th scope="row" { (path_title(path)) }
            td class="number" { (plain(count as f64)) }
            @for value in [p50_s, p90_s, p95_s, p99_s, p999_s, max_s] {
                td class="number" { @if count > 0 { (with_unit(value, "s")) } @else { "–" } }
            }
        }
    }
}

/// What was asked in each phase, and what it came to.
pub(crate) fn phases(outcome: &RunOutcome) -> Markup {
    let rows: Vec<Markup> = outcome.phases.iter().map(|phase| phase_row(outcome, phase)).collect();
    let headings = ["phase", "kind", "from", "to", "intended", "committed", "CPU", "memory, most"];
    section("Phases", &table(&headings, &rows))
}

fn phase_row(outcome: &RunOutcome, phase: &PhaseOutcome) -> Markup {
    let length_s = phase.to_s - phase.from_s;
    let inside: Vec<_> = outcome
        .samples
        .iter()
        .filter(|sample| phase.from_s <= sample.at_s && sample.at_s <= phase.to_s)
        .cloned()
        .collect();
    let growth_per_s = |first: f64, last: f64| {
        let seconds = inside.last()?.at_s - inside.first()?.at_s;
        (seconds > 0.0).then(|| (last - first) / seconds)
    };
    let (first, last) = (inside.first(), inside.last());
    let ends = first.zip(last);
    let committed =
        ends.and_then(|(a, b)| growth_per_s(a.committed_records as f64, b.committed_records as f64));
    let cpu = ends.and_then(|(a, b)| growth_per_s(a.engine_cpu_s, b.engine_cpu_s));
    let memory = inside.iter().map(|sample| sample.resident_mib).fold(0.0, f64::max);
    let shown = |value: Option<f64>, unit: &str| value.map_or_else(|| "–".to_owned(), |v| with_unit(v, unit));
    html! {
        tr {
            th scope="row" { (phase.name) }
            td { span class={ "kind kind-" (phase.kind) } { (phase.kind.replace('_', " ")) } }
            td class="number" { (span(phase.from_s)) }
            td class="number" { (span(phase.to_s)) }
            td class="number" { (shown((length_s > 0.0).then(|| phase.events as f64 / length_s), "/s")) }
            td class="number" { (shown(committed, "/s")) }
            td class="number" { (shown(cpu, "cores")) }
            td class="number" { (shown((memory > 0.0).then_some(memory), "MiB")) }
        }
    }
}

/// Faults with the numbers that mark them in the charts.
pub(crate) fn faults(outcome: &RunOutcome) -> Markup {
    if outcome.faults.is_empty() {
        return html! {};
    }
    let rows: Vec<Markup> =
        outcome.faults.iter().enumerate().map(|(index, fault)| fault_row(index + 1, fault)).collect();
    let headings = ["", "fault", "from", "lasted", "up to date again", "how the engine shows it"];
    section("Faults", &table(&headings, &rows))
}

fn fault_row(number: usize, fault: &FaultOutcome) -> Markup {
    html! {
        tr class=(if fault.evidence.is_empty() { "missed" } else { "met" }) {
            td { span class="mark" { (number) } }
            th scope="row" { (fault.kind.replace('_', " ")) }
            td class="number" { (span(fault.from_s)) }
            td class="number" { (span(fault.to_s - fault.from_s)) }
            td class="number" {
                @match fault.recovered_after_s {
                    Some(seconds) => { "after " (span(seconds)) },
                    None => { "never" },
                }
            }
            td {
                @if fault.evidence.is_empty() { "nowhere: the fault can't be seen" }
                @else { ul class="evidence" { @for line in &fault.evidence { li { code { (line) } } } } }
            }
        }
    }
}

/// What the comparison with the truth found.
pub(crate) fn audit(outcome: &RunOutcome) -> Markup {
    let audit = &outcome.audit;
    let content = html! {
        p {
            @if audit.passed { "The tables hold the truth: " } @else { "The tables do not hold the truth: " }
            (plain(audit.events as f64)) " events, "
            (plain(audit.quarantined as f64)) " records in quarantine, "
            (plain(audit.video_minutes as f64)) " video minutes were compared."
        }
        @if !audit.findings.is_empty() {
            ol class="findings" { @for finding in &audit.findings { li { (finding) } } }
        }
    };
    section("Audit", &content)
}

/// Single figures.
pub(crate) fn figures(outcome: &RunOutcome) -> Markup {
    if outcome.figures.is_empty() {
        return html! {};
    }
    let rows = outcome.figures.iter().map(|(name, value)| {
        html! { tr { th scope="row" { (name) } td class="number" { (with_unit(*value, FigureKind::of(name).unit())) } } }
    });
    section("Figures", &table(&["figure", "value"], &rows.collect::<Vec<_>>()))
}

/// What ran, where, and what else went on.
pub(crate) fn machine(outcome: &RunOutcome) -> Markup {
    let machine = &outcome.machine;
    let engine_cpu_s = outcome.samples.last().map_or(0.0, |sample| sample.engine_cpu_s);
    let load = |load: [f64; 3]| load.map(|average| format!("{average:.2}")).join(", ");
    let mut rows = vec![
        ("engine", outcome.engine_version.clone()),
        ("started", moment(outcome.started_ms)),
        ("events from", outcome.transport.clone()),
        ("form", if outcome.is_short { "short" } else { "full length" }.to_owned()),
        ("cores", machine.cores.to_string()),
    ];
    let known = [("processor", &machine.cpu_model), ("system", &machine.system)];
    rows.extend(
        known.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())),
    );
    if machine.memory_mib > 0 {
        rows.push(("memory", with_unit(machine.memory_mib as f64, "MiB")));
    }
    rows.push(("load before (1, 5, 15 min)", load(machine.load_before)));
    rows.push(("load after (1, 5, 15 min)", load(machine.load_after)));
    let cpu =
        format!("{} of all processes, {} of the engine", span(machine.machine_cpu_s), span(engine_cpu_s));
    rows.push(("CPU time meanwhile", cpu));
    let rows: Vec<Markup> = rows
        .into_iter()
        .map(|(name, value)| html! { tr { th scope="row" { (name) } td { (value) } } })
        .collect();
    let content = html! {
        (table(&["", ""], &rows))
        h3 { "Settings beyond the engine's defaults" }
        @if outcome.settings.is_empty() { p { "None." } }
        @else { ul class="settings" { @for setting in &outcome.settings { li { code { (setting) } } } } }
        @if !outcome.scenario_file.is_empty() {
            details { summary { "The scenario file as it was run" } pre { code { (outcome.scenario_file) } } }
        }
    };
    section("Machine and settings", &content)
}
