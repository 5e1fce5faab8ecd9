//! The last hour of the engine: one sample every ten seconds, kept by the API, gone with the process.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parking_lot::RwLock;
use pulselake_actors::status::now_us;
use pulselake_decision::freshness::{Freshness, FreshnessMachine};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::readings::{self, Distribution, TableReading};

use super::{FilesSample, FreshnessSample, RateSample, average_file_bytes};
use crate::Moment;
use crate::parts::Api;

/// Samples of an hour.
const MAX_SAMPLES: usize = 360;
/// Seconds between two samples.
const SAMPLE_S: u64 = 10;
/// Seconds over which the rate is measured.
const RATE_S: usize = 10;
/// Samples over which the freshness of gold is measured: five minutes.
const FRESHNESS_SAMPLES: usize = 30;

/// The samples. Written by one task, read by all.
#[derive(Default)]
pub(crate) struct History {
    kept: RwLock<Kept>,
}

/// How much comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) records_per_s: f64,
    pub(super) bytes_per_s: f64,
}

#[derive(Default)]
struct Kept {
    /// Records and bytes read, second by second.
    read: VecDeque<(Instant, u64, u64)>,
    samples: VecDeque<Sample>,
    /// Of gold's latency and the board's, as long as freshness is measured over.
    latencies: VecDeque<(Distribution, Distribution)>,
    board_p95_s: Option<f64>,
    freshness: FreshnessMachine,
    seconds: u64,
}

struct Sample {
    at_us: i64,
    records_per_s: f64,
    lag_records: i64,
    gold_p95_s: Option<f64>,
    /// Files and their average size by table, of those that maintenance has looked at.
    files: BTreeMap<String, (u64, Option<u64>)>,
}

/// Takes note of the present; called once a second.
pub(crate) fn sample(api: &Api) {
    let (records, _) = api.status.records();
    let is_due = api.history.count(Instant::now(), records, readings::source_bytes());
    if is_due {
        let decisions_see = api.decisions.as_ref().map(|decisions| decisions.handle.gold_age_p95_s());
        let (tables, board) = (readings::tables(), readings::board_latency());
        api.history.add(now_us(), api.status.lag(), &tables, board, decisions_see);
    }
}

impl History {
    /// How much came in of late.
    pub(super) fn rate(&self) -> Rate {
        self.kept.read().rate()
    }

    /// P95 of the time from an event to its gold row over the last five minutes, seconds; `None` without rows.
    pub(crate) fn gold_p95_s(&self) -> Option<f64> {
        self.kept.read().samples.back().and_then(|sample| sample.gold_p95_s)
    }

    /// P95 of the time from an event to its count on the board over the last five minutes, seconds; `None` without events.
    pub(super) fn board_p95_s(&self) -> Option<f64> {
        self.kept.read().board_p95_s
    }

    /// What that comes to, for a process that makes no decisions.
    pub(crate) fn freshness(&self) -> Freshness {
        self.kept.read().freshness.state()
    }

    pub(super) fn freshness_samples(&self) -> Vec<FreshnessSample> {
        let of_sample = |sample: &Sample| FreshnessSample {
            at: Moment::from_us(sample.at_us),
            gold_p95_s: sample.gold_p95_s,
        };
        self.kept.read().samples.iter().map(of_sample).collect()
    }

    pub(super) fn rate_samples(&self) -> Vec<RateSample> {
        let of_sample = |sample: &Sample| RateSample {
            at: Moment::from_us(sample.at_us),
            records_per_s: sample.records_per_s,
            lag_records: sample.lag_records,
        };
        self.kept.read().samples.iter().map(of_sample).collect()
    }

    /// A table's samples in which its files were others than in the one before, and the last one.
    pub(super) fn files_samples(&self, table: &str) -> Vec<FilesSample> {
        let kept = self.kept.read();
        let (mut changed, mut before, mut last) = (Vec::new(), None, None);
        for sample in &kept.samples {
            let Some(&(files, average_file_bytes)) = sample.files.get(table) else { continue };
            let now = FilesSample { at: Moment::from_us(sample.at_us), files, average_file_bytes };
            if before != Some((files, average_file_bytes)) {
                before = Some((files, average_file_bytes));
                last = None;
                changed.push(now);
            } else {
                last = Some(now);
            }
        }
        changed.extend(last);
        changed
    }

    /// Counts one second; whether a sample is due.
    fn count(&self, now: Instant, records: u64, bytes: u64) -> bool {
        let mut kept = self.kept.write();
        kept.read.push_back((now, records, bytes));
        while kept.read.len() > RATE_S + 1 {
            kept.read.pop_front();
        }
        kept.seconds += 1;
        kept.seconds.is_multiple_of(SAMPLE_S)
    }

    /// Where decisions are made, `decisions_see` is the age of gold that they go by: the state, its number and its curve are
    /// then of one measure. Elsewhere it is the latency of the rows that were written.
    fn add(
        &self,
        at_us: i64,
        lag_records: i64,
        tables: &[TableReading],
        board: Distribution,
        decisions_see: Option<Option<f64>>,
    ) {
        let mut kept = self.kept.write();
        let gold = tables.iter().find(|table| table.table == LakeTable::VideoStats1Min.full_name());
        let latency = gold.map(|table| table.latency.clone()).unwrap_or_default();
        let earlier = kept.latencies.front().cloned().unwrap_or_default();
        let gold_p95_s = decisions_see.unwrap_or_else(|| latency.since(&earlier.0).quantile_s(0.95));
        kept.board_p95_s = board.since(&earlier.1).quantile_s(0.95);
        kept.latencies.push_back((latency, board));
        while kept.latencies.len() > FRESHNESS_SAMPLES {
            kept.latencies.pop_front();
        }
        kept.freshness.observe(at_us, gold_p95_s);
        let files = tables.iter().filter_map(|table| {
            let files = table.files?;
            Some((table.table.clone(), (files.data_files, average_file_bytes(table))))
        });
        let records_per_s = kept.rate().records_per_s;
        kept.samples.push_back(Sample {
            at_us,
            records_per_s,
            lag_records,
            gold_p95_s,
            files: files.collect(),
        });
        while kept.samples.len() > MAX_SAMPLES {
            kept.samples.pop_front();
        }
    }
}

impl Kept {
    fn rate(&self) -> Rate {
        let (Some(first), Some(last)) = (self.read.front(), self.read.back()) else { return Rate::default() };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds == 0.0 {
            return Rate::default();
        }
        Rate {
            records_per_s: (last.1 - first.1) as f64 / seconds,
            bytes_per_s: (last.2 - first.2) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pulselake_telemetry::TableFiles;

    use super::*;

    const GOLD: &str = "gold.rt_video_stats_1min";

    fn table(files: Option<u64>) -> TableReading {
        let files = files.map(|count| TableFiles {
            data_files: count,
            data_bytes: count * 1_000,
            ..TableFiles::default()
        });
        TableReading { table: GOLD.to_owned(), files, ..TableReading::default() }
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let history = History::default();
        assert_eq!(history.rate(), Rate::default());
        let begin = Instant::now();
        let due: Vec<bool> = (0..30_u64)
            .map(|second| {
                let records = if second < 20 { 0 } else { (second - 19) * 500 };
                history.count(begin + Duration::from_secs(second), records, 100 * records)
            })
            .collect();
        assert_eq!(history.rate(), Rate { records_per_s: 500.0, bytes_per_s: 50_000.0 });
        assert_eq!(due.iter().filter(|is_due| **is_due).count(), 3, "a sample every ten seconds");
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::default();
        for sample in 1..=400 {
            history.add(sample * 10_000_000, sample, &[table(None)], Distribution::default(), None);
        }
        let samples = history.rate_samples();
        assert_eq!((samples.len(), samples[0].lag_records, samples[359].lag_records), (360, 41, 400));
        assert!(history.files_samples(GOLD).is_empty(), "nobody has looked");
    }

    #[test]
    fn files_show_where_they_change_and_last() {
        let history = History::default();
        for (at_us, files) in
            [None, Some(7), Some(7), Some(7), Some(9), Some(2), Some(2)].into_iter().enumerate()
        {
            history.add(i64::try_from(at_us).unwrap(), 0, &[table(files)], Distribution::default(), None);
        }
        let shown: Vec<(i64, u64)> =
            history.files_samples(GOLD).iter().map(|sample| (sample.at.us(), sample.files)).collect();
        assert_eq!(shown, [(1, 7), (4, 9), (5, 2), (6, 2)]);
    }

    #[test]
    fn without_rows_gold_has_no_age() {
        let history = History::default();
        history.add(0, 0, &[table(None)], Distribution::default(), None);
        assert_eq!(history.gold_p95_s(), None);
    }

    #[test]
    fn where_decisions_are_made_the_curve_is_the_age_that_they_go_by() {
        let history = History::default();
        for (at_us, decisions_see) in [(0, None), (10, Some(30.0))] {
            history.add(at_us, 0, &[table(None)], Distribution::default(), Some(decisions_see));
        }
        let curve: Vec<Option<f64>> =
            history.freshness_samples().iter().map(|sample| sample.gold_p95_s).collect();
        assert_eq!(curve, [None, Some(30.0)]);
    }
}
