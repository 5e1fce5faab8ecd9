//! What the generator says that must be decided, and how much of it was.

use std::path::Path;

use pulselake_actions::QueuedAction;
use pulselake_decision::MINUTE_US;

use crate::truth::Rows;

/// Late events and the second in which a minute closes move a decision a little beside the exact counts.
const SLACK_US: i64 = 2 * MINUTE_US;

/// One row of `expected_actions.parquet`.
#[derive(Clone, Debug)]
pub struct Expected {
    pub video_id: String,
    pub decision: String,
    /// Ends of the first and the last minute at which the rules call for it.
    pub from_us: i64,
    pub until_us: i64,
}

impl Expected {
    /// Reads the file.
    pub fn read(truth: &Path) -> Vec<Self> {
        let rows = Rows::read(&truth.join("expected_actions.parquet"));
        let (videos, decisions) = (rows.texts("video_id"), rows.texts("decision_type"));
        let (from, until) = (rows.times_us("expected_from"), rows.times_us("expected_until"));
        (0..videos.len())
            .map(|row| Self {
                video_id: videos[row].clone(),
                decision: decisions[row].clone(),
                from_us: from[row].unwrap(),
                until_us: until[row].unwrap(),
            })
            .collect()
    }

    pub fn is_nothing(&self) -> bool {
        self.decision == "NO_ACTION"
    }

    /// Whether an engine that decided from the minute that ends at `first_end_us` on had a chance.
    pub fn is_within_reach(&self, first_end_us: i64) -> bool {
        self.until_us >= first_end_us
    }

    /// Whether the actions are what is expected of the video.
    pub fn is_met(&self, actions: &[QueuedAction]) -> bool {
        let mut of_video = actions.iter().filter(|action| action.video_id == self.video_id);
        match self.is_nothing() {
            true => of_video.next().is_none(),
            false => of_video.any(|action| {
                let span = self.from_us - SLACK_US..=self.until_us + SLACK_US;
                action.decision.as_str() == self.decision && span.contains(&action.window_end_us)
            }),
        }
    }
}

/// Of the expectations within reach, those that are met, and those that are not.
pub fn split<'a>(
    expected: &'a [Expected],
    actions: &[QueuedAction],
) -> (Vec<&'a Expected>, Vec<&'a Expected>) {
    let first_end_us = actions.iter().map(|action| action.window_end_us).min().unwrap_or(i64::MAX);
    let within_reach = expected.iter().filter(|one| one.is_within_reach(first_end_us));
    within_reach.partition(|one| one.is_met(actions))
}
