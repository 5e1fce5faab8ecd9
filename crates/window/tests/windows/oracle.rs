//! The rules written a second time, as naively as possible: quadratic walks over the whole log, no state kept.

use std::collections::BTreeMap;

use pulselake_model::GoldPosition;
use pulselake_window::WindowSettings;

use crate::log::{Content, Event, Log};

const MINUTE: i64 = 60_000_000;

/// Counts per (video, window start, correction): events by kind, then watch time.
pub(crate) type Sums = BTreeMap<(String, i64, bool), [i64; 7]>;

/// What one uninterrupted run without idle closes makes of the log before some offset.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    pub(crate) sums: Sums,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    pub(crate) dropped: u64,
    pub(crate) records: u64,
    pub(crate) quarantined: u64,
    pub(crate) gaps: u64,
}

pub(crate) fn window_of(event_us: i64) -> i64 {
    event_us - event_us.rem_euclid(MINUTE)
}

/// Largest stream time of the events before `offset`.
pub(crate) fn stream_time_before(log: &Log, offset: i64) -> Option<i64> {
    log.events_before(offset).map(|(_, event)| event.stream_time_us()).max()
}

/// Whether the event's id was sighted less than the horizon ago, with fewer than `max_ids` other ids since.
fn is_duplicate(log: &Log, offset: i64, event: &Event, settings: &WindowSettings) -> bool {
    let now_us = stream_time_before(log, offset + 1).unwrap();
    let last = log.events_before(offset).rfind(|(_, other)| other.id == event.id);
    let Some((sighted, _)) = last else { return false };
    let mut since: Vec<u128> =
        log.events_before(offset).filter(|(at, _)| *at > sighted).map(|(_, other)| other.id).collect();
    since.sort_unstable();
    since.dedup();
    let age_us = now_us - stream_time_before(log, sighted + 1).unwrap();
    age_us < settings.dedup_horizon_ms * 1_000 && since.len() < settings.dedup_max_ids
}

/// Counts the log before `end` again.
pub(crate) fn recount(log: &Log, settings: &WindowSettings, end: i64) -> Recount {
    let mut recount = Recount::default();
    for (offset, content) in log.records.iter().filter(|(offset, _)| *offset < end) {
        recount.records += 1;
        let Content::Valid(event) = content else {
            recount.quarantined += 1;
            continue;
        };
        if is_duplicate(log, *offset, event, settings) {
            recount.duplicates += 1;
            continue;
        }
        let watermark_us =
            stream_time_before(log, *offset).map(|time| time - settings.watermark_delay_ms * 1_000);
        let start_us = window_of(event.event_us);
        let is_late = watermark_us.is_some_and(|watermark| start_us + MINUTE <= watermark);
        if is_late && event.event_us < watermark_us.unwrap() - settings.allowed_lateness_ms * 1_000 {
            recount.dropped += 1;
            continue;
        }
        recount.late += u64::from(is_late);
        let sums = recount.sums.entry((event.video.to_owned(), start_us, is_late)).or_default();
        sums[event.kind as usize] += 1;
        sums[6] += event.watch_ms;
    }
    recount.gaps = (end - log.first) as u64 - recount.records;
    recount
}

/// Adds up on-time rows and corrections of the same window.
pub(crate) fn without_revisions(sums: &Sums) -> Sums {
    let mut merged = Sums::new();
    for ((video, start_us, _), counts) in sums {
        let sum = merged.entry((video.clone(), *start_us, false)).or_default();
        for (mine, theirs) in sum.iter_mut().zip(counts) {
            *mine += theirs;
        }
    }
    merged
}

/// Fails when a restart from `position` would begin after a record that it needs, or with a wrong stream time.
pub(crate) fn check_restart_point(log: &Log, settings: &WindowSettings, position: &GoldPosition) {
    let replay_from = position.replay_from;
    assert!(replay_from <= position.next, "{position:?}");
    assert_eq!(
        position.replay_stream_time_us,
        stream_time_before(log, replay_from),
        "stream time at replay_from of {position:?}"
    );
    let still_open = |event: &Event| Some(window_of(event.event_us) + MINUTE) > position.closed_through_us;
    let needed = log
        .events_before(position.next)
        .find(|(_, event)| still_open(event))
        .map_or(position.next, |(offset, _)| offset);
    assert!(replay_from <= needed, "offset {needed} is in an open window: {position:?}");
    let Some(needed_us) = stream_time_before(log, needed) else { return };
    for (offset, _) in log.events_before(needed) {
        let sighted_us = stream_time_before(log, offset + 1).unwrap();
        let may_decide = needed_us - sighted_us < settings.dedup_horizon_ms * 1_000;
        assert!(!may_decide || replay_from <= offset, "dedup needs offset {offset}: {position:?}");
    }
}
