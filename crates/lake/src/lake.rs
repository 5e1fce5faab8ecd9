//! The handle on catalog and warehouse: open, create the tables, load, read.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use iceberg::expr::Predicate;
use iceberg::spec::{DataFile, FormatVersion, TableMetadata};
use iceberg::table::Table;
use iceberg::{Runtime, TableIdent};
use parking_lot::Mutex;
use pulselake_commit::catalog::open as open_catalog;
use pulselake_commit::{Catalog, CommitLimits, nearest_summary_value};
use pulselake_ledger::{AncestryVerdict, Ledger, PROPERTY, judge_ancestry};
use pulselake_model::tables::LakeTable;
use pulselake_store::Warehouse;
use pulselake_telemetry::events;

use crate::settings::LakeSettings;
use crate::tables::{ident, namespace};
use crate::view::BatchStream;
use crate::{LakeError, tables};

/// Whether [`Lake::open`] may create the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create catalog and warehouse directory where they are not there.
    CreateIfMissing,
    /// Refuse, with what to do, where there is no catalog.
    MustExist,
}

/// Catalog and warehouse. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    shared: Arc<Shared>,
    limits: CommitLimits,
}

#[derive(Debug)]
struct Shared {
    catalog: Arc<dyn Catalog>,
    warehouse: Warehouse,
    /// Where new tables lie; `None` where the catalog decides.
    tables_location: Option<String>,
    format_version: FormatVersion,
    runtime: Runtime,
    /// The metadata file of each table that was found to be as this build made it.
    verified: Mutex<HashMap<LakeTable, String>>,
}

impl Lake {
    /// Opens catalog and warehouse. Must be called inside the tokio runtime that serves the lake for all its life.
    pub async fn open(settings: &LakeSettings, mode: OpenMode) -> Result<Self, LakeError> {
        let place = settings.check()?;
        let create = mode == OpenMode::CreateIfMissing;
        if create && let Some(directory) = place.local_directory() {
            create_directory(directory).await?;
        }
        let runtime = Runtime::try_current().map_err(LakeError::iceberg("open", "the lake"))?;
        let files = Arc::new(place.warehouse.clone());
        let catalog = open_catalog(&settings.catalog_settings(), create, files, runtime.clone()).await?;
        let shared = Shared {
            catalog,
            warehouse: place.warehouse,
            tables_location: place.tables_location,
            format_version: settings.format_version,
            runtime,
            verified: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), limits: CommitLimits::default() })
    }

    /// The same lake with other bounds for the commits made through this handle.
    pub fn with_commit_limits(mut self, limits: CommitLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Creates those of `tables` that are missing, with their namespaces, and verifies those that are there. For each
    /// table, whether it was created now.
    pub async fn ensure_tables(&self, tables: &[LakeTable]) -> Result<Vec<(LakeTable, bool)>, LakeError> {
        let mut done = Vec::with_capacity(tables.len());
        for &table in tables {
            self.shared.catalog.create_namespace(&namespace(table)).await?;
            let created = match self.shared.catalog.load(&ident(table)).await? {
                Some(_) => false,
                None => self.create(table).await?,
            };
            // Also verifies: another process may have been faster, with another build.
            self.load(table).await?;
            done.push((table, created));
        }
        Ok(done)
    }

    /// Those of the engine's tables that the catalog has.
    pub async fn existing_tables(&self) -> Result<Vec<LakeTable>, LakeError> {
        let known: HashSet<TableIdent> = self.shared.catalog.list_tables().await?.into_iter().collect();
        Ok(LakeTable::ALL.into_iter().filter(|table| known.contains(&tables::ident(*table))).collect())
    }

    async fn create(&self, table: LakeTable) -> Result<bool, LakeError> {
        let name = table.full_name();
        let location = self
            .shared
            .tables_location
            .as_ref()
            .map(|warehouse| format!("{warehouse}/{}/{}", table.namespace(), table.name()));
        if let Some(taken) = &location
            && self.has_commits(taken).await?
        {
            let catalog = self.shared.catalog.describe();
            return Err(LakeError::CatalogLost { table: name.to_string(), catalog, location: taken.clone() });
        }
        let creation = tables::creation(table, location, self.shared.format_version)
            .map_err(LakeError::iceberg("create", name))?;
        Ok(self.shared.catalog.create_table(&tables::namespace(table), creation).await?)
    }

    /// The table as the catalog has it now. It is verified again only when its metadata has changed.
    pub async fn load(&self, table: LakeTable) -> Result<Table, LakeError> {
        let loaded = self.shared.catalog.load_existing(&tables::ident(table)).await?;
        let location = loaded.metadata_location().unwrap_or_default().to_string();
        if self.shared.verified.lock().get(&table) != Some(&location) {
            tables::verify(table, loaded.metadata())?;
            self.shared.verified.lock().insert(table, location);
        }
        Ok(loaded)
    }

    /// The table as this process saw it last; only the first time the catalog is asked. Enough for writing data files:
    /// their layout is the same in every state, and a catalog that does not answer must stop commits alone.
    pub(crate) async fn last_known(&self, table: LakeTable) -> Result<Table, LakeError> {
        match self.shared.catalog.last_known(&tables::ident(table)) {
            Some(known) => Ok(known),
            None => self.load(table).await,
        }
    }

    /// What the table has consumed; `None` where the engine never committed to it. A table that was rolled back, or
    /// that lost its property, is an error.
    pub async fn ledger(&self, table: LakeTable) -> Result<Option<Ledger>, LakeError> {
        let loaded = self.load(table).await?;
        trusted_ledger(table, loaded.metadata())
    }

    /// Reads `columns` (all, where empty) of the current snapshot, in no particular order, through the iceberg crate's
    /// scan: for append-only tables. Binary columns come as `LargeBinary`.
    pub async fn scan(
        &self,
        table: LakeTable,
        columns: &[&str],
        filter: Option<Predicate>,
    ) -> Result<BatchStream, LakeError> {
        self.view(table).await?.scan(columns, filter, None).await
    }

    /// Reads `columns` (all, where empty) of the current snapshot, in no particular order, with deletes applied and in the
    /// table's current schema: for dimensions, and every other table. Fields carry their ids in the metadata.
    pub async fn read(&self, table: LakeTable, columns: &[&str]) -> Result<BatchStream, LakeError> {
        self.view(table).await?.read(columns).await
    }

    /// Deletes a data file that no snapshot refers to: one of a commit that was refused with a known outcome.
    pub async fn delete_file(&self, table: LakeTable, location: &str) -> Result<(), LakeError> {
        let known = self.last_known(table).await?;
        known.file_io().delete(location).await.map_err(LakeError::iceberg("delete", location))
    }

    /// Deletes the files of a commit that is certainly in no snapshot. What resists is logged, and the janitor's.
    pub(crate) async fn discard_files(&self, table: LakeTable, files: &[DataFile]) {
        for file in files {
            if let Err(error) = self.delete_file(table, file.file_path()).await {
                tracing::warn!(path = file.file_path(), %error, "could not delete a file of a refused commit");
            }
        }
    }

    /// Whether the files of a table that was committed to lie there. Metadata of a table without a commit may stem from
    /// a creation that broke off before the catalog knew of it.
    async fn has_commits(&self, location: &str) -> Result<bool, LakeError> {
        let mut files = self.shared.warehouse.list(&format!("{location}/metadata"));
        while let Some(file) = files.try_next().await? {
            let name = file.location.rsplit('/').next().unwrap_or_default();
            if name.ends_with(".metadata.json") && !name.starts_with("00000-") && !name.starts_with('.') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The catalog, for work beside the stream.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.shared.catalog
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.shared.runtime
    }

    /// The files, for work beside the stream.
    pub fn warehouse(&self) -> &Warehouse {
        &self.shared.warehouse
    }

    /// Bounds of the commits made through this handle.
    pub fn limits(&self) -> &CommitLimits {
        &self.limits
    }
}

async fn create_directory(directory: PathBuf) -> Result<(), LakeError> {
    tokio::fs::create_dir_all(&directory).await.map_err(|source| LakeError::Io {
        action: "create the directory",
        path: directory,
        source,
    })
}

/// The ledger that a decision may rely on: rule 2.
pub(crate) fn trusted_ledger(
    table: LakeTable,
    metadata: &TableMetadata,
) -> Result<Option<Ledger>, LakeError> {
    let name = || table.full_name().to_string();
    let property = metadata.properties().get(PROPERTY).map(String::as_str);
    let verdict = judge_ancestry(property, nearest_summary_value(metadata, PROPERTY))
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
