//! The catalog's rows in a PostgreSQL database.
//!
//! The swap is one statement outside of a transaction, so an error that the server reports means that it was rolled
//! back. A connection that breaks before the server has answered hides the outcome.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::Timeouts;
use super::rows::{
    CREATE_TABLES, INSERT_NAMESPACE, INSERT_TABLE, LIST_TABLES, RowStore, RowSwap, SELECT_LOCATION, SWAP,
    TableKey,
};
use super::secret::without_secrets;
use crate::CatalogError;

/// Connections: each committed table may be at work at once, and readers.
const MAX_CONNECTIONS: u32 = 8;
/// A connection is given back after this time without use.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

const ADMIN_SHUTDOWN: &str = "57P01";
const CANNOT_CONNECT_NOW: &str = "57P03";
const COMPLETION_UNKNOWN: &str = "40003";
const CRASH_SHUTDOWN: &str = "57P02";
const DEADLOCK: &str = "40P01";
const DUPLICATE_OBJECT: &str = "42710";
const DUPLICATE_TABLE: &str = "42P07";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const SERIALIZATION_FAILURE: &str = "40001";
const TOO_MANY_CONNECTIONS: &str = "53300";
const UNDEFINED_TABLE: &str = "42P01";
const UNIQUE_VIOLATION: &str = "23505";

type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// The database, open.
#[derive(Clone)]
pub(crate) struct PostgresStore {
    pool: PgPool,
    address: String,
    answer_timeout: Duration,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresStore").field("address", &self.address).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects, and creates the tables where they are missing and `create` says so.
    pub(crate) async fn open(uri: &str, create: bool, timeouts: Timeouts) -> Result<Self, CatalogError> {
        let options: PgConnectOptions = uri.parse().map_err(|source| CatalogError::Postgres {
            action: "read the address",
            catalog: without_secrets(uri),
            source,
        })?;
        let options = options.application_name("pulselake");
        let address = format!(
            "postgres://{}@{}:{}/{}",
            options.get_username(),
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or(options.get_username()),
        );
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(timeouts.connect)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_lazy_with(options);
        let store = Self { pool, address, answer_timeout: timeouts.answer };
        if !store.has_tables().await? {
            if !create {
                return Err(CatalogError::NoCatalogTables { catalog: store.address });
            }
            store.create_tables().await?;
        }
        Ok(store)
    }

    /// Asked before they are created: who may use them need not have the right to create any.
    async fn has_tables(&self) -> Result<bool, CatalogError> {
        for statement in
            ["SELECT 1 FROM iceberg_tables LIMIT 1", "SELECT 1 FROM iceberg_namespace_properties LIMIT 1"]
        {
            match self.rows("open it", sqlx::query(statement)).await {
                Ok(_) => {}
                Err(CatalogError::Postgres { source, .. })
                    if code_of(&source).as_deref() == Some(UNDEFINED_TABLE) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn create_tables(&self) -> Result<(), CatalogError> {
        for statement in CREATE_TABLES {
            match self.execute("create its tables", sqlx::query(statement)).await {
                Ok(_) => {}
                // Somebody else creates them at the same time: IF NOT EXISTS does not wait for that.
                Err(CatalogError::Postgres { source, .. })
                    if matches!(
                        code_of(&source).as_deref(),
                        Some(UNIQUE_VIOLATION | DUPLICATE_TABLE | DUPLICATE_OBJECT)
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn explain(&self, action: &'static str, source: sqlx::Error) -> CatalogError {
        CatalogError::Postgres { action, catalog: self.address.clone(), source }
    }

    async fn connection(&self, action: &'static str) -> Result<PoolConnection<Postgres>, CatalogError> {
        self.pool.acquire().await.map_err(|error| self.explain(action, error))
    }

    /// All rows of an answer that comes in time.
    async fn rows(&self, action: &'static str, statement: Statement<'_>) -> Result<Vec<PgRow>, CatalogError> {
        let mut connection = self.connection(action).await?;
        match tokio::time::timeout(self.answer_timeout, statement.fetch_all(&mut *connection)).await {
            Ok(answer) => answer.map_err(|error| self.explain(action, error)),
            Err(_) => Err(self.too_slow(action, connection)),
        }
    }

    /// How many rows were changed.
    async fn execute(&self, action: &'static str, statement: Statement<'_>) -> Result<u64, CatalogError> {
        let mut connection = self.connection(action).await?;
        match tokio::time::timeout(self.answer_timeout, statement.execute(&mut *connection)).await {
            Ok(answer) => {
                answer.map(|done| done.rows_affected()).map_err(|error| self.explain(action, error))
            }
            Err(_) => Err(self.too_slow(action, connection)),
        }
    }

    /// A connection that does not answer is closed: back in the pool it would wait for ever.
    fn too_slow(&self, action: &'static str, connection: PoolConnection<Postgres>) -> CatalogError {
        drop(connection.detach());
        let waited = std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} ms", self.answer_timeout.as_millis()),
        );
        self.explain(action, sqlx::Error::Io(waited))
    }
}

#[async_trait]
impl RowStore for PostgresStore {
    fn describe(&self) -> String {
        self.address.clone()
    }

    async fn metadata_location(&self, table: &TableKey) -> Result<Option<String>, CatalogError> {
        let action = "read the table's location";
        let statement =
            sqlx::query(SELECT_LOCATION).bind(&table.catalog).bind(&table.namespace).bind(&table.name);
        match self.rows(action, statement).await?.first() {
            Some(row) => row.try_get::<Option<String>, _>(0).map_err(|error| self.explain(action, error)),
            None => Ok(None),
        }
    }

    async fn add_namespace(&self, catalog: &str, namespace: &str) -> Result<(), CatalogError> {
        let statement = sqlx::query(INSERT_NAMESPACE).bind(catalog).bind(namespace);
        self.execute("create a namespace", statement).await.map(|_| ())
    }

    async fn add_table(&self, table: &TableKey, location: &str) -> Result<bool, CatalogError> {
        let statement = sqlx::query(INSERT_TABLE)
            .bind(&table.catalog)
            .bind(&table.namespace)
            .bind(&table.name)
            .bind(location);
        self.execute("create a table", statement).await.map(|rows| rows == 1)
    }

    async fn list_tables(&self, catalog: &str) -> Result<Vec<(String, String)>, CatalogError> {
        let action = "list its tables";
        let rows = self.rows(action, sqlx::query(LIST_TABLES).bind(catalog)).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, _>>()
            .map_err(|error| self.explain(action, error))
    }

    async fn swap(&self, table: &TableKey, old: &str, new: &str) -> RowSwap {
        let action = "swap the table's metadata";
        let mut connection = match self.connection(action).await {
            Ok(connection) => connection,
            // Nothing was asked yet.
            Err(error) => return RowSwap::Refused(error),
        };
        let statement = sqlx::query(SWAP)
            .bind(&table.catalog)
            .bind(&table.namespace)
            .bind(&table.name)
            .bind(new)
            .bind(old);
        match statement.execute(&mut *connection).await {
            Ok(done) if done.rows_affected() == 1 => RowSwap::Done,
            Ok(_) => RowSwap::Conflict,
            Err(error) => {
                let known = is_rolled_back(&error);
                let explained = self.explain(action, error);
                if known { RowSwap::Refused(explained) } else { RowSwap::Unknown(explained) }
            }
        }
    }
}

/// The SQLSTATE of an error that the server reported.
fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

fn is_rolled_back(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| means_rolled_back(&code))
}

/// Whether a statement that got this SQLSTATE for an answer is certainly without effect. Not so for the classes that a
/// pooler between makes up (08, 58), nor for internal errors.
fn means_rolled_back(code: &str) -> bool {
    if matches!(code, COMPLETION_UNKNOWN | CRASH_SHUTDOWN) {
        return false;
    }
    // What broke an integrity rule or a right, was cancelled, found a lock, or lacked a resource.
    let rolled_back =
        ["0A", "22", "23", "25", "26", "28", "3D", "3F", "40", "42", "44", "53", "54", "55", "57"];
    code.get(..2).is_some_and(|class| rolled_back.contains(&class))
}

/// Whether somebody else stood in the way for a moment.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    let busy = [
        SERIALIZATION_FAILURE,
        DEADLOCK,
        LOCK_NOT_AVAILABLE,
        TOO_MANY_CONNECTIONS,
        CANNOT_CONNECT_NOW,
        ADMIN_SHUTDOWN,
    ];
    matches!(error, sqlx::Error::PoolTimedOut)
        || code_of(error).is_some_and(|code| busy.contains(&code.as_str()))
}

/// Whether waiting may help. A wrong password or database name, a missing right or table are a person's.
pub(crate) fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => false,
        _ => code_of(error).is_none_or(|code| !needs_a_person(&code)),
    }
}

fn needs_a_person(code: &str) -> bool {
    code.get(..2).is_some_and(|class| ["0A", "22", "28", "3D", "3F", "42"].contains(&class))
}

/// What to do about an error, as the end of a message; empty where its own words suffice.
pub(crate) fn advice(error: &sqlx::Error) -> &'static str {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return "; no connection in time: is the server running and reachable, and does it allow more connections?";
    }
    match code_of(error).as_deref() {
        Some("28P01" | "28000") => {
            "; put the right user and password into the URI, PGPASSWORD or the password file"
        }
        Some("3D000") => "; create the database, or name the right one",
        Some("42501") => {
            "; grant the user SELECT, INSERT and UPDATE on iceberg_tables and iceberg_namespace_properties"
        }
        Some("25006") => "; the server is a read-only standby: name the primary",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_refused_did_not_happen() {
        for code in [
            SERIALIZATION_FAILURE,
            DEADLOCK,
            LOCK_NOT_AVAILABLE,
            ADMIN_SHUTDOWN,
            "57014",
            "25006",
            "42501",
            "53100",
        ] {
            assert!(means_rolled_back(code), "{code}");
        }
    }

    #[test]
    fn what_hides_the_outcome_is_unknown() {
        for code in [COMPLETION_UNKNOWN, CRASH_SHUTDOWN, "08006", "08007", "08P01", "58000", "XX000", ""] {
            assert!(!means_rolled_back(code), "{code}");
        }
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!is_rolled_back(&sqlx::Error::Io(lost)));
        assert!(!is_rolled_back(&sqlx::Error::Protocol("nonsense".to_string())));
    }

    #[test]
    fn a_person_has_to_act_about_settings_and_rights() {
        for code in ["28P01", "28000", "3D000", "42501", UNDEFINED_TABLE] {
            assert!(needs_a_person(code), "{code}");
        }
        for code in [SERIALIZATION_FAILURE, CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS, "25006", "53100"] {
            assert!(!needs_a_person(code), "{code}");
        }
        assert!(may_pass(&sqlx::Error::PoolTimedOut));
    }

    #[tokio::test]
    async fn a_wrong_address_is_told_without_its_secrets() {
        for uri in ["postgres://me:hush@db:nonsense/lake", "postgres://me:hush@db/lake?sslmode=hush2"] {
            let error = PostgresStore::open(uri, false, Timeouts::default()).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hush@") && !shown.contains(":hush"), "{shown}");
            assert!(!error.is_transient(), "{error}");
        }
    }
}
