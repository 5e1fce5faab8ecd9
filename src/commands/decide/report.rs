//! How a comparison of rules is written: JSON for programs, a table for people.

use std::fmt::Write;

use pulselake_decision::Action;
use serde::Serialize;

use super::compare::{Comparison, Difference, Totals};
use crate::inspect::report::time_text;

/// What was compared. The JSON is for programs: add fields, never rename.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// First and last minute that were decided about, by their starts; `None` where gold covers none of them.
    first_minute: Option<String>,
    last_minute: Option<String>,
    /// Videos with events in the stretch or the 29 minutes before it.
    videos: usize,
    /// Of them, those that the dimension doesn't know: nothing is decided about them.
    unknown_videos: usize,
    video_minutes: usize,
    in_force: Side<'a>,
    proposed: Side<'a>,
    same: u64,
    added: usize,
    gone: usize,
    changed: usize,
    differences: Vec<Shown<'a>>,
}

/// What one set of rules comes to.
#[derive(Serialize)]
struct Side<'a> {
    rule_version: &'a str,
    boost: u64,
    review: u64,
    rescue: u64,
}

impl<'a> Side<'a> {
    fn new(rule_version: &'a str, totals: Totals) -> Self {
        Self { rule_version, boost: totals.boost, review: totals.review, rescue: totals.rescue }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    video_id: &'a str,
    change: &'static str,
    in_force: Option<ShownAction>,
    proposed: Option<ShownAction>,
}

#[derive(Serialize)]
struct ShownAction {
    action_id: String,
    decision_type: &'static str,
    window_start: String,
    reason_codes: Vec<&'static str>,
    velocity_30m: f64,
    completion_rate_30m: f64,
    skip_rate_30m: f64,
    impressions_30m: i64,
}

impl From<&Action> for ShownAction {
    fn from(action: &Action) -> Self {
        Self {
            action_id: action.action_id.to_string(),
            decision_type: action.decision.as_str(),
            window_start: time_text(action.window_start_us),
            reason_codes: action.reasons.iter().map(|reason| reason.as_str()).collect(),
            velocity_30m: action.metrics.velocity,
            completion_rate_30m: action.metrics.completion_rate,
            skip_rate_30m: action.metrics.skip_rate,
            impressions_30m: action.metrics.impressions,
        }
    }
}

impl<'a> From<&'a Difference> for Shown<'a> {
    fn from(difference: &'a Difference) -> Self {
        Self {
            video_id: difference.video_id(),
            change: difference.kind(),
            in_force: difference.in_force.as_ref().map(ShownAction::from),
            proposed: difference.proposed.as_ref().map(ShownAction::from),
        }
    }
}

/// What was looked at.
pub(super) struct Scope {
    /// First and last minute that were decided about.
    pub(super) minutes_us: Option<(i64, i64)>,
    pub(super) videos: usize,
    pub(super) unknown_videos: usize,
    pub(super) video_minutes: usize,
}

impl<'a> Report<'a> {
    /// `versions`: of the rules in force and of the others.
    pub(super) fn new(scope: &Scope, versions: (&'a str, &'a str), comparison: &'a Comparison) -> Self {
        Self {
            first_minute: scope.minutes_us.map(|(first_us, _)| time_text(first_us)),
            last_minute: scope.minutes_us.map(|(_, last_us)| time_text(last_us)),
            videos: scope.videos,
            unknown_videos: scope.unknown_videos,
            video_minutes: scope.video_minutes,
            in_force: Side::new(versions.0, comparison.in_force),
            proposed: Side::new(versions.1, comparison.proposed),
            same: comparison.same,
            added: comparison.count("added"),
            gone: comparison.count("gone"),
            changed: comparison.count("changed"),
            differences: comparison.differences.iter().map(Shown::from).collect(),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = self.scope_text();
        let (now, then) = (&self.in_force, &self.proposed);
        // At least as wide as a decision with its minute.
        let width = now.rule_version.chars().count().max(30);
        // Writing to a String can't fail.
        let _ = writeln!(text, "\n{:<10}{:<width$}{}", "", now.rule_version, then.rule_version);
        for (name, of_now, of_then) in [
            ("BOOST", now.boost, then.boost),
            ("REVIEW", now.review, then.review),
            ("RESCUE", now.rescue, then.rescue),
        ] {
            let _ = writeln!(text, "{name:<10}{of_now:<width$}{of_then}");
        }
        let Self { same, added, gone, changed, .. } = self;
        let _ = writeln!(text, "\n{same} the same, {added} added, {gone} gone, {changed} changed");
        for shown in &self.differences {
            let [left, right] = [&shown.in_force, &shown.proposed].map(|side| action_text(side.as_ref()));
            let _ = writeln!(text, "{:<10}{left:<width$}{right:<30}{}", shown.change, shown.video_id);
        }
        text
    }

    fn scope_text(&self) -> String {
        let Self { videos, unknown_videos, video_minutes, .. } = self;
        let mut text = match (&self.first_minute, &self.last_minute) {
            (Some(first), Some(last)) => format!("minutes {first} to {last}"),
            _ => "no minute: gold does not have the 30 minutes that a decision needs".to_owned(),
        };
        // Writing to a String can't fail.
        let _ = write!(text, "\n{videos} videos, {video_minutes} rows of a video in a minute\n");
        if *unknown_videos > 0 {
            let _ = writeln!(
                text,
                "{unknown_videos} videos are not in dims.dim_videos: nothing is decided about them"
            );
        }
        text
    }
}

fn action_text(action: Option<&ShownAction>) -> String {
    action.map_or_else(|| "-".to_owned(), |shown| format!("{} {}", shown.decision_type, shown.window_start))
}

#[cfg(test)]
mod tests {
    use pulselake_decision::{DecisionType, MINUTE_US, Metrics30m, ReasonCode, Rules, Verdict};

    use super::*;

    fn action(version: &str, minute: i64, decision: DecisionType, reason: ReasonCode) -> Vec<Action> {
        let rules = Rules { version: version.to_owned(), ..Rules::default() };
        let verdict = Verdict { decision, reasons: vec![reason], waits_for_plays: false };
        let window_us = minute * MINUTE_US;
        let metrics = Metrics30m { impressions: 120, velocity: 0.25, ..Metrics30m::default() };
        Action::new(&rules, "v_1", window_us, metrics, verdict, window_us).into_iter().collect()
    }

    fn compared() -> Comparison {
        let mut comparison = Comparison::default();
        let review = action("rules-2", 30, DecisionType::Review, ReasonCode::LowCompletion);
        let boost = action("trial", 33, DecisionType::Boost, ReasonCode::GatePass);
        comparison.add_video(review, boost.clone(), 60 * MINUTE_US);
        comparison.add_video(Vec::new(), boost, 60 * MINUTE_US);
        comparison
    }

    const SCOPE: Scope = Scope {
        minutes_us: Some((29 * MINUTE_US, 59 * MINUTE_US)),
        videos: 3,
        unknown_videos: 1,
        video_minutes: 44,
    };

    #[test]
    fn people_see_totals_and_what_comes_instead() {
        let comparison = compared();
        let text = Report::new(&SCOPE, ("rules-2", "trial"), &comparison).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "minutes 1970-01-01T00:29:00Z to 1970-01-01T00:59:00Z",
                "3 videos, 44 rows of a video in a minute",
                "1 videos are not in dims.dim_videos: nothing is decided about them",
                "",
                "          rules-2                       trial",
                "BOOST     0                             2",
                "REVIEW    1                             0",
                "RESCUE    0                             0",
                "",
                "0 the same, 1 added, 0 gone, 1 changed",
                "changed   REVIEW 1970-01-01T00:30:00Z   BOOST 1970-01-01T00:33:00Z    v_1",
                "added     -                             BOOST 1970-01-01T00:33:00Z    v_1",
            ]
        );
    }

    #[test]
    fn programs_see_the_numbers_behind_it() {
        let comparison = compared();
        let report = Report::new(&SCOPE, ("rules-2", "trial"), &comparison);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["proposed"]["boost"], &json["changed"]), (&2.into(), &1.into()));
        let first = &json["differences"][0];
        assert_eq!((&first["video_id"], &first["change"]), (&"v_1".into(), &"changed".into()));
        assert_eq!(first["in_force"]["reason_codes"], serde_json::json!(["LOW_COMPLETION"]));
        assert_eq!(first["proposed"]["window_start"], "1970-01-01T00:33:00Z");
        assert_eq!(first["proposed"]["velocity_30m"], 0.25);
        assert_eq!(json["differences"][1]["in_force"], serde_json::Value::Null);
    }

    #[test]
    fn nothing_covered_is_told() {
        let scope = Scope { minutes_us: None, ..SCOPE };
        let comparison = Comparison::default();
        let text = Report::new(&scope, ("a", "b"), &comparison).text();
        assert!(text.starts_with("no minute: gold does not have the 30 minutes"), "{text}");
    }
}
