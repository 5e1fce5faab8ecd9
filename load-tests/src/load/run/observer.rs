//! Looks at the engine and the tables once a second while a run lasts, and shows how far it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use pulselake_model::tables::LakeTable;

use super::account::Account;
use super::fleet::{EngineNumber, Fleet};
use super::sent::SentRecords;
use crate::lake_watch::{LakeWatch, SeenCommit};
use crate::load::outcome::Sample;
use crate::metrics::{Buckets, Metrics};
use crate::statistics::mib;

const INTERVAL_MS: i64 = 1_000;
/// Shorter pauses, so that a stop is noticed soon.
const TICK: Duration = Duration::from_millis(20);
/// Runs that take longer than this ask for metrics, and look at the warehouse's size, every so many samples: asking costs
/// the engine CPU.
const LONG_RUN_S: u32 = 120;
const EVERY_OF_LONG_RUNS: usize = 5;
const BOARD_LATENCY: &str = "pulselake_board_latency_seconds";

/// What is looked at.
pub(crate) struct Observed {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) watch: Arc<LakeWatch>,
    pub(crate) account: Arc<Mutex<Account>>,
    pub(crate) topic: String,
    pub(crate) warehouse: Option<PathBuf>,
    pub(crate) duration_s: u32,
    /// For the bar.
    pub(crate) name: String,
}

/// From events to the live board, as each engine said when it was asked last: it is the only one to know.
type BoardLatencies = HashMap<EngineNumber, Buckets>;

/// Samples until it is stopped.
pub(crate) struct Observer {
    samples: Arc<Mutex<Vec<Sample>>>,
    board: Arc<Mutex<BoardLatencies>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Begins with the run's first record.
    pub(crate) fn start(observed: Observed) -> Self {
        let (samples, board, stop) = (Arc::default(), Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut observer = Self { samples, board, stop, thread: None };
        let (samples, board, stop) =
            (observer.samples.clone(), observer.board.clone(), observer.stop.clone());
        let look = move || Looker::of(observed, board).look_until(&stop, &samples);
        observer.thread = Some(std::thread::spawn(look));
        observer
    }

    /// What `ask` finds in the samples so far.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&[Sample]) -> T) -> T {
        ask(&self.samples.lock())
    }

    /// All samples, and the time from events to the live board by all engines together.
    pub(crate) fn finish(mut self) -> (Vec<Sample>, Buckets) {
        self.end();
        let mut event_to_board = Buckets::default();
        self.board.lock().values().for_each(|of_engine| event_to_board.merge(of_engine));
        (std::mem::take(&mut *self.samples.lock()), event_to_board)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has printed itself; the samples until then stay.
            let _ = thread.join();
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Looker {
    observed: Observed,
    every: usize,
    bar: ProgressBar,
    /// The process whose metrics count, and what was committed when it was first met.
    taken_from: Option<(EngineNumber, u64)>,
    warehouse_bytes: u64,
    board: Arc<Mutex<BoardLatencies>>,
}

impl Looker {
    fn of(observed: Observed, board: Arc<Mutex<BoardLatencies>>) -> Self {
        let bar = ProgressBar::new(observed.duration_s.into());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} s {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(observed.name.clone());
        let every = if observed.duration_s > LONG_RUN_S { EVERY_OF_LONG_RUNS } else { 1 };
        Self { observed, every, bar, taken_from: None, warehouse_bytes: 0, board }
    }

    fn look_until(mut self, stop: &AtomicBool, samples: &Mutex<Vec<Sample>>) {
        let start_ms = self.observed.account.lock().start_ms;
        for number in 0.. {
            let due_ms = start_ms + INTERVAL_MS * i64::try_from(number).unwrap_or(i64::MAX);
            while Utc::now().timestamp_millis() < due_ms {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(TICK);
            }
            let sample = self.sample(start_ms, number % self.every == 0);
            self.show(&sample);
            samples.lock().push(sample);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.bar.finish_and_clear();
    }

    fn sample(&mut self, start_ms: i64, with_metrics: bool) -> Sample {
        let now_ms = Utc::now().timestamp_millis();
        let usage = self.observed.fleet.usage();
        // An error of the watch stays, and is told where the run asks it.
        let seen =
            self.observed.watch.ask(|commits| (progress(commits, &self.observed.topic), live_files(commits)));
        let (next, live_files) = seen.unwrap_or_default();
        let (intended_events, sent_events, committed_records) = {
            let account = self.observed.account.lock();
            (account.intended_by(now_ms), account.sent.count(), committed(&account.sent, &next))
        };
        let mut lag_taken_records = None;
        self.note_process(committed_records);
        if with_metrics {
            let metrics = self.ask_engines();
            lag_taken_records = self.taken(&metrics).map(|taken| sent_events.saturating_sub(taken));
            if let Some(directory) = &self.observed.warehouse {
                self.warehouse_bytes = bytes_below(directory);
            }
        }
        Sample {
            at_s: (now_ms - start_ms) as f64 / 1e3,
            intended_events: intended_events.max(sent_events),
            sent_events,
            committed_records,
            lag_taken_records,
            lag_committed_records: sent_events.saturating_sub(committed_records),
            engine_cpu_s: usage.cpu_s,
            resident_mib: mib(usage.resident_bytes),
            live_files,
            warehouse_bytes: self.warehouse_bytes,
        }
    }

    /// A process that is met for the first time begins with what is committed. (It was started within the last second, and
    /// has hardly committed more.) With several engines nobody knows what is taken: one may have taken again what another
    /// had taken and not committed.
    fn note_process(&mut self, committed_records: u64) {
        self.taken_from = match (self.observed.fleet.members().as_slice(), self.taken_from) {
            (&[number], Some((known, base))) if known == number => Some((known, base)),
            (&[number], _) => Some((number, committed_records)),
            _ => None,
        };
    }

    /// The metrics of all engines that answer; what they say of the board is kept.
    fn ask_engines(&self) -> HashMap<EngineNumber, Metrics> {
        let fleet = &self.observed.fleet;
        let numbers = fleet.members().into_iter();
        let answers: HashMap<_, _> =
            numbers.filter_map(|number| Some((number, fleet.metrics(number)?))).collect();
        let of_board =
            |(number, metrics): (&EngineNumber, &Metrics)| (*number, metrics.buckets(BOARD_LATENCY));
        self.board.lock().extend(answers.iter().map(of_board));
        answers
    }

    /// Records that the engine has taken from the topic.
    fn taken(&self, metrics: &HashMap<EngineNumber, Metrics>) -> Option<u64> {
        let (number, base) = self.taken_from?;
        Some(base + metrics.get(&number)?.sum("pulselake_source_records_total") as u64)
    }

    fn show(&self, sample: &Sample) {
        self.bar.set_position(sample.at_s.max(0.0) as u64);
        let rate = sample.sent_events as f64 / sample.at_s.max(1.0);
        self.bar.set_message(format!(
            "{} sent ({rate:.0}/s), {} not committed yet, {:.0} MiB",
            sample.sent_events, sample.lag_committed_records, sample.resident_mib
        ));
    }
}

/// First offset of each partition that bronze does not have.
pub(crate) fn progress(commits: &[SeenCommit], topic: &str) -> HashMap<i32, i64> {
    let mut next = HashMap::new();
    for commit in commits.iter().filter(|commit| commit.table == LakeTable::RawEvents) {
        next.extend(commit.next_offsets(topic));
    }
    next
}

/// Records of all partitions before these offsets.
pub(crate) fn committed(sent: &SentRecords, next: &HashMap<i32, i64>) -> u64 {
    next.iter().map(|(partition, offset)| sent.count_before(*partition, *offset).1).sum()
}

/// Data files that all tables refer to after their last commits.
pub(crate) fn live_files(commits: &[SeenCommit]) -> u64 {
    let last: HashMap<LakeTable, u64> =
        commits.iter().map(|commit| (commit.table, commit.live_files)).collect();
    last.values().sum()
}

/// Files that vanish meanwhile do not count.
fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_all_files_below() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("a/b")).unwrap();
        std::fs::write(directory.path().join("a/b/c"), [0; 7]).unwrap();
        std::fs::write(directory.path().join("d"), [0; 5]).unwrap();
        assert_eq!(bytes_below(directory.path()), 12);
        assert_eq!(bytes_below(&directory.path().join("missing")), 0);
    }

    #[test]
    fn each_tables_last_commit_counts() {
        let commit = |table, live_files| SeenCommit {
            table,
            seen_at_ms: 0,
            ledger: None,
            files: 1,
            rows: 1,
            live_files,
        };
        let commits = [
            commit(LakeTable::RawEvents, 3),
            commit(LakeTable::VideoStats1Min, 10),
            commit(LakeTable::RawEvents, 1),
        ];
        assert_eq!(live_files(&commits), 11);
    }
}
