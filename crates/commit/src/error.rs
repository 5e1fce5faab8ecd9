//! What can go wrong between the engine and a catalog, and whether waiting may help.

use std::path::PathBuf;

use crate::catalog::rest::RestFailure;
use crate::catalog::sql;

/// An error of a catalog, or of the files of a commit.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A catalog of a kind that this build can't speak to.
    #[error(
        "catalog {uri} is of an unknown kind; use sqlite:///absolute/path/catalog.db, postgres://user@host/database, or http(s)://host/path of an Iceberg REST catalog"
    )]
    UnsupportedCatalog {
        /// The setting, without secrets.
        uri: String,
    },
    /// Nothing there although it must exist.
    #[error("there is no catalog at {}; create the tables with `pulselake init`, or name the right data directory", path.display())]
    NoCatalog {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// SQLite says that the catalog file is not a database, or a broken one.
    #[error(
        "catalog {} is damaged ({reason}); move it away and restore it from a backup: the tables under the warehouse are untouched, each table's newest metadata/*.metadata.json is its state",
        path.display()
    )]
    CatalogDamaged {
        /// The catalog file.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// Any other error of a SQLite catalog.
    #[error("catalog {}: cannot {action}: {source}{}", path.display(), sql::sqlite_advice(source))]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The catalog file.
        path: PathBuf,
        /// The database's error.
        #[source]
        source: sqlx::Error,
    },
    /// A PostgreSQL database that holds no catalog.
    #[error(
        "there are no catalog tables in {catalog}; create them with `pulselake init`, or name the right database"
    )]
    NoCatalogTables {
        /// The database, without secrets.
        catalog: String,
    },
    /// An error of a PostgreSQL catalog.
    #[error("catalog {catalog}: cannot {action}: {source}{}", sql::postgres_advice(source))]
    Postgres {
        /// What was tried.
        action: &'static str,
        /// The database, without secrets.
        catalog: String,
        /// The database's error.
        #[source]
        source: sqlx::Error,
    },
    /// An error of a REST catalog, or of the way to it.
    #[error("catalog {catalog}: cannot {action}: {failure}{}", failure.advice())]
    Rest {
        /// What was tried.
        action: &'static str,
        /// The catalog, without secrets.
        catalog: String,
        /// What came back.
        #[source]
        failure: RestFailure,
    },
    /// A setting of a catalog that can't be used.
    #[error("catalog setting {setting} {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A directory that could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The catalog has no such table.
    #[error("table {table} does not exist in the catalog; create it with `pulselake init`")]
    TableMissing {
        /// `namespace.name`.
        table: String,
    },
    /// A table was to be created without a place for its files: a defect of the caller.
    #[error("table {table} can't be created without a location")]
    NoLocation {
        /// `namespace.name`.
        table: String,
    },
    /// Reading or writing the table's files.
    #[error("cannot {action} {table}: {}", source.message())]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// `namespace.name`.
        table: String,
        /// The crate's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// Others kept winning, or the database stayed locked, for the whole time allowed.
    #[error(
        "gave up committing to {table} after {attempts} attempts in {waited_ms} ms ({conflicts} conflicts): {reason}"
    )]
    Contended {
        /// `namespace.name`.
        table: String,
        /// Attempts made.
        attempts: u32,
        /// Attempts that lost against another commit.
        conflicts: u32,
        /// Time spent, milliseconds.
        waited_ms: u64,
        /// What stood in the way last.
        reason: String,
    },
    /// The catalog did not answer in time. Whether it did what it was asked to is not known.
    #[error("no answer of the catalog to the commit to {table} within {waited_ms} ms")]
    NoAnswer {
        /// `namespace.name`.
        table: String,
        /// How long it was waited for, milliseconds.
        waited_ms: u64,
    },
    /// The change waited so long that the janitor may take its files for orphans.
    #[error(
        "the commit to {table} is {age_s} s old, at most {max_age_s} s are allowed (half of maintenance.orphan_min_age_ms): its files may be removed as orphans; write them anew"
    )]
    TooOld {
        /// `namespace.name`.
        table: String,
        /// Its age, seconds.
        age_s: u64,
        /// What is allowed, seconds.
        max_age_s: u64,
    },
    /// A failpoint of a test.
    #[error("injected failure at {point}")]
    Injected {
        /// Its name.
        point: &'static str,
    },
}

impl CatalogError {
    /// Whether waiting may help: a full disk, a busy catalog. False for what a person has to put right.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Contended { .. } | Self::NoAnswer { .. } | Self::Injected { .. } => true,
            Self::Sqlite { source, .. } => !matches!(source, sqlx::Error::Configuration(_)),
            Self::Postgres { source, .. } => sql::postgres_may_pass(source),
            Self::Rest { failure, .. } => failure.may_pass(),
            Self::Iceberg { source, .. } => may_pass(source),
            _ => false,
        }
    }

    /// Whether the catalog itself asked to come back later: its database was locked, or it had too much to do.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => sql::is_sqlite_busy(source),
            Self::Postgres { source, .. } => sql::is_postgres_busy(source),
            Self::Rest { failure, .. } => failure.is_busy(),
            _ => false,
        }
    }

    /// Says what was tried, and on which table, about an error of the iceberg crate.
    pub fn iceberg(action: &'static str, table: &str) -> impl FnOnce(iceberg::Error) -> Self {
        let table = table.to_string();
        move |source| Self::Iceberg { action, table, source: Box::new(source) }
    }
}

/// Whether an error of the iceberg crate may go away by itself: it says so, or one that it came from does. The crate's
/// caches wrap the error that several readers share in a new one, which has forgotten it.
pub fn may_pass(error: &iceberg::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        let shared = current.downcast_ref::<std::sync::Arc<iceberg::Error>>().map(|found| found.as_ref());
        if current.downcast_ref::<iceberg::Error>().or(shared).is_some_and(iceberg::Error::retryable) {
            return true;
        }
        cause = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_cause_that_may_pass_is_found_however_it_is_wrapped() {
        let plain = || Error::new(ErrorKind::Unexpected, "connection refused");
        let passing = || plain().with_retryable(true);
        assert!(!may_pass(&plain()));
        assert!(may_pass(&passing()));
        assert!(may_pass(&plain().with_source(passing())));
        assert!(may_pass(&plain().with_source(Arc::new(passing()))));
        assert!(may_pass(&plain().with_source(Arc::new(plain().with_source(passing())))));
        assert!(!may_pass(&plain().with_source(Arc::new(plain()))));
    }
}
