//! Replays against real tables in a temporary directory, filled by hand as the engine would fill them.

use arrow::array::RecordBatch;
use pulselake_decode::EventDecoder;
use pulselake_lake::{LakeSettings, OpenMode, TableWriter};
use pulselake_ledger::{Advance, Counts, PartitionLedger};
use pulselake_model::{RawBatch, WindowCounters};
use tempfile::TempDir;

use super::*;
use crate::inspect::read::audit;
use crate::inspect::report::{AuditReport, Status};
use pulselake_actors::gold_rows::{PartitionRows, to_batch};
use pulselake_model::{EventType, GoldRow};

const TOPIC: &str = "t";
const MINUTE_US: i64 = 60_000_000;
/// Longer than a short event, shorter than a padded one.
const STRICT_BYTES: usize = 200;

struct Place {
    _directory: TempDir,
    lake: Lake,
}

fn settings(max_record_bytes: usize) -> ReplaySettings {
    let decode = DecodeSettings { max_record_bytes, ..DecodeSettings::for_topic(TOPIC) };
    ReplaySettings { decode, dedup_horizon_us: 2 * MINUTE_US, writer: WriterOptions::default() }
}

fn event(id: &str, at_ms: i64, padding: usize) -> String {
    format!(
        r#"{{"event_id":"{id}","event_timestamp":{at_ms},"video_id":"v","user_id":"u","event_type":"like","payload":{{"watch_time_ms":5,"p":"{}"}}}}"#,
        "x".repeat(padding)
    )
}

/// Offsets 0 to 5 of partition 0: a good event; two long ones with one id; a long one with the good one's id; a
/// long one in a minute of its own; garbage.
fn stream() -> RawBatch {
    let mut raw = RawBatch::at(0, 0);
    let values = [
        event("good", 1_000, 0),
        event("long", 2_000, 300),
        event("long", 2_500, 300),
        event("good", 3_000, 300),
        event("lone", 600_000, 300),
        "garbage".to_owned(),
    ];
    for (value, offset) in values.iter().zip(0..) {
        raw.push(offset, None, value.as_bytes());
    }
    raw
}

async fn commit_rows(lake: &Lake, table: LakeTable, batch: &RecordBatch, advances: Vec<Advance>) {
    let mut writer = TableWriter::new(lake, table, WriterOptions::default()).await.unwrap();
    writer.write(batch).await.unwrap();
    let request = LedgeredAppend {
        commit_id: Uuid::now_v7().to_string(),
        cluster_id: "cluster".into(),
        fingerprint: settings(STRICT_BYTES).decode.fingerprint(),
        advances,
        files: writer.close().await.unwrap(),
        deletes: Vec::new(),
        replayed: None,
    };
    lake.append(table, &request).await.unwrap();
}

fn advance(built_on_seq: i64, next: i64, counts: Counts) -> Advance {
    let entry = PartitionLedger {
        next,
        replay_from: next,
        closed_through: Some(MINUTE_US),
        counts,
        ..PartitionLedger::default()
    };
    Advance { topic: TOPIC.into(), partition: 0, built_on_seq, entry }
}

impl Place {
    async fn filled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lake_settings = LakeSettings {
            catalog_uri: format!("sqlite://{}/catalog.db", directory.path().display()),
            warehouse: format!("file://{}/warehouse", directory.path().display()),
            fsync: false,
            ..LakeSettings::new("", "")
        };
        let lake = Lake::open(&lake_settings, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
        let decoded = EventDecoder::new(settings(STRICT_BYTES).decode).decode(&stream(), 7);
        assert_eq!(decoded.columns.offset, [0]);
        let counts = Counts { records: 6, quarantined: 5, ..Counts::default() };
        let advances = || vec![advance(0, 6, counts)];
        commit_rows(&lake, LakeTable::InvalidEventsContent, &decoded.invalid, advances()).await;
        commit_rows(&lake, LakeTable::RawEvents, &decoded.events, advances()).await;
        let mut counters = WindowCounters::default();
        counters.add(EventType::Like, 5);
        let rows = [GoldRow { video_id: "v".into(), window_start_us: 0, is_correction: false, counters }];
        let parts = [PartitionRows { partition: 0, rows: &rows, correction_revision: 1 }];
        let batch = to_batch(&parts, 7).unwrap();
        commit_rows(&lake, LakeTable::VideoStats1Min, &batch, advances()).await;
        Self { _directory: directory, lake }
    }

    async fn replay(&self, max_record_bytes: usize) -> ReplayReport {
        replay(&self.lake, &settings(max_record_bytes), false).await.unwrap()
    }

    /// A run that ends after its first commit.
    async fn replay_into_bronze_alone(&self, max_record_bytes: usize) {
        let views = Views::load(&self.lake).await.unwrap();
        let head = views.bronze.ledger().unwrap().unwrap();
        let mut report = ReplayReport { topic: TOPIC.into(), ..ReplayReport::default() };
        let chosen = settings(max_record_bytes);
        bronze::take(&self.lake, &chosen, &views, &head, &mut report).await.unwrap();
    }

    async fn audit(&self) -> AuditReport {
        audit(&self.lake).await.unwrap()
    }

    async fn records(&self, table: LakeTable) -> u64 {
        self.lake.table_overview(table).await.unwrap().records
    }
}

fn names(report: &AuditReport, status: Status) -> Vec<&'static str> {
    report.checks.iter().filter(|check| check.status == status).map(|check| check.name).collect()
}

#[tokio::test]
async fn what_is_valid_now_enters_once() {
    let place = Place::filled().await;
    let report = place.replay(10_000).await;
    assert_eq!((report.in_quarantine, report.taken_records(), report.taken["TOO_LARGE"]), (5, 4, 4));
    assert_eq!(report.still_rejected, BTreeMap::from([("MALFORMED_JSON".to_owned(), 1)]));
    let gold = report.gold.unwrap();
    // Offset 2 repeats 1, and 3 repeats what the stream had at 0.
    assert_eq!((gold.records, gold.duplicates, gold.rows, gold.revision), (4, 2, 2, -1));
    assert_eq!(place.records(LakeTable::RawEvents).await, 5);
    let first = place.audit().await;
    assert_eq!(names(&first, Status::Failed), [""; 0], "{}", first.to_text());

    let again = place.replay(10_000).await;
    assert_eq!((again.taken_records(), again.taken_before, again.gold), (0, 4, None));
    assert_eq!(place.records(LakeTable::RawEvents).await, 5);
    assert_eq!(place.records(LakeTable::VideoStats1Min).await, 3);
}

#[tokio::test]
async fn replay_keeps_the_streams_identity_and_the_records_place() {
    let place = Place::filled().await;
    let before = place.lake.ledger(LakeTable::RawEvents).await.unwrap().unwrap();
    place.replay(10_000).await;
    let after = place.lake.ledger(LakeTable::RawEvents).await.unwrap().unwrap();
    assert_eq!((&after.topics, &after.fingerprint), (&before.topics, &before.fingerprint));
    assert_eq!(after.replayed[TOPIC].offsets[&0].iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_replay_that_ended_between_its_commits_is_completed_by_the_next() {
    let place = Place::filled().await;
    place.replay_into_bronze_alone(10_000).await;
    let between = place.audit().await;
    assert_eq!(names(&between, Status::Failed), [""; 0], "{}", between.to_text());
    assert_eq!(names(&between, Status::Note), ["gold.replay_complete"]);
    let report = place.replay(10_000).await;
    let gold = report.gold.unwrap();
    assert_eq!((report.taken.len(), gold.records, gold.left_over, gold.duplicates), (0, 4, 4, 2));
    assert_eq!(place.records(LakeTable::RawEvents).await, 5);
    assert_eq!(names(&place.audit().await, Status::Note), [""; 0]);
}

#[tokio::test]
async fn several_replays_have_revisions_of_their_own() {
    let place = Place::filled().await;
    // Long enough for none but the garbage's neighbours: nothing at first.
    let none = place.replay(STRICT_BYTES + 1).await;
    assert_eq!((none.taken_records(), none.gold), (0, None));
    let mut decode = settings(10_000);
    decode.decode.max_record_bytes = event("good", 3_000, 300).len();
    let some = replay(&place.lake, &decode, false).await.unwrap();
    assert_eq!(some.taken_records(), 3);
    let rest = place.replay(10_000).await;
    assert_eq!((rest.taken_records(), rest.gold.unwrap().revision), (1, -2));
    let report = place.audit().await;
    assert_eq!(names(&report, Status::Failed), [""; 0], "{}", report.to_text());
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let place = Place::filled().await;
    let report = replay(&place.lake, &settings(10_000), true).await.unwrap();
    assert_eq!((report.taken_records(), report.gold.unwrap().records), (4, 4));
    assert_eq!(place.records(LakeTable::RawEvents).await, 1);
    assert!(place.lake.ledger(LakeTable::RawEvents).await.unwrap().unwrap().replayed.is_empty());
}

#[tokio::test]
async fn the_engines_commits_carry_a_replay_along() {
    let place = Place::filled().await;
    place.replay(10_000).await;
    let mut raw = RawBatch::at(0, 6);
    raw.push(6, None, event("later", 4_000, 0).as_bytes());
    let decoded = EventDecoder::new(settings(STRICT_BYTES).decode).decode(&raw, 7);
    let counts = Counts { records: 7, quarantined: 5, ..Counts::default() };
    commit_rows(&place.lake, LakeTable::RawEvents, &decoded.events, vec![advance(1, 7, counts)]).await;
    let again = place.replay(10_000).await;
    assert_eq!((again.taken_records(), again.taken_before, again.gold), (0, 4, None));
    let report = place.audit().await;
    assert_eq!(names(&report, Status::Failed), [""; 0], "{}", report.to_text());
}

#[tokio::test]
async fn of_two_replays_at_once_one_is_told_to_run_again() {
    let place = Place::filled().await;
    let views = Views::load(&place.lake).await.unwrap();
    let head = views.bronze.ledger().unwrap().unwrap();
    place.replay(10_000).await;
    let mut late = ReplayReport { topic: TOPIC.into(), ..ReplayReport::default() };
    let outcome = bronze::take(&place.lake, &settings(10_000), &views, &head, &mut late).await;
    assert!(format!("{:#}", outcome.unwrap_err()).contains("another replay has committed meanwhile"));
    assert_eq!(place.records(LakeTable::RawEvents).await, 5);
}

#[tokio::test]
async fn what_bronze_has_not_passed_waits() {
    let place = Place::filled().await;
    // As after a crash between the quarantine's commit and bronze's.
    let mut raw = RawBatch::at(0, 6);
    raw.push(6, None, event("ahead", 4_000, 300).as_bytes());
    let decoded = EventDecoder::new(settings(STRICT_BYTES).decode).decode(&raw, 7);
    let counts = Counts { records: 7, quarantined: 6, ..Counts::default() };
    let advances = vec![advance(1, 7, counts)];
    commit_rows(&place.lake, LakeTable::InvalidEventsContent, &decoded.invalid, advances).await;
    let report = place.replay(10_000).await;
    assert_eq!((report.taken_records(), report.ahead_of_bronze), (4, 1));
    let report = place.audit().await;
    assert_eq!(names(&report, Status::Failed), [""; 0], "{}", report.to_text());
}
