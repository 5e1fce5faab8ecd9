//! The catalog's rows in a SQLite file.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::rows::{
    CREATE_TABLES, INSERT_NAMESPACE, INSERT_TABLE, LIST_TABLES, RowStore, RowSwap, SELECT_LOCATION, SWAP,
    TableKey,
};
use super::secret::without_secrets;
use crate::CatalogError;

/// How long SQLite itself waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections: each committed table may be at work at once, and readers.
const MAX_CONNECTIONS: u32 = 4;

/// The database file, open.
#[derive(Clone, Debug)]
pub(crate) struct SqliteStore {
    pool: SqlitePool,
    path: PathBuf,
}

/// The database file of a `sqlite:` URI; any number of leading slashes, as sqlx and SQLAlchemy write them.
pub fn sqlite_path(uri: &str) -> Result<PathBuf, CatalogError> {
    let unsupported = || CatalogError::UnsupportedCatalog { uri: without_secrets(uri) };
    let rest = uri.strip_prefix("sqlite:").ok_or_else(unsupported)?;
    if !rest.starts_with('/') {
        return Err(unsupported());
    }
    Ok(PathBuf::from(format!("/{}", rest.trim_start_matches('/'))))
}

impl SqliteStore {
    /// Opens the database, creating it and its tables where `create` says so.
    pub(crate) async fn open(path: PathBuf, create: bool, fsync: bool) -> Result<Self, CatalogError> {
        if !create && !path.exists() {
            return Err(CatalogError::NoCatalog { path });
        }
        if create && let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await.map_err(|source| CatalogError::Io {
                action: "create the directory",
                path: directory.to_path_buf(),
                source,
            })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(create)
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(if fsync { SqliteSynchronous::Full } else { SqliteSynchronous::Off });
        let pool = SqlitePoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT * 2)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let store = Self { pool, path };
        if create {
            for statement in CREATE_TABLES {
                sqlx::query(statement)
                    .execute(&store.pool)
                    .await
                    .map_err(|error| store.explain("create its tables", error))?;
            }
        } else {
            sqlx::query("SELECT 1 FROM iceberg_tables LIMIT 1").fetch_optional(&store.pool).await.map_err(
                |error| match &error {
                    // SQLITE_ERROR: a database, but not a catalog.
                    sqlx::Error::Database(database) if database.code().as_deref() == Some("1") => {
                        CatalogError::NoCatalog { path: store.path.clone() }
                    }
                    _ => store.explain("open it", error),
                },
            )?;
        }
        Ok(store)
    }

    fn explain(&self, action: &'static str, source: sqlx::Error) -> CatalogError {
        let path = self.path.clone();
        match primary_code(&source) {
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
                CatalogError::CatalogDamaged { path, reason: source.to_string() }
            }
            _ => CatalogError::Sqlite { action, path, source },
        }
    }
}

#[async_trait]
impl RowStore for SqliteStore {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    async fn metadata_location(&self, table: &TableKey) -> Result<Option<String>, CatalogError> {
        let row = sqlx::query(SELECT_LOCATION)
            .bind(&table.catalog)
            .bind(&table.namespace)
            .bind(&table.name)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.explain("read the table's location", error))?;
        let Some(row) = row else {
            return Ok(None);
        };
        row.try_get::<Option<String>, _>(0).map_err(|error| self.explain("read the table's location", error))
    }

    async fn add_namespace(&self, catalog: &str, namespace: &str) -> Result<(), CatalogError> {
        sqlx::query(INSERT_NAMESPACE)
            .bind(catalog)
            .bind(namespace)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.explain("create a namespace", error))
    }

    async fn add_table(&self, table: &TableKey, location: &str) -> Result<bool, CatalogError> {
        sqlx::query(INSERT_TABLE)
            .bind(&table.catalog)
            .bind(&table.namespace)
            .bind(&table.name)
            .bind(location)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(|error| self.explain("create a table", error))
    }

    async fn list_tables(&self, catalog: &str) -> Result<Vec<(String, String)>, CatalogError> {
        sqlx::query_as(LIST_TABLES)
            .bind(catalog)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.explain("list its tables", error))
    }

    async fn swap(&self, table: &TableKey, old: &str, new: &str) -> RowSwap {
        let done = sqlx::query(SWAP)
            .bind(&table.catalog)
            .bind(&table.namespace)
            .bind(&table.name)
            .bind(new)
            .bind(old)
            .execute(&self.pool)
            .await;
        match done {
            Ok(done) if done.rows_affected() == 1 => RowSwap::Done,
            Ok(_) => RowSwap::Conflict,
            Err(error) => {
                let known = certainly_not_executed(&error);
                let explained = self.explain("swap the table's metadata", error);
                if known { RowSwap::Refused(explained) } else { RowSwap::Unknown(explained) }
            }
        }
    }
}

const SQLITE_PERM: u32 = 3;
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

/// SQLite's primary result code: the low byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(database) = error else {
        return None;
    };
    database.code()?.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether the database was locked by another connection the whole busy time-out long.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut)
        || matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// What to do about a database error, as the end of a message; empty where its own words suffice.
pub(crate) fn advice(error: &sqlx::Error) -> &'static str {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return "; another program may hold a lock on it: end that one, or try again";
    }
    match primary_code(error) {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => {
            "; another program holds a lock on it: end that one, or try again"
        }
        Some(SQLITE_READONLY | SQLITE_PERM) => {
            "; give the user that runs pulselake write access to the file and its directory, mount it read-write, or name another data directory"
        }
        Some(SQLITE_CANTOPEN) => {
            "; it must be a file in a directory that the user that runs pulselake may write to"
        }
        Some(SQLITE_FULL) => "; free space there, nothing was changed",
        _ => "",
    }
}

/// Whether the statement was refused before it could change anything; such a one is rolled back whole.
fn certainly_not_executed(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Configuration(_) => true,
        _ => matches!(
            primary_code(error),
            Some(
                SQLITE_PERM
                    | SQLITE_BUSY
                    | SQLITE_LOCKED
                    | SQLITE_READONLY
                    | SQLITE_FULL
                    | SQLITE_CANTOPEN
                    | SQLITE_NOTADB
            )
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_an_absolute_path_are_understood() {
        for uri in ["sqlite:///data/catalog.db", "sqlite:////data/catalog.db", "sqlite:/data/catalog.db"] {
            assert_eq!(sqlite_path(uri).unwrap(), PathBuf::from("/data/catalog.db"), "{uri}");
        }
        let refused = sqlite_path("postgres://me:secret@db/catalog").unwrap_err().to_string();
        assert!(refused.contains("of an unknown kind") && !refused.contains("secret"), "{refused}");
        assert!(sqlite_path("sqlite:catalog.db").is_err());
    }
}
