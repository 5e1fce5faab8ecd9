//! What a reader of the changes must come to, straight from the plan and not from the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulselake_model::ErrorCode;

use super::log::CdcPartitionLog;
use super::plan::CdcRecordKind;
use super::rows::{CdcRow, ChangeOperation};
use super::world::CdcWorld;
use crate::GeneratorError;
use crate::world::INDEX_BITS;

/// What one key must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTruth {
    /// The row; `None`: deleted.
    pub row: Option<CdcRow>,
    /// The last version's operation.
    pub operation: ChangeOperation,
    /// The last version's `source.lsn`.
    pub position: i64,
    /// The last version's `source.ts_ms`.
    pub source_ts_ms: i64,
    /// Versions in all, snapshots included.
    pub versions: u64,
}

/// What the records before some offsets come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdcTruth {
    /// All records.
    pub records: u64,
    /// Of these, versions delivered for the first time: the rows of a history.
    pub versions: u64,
    /// Of the versions, those that came after a newer one of their key.
    pub late: u64,
    /// Of the records, versions delivered again.
    pub repeats: u64,
    /// Of the records, tombstones.
    pub tombstones: u64,
    /// Of the records, those that must end in quarantine, indexed by [`ErrorCode`] as a number.
    pub rejected_by_code: [u64; ErrorCode::COUNT],
    /// Every key that has a version, by its number.
    pub keys: BTreeMap<u64, KeyTruth>,
}

impl CdcTruth {
    /// Goes through the plan of all partitions up to `end_offsets` (one a partition, in their order): what lies at or
    /// behind them does not count. Memory grows with the number of keys.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchPartition`] when there are more offsets than partitions, [`GeneratorError::NoSuchOffset`]
    /// when the log ends before one of them.
    pub fn up_to(world: &Arc<CdcWorld>, end_offsets: &[i64]) -> Result<Self, GeneratorError> {
        let mut truth = Self::default();
        for (partition, end_offset) in (0..).zip(end_offsets) {
            let mut log = CdcPartitionLog::in_world(world.clone(), partition)?;
            // The block of the last offset that counts; without any, none.
            for block in 0..=(end_offset - 1) >> INDEX_BITS {
                for record in log.records_of_block(block)?.take_while(|record| record.offset < *end_offset) {
                    truth.records += 1;
                    match record.kind {
                        CdcRecordKind::Repeat(_) => truth.repeats += 1,
                        CdcRecordKind::Tombstone => truth.tombstones += 1,
                        CdcRecordKind::Malformed(kind) => {
                            truth.rejected_by_code[kind.error_code() as usize] += 1;
                        }
                        CdcRecordKind::Version(operation) => {
                            let row = world.row(record.key, record.version);
                            let (position, source_ts_ms) = (record.position, record.source_ts_ms);
                            let version = KeyTruth { row, operation, position, source_ts_ms, versions: 1 };
                            truth.take_version(record.key, version);
                        }
                    }
                }
            }
        }
        Ok(truth)
    }

    /// Keys that are there.
    pub fn rows(&self) -> impl Iterator<Item = (u64, &CdcRow)> {
        self.keys.iter().filter_map(|(key, truth)| Some((*key, truth.row.as_ref()?)))
    }

    fn take_version(&mut self, key: u64, version: KeyTruth) {
        self.versions += 1;
        let Some(known) = self.keys.get_mut(&key) else {
            self.keys.insert(key, version);
            return;
        };
        let versions = known.versions + 1;
        if (version.position, version.source_ts_ms) < (known.position, known.source_ts_ms) {
            self.late += 1;
            known.versions = versions;
        } else {
            *known = KeyTruth { versions, ..version };
        }
    }
}
