//! The handle on catalog and warehouse: open, create the tables, load, read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iceberg::expr::Predicate;
use iceberg::io::{FileIO, FileIOBuilder};
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{MetadataLocation, Runtime};
use parking_lot::Mutex;
use pulselake_ledger::{AncestryVerdict, Ledger, PROPERTY, judge_ancestry};
use pulselake_model::tables::HotTable;
use pulselake_telemetry::events;

use crate::catalog::{CatalogStore, database_path};
use crate::storage::{LocalStorageFactory, local_path};
use crate::view::BatchStream;
use crate::{LakeError, tables};

/// Where the lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeSettings {
    /// `sqlite:///absolute/path/catalog.db`.
    pub catalog_uri: String,
    /// `file:///absolute/path/warehouse`.
    pub warehouse: String,
    /// Whether files, directories and the catalog are synced to disk before they count as written. Off: faster, and a
    /// power cut may lose or tear the last commits (a killed process does not).
    pub fsync: bool,
}

impl LakeSettings {
    /// Whether this version can speak to the catalog and write to the warehouse: their paths, without looking at them.
    pub fn check(&self) -> Result<(PathBuf, PathBuf), LakeError> {
        let catalog_path = database_path(&self.catalog_uri)?;
        let warehouse = self.warehouse.trim_end_matches('/').to_string();
        let local = warehouse.strip_prefix("file://").filter(|path| path.starts_with('/'));
        let directory = local.and_then(|_| local_path(&warehouse).ok());
        match directory {
            Some(path) => Ok((catalog_path, path)),
            None => Err(LakeError::UnsupportedWarehouse { warehouse }),
        }
    }
}

/// Whether [`Lake::open`] may create the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create catalog and warehouse directory where they are not there.
    CreateIfMissing,
    /// Refuse, with what to do, where there is no catalog.
    MustExist,
}

/// Bounds of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitLimits {
    /// How long one commit may go on retrying conflicts and locks.
    pub patience: Duration,
    /// How long to wait for the catalog's answer to one swap before its outcome counts as unknown.
    pub answer_timeout: Duration,
    /// Snapshots a table keeps in its metadata; older ones are dropped from it by the next commit.
    pub max_snapshots: usize,
    /// A commit merges the small manifests of its base into one when there are this many.
    pub manifests_to_merge: usize,
}

impl Default for CommitLimits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(20),
            max_snapshots: 500,
            manifests_to_merge: 100,
        }
    }
}

/// Catalog and warehouse. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    shared: Arc<Shared>,
    limits: CommitLimits,
}

#[derive(Debug)]
struct Shared {
    catalog: CatalogStore,
    warehouse: String,
    file_io: FileIO,
    runtime: Runtime,
    /// The last parsed state of each table; used again as long as the catalog names the same metadata file.
    loaded: Mutex<HashMap<HotTable, Table>>,
}

impl Lake {
    /// Opens catalog and warehouse. Must be called inside the tokio runtime that serves the lake for all its life.
    pub async fn open(settings: &LakeSettings, mode: OpenMode) -> Result<Self, LakeError> {
        let (catalog_path, directory) = settings.check()?;
        let warehouse = settings.warehouse.trim_end_matches('/').to_string();
        let create = mode == OpenMode::CreateIfMissing;
        if create {
            create_directory(directory).await?;
        }
        let catalog = CatalogStore::open(catalog_path, create, settings.fsync).await?;
        let runtime = Runtime::try_current().map_err(LakeError::iceberg("open", "the lake"))?;
        let file_io = FileIOBuilder::new(Arc::new(LocalStorageFactory { fsync: settings.fsync })).build();
        let shared = Shared { catalog, warehouse, file_io, runtime, loaded: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), limits: CommitLimits::default() })
    }

    /// The same lake with other bounds for the commits made through this handle.
    pub fn with_commit_limits(mut self, limits: CommitLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Creates the namespaces and hot tables that are missing, and verifies those that are there. For each table,
    /// whether it was created now.
    pub async fn ensure_tables(&self) -> Result<Vec<(HotTable, bool)>, LakeError> {
        let mut done = Vec::with_capacity(HotTable::ALL.len());
        for table in HotTable::ALL {
            self.shared.catalog.add_namespace(table.namespace()).await?;
            let created = match self.shared.catalog.metadata_location(table).await? {
                Some(_) => false,
                None => self.create(table).await?,
            };
            // Also verifies: another process may have been faster, with another build.
            self.load(table).await?;
            done.push((table, created));
        }
        Ok(done)
    }

    async fn create(&self, table: HotTable) -> Result<bool, LakeError> {
        let name = table.full_name();
        let failed = || LakeError::iceberg("create", name);
        let location = format!("{}/{}/{}", self.shared.warehouse, table.namespace(), table.name());
        if has_commits(&location).await {
            let catalog = self.shared.catalog.path().to_path_buf();
            return Err(LakeError::CatalogLost { table: name.to_string(), catalog, location });
        }
        let creation = tables::creation(table, location.clone()).map_err(failed())?;
        let metadata = TableMetadataBuilder::from_table_creation(creation)
            .and_then(TableMetadataBuilder::build)
            .map_err(failed())?
            .metadata;
        let metadata_location = MetadataLocation::new_with_metadata(location, &metadata);
        metadata.write_to(&self.shared.file_io, &metadata_location).await.map_err(failed())?;
        let created = self.shared.catalog.add_table(table, &metadata_location.to_string()).await?;
        if !created {
            self.delete_quietly(&metadata_location.to_string()).await;
        }
        Ok(created)
    }

    /// The table as the catalog has it now. The metadata is parsed again only when it has changed.
    pub async fn load(&self, table: HotTable) -> Result<Table, LakeError> {
        let name = table.full_name();
        let mut gone = None;
        loop {
            let Some(location) = self.shared.catalog.metadata_location(table).await? else {
                return Err(LakeError::TableMissing { table: name.to_string() });
            };
            let cached = self.shared.loaded.lock().get(&table).cloned();
            if let Some(known) = cached.filter(|known| known.metadata_location() == Some(location.as_str())) {
                return Ok(known);
            }
            match TableMetadata::read_from(&self.shared.file_io, &location).await {
                Ok(metadata) => {
                    tables::verify(table, &metadata)?;
                    return self.remember(table, metadata, location);
                }
                // Between the question and the reading others may have committed so often that the file left the log.
                Err(_) if gone.as_ref() != Some(&location) => gone = Some(location),
                Err(error) => return Err(LakeError::iceberg("read the metadata of", name)(error)),
            }
        }
    }

    /// The table as this process saw it last; only the first time the catalog is asked. Enough for writing data files:
    /// their layout is the same in every state, and a catalog that does not answer must stop commits alone.
    pub(crate) async fn last_known(&self, table: HotTable) -> Result<Table, LakeError> {
        let known = self.shared.loaded.lock().get(&table).cloned();
        match known {
            Some(known) => Ok(known),
            None => self.load(table).await,
        }
    }

    /// Keeps `metadata` as the table's last known state.
    pub(crate) fn remember(
        &self,
        table: HotTable,
        metadata: TableMetadata,
        location: String,
    ) -> Result<Table, LakeError> {
        let built = Table::builder()
            .identifier(tables::ident(table))
            .metadata(metadata)
            .metadata_location(location)
            .file_io(self.shared.file_io.clone())
            .runtime(self.shared.runtime.clone())
            .build()
            .map_err(LakeError::iceberg("open", table.full_name()))?;
        self.shared.loaded.lock().insert(table, built.clone());
        Ok(built)
    }

    /// What the table has consumed; `None` where the engine never committed to it. A table that was rolled back, or
    /// that lost its property, is an error.
    pub async fn ledger(&self, table: HotTable) -> Result<Option<Ledger>, LakeError> {
        let loaded = self.load(table).await?;
        trusted_ledger(table, loaded.metadata())
    }

    /// Reads `columns` (all, where empty) of the current snapshot, in no particular order, through the iceberg crate's
    /// scan: for append-only tables. Binary columns come as `LargeBinary`.
    pub async fn scan(
        &self,
        table: HotTable,
        columns: &[&str],
        filter: Option<Predicate>,
    ) -> Result<BatchStream, LakeError> {
        self.view(table).await?.scan(columns, filter, None).await
    }

    /// Deletes a data file that no snapshot refers to: one of a commit that was refused with a known outcome.
    pub async fn delete_file(&self, location: &str) -> Result<(), LakeError> {
        self.shared.file_io.delete(location).await.map_err(LakeError::iceberg("delete", location))
    }

    pub(crate) fn catalog(&self) -> &CatalogStore {
        &self.shared.catalog
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.shared.runtime
    }

    pub(crate) fn file_io(&self) -> &FileIO {
        &self.shared.file_io
    }

    /// Bounds of the commits made through this handle.
    pub fn limits(&self) -> &CommitLimits {
        &self.limits
    }

    /// Deletes a file that nothing refers to. What fails is the janitor's.
    pub(crate) async fn delete_quietly(&self, location: &str) {
        if let Err(error) = self.shared.file_io.delete(location).await {
            tracing::warn!(location, %error, "could not delete a file that is not needed any more");
        }
    }
}

/// Whether the files of a table that was committed to lie there. Metadata of a table without a commit may stem from a
/// creation that broke off before the catalog knew of it.
async fn has_commits(location: &str) -> bool {
    let Ok(directory) = local_path(location) else { return false };
    let Ok(mut entries) = tokio::fs::read_dir(directory.join("metadata")).await else { return false };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".metadata.json") && !name.starts_with("00000-") && !name.starts_with('.') {
            return true;
        }
    }
    false
}

async fn create_directory(directory: PathBuf) -> Result<(), LakeError> {
    tokio::fs::create_dir_all(&directory).await.map_err(|source| LakeError::Io {
        action: "create the directory",
        path: directory,
        source,
    })
}

/// The ledger text of the nearest ancestor of the current snapshot that has one.
pub(crate) fn nearest_ledger(metadata: &TableMetadata) -> Option<&str> {
    let mut snapshot = metadata.current_snapshot();
    while let Some(current) = snapshot {
        if let Some(text) = current.summary().additional_properties.get(PROPERTY) {
            return Some(text);
        }
        snapshot = current.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent));
    }
    None
}

/// The ledger that a decision may rely on: rule 2.
pub(crate) fn trusted_ledger(table: HotTable, metadata: &TableMetadata) -> Result<Option<Ledger>, LakeError> {
    let name = || table.full_name().to_string();
    let property = metadata.properties().get(PROPERTY).map(String::as_str);
    let verdict = judge_ancestry(property, nearest_ledger(metadata))
        .map_err(|source| LakeError::Ledger { table: name(), source })?;
    match verdict {
        AncestryVerdict::Fresh => Ok(None),
        AncestryVerdict::Consistent(ledger) => Ok(Some(ledger)),
        AncestryVerdict::TrustProperty(ledger) => {
            events::ledger_without_snapshot(table);
            Ok(Some(ledger))
        }
        AncestryVerdict::RolledBack { .. } => Err(LakeError::RolledBack { table: name() }),
        AncestryVerdict::PropertyMissing { .. } => Err(LakeError::PropertyMissing { table: name() }),
    }
}
