//! A lake with the events and versions that a test puts there, and what batch makes of it.

#![allow(dead_code, reason = "each of the programs that share it uses a part")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::{DateTime, NaiveDate};
use pulselake_lake::{Lake, LakeSettings, LedgeredAppend, OpenMode, TableWriter, WriterOptions};
use pulselake_ledger::{Advance, Counts, PartitionLedger};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, schema};
use pulselake_query::batch::job::Job;
use pulselake_query::batch::progress::Audience;
use pulselake_query::batch::run::{Outcome, Report, Request};
use pulselake_query::batch::{Batch, BatchSettings};
use pulselake_query::{EngineSettings, QueryEngine};
use tempfile::TempDir;

pub const FIRST_DAY: &str = "2026-02-07";

/// Microseconds since the epoch of a moment such as `2026-02-07T10:00:00.5Z`; of `10:00:00.5` on the first day.
pub fn us(moment: &str) -> i64 {
    let whole = if moment.contains('T') { moment.to_owned() } else { format!("{FIRST_DAY}T{moment}") };
    let whole = if whole.ends_with('Z') { whole } else { format!("{whole}Z") };
    DateTime::parse_from_rfc3339(&whole).unwrap().timestamp_micros()
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A row of bronze.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub at_us: i64,
    pub video: String,
    pub user: String,
    pub kind: String,
    pub body: String,
    pub partition: i32,
    /// The next of its partition, where none is given.
    pub offset: Option<i64>,
}

/// An impression of `v_1` by a user.
pub fn event(id: &str, user: &str, moment: &str) -> Event {
    Event {
        id: id.to_owned(),
        at_us: us(moment),
        video: "v_1".to_owned(),
        user: user.to_owned(),
        kind: "impression".to_owned(),
        body: "{}".to_owned(),
        partition: 0,
        offset: None,
    }
}

/// A version of a video.
#[derive(Clone, Debug)]
pub struct VideoVersion {
    pub id: String,
    pub from: String,
    pub op: &'static str,
    pub category: Option<&'static str>,
    pub duration_ms: Option<i64>,
}

/// A version of a user.
#[derive(Clone, Debug)]
pub struct UserVersion {
    pub id: String,
    pub from: String,
    pub op: &'static str,
    pub segment: Option<&'static str>,
}

pub struct ColdLake {
    directory: TempDir,
    lake: Lake,
    /// How often each table was committed to.
    commits: RefCell<HashMap<LakeTable, i64>>,
    /// The next offset of each partition.
    offsets: RefCell<HashMap<i32, i64>>,
}

impl ColdLake {
    /// With the tables of events, and those of changes where `has_changes`.
    pub async fn new(has_changes: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lake = Lake::open(&settings_of(&directory).lake, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
        if has_changes {
            for entity in Entity::ALL {
                lake.ensure_tables(&LakeTable::of_changes(entity)).await.unwrap();
            }
        }
        Self { directory, lake, commits: RefCell::default(), offsets: RefCell::default() }
    }

    /// Appends to bronze, as one commit of the stream.
    pub async fn add(&self, events: &[Event]) {
        let offsets: Vec<i64> = events
            .iter()
            .map(|event| {
                let mut known = self.offsets.borrow_mut();
                let next = known.entry(event.partition).or_insert(0);
                let offset = event.offset.unwrap_or(*next);
                *next = (*next).max(offset + 1);
                offset
            })
            .collect();
        let text = |of: fn(&Event) -> &str| {
            Arc::new(StringArray::from_iter_values(events.iter().map(of))) as ArrayRef
        };
        let same = |value: &str| Arc::new(StringArray::from(vec![value; events.len()])) as ArrayRef;
        let columns: Vec<ArrayRef> = vec![
            text(|event| &event.id),
            moments(events.iter().map(|event| event.at_us).collect()),
            text(|event| &event.video),
            text(|event| &event.user),
            text(|event| &event.kind),
            same("1.0"),
            text(|event| &event.body),
            Arc::new(StringArray::new_null(events.len())),
            same("content_events"),
            Arc::new(Int32Array::from_iter_values(events.iter().map(|event| event.partition))),
            Arc::new(Int64Array::from(offsets)),
            moments(events.iter().map(|event| event.at_us).collect()),
        ];
        let batch = RecordBatch::try_new(schema::bronze_events(), columns).unwrap();
        self.append(LakeTable::RawEvents, "content_events", &batch).await;
    }

    pub async fn add_videos(&self, versions: &[VideoVersion]) {
        let count = versions.len();
        let columns: Vec<ArrayRef> = vec![
            texts(versions.iter().map(|version| Some(version.id.as_str()))),
            texts(versions.iter().map(|version| version.category.map(|_| "creator"))),
            texts(versions.iter().map(|version| version.category)),
            texts(versions.iter().map(|version| version.category.map(|_| "eu"))),
            arrow::array::new_null_array(
                schema::dimension_history(Entity::Videos).field(4).data_type(),
                count,
            ),
            Arc::new(Int64Array::from(
                versions.iter().map(|version| version.duration_ms).collect::<Vec<_>>(),
            )),
            moments(vec![us("2026-02-01T00:00:00"); count]),
            texts(versions.iter().map(|version| version.category.map(|_| "active"))),
        ];
        let places = versions.iter().map(|version| (version.from.as_str(), version.op)).collect();
        self.add_versions(Entity::Videos, columns, places).await;
    }

    pub async fn add_users(&self, versions: &[UserVersion]) {
        let count = versions.len();
        let columns: Vec<ArrayRef> = vec![
            texts(versions.iter().map(|version| Some(version.id.as_str()))),
            texts(versions.iter().map(|version| version.segment.map(|_| "DE"))),
            texts(versions.iter().map(|_| None)),
            Arc::new(BooleanArray::from(vec![Some(true); count])),
            texts(versions.iter().map(|version| version.segment)),
            moments(vec![us("2026-02-01T00:00:00"); count]),
        ];
        let places = versions.iter().map(|version| (version.from.as_str(), version.op)).collect();
        self.add_versions(Entity::Users, columns, places).await;
    }

    async fn add_versions(&self, entity: Entity, attributes: Vec<ArrayRef>, places: Vec<(&str, &str)>) {
        let table = LakeTable::DimensionHistory(entity);
        let first = self.commits.borrow().get(&table).copied().unwrap_or_default() * 1_000;
        let from: Vec<i64> = places.iter().map(|(moment, _)| us(moment)).collect();
        let positions: Vec<i64> =
            (0..places.len()).map(|place| first + i64::try_from(place).unwrap()).collect();
        let count = places.len();
        let mut columns = attributes;
        columns.extend([
            moments(from.clone()),
            Arc::new(Int64Array::from_iter_values(from.iter().map(|micros| micros / 1_000))) as ArrayRef,
            texts(places.iter().map(|(_, op)| Some(*op))),
            moments(from),
            Arc::new(Int64Array::from(positions.clone())),
            Arc::new(Int64Array::from(vec![None::<i64>; count])),
            Arc::new(Int64Array::from(positions.clone())),
            texts(places.iter().map(|_| Some("changes"))),
            Arc::new(Int32Array::from(vec![0; count])),
            Arc::new(Int64Array::from(positions)),
        ]);
        let batch = RecordBatch::try_new(schema::dimension_history(entity), columns).unwrap();
        self.append(table, "changes", &batch).await;
    }

    async fn append(&self, table: LakeTable, topic: &str, batch: &RecordBatch) {
        let mut writer = TableWriter::new(&self.lake, table, WriterOptions::default()).await.unwrap();
        writer.write(batch).await.unwrap();
        let files = writer.close().await.unwrap();
        let built_on_seq = self.commits.borrow().get(&table).copied().unwrap_or_default();
        let next = built_on_seq + 1;
        let counts = Counts { records: u64::try_from(next).unwrap(), ..Default::default() };
        let entry = PartitionLedger { next, replay_from: next, counts, ..Default::default() };
        let append = LedgeredAppend {
            commit_id: uuid::Uuid::now_v7().to_string(),
            cluster_id: "cluster".into(),
            fingerprint: "decoder-1".into(),
            advances: vec![Advance { topic: topic.into(), partition: 0, built_on_seq, entry }],
            files,
            deletes: Vec::new(),
            replayed: None,
        };
        self.lake.append(table, &append).await.unwrap();
        self.commits.borrow_mut().insert(table, next);
    }

    pub fn settings(&self) -> BatchSettings {
        BatchSettings {
            engine: settings_of(&self.directory),
            day_memory_bytes: 64 << 20,
            max_payload_columns: 100,
            rule_version: "rules-2".to_owned(),
        }
    }

    pub async fn batch(&self) -> Batch {
        Batch::open(self.settings(), Audience::Nobody).await.unwrap()
    }

    /// Makes what is due; no step may fail.
    pub async fn run(&self, first: &str, last: &str) -> Report {
        let report = self.batch().await.run(&request(first, last)).await.unwrap();
        assert_eq!(report.error, None);
        report
    }

    /// Makes what is due of silver alone.
    pub async fn run_silver(&self, first: &str, last: &str) -> Report {
        let report = self.batch().await.run(&of_silver(first, last)).await.unwrap();
        assert_eq!(report.error, None);
        report
    }

    pub async fn plan(&self, first: &str, last: &str) -> Vec<Outcome> {
        self.batch().await.plan(&request(first, last)).await.unwrap()
    }

    /// The program itself.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulselake-query"));
        command.arg("batch").args(arguments).arg("--data-dir").arg(self.directory.path());
        command.args(["--set", "lake.fsync=false"]);
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The rows of a statement, the values of each parted by a space, in the statement's order.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let engine = QueryEngine::open(&settings_of(&self.directory)).await.unwrap();
        let batches = engine.collect(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        batches.iter().flat_map(lines).collect()
    }

    pub async fn snapshot_of(&self, table: LakeTable) -> Option<i64> {
        self.lake.view(table).await.unwrap().snapshot_id()
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn lake(&self) -> &Lake {
        &self.lake
    }
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("-");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let line =
        |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
    (0..batch.num_rows()).map(line).collect()
}

fn settings_of(directory: &TempDir) -> EngineSettings {
    let place = directory.path().display();
    let mut lake =
        LakeSettings::new(format!("sqlite://{place}/catalog.db"), format!("file://{place}/warehouse"));
    lake.fsync = false;
    EngineSettings { threads: 2, memory_bytes: 256 << 20, ..EngineSettings::new(lake) }
}

pub fn request(first: &str, last: &str) -> Request {
    Request { first: day(first), last: day(last), jobs: Vec::new(), force: false }
}

pub fn of_silver(first: &str, last: &str) -> Request {
    Request { jobs: jobs(&["payload_fields", "fact_user_engagement"]), ..request(first, last) }
}

pub fn jobs(names: &[&str]) -> Vec<&'static Job> {
    names.iter().map(|name| pulselake_query::batch::job::find_job(name).unwrap()).collect()
}

fn moments(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("+00:00"))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}
