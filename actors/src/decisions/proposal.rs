//! From the board's counts to decisions, in three steps without I/O: which videos something may be called for, what the
//! rules say of them, and which of that the queue leaves room for.

use std::collections::{BTreeMap, HashMap};

use pulselake_actions::QueueView;
use pulselake_board::LiveBoard;
use pulselake_decision::{
    Action, Baseline, DecisionType, Freshness, MINUTE_US, Metrics30m, Rules, Verdict, VideoFacts, decide,
    is_cooled_down, plays_since,
};

use super::pacing::Due;
use super::video_rows::VideoRow;
use crate::dimensions::{CachedVideo, DimensionCache};

/// What held decisions back, by the name in metrics.
pub(super) type Suppressed = BTreeMap<&'static str, u64>;

/// A video in a minute that the rules may call for something about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) video_id: String,
    pub(super) minute_us: i64,
    pub(super) metrics: Metrics30m,
}

/// What the board showed.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// By partition, then minute.
    pub(super) seen: Vec<Seen>,
    /// Videos with an event in one of the minutes, counted once a minute.
    pub(super) videos: u64,
    /// Videos whose counts may not be whole, because the board is full.
    pub(super) left_out: u64,
}

/// What the rules call for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) seen: Seen,
    pub(super) verdict: Verdict,
}

/// What the rules call for, and what they don't and why.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) wanted: Vec<Wanted>,
    pub(super) suppressed: Suppressed,
    pub(super) immature_reviews: u64,
}

/// Rules and thresholds of one round.
#[derive(Clone, Copy)]
pub(super) struct Measures<'a> {
    pub(super) rules: &'a Rules,
    pub(super) baseline: &'a Baseline,
}

impl Measures<'_> {
    /// Whether something may be called for, when all that is not known of the video is assumed to speak for it.
    fn may_matter(&self, metrics: &Metrics30m, cached: Option<&CachedVideo>, as_of_us: i64) -> bool {
        let category = cached.and_then(|video| video.category.as_deref()).filter(|text| !text.is_empty());
        let region = cached.and_then(|video| video.region.as_deref()).filter(|text| !text.is_empty());
        let facts = VideoFacts {
            category: Some(category.unwrap_or("?")),
            region: Some(region.unwrap_or("?")),
            upload_time_us: Some(cached.and_then(|video| video.upload_time_us).unwrap_or(as_of_us)),
            status: Some("active"),
            duration_ms: None,
        };
        let thresholds = self.baseline.thresholds_for(&facts);
        // Without plays that may be running, no REVIEW waits.
        let verdict = decide(self.rules, thresholds, metrics, Some(&facts), as_of_us, |_| 0);
        verdict.decision != DecisionType::NoAction
    }
}

/// The videos of the due minutes that something may be called for.
pub(super) fn look(board: &LiveBoard, cache: &DimensionCache, measures: Measures<'_>, due: &[Due]) -> Looked {
    let mut looked = Looked::default();
    for of_partition in due {
        for &minute_us in &of_partition.minutes {
            let mut visit = |video_id: &str, sums: &pulselake_model::WindowCounters| {
                let metrics = Metrics30m::of(sums);
                // Others can't be candidates, nor be rescued: most videos of a catalogue stop here.
                let is_seen = metrics.impressions >= measures.rules.min_candidate_impressions;
                if !is_seen && !metrics.passes_gate(measures.rules) {
                    return;
                }
                let cached = cache.get(video_id);
                if measures.may_matter(&metrics, cached.as_ref(), minute_us + MINUTE_US) {
                    looked.seen.push(Seen { video_id: video_id.to_owned(), minute_us, metrics });
                }
            };
            let visited = board.rolling_at(of_partition.partition, minute_us, &mut visit);
            looked.videos += visited.visited as u64;
            looked.left_out += visited.left_out as u64;
        }
    }
    looked
}

/// What the rules say, with the dimension's rows as they are in `rows`.
pub(super) fn judge(
    board: &LiveBoard,
    seen: Vec<Seen>,
    rows: &HashMap<String, VideoRow>,
    measures: Measures<'_>,
    freshness: Freshness,
) -> Judged {
    let mut judged = Judged::default();
    for one in seen {
        let row = rows.get(&one.video_id);
        let facts = row.map(VideoRow::facts);
        let thresholds = measures.baseline.thresholds_for(&facts.unwrap_or_default());
        let recent_plays = |since_us| plays_since(&board.minutes_of(&one.video_id), since_us, one.minute_us);
        let as_of_us = one.minute_us + MINUTE_US;
        let verdict =
            decide(measures.rules, thresholds, &one.metrics, facts.as_ref(), as_of_us, recent_plays);
        let reason = match (verdict.decision, row) {
            (DecisionType::NoAction, None) => "unknown_video",
            (DecisionType::NoAction, Some(found)) if found.status.as_deref() != Some("active") => {
                "not_active"
            }
            (DecisionType::NoAction, Some(found)) if found.is_incomplete() => "incomplete_video",
            (DecisionType::NoAction, Some(_)) => {
                judged.immature_reviews += u64::from(verdict.waits_for_plays);
                continue;
            }
            (decision, _) if !freshness.allows(decision) => "degraded",
            _ => {
                judged.wanted.push(Wanted { seen: one, verdict });
                continue;
            }
        };
        *judged.suppressed.entry(reason).or_default() += 1;
    }
    judged
}

/// The actions that keep the pause between two actions of a video, and how many don't.
pub(super) fn choose(view: &QueueView, wanted: &[Wanted], rules: &Rules, at_us: i64) -> (Vec<Action>, u64) {
    let mut actions: Vec<Action> = Vec::new();
    let mut newest: HashMap<&str, i64> = HashMap::new();
    let mut cooling = 0;
    for Wanted { seen, verdict } in wanted {
        let last_us = newest.get(seen.video_id.as_str()).copied();
        let is_cooled = view.is_cooled_down(rules, &seen.video_id, seen.minute_us)
            && is_cooled_down(rules, last_us, seen.minute_us);
        if !is_cooled {
            cooling += 1;
            continue;
        }
        let action = Action::new(rules, &seen.video_id, seen.minute_us, seen.metrics, verdict.clone(), at_us);
        if action.is_some() {
            newest.insert(&seen.video_id, seen.minute_us);
        }
        actions.extend(action);
    }
    (actions, cooling)
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
