//! One chart as SVG: lines over the time of the run, phases as bands, faults as marks, limits as dashed lines.
//!
//! Drawn here and not by a chart crate: those that draw without a script (plotters, charts-rs, poloto) write fixed colours
//! or know no logarithmic axis, so that dark mode, printing and the readout under the pointer would need their output
//! rewritten; the others (plotly, charming) bring megabytes of script without which nothing can be seen. What is drawn has
//! classes alone; colours are `style.css`'s. The points stand in `data-series` for `readout.js`.

use maud::{Markup, html};
use serde_json::json;

use super::axis::{Axis, Spacing};
use super::numbers::{plain, span, with_unit};
use super::thinning::{Point, thinned};
use crate::load::outcome::{FaultOutcome, PhaseOutcome};

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Which of the style's lines: `s1` … `s4`.
    pub(crate) class: &'static str,
    pub(crate) points: Vec<Point>,
}

/// A limit that is drawn across a chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LimitMark {
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What to know when reading it; may be empty.
    pub(crate) note: String,
    pub(crate) unit: &'static str,
    pub(crate) spacing: Spacing,
    /// Over the whole width of the page.
    pub(crate) is_wide: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) limits: Vec<LimitMark>,
}

/// What all charts of a run share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) length_s: f64,
    pub(crate) phases: &'a [PhaseOutcome],
    pub(crate) faults: &'a [FaultOutcome],
}

/// The paper, in SVG units.
struct Paper {
    width: f64,
    height: f64,
}

const LEFT: f64 = 54.0;
const RIGHT: f64 = 20.0;
/// The unit and, below it, the names of phases stand above the lines.
const TOP: f64 = 42.0;
const BOTTOM: f64 = 26.0;
/// A letter of a phase's name, in the size of `style.css`.
const LETTER_WIDTH: f64 = 6.4;
/// Two numbers of faults nearer than this would run into each other.
const MARK_DISTANCE: f64 = 14.0;

impl Paper {
    fn right(&self) -> f64 {
        self.width - RIGHT
    }

    fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }
}

impl Chart {
    /// The chart as a figure of the page.
    pub(crate) fn draw(&self, run: Run<'_>) -> Markup {
        let paper = Paper { width: if self.is_wide { 1080.0 } else { 530.0 }, height: 250.0 };
        let columns = paper.width as usize / 2;
        let lines: Vec<Line> = self.lines.iter().map(|line| line.thinned(run.length_s, columns)).collect();
        let time = Axis::of_time(run.length_s, LEFT, paper.right());
        let drawn = lines.iter().flat_map(|line| line.points.iter().filter_map(|point| point.1));
        let limits = self.limits.iter().map(|limit| limit.value);
        let values = Axis::of_values(self.spacing, drawn.chain(limits), paper.bottom(), TOP);
        let data = json!({
            "length_s": run.length_s, "left": LEFT, "right": paper.right(),
            "lines": lines.iter().map(Line::data).collect::<Vec<_>>(),
        });
        html! {
            figure class=(if self.is_wide { "chart wide" } else { "chart" }) {
                figcaption {
                    span class="title" { (self.title) }
                    @if !self.note.is_empty() { span class="note" { (self.note) } }
                }
                (legend(&lines, self.unit))
                svg viewBox={ "0 0 " (paper.width) " " (paper.height) } role="img" aria-label=(self.title)
                    data-series=(data.to_string()) {
                    (bands(run.phases, &time, &paper))
                    (grid(&values, &time, &paper, self.unit))
                    (fault_marks(run.faults, &time, &paper))
                    @for limit in &self.limits { (limit_line(limit, &values, &paper, self.unit)) }
                    @for line in &lines { (line.draw(&time, &values)) }
                    line class="cursor" x1="0" x2="0" y1=(TOP) y2=(paper.bottom()) visibility="hidden" {}
                }
            }
        }
    }
}

impl Line {
    fn thinned(&self, length_s: f64, columns: usize) -> Self {
        Self { points: thinned(&self.points, length_s, columns), ..self.clone() }
    }

    /// Times and values with four digits: enough to be read off.
    fn data(&self) -> serde_json::Value {
        let four_digits = |number: f64| format!("{number:.3e}").parse::<f64>().unwrap_or(number);
        let points = self.points.iter();
        json!(points.map(|(at_s, value)| (two_decimals(*at_s), value.map(four_digits))).collect::<Vec<_>>())
    }

    /// A polyline for each stretch without a gap; a dot where a stretch is one point.
    fn draw(&self, time: &Axis, values: &Axis) -> Markup {
        let stretches = self.points.split(|point| point.1.is_none_or(|value| !value.is_finite()));
        let places = |stretch: &[Point]| -> Vec<(f64, f64)> {
            let place = |(at_s, value): &Point| Some((time.place(*at_s), values.place((*value)?)));
            stretch.iter().filter_map(place).collect()
        };
        html! {
            @for stretch in stretches {
                @match places(stretch).as_slice() {
                    [] => {},
                    [(x, y)] => circle class={ "dot " (self.class) } cx=(two_decimals(*x)) cy=(two_decimals(*y)) r="2" {},
                    many => polyline class={ "line " (self.class) } points=(joined(many)) {},
                }
            }
        }
    }
}

fn two_decimals(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn joined(places: &[(f64, f64)]) -> String {
    let texts = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
    texts.collect::<Vec<_>>().join(" ")
}

/// The lines' names; `readout.js` writes the values under the pointer behind them.
fn legend(lines: &[Line], unit: &str) -> Markup {
    html! {
        ul class="legend" {
            @for line in lines {
                li { span class={ "swatch " (line.class) } {} (line.name) " " b data-value {} }
            }
            li class="at" { span data-at {} span class="unit" { (unit) } }
        }
    }
}

fn bands(phases: &[PhaseOutcome], time: &Axis, paper: &Paper) -> Markup {
    html! {
        @for phase in phases {
            @let from = time.place(phase.from_s);
            @let width = time.place(phase.to_s) - from;
            g class={ "band kind-" (phase.kind) } {
                title { (phase.name) " (" (phase.kind) "): " (span(phase.from_s)) " to " (span(phase.to_s)) }
                rect x=(two_decimals(from)) y=(TOP) width=(two_decimals(width)) height=(paper.bottom() - TOP) {}
                rect class="edge" x=(two_decimals(from)) y=(TOP - 3.0) width=(two_decimals((width - 1.0).max(1.0))) height="3" {}
                @if phase.name.chars().count() as f64 * LETTER_WIDTH < width {
                    text class="phase" x=(two_decimals(from + width / 2.0)) y=(TOP - 8.0) { (phase.name) }
                }
            }
        }
    }
}

fn grid(values: &Axis, time: &Axis, paper: &Paper, unit: &str) -> Markup {
    let about = if paper.width > 800.0 { 12 } else { 6 };
    html! {
        @for (value, label) in values.ticks() {
            @let y = two_decimals(values.place(value));
            line class="grid" x1=(LEFT) x2=(paper.right()) y1=(y) y2=(y) {}
            text class="tick y" x=(LEFT - 6.0) y=(y + 3.5) { (label) }
        }
        @for (value, label) in time.time_ticks(about) {
            @let x = two_decimals(time.place(value));
            line class="grid short" x1=(x) x2=(x) y1=(paper.bottom()) y2=(paper.bottom() + 4.0) {}
            text class="tick x" x=(x) y=(paper.height - 8.0) { (label) }
        }
        text class="unit" x="4" y="12" { (unit) }
    }
}

fn fault_marks(faults: &[FaultOutcome], time: &Axis, paper: &Paper) -> Markup {
    let mut last_numbered = f64::NEG_INFINITY;
    let marks: Vec<(usize, &FaultOutcome, f64, bool)> = faults
        .iter()
        .enumerate()
        .map(|(index, fault)| {
            let x = time.place(fault.from_s);
            let is_numbered = x - last_numbered >= MARK_DISTANCE;
            if is_numbered {
                last_numbered = x;
            }
            (index + 1, fault, x, is_numbered)
        })
        .collect();
    html! {
        @for (number, fault, x, is_numbered) in marks {
            @let width = two_decimals((time.place(fault.to_s) - x).max(0.0));
            g class="fault-mark" {
                title { "fault " (number) ": " (fault.kind) ", " (span(fault.from_s)) " to " (span(fault.to_s)) }
                rect x=(two_decimals(x)) y=(TOP) width=(width) height=(paper.bottom() - TOP) {}
                line x1=(two_decimals(x)) x2=(two_decimals(x)) y1=(TOP) y2=(paper.bottom()) {}
                @if is_numbered {
                    circle cx=(two_decimals(x)) cy=(TOP + 8.0) r="7" {}
                    text x=(two_decimals(x)) y=(TOP + 11.5) { (number) }
                }
            }
        }
    }
}

fn limit_line(limit: &LimitMark, values: &Axis, paper: &Paper, unit: &str) -> Markup {
    let y = two_decimals(values.place(limit.value));
    html! {
        g class="limit" {
            title { "limit " (limit.name) ": " (with_unit(limit.value, unit)) }
            line x1=(LEFT) x2=(paper.right()) y1=(y) y2=(y) {}
            text x=(paper.right() - 4.0) y=(y - 4.0) { (limit.name) " " (plain(limit.value)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<Point>) -> Chart {
        Chart {
            title: "Lag <records>".to_owned(),
            note: String::new(),
            unit: "records",
            spacing: Spacing::Linear,
            is_wide: false,
            lines: vec![Line { name: "taken & kept".to_owned(), class: "s1", points }],
            limits: vec![LimitMark { name: "lag_records_max".to_owned(), value: 50.0 }],
        }
    }

    fn drawn(chart: &Chart) -> String {
        let phases = [PhaseOutcome {
            name: "hold".to_owned(),
            kind: "steady".to_owned(),
            from_s: 0.0,
            to_s: 10.0,
            events: 1,
        }];
        let fault = |from_s: f64| FaultOutcome {
            kind: "engine_kill".to_owned(),
            from_s,
            to_s: from_s + 0.1,
            recovered_after_s: None,
            evidence: vec![],
        };
        let faults = [fault(2.0), fault(2.05), fault(8.0)];
        chart.draw(Run { length_s: 10.0, phases: &phases, faults: &faults }).into_string()
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lonely_point_is_a_dot() {
        let points = vec![
            (0.0, Some(1.0)),
            (1.0, Some(2.0)),
            (2.0, None),
            (3.0, Some(4.0)),
            (4.0, None),
            (5.0, Some(f64::NAN)),
        ];
        let svg = drawn(&chart(points));
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert_eq!(svg.matches("class=\"dot s1\"").count(), 1);
    }

    #[test]
    fn every_fault_has_a_line_and_numbers_do_not_collide() {
        let svg = drawn(&chart(vec![]));
        assert_eq!(svg.matches("<g class=\"fault-mark\">").count(), 3);
        assert!(svg.contains(">1</text>") && !svg.contains(">2</text>") && svg.contains(">3</text>"));
    }

    #[test]
    fn texts_are_escaped_and_the_limit_is_within_the_axis() {
        let svg = drawn(&chart(vec![(0.0, Some(1.0))]));
        assert!(svg.contains("Lag &lt;records&gt;") && svg.contains("taken &amp; kept"));
        assert!(
            svg.contains("lag_records_max 50") && svg.contains(">60</text>") || svg.contains(">50</text>")
        );
    }
}
