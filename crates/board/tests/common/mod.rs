//! Counts and times in minutes, as the tests write them.

#![allow(dead_code)]

use pulselake_board::{LiveBoard, PartitionTime, VideoDelta};
use pulselake_decision::MINUTE_US;
use pulselake_model::{EventType, WindowCounters};

/// Some minute in 2026.
pub const START: i64 = 29_500_000;

/// Start (µs) of the minute so many minutes behind [`START`].
pub fn at(minute: i64) -> i64 {
    (START + minute) * MINUTE_US
}

/// Counts by kind, with a watch time that tells them apart.
pub fn counts(by_type: [i64; EventType::COUNT]) -> WindowCounters {
    WindowCounters { by_type, watch_time_sum_ms: by_type[1] * 7 }
}

pub fn impressions(count: i64) -> WindowCounters {
    counts([count, 0, 0, 0, 0, 0])
}

pub fn delta(video_id: &str, minute: i64, counters: WindowCounters) -> VideoDelta {
    VideoDelta { video_id: video_id.into(), minute_start_us: at(minute), counters }
}

/// Stream time stands in the middle of a minute.
pub fn time(minute: i64) -> PartitionTime {
    let newest_event_us = at(minute) + MINUTE_US / 2;
    PartitionTime {
        watermark_us: Some(newest_event_us - 10_000_000),
        closed_through_us: Some(at(minute)),
        newest_event_us: Some(newest_event_us),
        ..PartitionTime::default()
    }
}

/// The ids of the best videos.
pub fn best(board: &LiveBoard, limit: usize) -> Vec<String> {
    let query = pulselake_board::TopQuery { limit, ..pulselake_board::TopQuery::default() };
    board.top(&query).into_iter().map(|video| video.video_id).collect()
}
