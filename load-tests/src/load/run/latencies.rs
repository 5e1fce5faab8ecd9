//! Latencies of a run, from the moment at which a record was meant to be sent (or a window ended, or a row was changed) to
//! the moment at which a reader could see it: over the whole run without its warm-up, and from interval to interval.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use pulselake_model::tables::LakeTable;

use super::sent::SentRecords;
use crate::lake_watch::SeenCommit;
use crate::latency::{WINDOW_MS, histogram, new_parts, record, window_ends, window_parts};
use crate::load::outcome::{IntervalPercentiles, LatencyOutcome, Percentiles};
use crate::statistics::rounded;

/// A report shows at most so many intervals.
const MAX_INTERVALS: u32 = 400;
/// Lengths of intervals, seconds.
const LENGTHS_S: [u32; 9] = [1, 2, 5, 10, 30, 60, 120, 300, 600];

/// The run that latencies are taken of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunTimes {
    /// When the first record was meant to be sent, milliseconds since the epoch.
    pub(crate) start_ms: i64,
    /// Seconds after it: what was meant to be sent before does not count.
    pub(crate) warm_up_s: u32,
    /// Seconds from the first record to the last.
    pub(crate) duration_s: u32,
}

/// Collects latencies of one path.
pub(crate) struct LatencyCollector {
    times: RunTimes,
    interval_ms: i64,
    whole: Histogram<u64>,
    intervals: Vec<Histogram<u64>>,
}

impl LatencyCollector {
    pub(crate) fn new(times: RunTimes) -> anyhow::Result<Self> {
        let fits = |length: &&u32| times.duration_s.div_ceil(**length) <= MAX_INTERVALS;
        let interval_s = LENGTHS_S.iter().find(fits).copied().unwrap_or(3_600);
        Ok(Self {
            times,
            interval_ms: i64::from(interval_s) * 1_000,
            whole: histogram()?,
            intervals: Vec::new(),
        })
    }

    /// Takes in one latency of what was due `due_ms` (milliseconds since the epoch).
    pub(crate) fn add(&mut self, due_ms: i64, seen_at_ms: i64) -> anyhow::Result<()> {
        let since_start_ms = due_ms - self.times.start_ms;
        // A change may be made before the first record; the interval is the first one then.
        let index = usize::try_from(since_start_ms.div_euclid(self.interval_ms)).unwrap_or(0);
        while self.intervals.len() <= index {
            self.intervals.push(histogram()?);
        }
        record(&mut self.intervals[index], seen_at_ms - due_ms);
        if since_start_ms >= i64::from(self.times.warm_up_s) * 1_000 {
            record(&mut self.whole, seen_at_ms - due_ms);
        }
        Ok(())
    }

    /// What there is; `None` when nothing was taken in after the warm-up.
    pub(crate) fn finish(self) -> anyhow::Result<Option<LatencyOutcome>> {
        if self.whole.is_empty() {
            return Ok(None);
        }
        let interval_s = self.interval_ms as f64 / 1e3;
        let numbered = self.intervals.iter().enumerate();
        let intervals = numbered.filter(|(_, histogram)| !histogram.is_empty()).map(|(index, histogram)| {
            IntervalPercentiles { from_s: index as f64 * interval_s, percentiles: percentiles(histogram) }
        });
        let mut bytes = Vec::new();
        let serialized = V2DeflateSerializer::new().serialize(&self.whole, &mut bytes);
        serialized.map_err(|error| anyhow::anyhow!("can't write the histogram: {error:?}"))?;
        Ok(Some(LatencyOutcome {
            whole: percentiles(&self.whole),
            intervals: intervals.collect(),
            interval_s,
            histogram: BASE64_STANDARD.encode(bytes),
        }))
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let seconds = |milliseconds: u64| rounded(milliseconds as f64 / 1e3, 3);
    let at = |share: f64| seconds(histogram.value_at_quantile(share));
    Percentiles {
        count: histogram.len(),
        p50_s: at(0.5),
        p90_s: at(0.9),
        p95_s: at(0.95),
        p99_s: at(0.99),
        p999_s: at(0.999),
        max_s: seconds(histogram.max()),
    }
}

/// Of every record: until the commit of bronze whose ledger includes it.
pub(crate) fn event_to_bronze(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentRecords,
    times: RunTimes,
) -> anyhow::Result<Option<LatencyOutcome>> {
    let mut collector = LatencyCollector::new(times)?;
    for part in new_parts(commits, LakeTable::RawEvents, topic) {
        for after_ms in sent.intended_ms(part.partition, part.from, part.to) {
            collector.add(times.start_ms + i64::from(*after_ms), part.seen_at_ms)?;
        }
    }
    collector.finish()
}

/// The share `quantile` of the latencies to bronze of the records that were meant to be sent in `from_s..to_s` (seconds
/// since the start), seconds. `None` as long as one of these records can't be read.
pub(crate) fn bronze_quantile(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentRecords,
    start_ms: i64,
    (from_s, to_s): (u32, u32),
    quantile: f64,
) -> anyhow::Result<Option<f64>> {
    let wanted = from_s * 1_000..to_s * 1_000;
    let mut latencies = histogram()?;
    let mut through: HashMap<i32, i64> = HashMap::new();
    for part in new_parts(commits, LakeTable::RawEvents, topic) {
        through.insert(part.partition, part.to);
        let due = sent.intended_ms(part.partition, part.from, part.to);
        for after_ms in due.iter().filter(|after_ms| wanted.contains(*after_ms)) {
            record(&mut latencies, part.seen_at_ms - start_ms - i64::from(*after_ms));
        }
    }
    let is_missing = sent.filled_partitions().any(|partition| {
        let from = through.get(&partition).copied().unwrap_or(0);
        sent.intended_ms(partition, from, i64::MAX).first().is_some_and(|next| *next < wanted.end)
    });
    if is_missing || latencies.is_empty() {
        return Ok(None);
    }
    Ok(Some(latencies.value_at_quantile(quantile) as f64 / 1e3))
}

/// Of each partition's part of each window that closes while records flow (it ends at least `watermark_delay_ms` before
/// the last one; later ones close by an idle time-out or at the end, which is another matter): from the window's end
/// until the commit of gold that has it. The second number is of parts that should have come and did not.
pub(crate) fn window_end_to_gold(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentRecords,
    times: RunTimes,
    watermark_delay_ms: i64,
) -> anyhow::Result<(Option<LatencyOutcome>, usize)> {
    let last_ms = times.start_ms + i64::from(times.duration_s) * 1_000;
    let ends = window_ends(times.start_ms, last_ms - watermark_delay_ms);
    let seen = window_parts(commits, topic, &ends);
    let mut collector = LatencyCollector::new(times)?;
    let mut missing = 0;
    for end in ends {
        let parts = seen.get(&end);
        for partition in sent.filled_partitions() {
            let due = sent.intended_ms(partition, 0, i64::MAX);
            let window = end - WINDOW_MS - times.start_ms..end - times.start_ms;
            let from = due.partition_point(|after_ms| i64::from(*after_ms) < window.start);
            // Without a record there is no part.
            if due.get(from).is_none_or(|after_ms| i64::from(*after_ms) >= window.end) {
                continue;
            }
            match parts.and_then(|parts| parts.get(&partition)) {
                Some(seen_at_ms) => collector.add(end, *seen_at_ms)?,
                None => missing += 1,
            }
        }
    }
    Ok((collector.finish()?, missing))
}

/// Of each change that has a time (`written_ms` of a partition and a range of offsets, milliseconds since the epoch): until
/// the commit of its dimension that includes it.
pub(crate) fn add_changes<'a>(
    collector: &mut LatencyCollector,
    commits: &[SeenCommit],
    dimension: LakeTable,
    topic: &str,
    written_ms: impl Fn(i32, i64, i64) -> &'a [Option<i64>],
) -> anyhow::Result<()> {
    for part in new_parts(commits, dimension, topic) {
        for due_ms in written_ms(part.partition, part.from, part.to).iter().flatten() {
            collector.add(*due_ms, part.seen_at_ms)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pulselake_generator::RecordKind;
    use pulselake_ledger::{Ledger, PartitionLedger};

    use super::*;
    use crate::load::run::sent::tests::record as sent_record;

    fn decoded(text: &str) -> Histogram<u64> {
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
    }

    const TIMES: RunTimes = RunTimes { start_ms: 30_000, warm_up_s: 1, duration_s: 155 };

    /// Records after so many milliseconds, by partition.
    fn sent(partitions: &[&[u32]]) -> SentRecords {
        let mut sent = SentRecords::to_topic(partitions.len() as i32);
        for (partition, times) in (0..).zip(partitions) {
            times
                .iter()
                .for_each(|after_ms| sent.push(partition, *after_ms, &sent_record(RecordKind::Event)));
        }
        sent
    }

    fn commit(table: LakeTable, seen_at_ms: i64, entries: &[(i64, Option<i64>)]) -> SeenCommit {
        let mut ledger = Ledger::new("cluster", "decoder");
        let topic = ledger.topics.entry("t".to_owned()).or_default();
        for (partition, (next, closed_ms)) in (0..).zip(entries) {
            let closed_through = closed_ms.map(|ms| ms * 1_000);
            topic.insert(partition, PartitionLedger { next: *next, closed_through, ..Default::default() });
        }
        SeenCommit { table, seen_at_ms, ledger: Some(ledger), files: 1, rows: 1, live_files: 1 }
    }

    #[test]
    fn the_warm_up_is_left_out_of_the_whole_and_not_of_the_intervals() {
        let sent = sent(&[&[0, 1_500, 2_000], &[1_250]]);
        let commits = [
            commit(LakeTable::RawEvents, 32_000, &[(2, None), (0, None)]),
            commit(LakeTable::RawEvents, 42_000, &[(3, None), (1, None)]),
        ];
        let found = event_to_bronze(&commits, "t", &sent, TIMES).unwrap().unwrap();
        assert_eq!((found.whole.count, found.interval_s), (3, 1.0));
        // 0.5, 10 and 10.75 s.
        assert!((found.whole.p50_s - 10.0).abs() < 0.02 && (found.whole.max_s - 10.75).abs() < 0.02);
        let intervals: Vec<(f64, u64)> =
            found.intervals.iter().map(|interval| (interval.from_s, interval.percentiles.count)).collect();
        assert_eq!(intervals, [(0.0, 1), (1.0, 2), (2.0, 1)]);
        let histogram = decoded(&found.histogram);
        assert_eq!((histogram.len(), histogram.value_at_quantile(0.1)), (3, 500));
        assert_eq!(event_to_bronze(&commits, "other", &sent, TIMES).unwrap(), None);
    }

    #[test]
    fn a_part_of_the_time_is_known_when_all_of_it_can_be_read() {
        let sent = sent(&[&[500, 1_500, 2_500]]);
        let commits = [
            commit(LakeTable::RawEvents, 32_000, &[(1, None)]),
            commit(LakeTable::RawEvents, 33_000, &[(2, None)]),
        ];
        let of = |range| bronze_quantile(&commits, "t", &sent, 30_000, range, 0.95).unwrap();
        assert_eq!((of((0, 1)), of((1, 2)), of((1, 3)), of((2, 3))), (Some(1.5), Some(1.5), None, None));
    }

    #[test]
    fn windows_close_part_by_part() {
        // Windows end at 60, 120 and 180 s; the last closes with the idle time-out. Partition 1 has nothing in the second.
        let sent = sent(&[&[0, 45_000, 154_000], &[1]]);
        let commits = [
            commit(LakeTable::VideoStats1Min, 72_000, &[(1, Some(60_000)), (1, None)]),
            commit(LakeTable::VideoStats1Min, 75_000, &[(1, Some(60_000)), (1, Some(60_000))]),
            commit(LakeTable::VideoStats1Min, 133_000, &[(1, Some(120_000)), (1, Some(60_000))]),
        ];
        let (found, missing) = window_end_to_gold(&commits, "t", &sent, TIMES, 10_000).unwrap();
        let whole = found.unwrap().whole;
        assert_eq!((whole.count, missing), (3, 0));
        assert!((whole.max_s - 15.0).abs() < 0.02, "{whole:?}");
        let (_, missing) = window_end_to_gold(&commits[..2], "t", &sent, TIMES, 10_000).unwrap();
        assert_eq!(missing, 1);
    }
}
