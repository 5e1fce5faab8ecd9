//! What the pulse is counted from: sums that add up over processes.

use std::collections::BTreeMap;

use pulselake_decision::{MINUTE_US, Metrics30m};
use pulselake_model::{EventType, WindowCounters};

use super::Pulse;
use crate::parts::ApiParts;

/// Above this velocity a new video rises.
const RISING_VELOCITY: f64 = 0.05;
/// Up to this age a video is new.
const NEW_US: i64 = 60 * MINUTE_US;
/// The status of a video that may be shown.
const ACTIVE: &str = "active";

/// Counts over all videos.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PulseCounts {
    /// By the start of their minute, microseconds since the epoch.
    pub(super) minutes: BTreeMap<i64, MinuteCounts>,
    /// Active videos with an event in the last 30 minutes.
    pub(super) active: u64,
    /// Those younger than an hour.
    pub(super) young: u64,
    /// Those of the young that rise.
    pub(super) rising: u64,
}

/// One minute of all videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MinuteCounts {
    pub(super) skips: i64,
    pub(super) impressions: i64,
}

impl MinuteCounts {
    /// Skips / impressions.
    pub(super) fn rate(self) -> Option<f64> {
        (self.impressions > 0).then(|| self.skips as f64 / self.impressions as f64)
    }
}

impl PulseCounts {
    /// The counts that a pulse was made from.
    pub(super) fn of(pulse: &Pulse) -> Self {
        let minutes = pulse.doomscroll.minutes.iter().map(|minute| {
            (minute.minute.us(), MinuteCounts { skips: minute.skips, impressions: minute.impressions })
        });
        Self {
            minutes: minutes.collect(),
            active: pulse.fresh_supply.active,
            young: pulse.cold_start.videos,
            rising: pulse.cold_start.rising,
        }
    }

    /// Adds another process's counts.
    pub(super) fn add(&mut self, other: &Self) {
        for (minute_us, counts) in &other.minutes {
            let sum = self.minutes.entry(*minute_us).or_default();
            sum.skips += counts.skips;
            sum.impressions += counts.impressions;
        }
        self.active += other.active;
        self.young += other.young;
        self.rising += other.rising;
    }

    /// The newest minute that is over. In a minute that has just begun there are hardly any skips: they come some seconds
    /// after their impressions.
    pub(super) fn newest_minute_over(&self) -> Option<MinuteCounts> {
        self.minutes.values().rev().nth(1).copied()
    }

    /// The rate of that minute.
    pub(super) fn doomscroll_rate(&self) -> Option<f64> {
        self.newest_minute_over()?.rate()
    }

    /// Counts one video of the last 30 minutes; `present_us` is the end of the newest minute.
    fn add_video(
        &mut self,
        sums: &WindowCounters,
        status: Option<&str>,
        upload_us: Option<i64>,
        present_us: i64,
    ) {
        if status != Some(ACTIVE) {
            return;
        }
        self.active += 1;
        if upload_us.is_some_and(|uploaded_us| uploaded_us > present_us - NEW_US) {
            self.young += 1;
            self.rising += u64::from(Metrics30m::of(sums).velocity > RISING_VELOCITY);
        }
    }
}

/// Counts this process's board.
pub(super) fn count(parts: &ApiParts) -> PulseCounts {
    let mut counts = PulseCounts::default();
    for (minute_us, sums) in parts.board.totals_by_minute() {
        let count = |kind: EventType| sums.by_type[kind as usize];
        let minute =
            MinuteCounts { skips: count(EventType::Skip), impressions: count(EventType::Impression) };
        counts.minutes.insert(minute_us, minute);
    }
    let (Some(videos), Some(minute_us)) = (&parts.videos, parts.board.now_minute_us()) else { return counts };
    let present_us = minute_us + MINUTE_US;
    parts.board.visit_all(&mut |video_id, sums| {
        if let Some(known) = videos.peek(video_id) {
            counts.add_video(sums, known.status.as_deref(), known.upload_time_us, present_us);
        }
    });
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(skips: i64, impressions: i64) -> MinuteCounts {
        MinuteCounts { skips, impressions }
    }

    #[test]
    fn the_rate_is_that_of_the_newest_minute_that_is_over() {
        let mut counts = PulseCounts::default();
        assert_eq!(counts.doomscroll_rate(), None);
        counts.minutes.insert(0, minute(45, 100));
        assert_eq!(counts.doomscroll_rate(), None, "the first minute is not over");
        counts.minutes.insert(MINUTE_US, minute(0, 3));
        assert_eq!(counts.doomscroll_rate(), Some(0.45));
        counts.minutes.insert(2 * MINUTE_US, minute(0, 0));
        counts.minutes.insert(3 * MINUTE_US, minute(1, 1));
        assert_eq!(counts.doomscroll_rate(), None, "no impressions, no rate");
    }

    #[test]
    fn videos_are_young_for_an_hour_and_rise_above_a_velocity_of_a_twentieth() {
        let likes = |count| WindowCounters { by_type: [100, 0, 0, count, 0, 0], watch_time_sum_ms: 0 };
        let present_us = 1_000 * MINUTE_US;
        let mut counts = PulseCounts::default();
        for (status, upload_us, sums) in [
            (Some("active"), Some(present_us - NEW_US), likes(50)),
            (Some("active"), Some(present_us - NEW_US + 1), likes(5)),
            (Some("active"), Some(present_us), likes(6)),
            (Some("active"), None, likes(50)),
            (Some("banned"), Some(present_us), likes(50)),
            (None, Some(present_us), likes(50)),
        ] {
            counts.add_video(&sums, status, upload_us, present_us);
        }
        assert_eq!((counts.active, counts.young, counts.rising), (4, 2, 1));
    }

    #[test]
    fn counts_of_processes_add_up() {
        let mut own = PulseCounts {
            minutes: [(0, minute(1, 2)), (MINUTE_US, minute(3, 4))].into(),
            active: 10,
            young: 5,
            rising: 2,
        };
        let peer =
            PulseCounts { minutes: [(MINUTE_US, minute(10, 20))].into(), active: 1, young: 1, rising: 0 };
        own.add(&peer);
        assert_eq!(own.minutes[&MINUTE_US], minute(13, 24));
        assert_eq!((own.minutes[&0], own.active, own.young, own.rising), (minute(1, 2), 11, 6, 2));
    }
}
