//! The inspecting commands against tables that the engine has filled: the binary as a user runs it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use futures::TryStreamExt;
use iceberg::spec::{DataFile, Datum};
use pulselake_lake::{
    Lake, LakeSettings, LedgeredAppend, OpenMode, RestateError, Restatement, RowFilter, TableWriter,
    WriterOptions,
};
use pulselake_ledger::Advance;
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::schema;
use pulselake_model::tables::LakeTable;
use serde_json::Value;
use tempfile::TempDir;

/// A limit that the padded events of [`write_events`] exceed.
const STRICT: &str = "decode.max_record_bytes=1024";
const EVENTS: u64 = 3_000;
/// Events with a long body, with no valid type, and with the id of the event before.
const PADDED_EACH: u64 = 100;
const INVALID_EACH: u64 = 250;
const REPEATED_EACH: u64 = 30;

fn pulselake(data_dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulselake"));
    command.args(args).arg("--data-dir").arg(data_dir);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(data_dir: &Path, args: &[&str]) -> Value {
    let output = pulselake(data_dir, &[args, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// One event each 100 ms.
fn write_events(path: &Path, from: u64, to: u64) {
    let mut lines = String::new();
    for number in from..to {
        let id = if number % REPEATED_EACH == 7 { number - 1 } else { number };
        let kind = if number % INVALID_EACH == 9 { "applause" } else { "like" };
        let padding = if number % PADDED_EACH == 50 { "x".repeat(2_000) } else { String::new() };
        lines.push_str(&format!(
            "{{\"event_id\":\"e{id}\",\"event_timestamp\":{},\"video_id\":\"v_{}\",\"user_id\":\"u\",\"event_type\":\"{kind}\",\"payload\":{{\"watch_time_ms\":{number},\"p\":\"{padding}\"}}}}\n",
            1_770_458_400_000 + number * 100,
            number % 7,
        ));
    }
    std::fs::write(path, lines).unwrap();
}

fn run_engine(directory: &Path, files: &[&Path], extra: &[&str]) {
    let mut args = vec!["run", "--until-caught-up", "--metrics-bind", "", "--shards", "2", "--files"];
    args.extend(files.iter().map(|path| path.to_str().unwrap()));
    args.extend(extra);
    let output = pulselake(directory, &args);
    assert!(output.status.success(), "{}", text(&output));
}

/// Tables of two files, with the padded events in quarantine.
fn filled() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("a.ndjson"), directory.path().join("b.ndjson"));
    write_events(&first, 0, EVENTS / 2);
    write_events(&second, EVENTS / 2, EVENTS);
    run_engine(directory.path(), &[&first, &second], &["--set", STRICT]);
    directory
}

fn failed_checks(directory: &Path) -> Vec<String> {
    let report = json(directory, &["audit"]);
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() > 20, "{report}");
    let failed = checks.iter().filter(|check| check["status"] == "FAILED");
    failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

fn assert_audit_passes(directory: &Path) {
    let output = pulselake(directory, &["audit"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).ends_with("audit OK\n"), "{}", text(&output));
}

async fn open(directory: &Path) -> Lake {
    let settings = LakeSettings {
        catalog_uri: format!("sqlite://{}/catalog.db", directory.display()),
        warehouse: format!("file://{}/warehouse", directory.display()),
        fsync: false,
        ..LakeSettings::new("", "")
    };
    Lake::open(&settings, OpenMode::MustExist).await.unwrap()
}

/// Appends the first batch of bronze once more, with a ledger that goes on as before.
async fn double_bronze(directory: &Path) {
    let lake = open(directory).await;
    let mut batches = lake.scan(LakeTable::RawEvents, &[], None).await.unwrap();
    let batch = batches.try_next().await.unwrap().unwrap();
    let batch = batch.slice(0, 1);
    let mut writer = TableWriter::new(&lake, LakeTable::RawEvents, WriterOptions::default()).await.unwrap();
    writer.write(&batch).await.unwrap();
    append_with_the_same_ledger(&lake, LakeTable::RawEvents, writer.close().await.unwrap()).await;
}

#[test]
fn tables_and_ledgers_say_what_is_there() {
    let directory = filled();
    let report = json(directory.path(), &["tables"]);
    let tables = report["tables"].as_array().unwrap();
    let rows_of = |name: &str| tables.iter().find(|table| table["table"] == name).unwrap()["rows"].clone();
    let invalid = EVENTS / PADDED_EACH + EVENTS / INVALID_EACH;
    assert_eq!(rows_of("bronze.invalid_events_content"), invalid);
    assert_eq!(rows_of("bronze.raw_events"), EVENTS - invalid);
    let shown = pulselake(directory.path(), &["tables"]);
    assert!(text(&shown).contains("content_events-0"), "{}", text(&shown));
    let ledger = json(directory.path(), &["ledger", "show", "bronze.raw_events"]);
    assert_eq!(ledger["ledgers"].as_array().unwrap().len(), 1);
    assert_eq!(ledger["ledgers"][0]["ledger"]["version"], 1);
}

#[test]
fn a_sound_lake_passes_the_audit_and_a_doubled_row_fails_it() {
    let directory = filled();
    assert_audit_passes(directory.path());
    tokio::runtime::Runtime::new().unwrap().block_on(double_bronze(directory.path()));
    let output = pulselake(directory.path(), &["audit"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let failed = failed_checks(directory.path());
    for name in ["bronze.rows", "bronze.offsets_distinct", "recount.records"] {
        assert!(failed.iter().any(|check| check == name), "{name} not in {failed:?}");
    }
}

#[test]
fn records_that_are_valid_by_now_enter_once() {
    let directory = filled();
    let padded = EVENTS / PADDED_EACH;
    let dry = json(directory.path(), &["quarantine", "replay", "--dry-run"]);
    assert_eq!(dry["taken"]["TOO_LARGE"], padded);
    let report = json(directory.path(), &["quarantine", "replay"]);
    assert_eq!(report["taken"], dry["taken"]);
    assert_eq!(report["still_rejected"]["UNKNOWN_EVENT_TYPE"], EVENTS / INVALID_EACH);
    assert_eq!(report["gold"]["records"], padded);
    assert_audit_passes(directory.path());
    let again = json(directory.path(), &["quarantine", "replay"]);
    assert_eq!((&again["taken_before"], &again["gold"]), (&padded.into(), &Value::Null));
    assert_eq!(again["taken"], serde_json::json!({}));
    assert_audit_passes(directory.path());
}

#[test]
fn the_engine_goes_on_after_a_replay() {
    let directory = filled();
    let replayed = pulselake(directory.path(), &["quarantine", "replay"]);
    assert!(replayed.status.success(), "{}", text(&replayed));
    // The same files once more: nothing new, but another decoder, so that gold's state comes out of bronze.
    let (first, second) = (directory.path().join("a.ndjson"), directory.path().join("b.ndjson"));
    run_engine(directory.path(), &[&first, &second], &[]);
    assert_audit_passes(directory.path());
}

/// Takes one like from each minute of a video, and one row of `v_new` in their stead.
async fn restate(directory: &Path) -> Result<Restatement, RestateError<Infallible>> {
    let lake = open(directory).await;
    let date = "2026-02-07".parse().unwrap();
    let base = lake.begin_restatement(date).await?;
    let (start_us, minute_us) = (1_770_458_400_000_000, 60_000_000);
    let starts: Vec<i64> = (0..5).map(|minute| start_us + minute * minute_us).chain([start_us]).collect();
    let likes: Vec<i64> = vec![-1, -1, -1, -1, -1, 6];
    let videos: ArrayRef = Arc::new(StringArray::from(vec!["v_1", "v_1", "v_1", "v_1", "v_1", "v_new"]));
    let columns = COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]).map(|column| {
        let counts = if column == "likes" { likes.clone() } else { vec![0; likes.len()] };
        (column, Arc::new(Int64Array::from(counts)) as ArrayRef)
    });
    let starts = TimestampMicrosecondArray::from(starts).with_timezone("+00:00");
    let keys = [("video_id", videos), ("window_start", Arc::new(starts) as ArrayRef)];
    let batch = RecordBatch::try_from_iter(keys.into_iter().chain(columns)).unwrap();
    lake.append_restatement(&base, futures::stream::iter([Ok(batch)])).await
}

#[test]
fn a_restated_lake_passes_the_audit_and_the_engine_goes_on() {
    let directory = filled();
    let path = directory.path();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.block_on(restate(path)).unwrap();
    assert_eq!((done.rows, done.revision), (6, 1));
    assert_audit_passes(path);
    let shown = text(&pulselake(path, &["audit"]));
    assert!(shown.contains("likes +1: what 1 restatements have added"), "{shown}");

    // A replay of the quarantine, the stream, and compaction come after it.
    let replayed = pulselake(path, &["quarantine", "replay"]);
    assert!(replayed.status.success(), "{}", text(&replayed));
    assert_audit_passes(path);
    let (first, second) = (path.join("a.ndjson"), path.join("b.ndjson"));
    run_engine(path, &[&first, &second], &[]);
    assert_eq!(runtime.block_on(restate(path)).unwrap().revision, 2);
    let maintained = pulselake(path, &["maintain", "--table", "gold.rt_video_stats_1min"]);
    assert!(maintained.status.success(), "{}", text(&maintained));
    assert_audit_passes(path);
    let report = json(path, &["audit"]);
    let about = |check: &&Value| check["subject"] == "restatements";
    let checks: Vec<&Value> = report["checks"].as_array().unwrap().iter().filter(about).collect();
    assert_eq!(checks.len(), 4, "{checks:?}");

    // Rows like a restatement's that no restatement has made.
    runtime.block_on(append_to_gold(path));
    assert_eq!(failed_checks(path), ["gold.restated", "gold.grain_distinct"]);
}

/// Appends gold's rows of restatements once more, with a ledger that goes on as before.
async fn append_to_gold(directory: &Path) {
    let lake = open(directory).await;
    let gold = LakeTable::VideoStats1Min;
    let filter = RowFilter::all().between("source_partition", Datum::int(-1), Datum::int(-1));
    let mut batches = lake.view(gold).await.unwrap().read_where(&[], &filter).await.unwrap();
    let mut writer = TableWriter::new(&lake, gold, WriterOptions::default()).await.unwrap();
    while let Some(batch) = batches.try_next().await.unwrap() {
        let plain = RecordBatch::try_new(schema::gold_video_stats(), batch.columns().to_vec()).unwrap();
        writer.write(&plain).await.unwrap();
    }
    assert!(writer.rows() > 0);
    append_with_the_same_ledger(&lake, gold, writer.close().await.unwrap()).await;
}

async fn append_with_the_same_ledger(lake: &Lake, table: LakeTable, files: Vec<DataFile>) {
    let ledger = lake.ledger(table).await.unwrap().unwrap();
    let (topic, entries) = ledger.topics.first_key_value().unwrap();
    let (&partition, entry) = entries.first_key_value().unwrap();
    let advance = Advance { topic: topic.clone(), partition, built_on_seq: entry.seq, entry: entry.clone() };
    let request = LedgeredAppend {
        commit_id: "rows that are there twice".into(),
        cluster_id: ledger.cluster_id.clone(),
        fingerprint: ledger.fingerprint.clone(),
        advances: vec![advance],
        files,
        deletes: Vec::new(),
        replayed: None,
    };
    lake.append(table, &request).await.unwrap();
}

#[test]
fn rejected_records_are_listed_and_shown() {
    let directory = filled();
    let listed = json(directory.path(), &["quarantine", "list", "--code", "TOO_LARGE", "--limit", "3"]);
    let records = listed["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["error_code"] == "TOO_LARGE"), "{listed}");
    let id = records[0]["invalid_event_id"].as_str().unwrap();
    let shown = json(directory.path(), &["quarantine", "show", id]);
    assert_eq!(shown["invalid_event_id"], id);
    let value: Value = serde_json::from_str(shown["raw_value"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(value["payload"]["p"].as_str().unwrap().len(), 2_000);
    for wrong in [["quarantine", "show", "content_events-0-999999"], ["quarantine", "list", "--code=NONE"]] {
        assert_eq!(pulselake(directory.path(), &wrong).status.code(), Some(1));
    }
}

#[test]
fn a_ledger_that_agrees_is_not_rewound() {
    let directory = filled();
    let output = pulselake(directory.path(), &["ledger", "rewind", "gold.rt_video_stats_1min"]);
    assert!(text(&output).contains("nothing was changed"), "{}", text(&output));
    assert_audit_passes(directory.path());
}

#[test]
fn without_tables_every_command_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for command in [&["tables"][..], &["audit"], &["quarantine", "list"], &["ledger", "show"]] {
        let output = pulselake(&directory.path().join("nothing"), command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(text(&output).contains("pulselake init"), "{}", text(&output));
    }
}

/// A tolerance that accepts the generator's fast clocks (two hours).
const TOLERANT: &str = "decode.future_tolerance_ms=10800000";

fn demo(directory: &Path, seconds: u32, extra: &[&str]) -> Command {
    let seconds = seconds.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulselake"));
    command.args(["demo", "--no-summary", "--rate", "500", "--duration-s", &seconds]);
    command.args(["--set", "generator.invalid_ratio=0.1", "--set", "http.bind="]);
    command.args(["--set", "bronze.commit_interval_ms=500", "--data-dir"]).arg(directory).args(extra);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_replay_goes_beside_a_running_engine_and_before_its_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = demo(directory.path(), 7, &[]).spawn().unwrap();
    let mut taken_beside = 0;
    while engine.try_wait().unwrap().is_none() {
        let output =
            pulselake(directory.path(), &["quarantine", "replay", "--set", TOLERANT, "--format", "json"]);
        // Refused while there are no tables yet.
        if output.status.success() {
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            taken_beside += report["taken"]["FUTURE_TIMESTAMP"].as_u64().unwrap_or(0);
        }
        let audit = pulselake(directory.path(), &["audit"]);
        assert!(audit.stdout.is_empty() || audit.status.success(), "{}", text(&audit));
    }
    assert!(engine.wait().unwrap().success());
    assert!(taken_beside > 0);
    assert_audit_passes(directory.path());
    // Windows are open, some of them with replayed events, and the decoder is another: they are rebuilt out of bronze.
    // Long enough for a busy machine to have rebuilt them: who is stopped before that has something left to commit, and says so by its exit code.
    let rebuilt = demo(directory.path(), 8, &["--set", TOLERANT]).stderr(Stdio::piped()).output().unwrap();
    assert!(rebuilt.status.success(), "{}", text(&rebuilt));
    assert_audit_passes(directory.path());
}
