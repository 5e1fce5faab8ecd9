//! A log of changes, the three tables as plain collections, and an engine that crashes where it is told to.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Field, Int32Type, Int64Type, Schema};
use pulselake_cdc::{
    CdcSettings, ColumnChange, Columns, Flush, HistoryVersion, Upserter, VersionIndex, catch_up,
    catch_up_doubts, history_versions,
};
use pulselake_model::{Entity, RawBatch, schema};
use serde_json::json;

pub const ENTITY: Entity = Entity::Videos;
pub const PARTITIONS: u8 = 3;
const INGESTED_AT_US: i64 = 1_770_458_400_000_000;

/// What one version says: key, operation, position, moment, category, and the column that some rows have.
pub type Said = (String, &'static str, Option<i64>, i64, Option<String>, Option<i64>);

/// A record of a log.
#[derive(Clone, Debug)]
pub enum Entry {
    Change {
        key: u8,
        operation: &'static str,
        position: Option<i64>,
        moment_ms: i64,
        content: u8,
    },
    /// An update that changes the key.
    Rename {
        old: u8,
        new: u8,
        position: Option<i64>,
        moment_ms: i64,
        content: u8,
    },
    Tombstone,
    Invalid,
    /// The record that many places before once more, where there is one.
    Again(usize),
}

/// The keys of a partition are its own.
fn key_name(partition: u8, key: u8) -> String {
    format!("p{partition}k{key}")
}

fn row(key: &str, content: u8) -> serde_json::Value {
    let mut row = json!({"video_id": key, "category": format!("c{content}")});
    if content.is_multiple_of(2) {
        row["extra"] = json!(content);
    }
    row
}

impl Entry {
    pub fn bytes(&self, partition: u8) -> Vec<u8> {
        let envelope = |operation: &str, before, after, position: &Option<i64>, moment_ms: &i64| {
            let source = json!({"connector": "postgresql", "lsn": position, "ts_ms": moment_ms});
            json!({"op": operation, "before": before, "after": after, "source": source})
                .to_string()
                .into_bytes()
        };
        match self {
            Self::Change { key, operation: "d", position, moment_ms, .. } => {
                let before = json!({"video_id": key_name(partition, *key)});
                envelope("d", before, json!(null), position, moment_ms)
            }
            Self::Change { key, operation, position, moment_ms, content } => {
                let after = row(&key_name(partition, *key), *content);
                envelope(operation, json!(null), after, position, moment_ms)
            }
            Self::Rename { old, new, position, moment_ms, content } => {
                let before = json!({"video_id": key_name(partition, *old)});
                envelope("u", before, row(&key_name(partition, *new), *content), position, moment_ms)
            }
            Self::Tombstone => Vec::new(),
            Self::Invalid => b"{\"op\":\"c\"".to_vec(),
            Self::Again(_) => unreachable!("resolved before"),
        }
    }

    /// The versions that it brings, in plain words.
    fn said(&self, partition: u8) -> Vec<Said> {
        let extra = |content: u8| content.is_multiple_of(2).then_some(i64::from(content));
        match self {
            Self::Change { key, operation: "d", position, moment_ms, .. } => {
                vec![(key_name(partition, *key), "d", *position, *moment_ms, None, None)]
            }
            Self::Change { key, operation, position, moment_ms, content } => {
                let category = Some(format!("c{content}"));
                vec![(key_name(partition, *key), operation, *position, *moment_ms, category, extra(*content))]
            }
            Self::Rename { old, new, position, moment_ms, content } => {
                let mut said = Self::Change {
                    key: *new,
                    operation: "u",
                    position: *position,
                    moment_ms: *moment_ms,
                    content: *content,
                }
                .said(partition);
                if old != new {
                    said.insert(0, (key_name(partition, *old), "d", *position, *moment_ms, None, None));
                }
                said
            }
            Self::Tombstone | Self::Invalid | Self::Again(_) => Vec::new(),
        }
    }
}

/// Puts the repeated records in.
pub fn resolved(entries: &[Entry]) -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Again(back) => log.extend(log.len().checked_sub(back + 1).map(|at| log[at].clone())),
            other => log.push(other.clone()),
        }
    }
    log
}

/// What a log comes down to, worked out record by record in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub history: BTreeSet<Said>,
    pub dimension: BTreeMap<String, (Option<String>, Option<i64>)>,
    pub quarantine: BTreeSet<(i32, i64)>,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub records: u64,
    pub quarantined: u64,
    pub tombstones: u64,
    pub duplicates: u64,
    pub late: u64,
}

pub fn expected(logs: &[Vec<Entry>]) -> Outcome {
    let mut outcome = Outcome::default();
    for (partition, log) in logs.iter().enumerate() {
        let mut last: BTreeMap<String, Said> = BTreeMap::new();
        for (offset, entry) in log.iter().enumerate() {
            outcome.counts.records += 1;
            match entry {
                Entry::Tombstone => outcome.counts.tombstones += 1,
                Entry::Invalid => {
                    outcome.counts.quarantined += 1;
                    outcome.quarantine.insert((partition as i32, offset as i64));
                }
                _ => {}
            }
            let (mut is_new, mut is_late) = (false, false);
            for said in entry.said(partition as u8) {
                if !outcome.history.insert(said.clone()) {
                    continue;
                }
                is_new = true;
                // A position counts before the moment; none is before any.
                match last.get(&said.0) {
                    Some(known) if (known.2, known.3) > (said.2, said.3) => is_late = true,
                    _ => {
                        last.insert(said.0.clone(), said);
                    }
                }
            }
            let brings_versions = !matches!(entry, Entry::Tombstone | Entry::Invalid);
            outcome.counts.duplicates += u64::from(brings_versions && !is_new);
            outcome.counts.late += u64::from(is_late);
        }
        let present = last.into_values().filter(|said| said.1 != "d");
        outcome.dimension.extend(present.map(|said| (said.0, (said.4, said.5))));
    }
    outcome
}

/// Where a flush is cut off by a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    BeforeAll,
    BetweenEvolutions,
    AfterEvolutions,
    AfterQuarantine,
    AfterHistory,
    AfterDimension,
    Nowhere,
}

/// What the engine does next.
#[derive(Clone, Debug)]
pub enum Step {
    Apply { partition: u8, records: usize },
    LookUp,
    Flush(Cut),
    Crash,
}

/// The three tables with what their ledgers would say.
pub struct Tables {
    history_schema: Schema,
    dimension_schema: Schema,
    pub quarantine: BTreeSet<(i32, i64)>,
    pub history: Vec<RecordBatch>,
    pub dimension: BTreeMap<String, (Option<String>, Option<i64>)>,
    quarantine_next: BTreeMap<i32, i64>,
    history_next: BTreeMap<i32, i64>,
    dimension_next: BTreeMap<i32, i64>,
    pub counts: Counts,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            history_schema: schema::dimension_history(ENTITY).as_ref().clone(),
            dimension_schema: schema::dimension(ENTITY).as_ref().clone(),
            quarantine: BTreeSet::new(),
            history: Vec::new(),
            dimension: BTreeMap::new(),
            quarantine_next: BTreeMap::new(),
            history_next: BTreeMap::new(),
            dimension_next: BTreeMap::new(),
            counts: Counts::default(),
        }
    }
}

fn evolved(schema: &Schema, changes: &[ColumnChange]) -> Schema {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for change in changes {
        let field = Field::new(change.name(), change.data_type().clone(), true);
        match fields.iter_mut().find(|known| known.name() == change.name()) {
            Some(known) => *known = field,
            None => fields.push(field),
        }
    }
    Schema::new(fields)
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn long(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

impl Tables {
    fn columns(&self) -> Columns {
        Columns::new(ENTITY, &self.history_schema, &self.dimension_schema).unwrap()
    }

    fn look_up(&self, keys: &[String]) -> Vec<HistoryVersion> {
        let versions = self.history.iter().flat_map(|batch| history_versions(ENTITY, batch).unwrap());
        versions.filter(|version| keys.contains(&version.key)).collect()
    }

    fn upsert(&mut self, upserts: &RecordBatch, deleted: &[String]) {
        assert!(deleted.is_sorted());
        for key in deleted {
            self.dimension.remove(key);
        }
        for row in 0..upserts.num_rows() {
            let key = text(upserts, "video_id", row).unwrap();
            let said = (text(upserts, "category", row), long(upserts, "extra", row));
            assert!(self.dimension.insert(key.clone(), said).is_none(), "two rows of {key}");
        }
    }

    /// Every row of the history: two alike would show by their number.
    pub fn said(&self) -> Vec<Said> {
        let rows = self.history.iter().flat_map(|batch| {
            (0..batch.num_rows()).map(|row| {
                let operation = text(batch, "op", row).unwrap();
                let operation = ["c", "u", "d", "r"].into_iter().find(|known| *known == operation).unwrap();
                let (position, moment) =
                    (long(batch, "source_position", row), long(batch, "source_ts_ms", row));
                (
                    text(batch, "video_id", row).unwrap(),
                    operation,
                    position,
                    moment.unwrap(),
                    text(batch, "category", row),
                    long(batch, "extra", row),
                )
            })
        });
        rows.collect()
    }
}

/// An engine over the tables, from one crash to the next.
pub struct Engine<'a> {
    logs: &'a [Vec<Entry>],
    max_index_keys: usize,
    pub tables: Tables,
    upserter: Upserter,
    position: BTreeMap<i32, i64>,
}

fn index_of(history: &[RecordBatch], max_index_keys: usize) -> VersionIndex {
    let mut index = VersionIndex::new(max_index_keys);
    for batch in history {
        index.load(ENTITY, batch).unwrap();
    }
    index
}

impl<'a> Engine<'a> {
    pub fn new(logs: &'a [Vec<Entry>], max_index_keys: usize) -> Self {
        Self::recovered(logs, max_index_keys, Tables::default())
    }

    fn recovered(logs: &'a [Vec<Entry>], max_index_keys: usize, mut tables: Tables) -> Self {
        let alignment = tables.columns().changes_to_align();
        tables.history_schema = evolved(&tables.history_schema, &alignment.history);
        tables.dimension_schema = evolved(&tables.dimension_schema, &alignment.dimension);
        let columns = tables.columns();
        assert!(columns.changes().is_empty());
        let index = index_of(&tables.history, max_index_keys);
        let lacking: Vec<RecordBatch> =
            tables.history.iter().map(|batch| tables.beyond_dimension(batch)).collect();
        let doubts = catch_up_doubts(ENTITY, &lacking, &index).unwrap();
        let looked_up = tables.look_up(&doubts);
        let missing = catch_up(ENTITY, &columns, &lacking, &index, &looked_up).unwrap();
        tables.upsert(&missing.upserts, &missing.deleted);
        tables.dimension_next = tables.history_next.clone();
        let settings = CdcSettings { max_index_keys, ..CdcSettings::for_topic("cdc.content.videos") };
        let position = tables.history_next.clone();
        Self {
            logs,
            max_index_keys,
            upserter: Upserter::new(ENTITY, settings, columns, index),
            tables,
            position,
        }
    }

    pub fn step(mut self, step: &Step) -> Self {
        match step {
            Step::Apply { partition, records } => self.apply(*partition, *records),
            Step::LookUp => self.look_up(),
            Step::Flush(cut) => {
                self.flush(*cut);
                if *cut != Cut::Nowhere {
                    return self.crash();
                }
            }
            Step::Crash => return self.crash(),
        }
        self
    }

    fn crash(self) -> Self {
        Self::recovered(self.logs, self.max_index_keys, self.tables)
    }

    /// The rest of every log, and a flush.
    pub fn finish(mut self) -> Tables {
        for partition in 0..PARTITIONS {
            // Twice: a batch ends where the quarantine's offsets cease to decide.
            self.apply(partition, usize::MAX);
            self.apply(partition, usize::MAX);
        }
        self.flush(Cut::Nowhere);
        assert!(
            self.upserter.is_empty()
                && self.upserter.pending_rows() == 0
                && self.upserter.pending_bytes() == 0
        );
        self.tables
    }

    fn apply(&mut self, partition: u8, records: usize) {
        let log = &self.logs[usize::from(partition)];
        let number = i32::from(partition);
        let from = self.position.get(&number).copied().unwrap_or(0);
        let settled_to = self.tables.quarantine_next.get(&number).copied().unwrap_or(0);
        let mut to = from.saturating_add(i64::try_from(records).unwrap_or(i64::MAX)).min(log.len() as i64);
        if from < settled_to {
            to = to.min(settled_to);
        }
        let mut batch = RawBatch::at(number, from);
        for offset in from..to {
            batch.push(offset, Some(1), &log[offset as usize].bytes(partition));
        }
        let offsets = self.tables.quarantine.iter().filter(|(other, _)| *other == number);
        let offsets: HashSet<i64> = offsets.map(|(_, offset)| *offset).collect();
        let settled = (from < settled_to).then_some(&offsets);
        let applied = self.upserter.apply(&batch, INGESTED_AT_US, settled);
        assert_eq!(applied.records, batch.records.len() as u64);
        assert_eq!(
            applied.records,
            applied.rejected() + applied.settled + applied.tombstones + applied.changes
        );
        self.position.insert(number, to);
    }

    fn look_up(&mut self) {
        let keys = self.upserter.doubtful_keys();
        assert!(keys.is_sorted());
        self.upserter.settle(self.tables.look_up(&keys));
    }

    fn flush(&mut self, cut: Cut) {
        if cut == Cut::BeforeAll {
            return;
        }
        self.look_up();
        let changes = self.upserter.schema_changes();
        let tables = &mut self.tables;
        tables.history_schema = evolved(&tables.history_schema, &changes);
        if cut == Cut::BetweenEvolutions {
            return;
        }
        tables.dimension_schema = evolved(&tables.dimension_schema, &changes);
        if cut == Cut::AfterEvolutions {
            return;
        }
        if !changes.is_empty() {
            self.upserter.adopt(tables.columns());
        }
        let flush = self.upserter.take_flush().unwrap();
        tables.commit(&flush, cut);
        let whole = index_of(&tables.history, usize::MAX);
        if cut == Cut::Nowhere && self.max_index_keys == usize::MAX {
            assert_eq!(self.upserter.index().len(), whole.len(), "the index is the history's");
        }
        assert!(self.upserter.index().len() <= self.max_index_keys);
    }
}

impl Tables {
    /// Rows of the history that the dimension has not applied.
    fn beyond_dimension(&self, batch: &RecordBatch) -> RecordBatch {
        let partitions = batch.column_by_name("source_partition").unwrap().as_primitive::<Int32Type>();
        let keep: Vec<bool> = (0..batch.num_rows())
            .map(|row| {
                let next = self.dimension_next.get(&partitions.value(row)).copied().unwrap_or(0);
                long(batch, "source_offset", row).unwrap() >= next
            })
            .collect();
        arrow::compute::filter_record_batch(batch, &keep.into()).unwrap()
    }

    fn commit(&mut self, flush: &Flush, cut: Cut) {
        let next = flush.positions.iter().map(|(partition, position)| (*partition, position.next));
        for row in 0..flush.invalid.num_rows() {
            let partition =
                flush.invalid.column_by_name("source_partition").unwrap().as_primitive::<Int32Type>();
            let place = (partition.value(row), long(&flush.invalid, "source_offset", row).unwrap());
            assert!(self.quarantine.insert(place), "{place:?} twice in quarantine");
        }
        for (partition, next) in next.clone() {
            let known = self.quarantine_next.entry(partition).or_default();
            *known = next.max(*known);
        }
        if cut == Cut::AfterQuarantine {
            return;
        }
        assert_eq!(flush.history.schema().fields(), self.history_schema.fields());
        self.history.push(flush.history.clone());
        self.history_next.extend(next.clone());
        for position in flush.positions.values() {
            self.counts.records += position.records;
            self.counts.quarantined += position.quarantined;
            self.counts.tombstones += position.tombstones;
            self.counts.duplicates += position.duplicates;
            self.counts.late += position.late;
        }
        if cut == Cut::AfterHistory {
            return;
        }
        assert_eq!(flush.upserts.schema().fields(), self.dimension_schema.fields());
        self.upsert(&flush.upserts, &flush.deleted);
        self.dimension_next.extend(next);
    }
}
