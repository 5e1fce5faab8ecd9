//! The SQL catalog's rows: where each table's current metadata file is, and the compare-and-set that moves it.
//!
//! The tables are those of Iceberg's JDBC catalog, as PyIceberg's `SqlCatalog` and the iceberg crate read them. The
//! crate's own catalog is not used to write: it ignores the outcome of COMMIT, and its swap is not reachable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pulselake_model::tables::{CATALOG_NAME, HotTable};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::LakeError;
use crate::failpoint::{self, Injected};

/// How long SQLite itself waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections: each committed table may be at work at once, and readers.
const MAX_CONNECTIONS: u32 = 4;

const CREATE_TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS iceberg_tables (
        catalog_name VARCHAR(255) NOT NULL,
        table_namespace VARCHAR(255) NOT NULL,
        table_name VARCHAR(255) NOT NULL,
        metadata_location VARCHAR(1000),
        previous_metadata_location VARCHAR(1000),
        iceberg_type VARCHAR(5),
        PRIMARY KEY (catalog_name, table_namespace, table_name))",
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
        catalog_name VARCHAR(255) NOT NULL,
        namespace VARCHAR(255) NOT NULL,
        property_key VARCHAR(255) NOT NULL,
        property_value VARCHAR(1000),
        PRIMARY KEY (catalog_name, namespace, property_key))",
];
const SELECT_LOCATION: &str = "SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
const SWAP: &str = "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
    WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
const INSERT_TABLE: &str = "INSERT OR IGNORE INTO iceberg_tables
    (catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type)
    VALUES (?, ?, ?, ?, NULL, 'TABLE')";
const INSERT_NAMESPACE: &str = "INSERT OR IGNORE INTO iceberg_namespace_properties
    (catalog_name, namespace, property_key, property_value) VALUES (?, ?, 'exists', 'true')";

/// What became of a compare-and-set.
#[derive(Debug)]
pub(crate) enum Swap {
    /// The table's current metadata is now ours.
    Done,
    /// The table had moved on; nothing changed.
    Conflict,
    /// The database refused or was busy; nothing changed.
    Refused(LakeError),
    /// No usable answer: it may have happened.
    Unknown(LakeError),
}

/// The catalog's database.
#[derive(Clone, Debug)]
pub(crate) struct CatalogStore {
    pool: SqlitePool,
    path: PathBuf,
}

/// The database file of a `sqlite:` URI; any number of leading slashes, as sqlx and SQLAlchemy write them.
pub(crate) fn database_path(uri: &str) -> Result<PathBuf, LakeError> {
    let unsupported = || LakeError::UnsupportedCatalog { uri: without_secrets(uri) };
    let rest = uri.strip_prefix("sqlite:").ok_or_else(unsupported)?;
    if !rest.starts_with('/') {
        return Err(unsupported());
    }
    Ok(PathBuf::from(format!("/{}", rest.trim_start_matches('/'))))
}

/// A URI for messages: user and password are cut out.
fn without_secrets(uri: &str) -> String {
    match (uri.split_once("://"), uri.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", &uri[at..]),
        _ => uri.to_string(),
    }
}

impl CatalogStore {
    /// Opens the database, creating it and its tables where `create` says so.
    pub(crate) async fn open(path: PathBuf, create: bool, fsync: bool) -> Result<Self, LakeError> {
        if !create && !path.exists() {
            return Err(LakeError::NoCatalog { path });
        }
        if create && let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await.map_err(|source| LakeError::Io {
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
                        LakeError::NoCatalog { path: store.path.clone() }
                    }
                    _ => store.explain("open it", error),
                },
            )?;
        }
        Ok(store)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The table's current metadata file; `None` where the catalog has no such table.
    pub(crate) async fn metadata_location(&self, table: HotTable) -> Result<Option<String>, LakeError> {
        let point = "lake::catalog_read";
        let ask = || {
            let store = self.clone();
            async move { store.read_location(table).await }
        };
        failpoint::request(point, ask, |_| Err(LakeError::Injected { point })).await
    }

    async fn read_location(&self, table: HotTable) -> Result<Option<String>, LakeError> {
        let row = sqlx::query(SELECT_LOCATION)
            .bind(CATALOG_NAME)
            .bind(table.namespace())
            .bind(table.name())
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.explain("read the table's location", error))?;
        let Some(row) = row else {
            return Ok(None);
        };
        row.try_get::<Option<String>, _>(0).map_err(|error| self.explain("read the table's location", error))
    }

    /// Adds a namespace, if it is not there.
    pub(crate) async fn add_namespace(&self, namespace: &str) -> Result<(), LakeError> {
        sqlx::query(INSERT_NAMESPACE)
            .bind(CATALOG_NAME)
            .bind(namespace)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.explain("create a namespace", error))
    }

    /// Adds a table; false if somebody else did it first.
    pub(crate) async fn add_table(&self, table: HotTable, location: &str) -> Result<bool, LakeError> {
        sqlx::query(INSERT_TABLE)
            .bind(CATALOG_NAME)
            .bind(table.namespace())
            .bind(table.name())
            .bind(location)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(|error| self.explain("create a table", error))
    }

    /// Moves the table from metadata file `old` to `new`, if it still stands at `old`.
    pub(crate) async fn swap(&self, table: HotTable, old: &str, new: &str) -> Swap {
        let point = "lake::catalog_swap";
        let ask = || {
            let (store, from, to) = (self.clone(), old.to_string(), new.to_string());
            async move { store.compare_and_set(table, &from, &to).await }
        };
        failpoint::request(point, ask, |injected| match injected {
            Injected::Error => Swap::Refused(LakeError::Injected { point }),
            Injected::Unknown => Swap::Unknown(LakeError::Injected { point }),
        })
        .await
    }

    async fn compare_and_set(&self, table: HotTable, old: &str, new: &str) -> Swap {
        let done = sqlx::query(SWAP)
            .bind(new)
            .bind(old)
            .bind(CATALOG_NAME)
            .bind(table.namespace())
            .bind(table.name())
            .bind(old)
            .execute(&self.pool)
            .await;
        match done {
            Ok(done) if done.rows_affected() == 1 => Swap::Done,
            Ok(_) => Swap::Conflict,
            Err(error) => {
                let known = certainly_not_executed(&error);
                let explained = self.explain("swap the table's metadata", error);
                if known { Swap::Refused(explained) } else { Swap::Unknown(explained) }
            }
        }
    }

    fn explain(&self, action: &'static str, source: sqlx::Error) -> LakeError {
        let path = self.path.clone();
        match primary_code(&source) {
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
                LakeError::CatalogDamaged { path, reason: source.to_string() }
            }
            _ => LakeError::Catalog { action, path, source },
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
            assert_eq!(database_path(uri).unwrap(), PathBuf::from("/data/catalog.db"), "{uri}");
        }
        let refused = database_path("postgres://me:secret@db/catalog").unwrap_err().to_string();
        assert!(refused.contains("not in this build yet") && !refused.contains("secret"), "{refused}");
        assert!(database_path("sqlite:catalog.db").is_err());
    }
}
