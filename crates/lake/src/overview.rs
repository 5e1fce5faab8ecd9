//! What a table holds, for people: from the metadata alone, without opening a data file.

use iceberg::spec::TableMetadata;
use pulselake_ledger::Ledger;
use pulselake_model::tables::LakeTable;

use crate::lake::trusted_ledger;
use crate::{Lake, LakeError};

/// One table at one moment.
#[derive(Debug)]
pub struct TableOverview {
    /// Which.
    pub table: LakeTable,
    /// Where its files are.
    pub location: String,
    /// Its current metadata file.
    pub metadata_location: String,
    /// Snapshots in the metadata.
    pub snapshots: usize,
    /// The current one; `None` for a table without a commit.
    pub current_snapshot_id: Option<i64>,
    /// When it was committed, milliseconds since the epoch.
    pub current_snapshot_at_ms: Option<i64>,
    /// Live data files.
    pub data_files: u64,
    /// Their rows.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What the table has consumed; the error says what to do where the ledger can't be trusted.
    pub ledger: Result<Option<Ledger>, LakeError>,
}

impl Lake {
    /// Looks at one table. Its ledger may be in error without the rest being so.
    pub async fn table_overview(&self, table: LakeTable) -> Result<TableOverview, LakeError> {
        let loaded = self.load(table).await?;
        let metadata = loaded.metadata();
        let current = metadata.current_snapshot();
        Ok(TableOverview {
            table,
            location: metadata.location().to_string(),
            metadata_location: loaded.metadata_location().unwrap_or_default().to_string(),
            snapshots: metadata.snapshots().len(),
            current_snapshot_id: metadata.current_snapshot_id(),
            current_snapshot_at_ms: current.map(|snapshot| snapshot.timestamp_ms()),
            data_files: total(metadata, "total-data-files"),
            records: total(metadata, "total-records"),
            bytes: total(metadata, "total-files-size"),
            ledger: trusted_ledger(table, metadata),
        })
    }

    /// Where the catalog is, for messages; without secrets.
    pub fn describe_catalog(&self) -> String {
        self.catalog().describe()
    }
}

fn total(metadata: &TableMetadata, key: &str) -> u64 {
    metadata
        .current_snapshot()
        .and_then(|snapshot| snapshot.summary().additional_properties.get(key))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
