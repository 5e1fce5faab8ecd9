//! The state of one entity's stream between two commits: records in, versions and rows out.
//!
//! What it promises, for any interleaving of partitions, duplicates, batches and crashes: what its flushes bring makes the
//! history the set of distinct versions, and the dimension the last version of each key by source order. The index is the
//! history as of the last flush that was taken; look-ups have to see that history.

use std::collections::HashSet;
use std::sync::Arc;

use pulselake_decode::{Rejection, record_hash};
use pulselake_model::{ColumnChange, Entity, ErrorCode, LastRecord, RawBatch, RawRecord};

use crate::avro::{self, WriterSchemas};
use crate::columns::Columns;
use crate::connect_schema::ConnectSchemas;
use crate::envelope::{self, Envelope, Operation, Record};
use crate::error::CdcError;
use crate::flush::{self, Flush};
use crate::index::VersionIndex;
use crate::order::{HistoryVersion, key_hash, version_hash};
use crate::pending::{InvalidRecord, Pending, Version};
use crate::row::{self, RowFields};
use crate::settings::CdcSettings;

/// Kafka's word for "this record has no timestamp".
const NO_TIMESTAMP_MS: i64 = -1;

/// What a batch brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Records.
    pub records: u64,
    /// Of these, rejected now, by code as a number: rows of quarantine.
    pub rejected_by_code: [u64; ErrorCode::COUNT],
    /// Of the records, those that were in quarantine before.
    pub settled: u64,
    /// Of the records, those without a value.
    pub tombstones: u64,
    /// Of the records, changes in order: repetitions of known versions included.
    pub changes: u64,
    /// The earliest moment of a change in the source, ms since the epoch.
    pub oldest_source_ts_ms: Option<i64>,
    /// The latest one.
    pub newest_source_ts_ms: Option<i64>,
}

impl Applied {
    /// Records that were rejected now.
    pub fn rejected(&self) -> u64 {
        self.rejected_by_code.iter().sum()
    }

    fn change(&mut self, source_ts_ms: i64) {
        self.changes += 1;
        let known = |moment: Option<i64>| moment.unwrap_or(source_ts_ms);
        self.oldest_source_ts_ms = Some(known(self.oldest_source_ts_ms).min(source_ts_ms));
        self.newest_source_ts_ms = Some(known(self.newest_source_ts_ms).max(source_ts_ms));
    }
}

/// See the module.
pub struct Upserter {
    settings: CdcSettings,
    columns: Columns,
    index: VersionIndex,
    schemas: ConnectSchemas,
    writer_schemas: Arc<WriterSchemas>,
    pending: Pending,
}

/// What a record comes down to.
enum Judged {
    Tombstone,
    /// Moment in the source, and the versions: two where a key changed.
    Versions(i64, Vec<Version>),
}

impl Upserter {
    /// An upserter for tables with these columns and a history whose last versions are in `index`.
    pub fn new(entity: Entity, settings: CdcSettings, columns: Columns, index: VersionIndex) -> Self {
        debug_assert_eq!(entity, columns.entity());
        Self {
            settings,
            columns,
            index,
            schemas: ConnectSchemas::default(),
            writer_schemas: Arc::default(),
            pending: Pending::default(),
        }
    }

    /// Takes over what the schema registry says of the ids that the next batches name
    /// ([`named_schemas`](crate::named_schemas)); a record that names another is rejected.
    pub fn use_schemas(&mut self, schemas: Arc<WriterSchemas>) {
        self.writer_schemas = schemas;
    }

    /// Applies a batch that begins where the last one of its partition ended. `ingested_at_us` (microseconds since the
    /// epoch) goes into the rows and decides nothing.
    ///
    /// `settled_by_quarantine` is for a batch that lies wholly where the quarantine is ahead of the history: the offsets that
    /// are in quarantine there. These are out, whatever is thought of them now.
    ///
    /// Flush before [`pending_bytes`](Self::pending_bytes) reaches 1 GiB: a column of a batch ends at 2 GiB.
    pub fn apply(
        &mut self,
        raw: &RawBatch,
        ingested_at_us: i64,
        settled_by_quarantine: Option<&HashSet<i64>>,
    ) -> Applied {
        let mut applied = Applied { records: raw.records.len() as u64, ..Applied::default() };
        let position = self.pending.position(raw.partition);
        position.next = raw.next_offset;
        position.records += applied.records;
        position.gaps += raw.next_offset.abs_diff(raw.first_offset).saturating_sub(applied.records);
        if let Some(last) = raw.records.last() {
            position.last = Some(LastRecord {
                offset: last.offset,
                timestamp_ms: last.timestamp_ms.unwrap_or(NO_TIMESTAMP_MS),
                hash: record_hash(raw.value(last)),
            });
        }
        for record in &raw.records {
            if settled_by_quarantine.is_some_and(|offsets| offsets.contains(&record.offset)) {
                applied.settled += 1;
                self.pending.position(raw.partition).quarantined += 1;
                continue;
            }
            let value = raw.value(record);
            match self.judge(raw.partition, record, value, ingested_at_us) {
                Ok(Judged::Tombstone) => {
                    applied.tombstones += 1;
                    self.pending.position(raw.partition).tombstones += 1;
                }
                Ok(Judged::Versions(source_ts_ms, versions)) => {
                    applied.change(source_ts_ms);
                    self.add(raw.partition, versions);
                }
                Err(rejection) => {
                    applied.rejected_by_code[rejection.code as usize] += 1;
                    self.reject(raw.partition, record, value, ingested_at_us, rejection);
                }
            }
        }
        applied
    }

    /// Rows that wait for the flush: versions and rejected records.
    pub fn pending_rows(&self) -> usize {
        self.pending.rows()
    }

    /// Bytes of what waits for the flush, about.
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes()
    }

    /// Whether nothing was applied since the last flush, not even a move of a position.
    pub fn is_empty(&self) -> bool {
        self.pending.positions.is_empty()
    }

    /// Whether a record was applied since the last flush: a position that moved over offsets without records can wait.
    pub fn has_records(&self) -> bool {
        self.pending.positions.values().any(|position| position.records > 0)
    }

    /// The last version of each key in the history, as of the last flush that was taken.
    pub fn index(&self) -> &VersionIndex {
        &self.index
    }

    /// The columns as they have to be for what was applied.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What has to be committed to both tables before the flush, by name.
    pub fn schema_changes(&self) -> Vec<ColumnChange> {
        self.columns.changes()
    }

    /// Takes over the tables' columns after an evolution; those that they still lack stay among
    /// [`schema_changes`](Self::schema_changes). Without this, the next flush takes the changes as made.
    pub fn adopt(&mut self, columns: Columns) {
        self.columns.adopt(columns);
    }

    /// Keys with changes that only the history can judge, sorted: look up all of their versions in the history that has
    /// every flush taken so far, and hand them to [`settle`](Self::settle).
    pub fn doubtful_keys(&mut self) -> Vec<String> {
        self.pending.ask()
    }

    /// Takes in every version that the history has of the keys that [`doubtful_keys`](Self::doubtful_keys) named last;
    /// a key without one is not in the history. Versions of other keys are passed over.
    pub fn settle(&mut self, versions_in_history: Vec<HistoryVersion>) {
        self.pending.settle(versions_in_history);
    }

    /// Takes everything out that was applied. The next flush starts on an index that includes it: when this one is not
    /// committed, this upserter is of no use any more.
    ///
    /// # Errors
    /// [`CdcError::Unsettled`], and nothing is taken, while changes wait for a look-up; [`CdcError::Arrow`] when a column
    /// can't be built, after which this upserter is of no use any more.
    pub fn take_flush(&mut self) -> Result<Flush, CdcError> {
        let unsettled: HashSet<&str> = self.pending.unsettled().collect();
        if !unsettled.is_empty() {
            return Err(CdcError::Unsettled { keys: unsettled.len() });
        }
        let pending = std::mem::take(&mut self.pending);
        self.columns.changes_made();
        flush::take(pending, &self.columns, &mut self.index, &self.settings.source_topic)
    }

    fn judge(
        &mut self,
        partition: i32,
        record: &RawRecord,
        value: &[u8],
        ingested_at_us: i64,
    ) -> Result<Judged, Rejection> {
        let writer_schemas = self.writer_schemas.clone();
        let written = match avro::is_framed(value) {
            true => Some(avro::text_of(&self.settings, &writer_schemas, value)?),
            false => None,
        };
        let text = written.as_ref().map_or(value, |(text, _)| text.as_bytes());
        let envelope = match envelope::read(&self.settings, text, record.timestamp_ms)? {
            Record::Tombstone => return Ok(Judged::Tombstone),
            Record::Change(envelope) => envelope,
        };
        let deletion = |key: String| {
            let operation = Operation::Delete;
            let version_hash = version_hash(operation.as_str(), envelope.order, [("", key.as_str())]);
            Version {
                key_hash: key_hash(&key),
                key: key.into(),
                order: envelope.order,
                version_hash,
                operation,
                values: Vec::new(),
                partition,
                offset: record.offset,
                ingested_at_us,
            }
        };
        let versions = match envelope.operation {
            Operation::Delete => {
                let before = RowFields::parse(envelope.before.unwrap_or("{}"))?;
                vec![deletion(row::required_key(&mut self.columns, "before", &before)?)]
            }
            operation => {
                let old_key = self.old_key(&envelope)?;
                let fields = RowFields::parse(envelope.after.unwrap_or("{}"))?;
                let in_record = envelope.schema.map(|schema| self.schemas.row_types(schema)).transpose()?;
                let types = match &written {
                    Some((_, schema)) => Some(schema.row_types()),
                    None => in_record.as_deref(),
                };
                let row = row::judge(&mut self.columns, self.settings.max_columns, types, &fields)?;
                let version = Version {
                    key_hash: key_hash(&row.key),
                    version_hash: version_hash(operation.as_str(), envelope.order, fields.present()),
                    values: row.values,
                    operation,
                    ..deletion(row.key)
                };
                let renamed = old_key.filter(|old_key| **old_key != *version.key);
                renamed.map(deletion).into_iter().chain([version]).collect()
            }
        };
        Ok(Judged::Versions(envelope.order.source_ts_ms, versions))
    }

    /// The key of an update's row before it, where the record says so.
    fn old_key(&mut self, envelope: &Envelope<'_>) -> Result<Option<String>, Rejection> {
        match envelope.before.filter(|_| envelope.operation == Operation::Update) {
            None => Ok(None),
            Some(before) => row::key(&mut self.columns, &RowFields::parse(before)?),
        }
    }

    fn add(&mut self, partition: i32, versions: Vec<Version>) {
        let mut brings_one = false;
        for version in versions {
            brings_one |= self.pending.add(version, &self.index);
        }
        if !brings_one {
            self.pending.position(partition).duplicates += 1;
        }
    }

    fn reject(
        &mut self,
        partition: i32,
        record: &RawRecord,
        value: &[u8],
        ingested_at_us: i64,
        rejection: Rejection,
    ) {
        let position = self.pending.position(partition);
        position.quarantined += 1;
        position.quarantine_rows += 1;
        self.pending.reject(InvalidRecord {
            partition,
            offset: record.offset,
            value: value.to_vec(),
            record_timestamp_ms: record.timestamp_ms,
            ingested_at_us,
            rejection,
        });
    }
}
