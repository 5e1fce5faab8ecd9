//! How healthy a table is, in numbers: for `pulselake tables inspect`, for the report of a maintenance run before and
//! after, and for metrics. Looks only; the field names of the JSON are stable.

mod files;

use std::collections::HashMap;
use std::time::Instant;

use chrono::Utc;
use iceberg::spec::ManifestContentType;
use iceberg::table::Table;
use pulselake_commit::Catalog;
use pulselake_ledger::PROPERTY;
use pulselake_read::{PartitionPredicate, plan_table_without_statistics};
use serde::Serialize;

use crate::janitor::{
    FileStore, LEASE_PROPERTY, LeaseRecord, MaintainError, OrphanSettings, Progress, find_orphans,
    present_lease,
};
pub use files::{FileHealth, PartitionFiles, SizeClass, size_class};

/// Partitions that a report names.
const BUSIEST_PARTITIONS: usize = 10;

/// The health of one table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableHealth {
    /// `namespace.name`.
    pub table: String,
    /// Where its files are.
    pub location: String,
    /// Iceberg format version.
    pub format_version: u8,
    /// The current snapshot; null for a table without one.
    pub snapshot_id: Option<i64>,
    /// Data files of the current snapshot.
    pub data_files: FileHealth,
    /// Its delete files.
    pub delete_files: DeleteFileHealth,
    /// Its manifests.
    pub manifests: ManifestHealth,
    /// The snapshots in the metadata.
    pub snapshots: SnapshotHealth,
    /// Metadata files in the log, the current one included.
    pub metadata_versions: u64,
    /// The partitions with the most data files.
    pub busiest_partitions: Vec<PartitionFiles>,
    /// How many partitions have files.
    pub partitions: u64,
    /// Files below the location that nothing leads to; null where they were not looked for.
    pub orphans: Option<OrphanEstimate>,
    /// Who maintains the table; null for nobody.
    pub lease: Option<LeaseRecord>,
    /// The lease property's text where it can't be read.
    pub unreadable_lease: Option<String>,
    /// The head of the ledger, as it is in the table's property; null for a table without one.
    pub ledger: Option<serde_json::Value>,
}

impl TableHealth {
    /// Data files of the partition that has the most; 0 for an empty table.
    pub fn fullest_partition_files(&self) -> u64 {
        self.busiest_partitions.first().map_or(0, |partition| partition.files)
    }
}

/// Delete files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeleteFileHealth {
    /// All of them.
    pub count: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Those that delete by key.
    pub equality: u64,
    /// Those that delete by position.
    pub position: u64,
    /// Data files to which at least one applies.
    pub data_files_touched: u64,
}

/// Manifests of the current snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ManifestHealth {
    /// All of them.
    pub count: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Those of delete files.
    pub delete_manifests: u64,
    /// How long it took just now to read them all and to find the deletes of each file, milliseconds.
    pub plan_ms: u64,
}

/// Snapshots in the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotHealth {
    /// All of them.
    pub count: u64,
    /// When the oldest was made, milliseconds since the epoch.
    pub oldest_ms: Option<i64>,
    /// When the newest was made, milliseconds since the epoch.
    pub newest_ms: Option<i64>,
    /// Age of the oldest by this host's clock, milliseconds.
    pub oldest_age_ms: Option<i64>,
}

/// Files that nothing leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrphanEstimate {
    /// Older than the safety age: the next maintenance removes them.
    pub files: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Younger: some of these belong to commits under way.
    pub too_young: u64,
}

/// How the orphans of a table are looked for: its location is listed, which takes long on a big table.
#[derive(Clone, Copy)]
pub struct OrphanLook<'a> {
    /// The store under the table.
    pub store: &'a dyn FileStore,
    /// Which files count.
    pub settings: OrphanSettings,
    /// Is told how far the listing is.
    pub progress: Progress<'a>,
}

/// The health of `table` as it is now.
pub async fn inspect(
    catalog: &dyn Catalog,
    table: &iceberg::TableIdent,
    orphans: Option<OrphanLook<'_>>,
) -> Result<TableHealth, MaintainError> {
    let loaded = catalog.load_existing(table).await?;
    let mut health = health_of(&loaded).await?;
    if let Some(look) = orphans {
        let scan = find_orphans(catalog, look.store, table, look.settings, look.progress).await?;
        let report = scan.report();
        health.orphans = Some(OrphanEstimate {
            files: report.orphans,
            bytes: report.orphan_bytes,
            too_young: report.too_young,
        });
    }
    Ok(health)
}

/// The health of a loaded table, without a look for orphans.
pub async fn health_of(table: &Table) -> Result<TableHealth, MaintainError> {
    let metadata = table.metadata();
    let begun = Instant::now();
    let plan = plan_table_without_statistics(table, None, &PartitionPredicate::all()).await?;
    let plan_ms = begun.elapsed().as_millis() as u64;

    let data_files = FileHealth::of(plan.files.iter().map(|planned| planned.data.file()));
    let busy = files::by_partition(metadata, &plan.files);
    let partitions = busy.len() as u64;
    let mut delete_files = DeleteFileHealth {
        data_files_touched: plan.files.iter().filter(|planned| !planned.deletes.is_empty()).count() as u64,
        ..DeleteFileHealth::default()
    };
    for delete in &plan.deletes {
        delete_files.count += 1;
        delete_files.bytes += delete.file().file_size_in_bytes();
        match delete.file().content_type() {
            iceberg::spec::DataContentType::EqualityDeletes => delete_files.equality += 1,
            _ => delete_files.position += 1,
        }
    }
    let manifests = ManifestHealth {
        count: plan.manifests.len() as u64,
        bytes: plan.manifests.iter().map(|manifest| manifest.bytes).sum(),
        delete_manifests: plan
            .manifests
            .iter()
            .filter(|manifest| manifest.content == ManifestContentType::Deletes)
            .count() as u64,
        plan_ms,
    };
    let (lease, unreadable_lease) = match present_lease(metadata) {
        Ok(lease) => (lease, None),
        Err(_) => (None, metadata.properties().get(LEASE_PROPERTY).cloned()),
    };
    Ok(TableHealth {
        table: table.identifier().to_string(),
        location: metadata.location().to_string(),
        format_version: metadata.format_version() as u8,
        snapshot_id: metadata.current_snapshot_id(),
        data_files,
        delete_files,
        manifests,
        snapshots: snapshot_health(table),
        metadata_versions: metadata.metadata_log().len() as u64 + 1,
        busiest_partitions: busy.into_iter().take(BUSIEST_PARTITIONS).collect(),
        partitions,
        orphans: None,
        lease,
        unreadable_lease,
        ledger: ledger_head(metadata.properties()),
    })
}

fn snapshot_health(table: &Table) -> SnapshotHealth {
    let times = || table.metadata().snapshots().map(|snapshot| snapshot.timestamp_ms());
    let oldest_ms = times().min();
    SnapshotHealth {
        count: times().count() as u64,
        oldest_ms,
        newest_ms: times().max(),
        oldest_age_ms: oldest_ms.map(|oldest| Utc::now().timestamp_millis() - oldest),
    }
}

/// The property as JSON; as a string where it is none.
fn ledger_head(properties: &HashMap<String, String>) -> Option<serde_json::Value> {
    let text = properties.get(PROPERTY)?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_passed_through_whatever_it_is() {
        let with = |text: &str| ledger_head(&HashMap::from([(PROPERTY.to_string(), text.to_string())]));
        assert_eq!(with(r#"{"version":1}"#), Some(serde_json::json!({"version": 1})));
        assert_eq!(with("{broken"), Some(serde_json::json!("{broken")));
        assert_eq!(ledger_head(&HashMap::new()), None);
    }
}
