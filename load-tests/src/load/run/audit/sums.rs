//! Gold against the truth: the sums of each video and minute.

use std::collections::BTreeMap;

use chrono::DateTime;
use pulselake_model::{EventType, WindowCounters};

use super::findings::Findings;

/// Sums by the video's id and the start of the minute, milliseconds since the epoch.
pub(crate) type Sums = BTreeMap<(String, i64), WindowCounters>;

/// The truth in gold's words: `v_<number>` for the number of a video.
pub(crate) fn named(truth: &BTreeMap<(u32, i64), WindowCounters>) -> Sums {
    truth
        .iter()
        .map(|((video, minute_ms), counters)| ((format!("v_{video}"), *minute_ms), *counters))
        .collect()
}

/// Finds every difference; gives the video minutes that were compared, and the events in gold.
pub(crate) fn compare(truth: &Sums, gold: &Sums, findings: &mut Findings) -> (u64, u64) {
    let nothing = WindowCounters::default();
    let keys: std::collections::BTreeSet<_> = truth.keys().chain(gold.keys()).collect();
    for key in &keys {
        let expected = truth.get(*key).unwrap_or(&nothing);
        let found = gold.get(*key).unwrap_or(&nothing);
        if expected != found {
            findings
                .add(|| format!("gold of {} at {}: {}", key.0, minute(key.1), difference(expected, found)));
        }
    }
    let events = gold.values().map(|counters| counters.events().unsigned_abs()).sum();
    (keys.len() as u64, events)
}

fn minute(start_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(start_ms);
    time.map_or_else(|| start_ms.to_string(), |time| time.format("%Y-%m-%dT%H:%MZ").to_string())
}

fn difference(expected: &WindowCounters, found: &WindowCounters) -> String {
    let mut differences: Vec<String> = EventType::ALL
        .into_iter()
        .zip(expected.by_type.iter().zip(found.by_type))
        .filter(|(_, (expected, found))| **expected != *found)
        .map(|(kind, (expected, found))| format!("{} {found} instead of {expected}", kind.as_str()))
        .collect();
    if expected.watch_time_sum_ms != found.watch_time_sum_ms {
        differences.push(format!(
            "watch_time_sum_ms {} instead of {}",
            found.watch_time_sum_ms, expected.watch_time_sum_ms
        ));
    }
    differences.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 1_770_458_400_000;

    fn counters(events: &[(EventType, i64)]) -> WindowCounters {
        let mut counters = WindowCounters::default();
        events.iter().for_each(|(kind, watch_time_ms)| counters.add(*kind, *watch_time_ms));
        counters
    }

    #[test]
    fn differences_are_named_by_video_minute_and_column() {
        let truth = named(&BTreeMap::from([
            ((7, MINUTE_MS), counters(&[(EventType::Like, 100), (EventType::Skip, 5)])),
            ((8, MINUTE_MS), counters(&[(EventType::Impression, 0)])),
        ]));
        let mut findings = Findings::default();
        assert_eq!(compare(&truth, &truth.clone(), &mut findings), (2, 3));
        assert!(findings.is_empty());

        let mut gold = truth.clone();
        gold.insert(("v_7".to_owned(), MINUTE_MS), counters(&[(EventType::Skip, 6)]));
        gold.remove(&("v_8".to_owned(), MINUTE_MS));
        gold.insert(("v_8".to_owned(), MINUTE_MS + 60_000), counters(&[(EventType::Impression, 0)]));
        assert_eq!(compare(&truth, &gold, &mut findings).0, 3);
        assert_eq!(
            findings.into_lines(),
            [
                "gold of v_7 at 2026-02-07T10:00Z: like 0 instead of 1, watch_time_sum_ms 6 instead of 105",
                "gold of v_8 at 2026-02-07T10:00Z: impression 0 instead of 1",
                "gold of v_8 at 2026-02-07T10:01Z: impression 1 instead of 0",
            ]
        );
    }
}
