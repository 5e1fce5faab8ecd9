//! Fills the live board with the minutes that gold had committed when a run began.
//!
//! Beside the run, so that a start does not wait for it: counts add up in any order. They are read on the snapshot whose
//! ledger the run resumes from; the run itself adds what came later and what it reads again. Rows are collected on a board
//! of their own and moved over once all are there: an attempt that breaks off leaves nothing behind, and the next one
//! counts nothing twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use futures::StreamExt;
use futures::future::BoxFuture;
use iceberg::spec::Datum;
use pulselake_board::{BoardSettings, LiveBoard, VideoDelta};
use pulselake_lake::{BatchStream, LakeError, RowFilter, TableView};
use pulselake_model::tables::LakeTable;
use pulselake_model::{GoldCounts, WindowCounters};
use pulselake_telemetry::board_events;
use pulselake_window::WINDOW_US;

use crate::messages::GenerationKey;
use crate::recovery::{StartError, within};

/// Columns of gold that count.
const COLUMNS: [&str; 10] = [
    "source_partition",
    "video_id",
    "window_start",
    "impressions",
    "play_start",
    "play_finish",
    "likes",
    "shares",
    "skips",
    "watch_time_sum_ms",
];

/// Pauses between attempts; behind the last one nobody tries again.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(120),
];

/// Opens gold's rows, as often as it takes.
pub(crate) type OpenGold =
    Box<dyn Fn(RowFilter) -> BoxFuture<'static, Result<BatchStream, LakeError>> + Send + Sync>;

/// What one run's board lacks.
pub(crate) struct BoardRefill {
    board: LiveBoard,
    open_gold: OpenGold,
    run: GenerationKey,
    /// First minute (start, µs) to read, by partition.
    from_us: BTreeMap<i32, i64>,
    answer_timeout: Duration,
}

impl BoardRefill {
    /// What `gold` has of the partitions of a run, which were recovered from it: those with a window that is closed, and
    /// through when they are. `None` where there is nothing to read.
    pub(crate) fn new(
        board: &LiveBoard,
        gold: TableView,
        run: GenerationKey,
        closed_through_us: &BTreeMap<i32, i64>,
        answer_timeout: Duration,
    ) -> Option<Self> {
        if !board.is_enabled() {
            return None;
        }
        let kept_us = i64::try_from(board.settings().minutes).ok()?.saturating_mul(WINDOW_US);
        let from_us: BTreeMap<i32, i64> = closed_through_us
            .iter()
            .map(|(partition, closed_us)| (*partition, closed_us.saturating_sub(kept_us)))
            .collect();
        let open_gold: OpenGold = Box::new(move |filter| {
            let snapshot = gold.clone();
            Box::pin(async move { snapshot.read_where(&COLUMNS, &filter).await })
        });
        (!from_us.is_empty()).then(|| Self { board: board.clone(), open_gold, run, from_us, answer_timeout })
    }

    /// The same with rows from elsewhere.
    #[cfg(test)]
    pub(crate) fn reading(self, open_gold: OpenGold) -> Self {
        Self { open_gold, ..self }
    }

    /// Reads, and tries again where that fails, until it is done or the run is over.
    pub(crate) async fn run(self) {
        let partitions: Vec<i32> = self.from_us.keys().copied().collect();
        let started = Instant::now();
        let mut pauses = PAUSES.into_iter();
        while self.is_wanted() {
            let error = match self.read().await {
                Ok((collected, rows)) => {
                    self.move_over(&collected).await;
                    board_events::board_refilled(&self.run.to_string(), &partitions, rows, started.elapsed());
                    return;
                }
                Err(error) => error,
            };
            let pause = pauses.next();
            board_events::board_refill_failed(&self.run.to_string(), &partitions, &error.to_string(), pause);
            let Some(pause) = pause else { return };
            tokio::time::sleep(pause).await;
        }
    }

    fn is_wanted(&self) -> bool {
        self.from_us.keys().any(|&partition| self.board.is_current(partition, self.run.generation))
    }

    /// The rows on a board of their own, and how many they were.
    async fn read(&self) -> Result<(LiveBoard, u64), StartError> {
        let what = LakeTable::VideoStats1Min.full_name();
        let mut stream = within(self.answer_timeout, what, (self.open_gold)(self.filter())).await??;
        // With room for rows that came by `quarantine replay` into minutes that the stream has not reached.
        let settings = self.board.settings();
        let collected = LiveBoard::new(BoardSettings { minutes: 2 * settings.minutes, ..settings });
        for &partition in self.from_us.keys() {
            collected.begin(partition, self.run.generation, None);
        }
        let mut rows = 0;
        while let Some(batch) = within(self.answer_timeout, what, stream.next()).await? {
            rows += self.collect(&collected, &batch?)?;
            // The run's own work comes first.
            tokio::task::yield_now().await;
        }
        Ok((collected, rows))
    }

    /// Neighbouring partitions may be read too: the filter knows ranges alone.
    fn filter(&self) -> RowFilter {
        let first_us = self.from_us.values().copied().min().unwrap_or(i64::MAX);
        let ends = self.from_us.first_key_value().zip(self.from_us.last_key_value());
        let (first, last) = ends.map_or((0, 0), |((first, _), (last, _))| (*first, *last));
        RowFilter::all().at_least("window_start", Datum::timestamptz_micros(first_us)).between(
            "source_partition",
            Datum::int(first),
            Datum::int(last),
        )
    }

    /// Puts the rows of one batch that are wanted on `collected`; their number.
    fn collect(&self, collected: &LiveBoard, batch: &RecordBatch) -> Result<u64, LakeError> {
        let rows = GoldColumns::of(batch)?;
        let mut wanted: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let partition = rows.partition.value(row);
            if self.from_us.get(&partition).is_some_and(|from_us| rows.window_start_us.value(row) >= *from_us)
            {
                wanted.entry(partition).or_default().push(row);
            }
        }
        for (partition, of_partition) in &wanted {
            let counts = of_partition.iter().map(|&row| rows.counts(row));
            collected.add_counts(*partition, self.run.generation, counts);
        }
        Ok(wanted.values().map(|of_partition| of_partition.len() as u64).sum())
    }

    /// Moves what was collected to the board, and says from when on it is whole.
    async fn move_over(&self, collected: &LiveBoard) {
        for part in 0..collected.parts() {
            let mut of_partition: BTreeMap<i32, Vec<VideoDelta>> = BTreeMap::new();
            collected.visit_minutes(part, &mut |partition, video_id, minute_start_us, counters| {
                let delta = VideoDelta { video_id: video_id.into(), minute_start_us, counters: *counters };
                of_partition.entry(partition).or_default().push(delta);
            });
            for (partition, deltas) in &of_partition {
                self.board.add(*partition, self.run.generation, deltas);
            }
            tokio::task::yield_now().await;
        }
        // Where not even gold's rows fitted, nobody knows what is missing: the run's own events alone are whole.
        if collected.stats().evicted == 0 {
            for (&partition, &from_us) in &self.from_us {
                self.board.cover(partition, self.run.generation, from_us);
            }
        }
    }
}

/// The columns of a batch of gold.
struct GoldColumns<'a> {
    partition: &'a Int32Array,
    video_id: &'a StringArray,
    window_start_us: &'a TimestampMicrosecondArray,
    counts: GoldCounts<'a>,
}

impl<'a> GoldColumns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, LakeError> {
        let column = |name: &str| batch.column_by_name(name);
        let found = (|| {
            Some(Self {
                partition: column("source_partition")?.as_primitive_opt::<Int32Type>()?,
                video_id: column("video_id")?.as_string_opt::<i32>()?,
                window_start_us: column("window_start")?.as_primitive_opt::<TimestampMicrosecondType>()?,
                counts: GoldCounts::of(batch)?,
            })
        })();
        found.ok_or_else(|| LakeError::BadBatch {
            table: LakeTable::VideoStats1Min.full_name().to_string(),
            reason: format!("the columns have other types than expected: {}", batch.schema()),
        })
    }

    fn counts(&self, row: usize) -> (&'a str, i64, WindowCounters) {
        (self.video_id.value(row), self.window_start_us.value(row), self.counts.at(row))
    }
}
