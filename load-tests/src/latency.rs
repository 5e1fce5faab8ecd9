//! From commits to latencies: how long after its event a row could be read.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use hdrhistogram::Histogram;
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use crate::lake_watch::SeenCommit;
use crate::paced::SentEvents;
use crate::statistics::rounded;

/// Longest latency that is told apart from longer ones: a day.
const LONGEST_MS: u64 = 86_400_000;
/// Length of gold's windows.
pub(crate) const WINDOW_MS: i64 = 60_000;

/// Latencies of many events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LatencySummary {
    pub(crate) count: u64,
    pub(crate) p50_s: f64,
    pub(crate) p95_s: f64,
    pub(crate) p99_s: f64,
    pub(crate) max_s: f64,
}

fn summary(histogram: &Histogram<u64>) -> Option<LatencySummary> {
    if histogram.is_empty() {
        return None;
    }
    let seconds = |milliseconds: u64| rounded(milliseconds as f64 / 1e3, 2);
    Some(LatencySummary {
        count: histogram.len(),
        p50_s: seconds(histogram.value_at_quantile(0.5)),
        p95_s: seconds(histogram.value_at_quantile(0.95)),
        p99_s: seconds(histogram.value_at_quantile(0.99)),
        max_s: seconds(histogram.max()),
    })
}

/// An empty histogram of milliseconds, three digits, that grows as it has to.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(1, LONGEST_MS, 3).context("no histogram")?;
    histogram.auto(true);
    Ok(histogram)
}

/// Takes a latency in; one that is not above 0 (clocks of two processes) counts as 1 ms.
pub(crate) fn record(histogram: &mut Histogram<u64>, latency_ms: i64) {
    histogram.saturating_record(u64::try_from(latency_ms).unwrap_or(0).max(1));
}

/// Of each event in bronze: from when it was meant to be sent until the commit that holds it was seen. `None` when no
/// commit was seen.
pub(crate) fn bronze(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentEvents,
) -> anyhow::Result<Option<LatencySummary>> {
    let mut latencies = histogram()?;
    for_what_is_new(commits, LakeTable::RawEvents, topic, &sent.intended_ms, |seen_at_ms, after_ms| {
        record(&mut latencies, seen_at_ms - sent.started_ms - i64::from(*after_ms));
    })?;
    Ok(summary(&latencies))
}

/// Of each record that has a time (`times_ms`: one for each offset of each partition, ms since the epoch): from that time
/// until the commit of `table` that holds it was seen. `None` when no such commit was seen.
pub(crate) fn freshness(
    commits: &[SeenCommit],
    table: LakeTable,
    topic: &str,
    times_ms: &[Vec<Option<i64>>],
) -> anyhow::Result<Option<LatencySummary>> {
    let mut latencies = histogram()?;
    for_what_is_new(commits, table, topic, times_ms, |seen_at_ms, time_ms| {
        if let Some(from_ms) = time_ms {
            record(&mut latencies, seen_at_ms - from_ms);
        }
    })?;
    Ok(summary(&latencies))
}

/// Calls `take` with what is known of each record (one for each offset of each partition) and when the first commit that
/// holds it was seen.
fn for_what_is_new<T>(
    commits: &[SeenCommit],
    table: LakeTable,
    topic: &str,
    records: &[Vec<T>],
    mut take: impl FnMut(i64, &T),
) -> anyhow::Result<()> {
    for part in new_parts(commits, table, topic) {
        let range = usize::try_from(part.from)?..usize::try_from(part.to)?;
        let of_partition = &records[part.partition.unsigned_abs() as usize];
        let new = of_partition.get(range).context("the table holds more than was sent")?;
        new.iter().for_each(|record| take(part.seen_at_ms, record));
    }
    Ok(())
}

/// What a commit added of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewPart {
    /// When the commit was seen, milliseconds since the epoch.
    pub(crate) seen_at_ms: i64,
    pub(crate) partition: i32,
    /// First offset that it added.
    pub(crate) from: i64,
    /// First offset that it did not.
    pub(crate) to: i64,
}

/// What each commit of `table` added, oldest first. The ledgers begin at offset 0.
pub(crate) fn new_parts(commits: &[SeenCommit], table: LakeTable, topic: &str) -> Vec<NewPart> {
    let mut through: HashMap<i32, i64> = HashMap::new();
    let mut parts = Vec::new();
    for commit in commits.iter().filter(|commit| commit.table == table) {
        for (partition, to) in commit.next_offsets(topic) {
            let from = through.insert(partition, to).unwrap_or(0);
            if to > from {
                parts.push(NewPart { seen_at_ms: commit.seen_at_ms, partition, from, to });
            }
        }
    }
    parts
}

/// What is known of gold's windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GoldLatencies {
    /// Of each partition's part of each window: from the window's end until the commit that holds it was seen.
    pub(crate) per_partition: LatencySummary,
    /// Of each window: from its end until its last partition's part was seen, seconds.
    pub(crate) complete_windows_s: Vec<f64>,
    /// Windows that should have been there and were not.
    pub(crate) missing_windows: usize,
}

/// Latencies of the windows that close while events flow: those that end at least `watermark_delay_ms` before the last
/// event. Later ones close by the idle time-out, which is another matter. `None` when there is no such window.
pub(crate) fn gold(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentEvents,
    watermark_delay_ms: i64,
) -> anyhow::Result<Option<GoldLatencies>> {
    let partitions = sent.intended_ms.iter().filter(|times| !times.is_empty()).count();
    let ends = window_ends(sent.started_ms, sent.ended_ms() - watermark_delay_ms);
    let seen = window_parts(commits, topic, &ends);
    let mut latencies = histogram()?;
    let mut complete_windows_s = Vec::new();
    for (end, parts) in &seen {
        parts.values().for_each(|seen_at| record(&mut latencies, seen_at - end));
        if parts.len() == partitions {
            let last = parts.values().max().copied().unwrap_or(*end);
            complete_windows_s.push(rounded((last - end) as f64 / 1e3, 2));
        }
    }
    let missing_windows = ends.len() - complete_windows_s.len();
    Ok(summary(&latencies).map(|per_partition| GoldLatencies {
        per_partition,
        complete_windows_s,
        missing_windows,
    }))
}

/// Of each of these windows (by their ends, milliseconds since the epoch): when each partition's part of it was seen first.
pub(crate) fn window_parts(
    commits: &[SeenCommit],
    topic: &str,
    ends: &[i64],
) -> BTreeMap<i64, HashMap<i32, i64>> {
    let mut seen: BTreeMap<i64, HashMap<i32, i64>> = BTreeMap::new();
    for commit in commits.iter().filter(|commit| commit.table == LakeTable::VideoStats1Min) {
        for (partition, closed_ms) in closed_through_ms(commit, topic) {
            for end in ends.iter().filter(|end| **end <= closed_ms) {
                seen.entry(*end).or_default().entry(partition).or_insert(commit.seen_at_ms);
            }
        }
    }
    seen
}

/// Ends of the windows that begin no later than `to_ms` less a window and end after `from_ms`.
pub(crate) fn window_ends(from_ms: i64, to_ms: i64) -> Vec<i64> {
    let first = (from_ms.div_euclid(WINDOW_MS) + 1) * WINDOW_MS;
    (0..).map(|number| first + number * WINDOW_MS).take_while(|end| *end <= to_ms).collect()
}

/// Of each partition in a gold commit: the end of the last window that it has emitted, milliseconds since the epoch.
pub(crate) fn closed_through_ms(commit: &SeenCommit, topic: &str) -> Vec<(i32, i64)> {
    let partitions = commit.ledger.as_ref().and_then(|ledger| ledger.topics.get(topic));
    let closed = partitions.into_iter().flatten();
    closed.filter_map(|(partition, entry)| Some((*partition, entry.closed_through? / 1_000))).collect()
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::{Ledger, PartitionLedger};

    use super::*;

    /// A commit of both partitions at once.
    fn commit(table: LakeTable, seen_at_ms: i64, entries: [(i64, Option<i64>); 2]) -> SeenCommit {
        let mut ledger = Ledger::new("cluster", "decoder");
        let topic = ledger.topics.entry("t".to_owned()).or_default();
        for (partition, (next, closed_ms)) in entries.into_iter().enumerate() {
            let closed_through = closed_ms.map(|ms| ms * 1_000);
            topic.insert(partition as i32, PartitionLedger { next, closed_through, ..Default::default() });
        }
        SeenCommit { table, seen_at_ms, ledger: Some(ledger), files: 1, rows: 1, live_files: 1 }
    }

    #[test]
    fn an_event_waits_from_its_intended_time_to_the_first_commit_that_holds_it() {
        let sent = SentEvents {
            started_ms: 1_000,
            intended_ms: vec![vec![0, 500, 1_000], vec![250]],
            worst_delay_ms: 0,
        };
        let commits = [
            commit(LakeTable::RawEvents, 2_000, [(2, None), (0, None)]),
            commit(LakeTable::VideoStats1Min, 2_500, [(3, None), (1, None)]),
            commit(LakeTable::RawEvents, 12_000, [(3, None), (1, None)]),
        ];
        let found = bronze(&commits, "t", &sent).unwrap().unwrap();
        // 1.0, 0.5, 10.0 and 10.75 s.
        assert_eq!(found.count, 4);
        assert!((found.p50_s - 1.0).abs() < 0.02 && (found.max_s - 10.75).abs() < 0.02, "{found:?}");
        assert_eq!(bronze(&commits[1..2], "t", &sent).unwrap(), None);
        let too_much = [commit(LakeTable::RawEvents, 2_000, [(9, None), (0, None)])];
        assert!(bronze(&too_much, "t", &sent).is_err());
    }

    #[test]
    fn a_window_is_complete_with_its_last_partition() {
        // From 12:00:30 to 12:03:05, so to say: windows end at 60, 120 and 180 s; the last closes with the idle time-out.
        let sent = SentEvents {
            started_ms: 30_000,
            intended_ms: vec![vec![0, 155_000], vec![1]],
            worst_delay_ms: 0,
        };
        let commits = [
            commit(LakeTable::VideoStats1Min, 72_000, [(1, Some(60_000)), (1, None)]),
            commit(LakeTable::VideoStats1Min, 75_000, [(1, Some(60_000)), (1, Some(60_000))]),
            commit(LakeTable::VideoStats1Min, 133_000, [(1, Some(120_000)), (1, Some(60_000))]),
        ];
        let found = gold(&commits, "t", &sent, 10_000).unwrap().unwrap();
        assert_eq!(found.complete_windows_s, [15.0]);
        assert_eq!((found.per_partition.count, found.missing_windows), (3, 1));
        assert!((found.per_partition.max_s - 15.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn windows_end_on_full_minutes() {
        assert_eq!(window_ends(60_000, 180_000), [120_000, 180_000]);
        assert_eq!(window_ends(59_999, 60_000), [60_000]);
        assert!(window_ends(60_000, 119_999).is_empty());
    }
}
