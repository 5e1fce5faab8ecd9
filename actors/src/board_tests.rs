//! What the live board shows after a restart, against a run that was never interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use pulselake_board::{BoardVideo, LiveBoard, TopOrder, TopQuery};
use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_lake::{
    Lake, LakeError, LakeSettings, LedgeredAppend, OpenMode, RowFilter, TableView, TableWriter, WriterOptions,
};
use pulselake_ledger::{Advance, PartitionLedger};
use pulselake_model::tables::LakeTable;
use pulselake_model::{
    DecodedBatch, EventType, GoldPosition, GoldRow, RESTATED_PARTITION, RawBatch, WindowCounters,
};
use pulselake_window::{PartitionWindows, WINDOW_US, WindowSettings, window_end_us, window_start_us};
use tempfile::TempDir;

use crate::board_feed::{Beginning, BoardFeed};
use crate::board_refill::{BoardRefill, OpenGold};
use crate::gold_rows::{PartitionRows, to_batch};
use crate::gold_writer::gold_entry;
use crate::messages::{GenerationKey, TakenFlush};
use crate::recovery::gold_position;

const GOLD: LakeTable = LakeTable::VideoStats1Min;
const TOPIC: &str = "content_events";
const PARTITION: i32 = 2;
const BATCH: usize = 100;
const START_MS: i64 = 1_770_000_000_000;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Batches of about 50 minutes: twenty videos, one event a second, some late, some twice.
fn log() -> Vec<DecodedBatch> {
    let mut decoder =
        EventDecoder::new(DecodeSettings { source_topic: TOPIC.into(), ..DecodeSettings::default() });
    let batch = |number: usize| {
        let first = (number * BATCH) as i64;
        let mut raw = RawBatch::at(PARTITION, first);
        for offset in first..first + BATCH as i64 {
            raw.push(offset, None, event(offset).as_bytes());
        }
        decoder.decode(&raw, 0)
    };
    (0..30).map(batch).collect()
}

fn event(offset: i64) -> String {
    let lateness_s = if offset % 17 == 0 { 300 } else { 0 };
    let time_ms = START_MS + (offset - lateness_s) * 1_000;
    let id = if offset % 23 == 0 { offset - 1 } else { offset };
    let kind = EventType::ALL[(offset * 7 % 11 % 6) as usize].as_str();
    let video = offset * offset % 41 % 20;
    format!(
        r#"{{"event_id":"e{id}","event_timestamp":{time_ms},"video_id":"v{video}","user_id":"u","event_type":"{kind}","payload":{{"watch_time_ms":{offset}}}}}"#
    )
}

/// A partition's run with its tables and its board.
struct Life {
    _directory: TempDir,
    lake: Lake,
    head: PartitionLedger,
    board: LiveBoard,
    generation: u64,
    windows: PartitionWindows,
    feed: BoardFeed,
}

impl Life {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = LakeSettings {
            catalog_uri: format!("sqlite://{}/catalog.db", directory.path().display()),
            warehouse: format!("file://{}/warehouse", directory.path().display()),
            fsync: false,
            ..LakeSettings::new("", "")
        };
        let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&[GOLD]).await.unwrap();
        let board = LiveBoard::default();
        let (windows, feed) = start(&board, 1, None);
        Self {
            _directory: directory,
            lake,
            head: PartitionLedger::default(),
            board,
            generation: 1,
            windows,
            feed,
        }
    }

    /// Reads a batch, as far as this run has not read it.
    fn read(&mut self, batch: &DecodedBatch) {
        if batch.first_offset == self.windows.next_offset() {
            self.feed.apply(&mut self.windows, batch).unwrap();
        }
    }

    /// Commits what waits, as the gold writer does.
    async fn commit(&mut self) {
        let Some(flush) = self.windows.flush() else { return };
        let taken = TakenFlush { flush, last: None, lost: 0 };
        let entry = gold_entry(&self.head, &taken, self.generation);
        let revision = i32::try_from(entry.seq + 1).unwrap();
        let rows =
            PartitionRows { partition: PARTITION, rows: &taken.flush.rows, correction_revision: revision };
        self.append(entry.clone(), &rows).await;
        self.head = PartitionLedger { seq: entry.seq + 1, ..entry };
    }

    /// Corrects a minute that is on the board, as a restatement does: by rows of no partition.
    async fn restate(&mut self) {
        let window_start_us = window_start_us(self.head.closed_through.unwrap() - 3 * WINDOW_US);
        let mut counters = WindowCounters::default();
        counters.add(EventType::Like, 7);
        let row = GoldRow { video_id: "v1".to_owned(), window_start_us, is_correction: true, counters };
        let rows = PartitionRows { partition: RESTATED_PARTITION, rows: &[row], correction_revision: 1 };
        self.append(self.head.clone(), &rows).await;
        self.head.seq += 1;
    }

    async fn append(&self, entry: PartitionLedger, rows: &PartitionRows<'_>) {
        let batch = to_batch(std::slice::from_ref(rows), 0).unwrap();
        let mut files = Vec::new();
        if batch.num_rows() > 0 {
            let mut writer = TableWriter::new(&self.lake, GOLD, WriterOptions::default()).await.unwrap();
            writer.write(&batch).await.unwrap();
            files = writer.close().await.unwrap();
        }
        let advance = Advance { topic: TOPIC.into(), partition: PARTITION, built_on_seq: entry.seq, entry };
        let request = LedgeredAppend {
            commit_id: uuid::Uuid::now_v7().to_string(),
            cluster_id: "cluster".into(),
            fingerprint: "decoder".into(),
            advances: vec![advance],
            files,
            deletes: Vec::new(),
            replayed: None,
        };
        self.lake.append(GOLD, &request).await.unwrap();
    }

    /// Dies, and begins a new generation on what is committed. Gives gold as it was then, and what gold lacks.
    async fn die(&mut self) -> (TableView, GoldPosition) {
        let view = self.lake.view(GOLD).await.unwrap();
        let ledger = view.ledger().unwrap().unwrap();
        let resume = gold_position(ledger.partition(TOPIC, PARTITION).unwrap());
        self.generation += 1;
        (self.windows, self.feed) = start(&self.board, self.generation, Some(resume));
        (view, resume)
    }

    fn refill(&self, view: TableView, resume: GoldPosition) -> BoardRefill {
        let closed_through_us = BTreeMap::from([(PARTITION, resume.closed_through_us.unwrap())]);
        let run = GenerationKey { shard: 0, generation: self.generation };
        BoardRefill::new(&self.board, view, run, &closed_through_us, TIMEOUT).unwrap()
    }

    /// Reads again from where the windows want it.
    fn read_from_there(&mut self, log: &[DecodedBatch]) {
        let from = self.windows.next_offset();
        let mut decoder =
            EventDecoder::new(DecodeSettings { source_topic: TOPIC.into(), ..DecodeSettings::default() });
        let of_batch = |batch: &DecodedBatch| batch.first_offset <= from && from < batch.next_offset;
        if let Some(cut) = log.iter().find(|batch| of_batch(batch) && batch.first_offset < from) {
            let mut raw = RawBatch::at(PARTITION, from);
            (from..cut.next_offset).for_each(|offset| raw.push(offset, None, event(offset).as_bytes()));
            self.read(&decoder.decode(&raw, 0));
        }
        log.iter().for_each(|batch| self.read(batch));
    }

    fn shown(&self) -> Shown {
        Shown::of(&self.board)
    }
}

fn start(board: &LiveBoard, generation: u64, resume: Option<GoldPosition>) -> (PartitionWindows, BoardFeed) {
    board.begin(PARTITION, generation, resume.and_then(|position| position.closed_through_us));
    let windows = PartitionWindows::new(WindowSettings::default(), resume, 0);
    let feed = BoardFeed::new(board.clone(), PARTITION, generation, Beginning::of(resume, 0), &windows);
    (windows, feed)
}

/// Everything that the board answers.
#[derive(Debug, PartialEq)]
struct Shown {
    now_minute_us: Option<i64>,
    top: Vec<Vec<BoardVideo>>,
    minutes: BTreeMap<String, Vec<(i64, [i64; EventType::COUNT], i64)>>,
    totals: Vec<(i64, i64)>,
    last_minutes: Vec<BTreeSet<(String, i64)>>,
}

impl Shown {
    fn of(board: &LiveBoard) -> Self {
        let orders = [TopOrder::Velocity, TopOrder::Surprise, TopOrder::Shrunken, TopOrder::Impressions];
        let now_us = board.now_minute_us().unwrap_or_default();
        let minutes_of = |video: String| {
            let minutes = board.minutes_of(&video);
            let listed = minutes
                .into_iter()
                .map(|(minute, counts)| (minute, counts.by_type, counts.watch_time_sum_ms));
            (video, listed.collect())
        };
        let at_minute = |minutes_ago: i64| {
            let mut found = BTreeSet::new();
            board.rolling_at(PARTITION, now_us - minutes_ago * WINDOW_US, &mut |id, sums| {
                found.insert((id.to_owned(), sums.events()));
            });
            found
        };
        Self {
            now_minute_us: board.now_minute_us(),
            top: orders.map(|order| board.top(&TopQuery { limit: 100, order, keep: None })).into(),
            minutes: (0..20).map(|number| minutes_of(format!("v{number}"))).collect(),
            totals: board
                .totals_by_minute()
                .into_iter()
                .map(|(minute, sums)| (minute, sums.events()))
                .collect(),
            last_minutes: (0..4).map(at_minute).collect(),
        }
    }
}

#[tokio::test]
async fn a_refilled_board_shows_what_an_uninterrupted_one_shows() {
    let log = log();
    for (committed_at, died_at) in [(1, 3), (25, 26), (26, 30), (29, 29)] {
        let mut whole = Life::begin().await;
        log.iter().for_each(|batch| whole.read(batch));

        let mut broken = Life::begin().await;
        for (number, batch) in log[..died_at].iter().enumerate() {
            broken.read(batch);
            if number % 5 == 4 && number < committed_at {
                broken.commit().await;
            }
            if number == committed_at {
                broken.commit().await;
            }
        }
        let (view, resume) = broken.die().await;
        let refill = broken.refill(view, resume);
        // What is committed after the run began is not in the view: the run itself has put it on the board.
        broken.read_from_there(&log);
        broken.commit().await;
        refill.run().await;
        assert_eq!(broken.shown(), whole.shown(), "committed at {committed_at}, died at {died_at}");
        assert_eq!(broken.board.coverage().covered_minutes(), 30);
        assert_eq!(whole.board.coverage().covered_minutes(), 30, "from its first record on");
    }
}

/// The board is what its partitions' streams have counted, before a restart as after it: a restatement is of a day that is
/// over, and of no partition whose run could take its rows back.
#[tokio::test]
async fn what_was_restated_is_not_on_the_board() {
    let log = log();
    let mut whole = Life::begin().await;
    log.iter().for_each(|batch| whole.read(batch));
    let mut broken = Life::begin().await;
    log[..27].iter().for_each(|batch| broken.read(batch));
    broken.commit().await;
    broken.restate().await;
    let (view, resume) = broken.die().await;
    let refill = broken.refill(view, resume);
    broken.read_from_there(&log);
    broken.commit().await;
    refill.run().await;
    assert_eq!(broken.shown(), whole.shown());
}

#[tokio::test]
async fn until_it_is_refilled_the_board_says_what_it_lacks() {
    let log = log();
    let mut life = Life::begin().await;
    log.iter().for_each(|batch| life.read(batch));
    life.commit().await;
    let (view, resume) = life.die().await;
    let refill = life.refill(view, resume);
    life.read_from_there(&log);
    let coverage = life.board.coverage();
    assert_eq!(coverage.partitions[0].covered_from_us, resume.closed_through_us);
    assert!(!coverage.is_complete());
    refill.run().await;
    assert!(life.board.coverage().is_complete());
}

#[tokio::test]
async fn a_refill_that_breaks_off_leaves_nothing_behind() {
    let log = log();
    let mut life = Life::begin().await;
    log.iter().for_each(|batch| life.read(batch));
    life.commit().await;
    let whole = life.shown();
    let (view, resume) = life.die().await;
    life.read_from_there(&log);
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let rows = view.clone();
    let breaking: OpenGold = Box::new(move |filter: RowFilter| {
        let (attempt, rows) = (counted.fetch_add(1, Ordering::Relaxed), rows.clone());
        Box::pin(async move {
            let columns = [
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
            let stream = rows.read_where(&columns, &filter).await?;
            if attempt > 0 {
                return Ok(stream);
            }
            let broken = LakeError::BadBatch { table: "gold".into(), reason: "the store went away".into() };
            Ok(stream.take(1).chain(futures::stream::iter([Err(broken)])).boxed())
        })
    });
    life.refill(view, resume).reading(breaking).run().await;
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    assert_eq!(life.shown(), whole);
}

#[tokio::test]
async fn a_refill_of_a_run_that_is_over_adds_nothing() {
    let log = log();
    let mut life = Life::begin().await;
    log.iter().for_each(|batch| life.read(batch));
    life.commit().await;
    let whole = life.shown();
    let (view, resume) = life.die().await;
    let outdated = life.refill(view, resume);
    let (view, resume) = life.die().await;
    outdated.run().await;
    assert!(life.board.minutes_of("v0").is_empty());
    life.read_from_there(&log);
    life.refill(view, resume).run().await;
    assert_eq!(life.shown(), whole);
}

#[tokio::test]
async fn records_that_are_gone_from_the_source_cost_the_first_minute() {
    let settings = DecodeSettings { source_topic: TOPIC.into(), ..DecodeSettings::default() };
    let mut raw = RawBatch::at(PARTITION, 500);
    (500..560).for_each(|offset| raw.push(offset, None, event(offset).as_bytes()));
    let batch = EventDecoder::new(settings).decode(&raw, 0);
    let (first_us, last_us) = (
        *batch.columns.event_timestamp_us.iter().min().unwrap(),
        *batch.columns.stream_time_us.iter().max().unwrap(),
    );
    assert!(last_us - first_us > 4 * WINDOW_US, "a late event is among them");
    for (first_offset, covered_from_us) in
        [(0, window_start_us(first_us)), (500, window_end_us(window_start_us(last_us)))]
    {
        let board = LiveBoard::default();
        board.begin(PARTITION, 1, None);
        let mut windows = PartitionWindows::new(WindowSettings::default(), None, 500);
        let beginning = Beginning::of(None, first_offset);
        let mut feed = BoardFeed::new(board.clone(), PARTITION, 1, beginning, &windows);
        assert_eq!(board.coverage().partitions[0].covered_from_us, None);
        feed.apply(&mut windows, &batch).unwrap();
        assert_eq!(board.coverage().partitions[0].covered_from_us, Some(covered_from_us));
    }
}
