//! A catalog in a SQL database: each table's current metadata file is a row, and a compare-and-set moves it.
//!
//! The tables are those of Iceberg's JDBC catalog, as PyIceberg's `SqlCatalog` and the iceberg crate read them. The
//! crate's own catalog is not used: it ignores the outcome of COMMIT, and its swap is not reachable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use iceberg::io::FileIO;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{
    MetadataLocation, NamespaceIdent, Runtime, TableCreation, TableIdent, TableRequirement, TableUpdate,
};
use parking_lot::Mutex;

use super::postgres::PostgresStore;
use super::rows::{RowStore, RowSwap, TableKey};
use super::sqlite::SqliteStore;
use super::stage::{Staged, stage};
use super::{Catalog, Swap, SwapBounds, Timeouts};
use crate::CatalogError;
use crate::commit::back_off;
use crate::commit::delete_quietly;
use crate::failpoint::{self, Injected};

pub(crate) use super::postgres::{
    advice as postgres_advice, is_busy as is_postgres_busy, may_pass as postgres_may_pass,
};
pub use super::sqlite::sqlite_path;
pub(crate) use super::sqlite::{advice as sqlite_advice, is_busy as is_sqlite_busy};

/// A SQL catalog.
#[derive(Debug)]
pub struct SqlCatalog {
    store: Arc<dyn RowStore>,
    /// The name under which its rows are kept.
    name: String,
    file_io: FileIO,
    runtime: Runtime,
    /// The last parsed state of each table; used again as long as the catalog names the same metadata file.
    loaded: Mutex<HashMap<TableIdent, Table>>,
}

impl SqlCatalog {
    /// Opens a SQLite catalog, creating the file and its tables where `create` says so. `fsync`: whether a commit is on
    /// disk before it is answered.
    pub async fn open_sqlite(
        path: std::path::PathBuf,
        create: bool,
        fsync: bool,
        name: &str,
        file_io: FileIO,
        runtime: Runtime,
    ) -> Result<Self, CatalogError> {
        let store = Arc::new(SqliteStore::open(path, create, fsync).await?);
        Ok(Self::over(store, name, file_io, runtime))
    }

    /// Opens a PostgreSQL catalog, creating its tables where `create` says so. `uri` is libpq's; a password that it does
    /// not hold comes from PGPASSWORD or the password file, as libpq has it.
    pub async fn open_postgres(
        uri: &str,
        create: bool,
        name: &str,
        timeouts: Timeouts,
        file_io: FileIO,
        runtime: Runtime,
    ) -> Result<Self, CatalogError> {
        let store = Arc::new(PostgresStore::open(uri, create, timeouts).await?);
        Ok(Self::over(store, name, file_io, runtime))
    }

    fn over(store: Arc<dyn RowStore>, name: &str, file_io: FileIO, runtime: Runtime) -> Self {
        Self { store, name: name.to_string(), file_io, runtime, loaded: Mutex::default() }
    }

    async fn metadata_location(&self, table: &TableIdent) -> Result<Option<String>, CatalogError> {
        let point = "lake::catalog_read";
        let ask = || {
            let (store, key) = (self.store.clone(), self.key(table));
            async move { store.metadata_location(&key).await }
        };
        failpoint::request(point, ask, |_| Err(CatalogError::Injected { point })).await
    }

    async fn swap_row(&self, table: &TableIdent, old: &str, new: &str) -> RowSwap {
        let point = "lake::catalog_swap";
        let ask = || {
            let (store, key) = (self.store.clone(), self.key(table));
            let (from, to) = (old.to_string(), new.to_string());
            async move { store.swap(&key, &from, &to).await }
        };
        failpoint::request(point, ask, |injected| match injected {
            Injected::Error => RowSwap::Refused(CatalogError::Injected { point }),
            Injected::Unknown => RowSwap::Unknown(CatalogError::Injected { point }),
        })
        .await
    }

    fn key(&self, table: &TableIdent) -> TableKey {
        TableKey {
            catalog: self.name.clone(),
            namespace: table.namespace().as_ref().join("."),
            name: table.name().to_string(),
        }
    }

    fn remember(
        &self,
        table: &TableIdent,
        metadata: TableMetadata,
        location: String,
    ) -> Result<Table, CatalogError> {
        let built = Table::builder()
            .identifier(table.clone())
            .metadata(metadata)
            .metadata_location(location)
            .file_io(self.file_io.clone())
            .runtime(self.runtime.clone())
            .build()
            .map_err(CatalogError::iceberg("open", &table.to_string()))?;
        self.loaded.lock().insert(table.clone(), built.clone());
        Ok(built)
    }

    /// Asks until the database is free or the deadline has come.
    async fn swap_until(&self, table: &TableIdent, old: &str, new: &str, bounds: SwapBounds) -> RowSwap {
        let point = "lake::before_catalog_swap";
        match failpoint::reach(point).await {
            Some(Injected::Unknown) => return RowSwap::Unknown(CatalogError::Injected { point }),
            Some(Injected::Error) => return RowSwap::Refused(CatalogError::Injected { point }),
            None => {}
        }
        let mut refusals = 0;
        loop {
            let outcome = self.swap_in_time(table, old, new, bounds).await;
            let busy = matches!(&outcome, RowSwap::Refused(error) if error.is_busy());
            if !busy || Instant::now() >= bounds.deadline {
                let after = "lake::after_catalog_swap";
                if matches!(outcome, RowSwap::Done)
                    && failpoint::reach(after).await == Some(Injected::Unknown)
                {
                    return RowSwap::Unknown(CatalogError::Injected { point: after });
                }
                return outcome;
            }
            refusals += 1;
            back_off(refusals).await;
        }
    }

    /// One swap. Without an answer in time the outcome is unknown: the request may still be on its way.
    async fn swap_in_time(&self, table: &TableIdent, old: &str, new: &str, bounds: SwapBounds) -> RowSwap {
        let timeout = bounds.answer_timeout;
        match tokio::time::timeout(timeout, self.swap_row(table, old, new)).await {
            Ok(outcome) => outcome,
            Err(_) => RowSwap::Unknown(CatalogError::NoAnswer {
                table: table.to_string(),
                waited_ms: timeout.as_millis() as u64,
            }),
        }
    }

    async fn write_metadata(&self, table: &TableIdent, staged: &Staged) -> Result<(), CatalogError> {
        let name = table.to_string();
        if failpoint::reach("lake::before_metadata_write").await.is_some() {
            return Err(CatalogError::Injected { point: "lake::before_metadata_write" });
        }
        let written = staged.metadata.write_to(&self.file_io, &staged.location).await;
        let failed = match written {
            Err(error) => Some(CatalogError::iceberg("write the metadata of", &name)(error)),
            Ok(()) if failpoint::reach("lake::after_metadata_write").await.is_some() => {
                Some(CatalogError::Injected { point: "lake::after_metadata_write" })
            }
            Ok(()) => None,
        };
        match failed {
            None => Ok(()),
            Some(error) => {
                delete_quietly(&self.file_io, &staged.location.to_string()).await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Catalog for SqlCatalog {
    fn describe(&self) -> String {
        self.store.describe()
    }

    async fn load(&self, table: &TableIdent) -> Result<Option<Table>, CatalogError> {
        let mut gone = None;
        loop {
            let Some(location) = self.metadata_location(table).await? else {
                return Ok(None);
            };
            let cached = self.last_known(table);
            if let Some(known) = cached.filter(|known| known.metadata_location() == Some(location.as_str())) {
                return Ok(Some(known));
            }
            match TableMetadata::read_from(&self.file_io, &location).await {
                Ok(metadata) => return self.remember(table, metadata, location).map(Some),
                // Between the question and the reading others may have committed so often that the file left the log.
                Err(_) if gone.as_ref() != Some(&location) => gone = Some(location),
                Err(error) => {
                    return Err(CatalogError::iceberg("read the metadata of", &table.to_string())(error));
                }
            }
        }
    }

    fn last_known(&self, table: &TableIdent) -> Option<Table> {
        self.loaded.lock().get(table).cloned()
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError> {
        self.store.add_namespace(&self.name, &namespace.as_ref().join(".")).await
    }

    async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        creation: TableCreation,
    ) -> Result<bool, CatalogError> {
        let table = TableIdent::new(namespace.clone(), creation.name.clone());
        let full_name = table.to_string();
        let failed = || CatalogError::iceberg("create", &full_name);
        let location =
            creation.location.clone().ok_or_else(|| CatalogError::NoLocation { table: table.to_string() })?;
        let metadata = TableMetadataBuilder::from_table_creation(creation)
            .and_then(TableMetadataBuilder::build)
            .map_err(failed())?
            .metadata;
        let metadata_location = MetadataLocation::new_with_metadata(location, &metadata);
        metadata.write_to(&self.file_io, &metadata_location).await.map_err(failed())?;
        let path = metadata_location.to_string();
        let created = self.store.add_table(&self.key(&table), &path).await?;
        if !created {
            delete_quietly(&self.file_io, &path).await;
        }
        Ok(created)
    }

    async fn list_tables(&self) -> Result<Vec<TableIdent>, CatalogError> {
        let rows = self.store.list_tables(&self.name).await?;
        rows.into_iter()
            .map(|(namespace, name)| {
                let parts = namespace.split('.').map(str::to_string).collect();
                let namespace =
                    NamespaceIdent::from_vec(parts).map_err(CatalogError::iceberg("list", &namespace))?;
                Ok(TableIdent::new(namespace, name))
            })
            .collect()
    }

    async fn swap(
        &self,
        base: &Table,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
        bounds: SwapBounds,
    ) -> Swap {
        let table = base.identifier();
        let name = table.to_string();
        let staged = match stage(base, &requirements, updates) {
            Ok(staged) => staged,
            Err(error) => return Swap::Refused(CatalogError::iceberg("commit to", &name)(error)),
        };
        let old_location = match base.metadata_location_result() {
            Ok(location) => location,
            Err(error) => return Swap::Refused(CatalogError::iceberg("commit to", &name)(error)),
        };
        if let Err(error) = self.write_metadata(table, &staged).await {
            return Swap::Refused(error);
        }
        let new_location = staged.location.to_string();
        match self.swap_until(table, old_location, &new_location, bounds).await {
            RowSwap::Done => {}
            RowSwap::Unknown(error) => return Swap::Unknown(error),
            RowSwap::Conflict => {
                // A conflict may hide that the row stands at this very file: a request that was delivered twice.
                match self.metadata_location(table).await {
                    Ok(Some(now)) if now == new_location => {}
                    Ok(_) if self.is_in_log(table, &new_location).await => {}
                    Ok(_) => delete_quietly(&self.file_io, &new_location).await,
                    Err(error) => return Swap::Unknown(error),
                }
                return Swap::Conflict;
            }
            RowSwap::Refused(error) => {
                delete_quietly(&self.file_io, &new_location).await;
                return Swap::Refused(error);
            }
        }
        let expired = staged.expired;
        let landed = match self.remember(table, staged.metadata, new_location) {
            Ok(landed) => landed,
            // It is in the table all the same.
            Err(error) => return Swap::Unknown(error),
        };
        for log in &expired {
            delete_quietly(&self.file_io, &log.metadata_file).await;
        }
        Swap::Done(Box::new(landed))
    }
}

impl SqlCatalog {
    /// Whether a metadata file is one that the table had. When in doubt, it is.
    async fn is_in_log(&self, table: &TableIdent, location: &str) -> bool {
        match self.load(table).await {
            Ok(Some(now)) => now.metadata().metadata_log().iter().any(|log| log.metadata_file == location),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}
