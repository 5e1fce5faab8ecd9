//! Where a table's current state is kept, and the atomic step that moves it.

mod open;
mod postgres;
pub mod rest;
mod rows;
mod secret;
pub mod sql;
mod sqlite;
mod stage;

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iceberg::io::FileIO;
use iceberg::table::Table;
use iceberg::{NamespaceIdent, TableCreation, TableIdent, TableRequirement, TableUpdate};

use crate::CatalogError;

pub use open::{CatalogSettings, RestSettings, open};
pub use secret::Secret;

/// Makes the file access of tables, for catalogs: the crate that knows the stores sits above this one. Its `Debug` output
/// must not show what it was told.
pub trait FileIoSource: Debug + Send + Sync {
    /// Access to the files below `location` (a table's, or the warehouse's where the catalog tells nothing of tables).
    ///
    /// `vended` is what the catalog told about the store in the words of Iceberg's properties (`s3.endpoint`,
    /// `s3.access-key-id`, …), the table's own credentials included; it wins over what the user configured, and holds
    /// secrets. Called anew whenever it has changed for a table, as credentials do that expire: what was returned earlier
    /// for the location is still in use, so a source that can should let it see the newest ones.
    fn file_io(&self, location: &str, vended: &HashMap<String, String>) -> FileIO;
}

/// How long to wait for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to a request.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(20) }
    }
}

/// What became of a compare-and-set.
#[derive(Debug)]
pub enum Swap {
    /// The table's current metadata is now ours.
    Done(Box<Table>),
    /// The table had moved on; nothing changed.
    Conflict,
    /// The catalog refused or was busy; nothing changed.
    Refused(CatalogError),
    /// No usable answer: it may have happened.
    Unknown(CatalogError),
}

/// How long a swap may take.
#[derive(Clone, Copy, Debug)]
pub struct SwapBounds {
    /// Until when a busy catalog is asked again.
    pub deadline: Instant,
    /// How long to wait for one answer before the outcome counts as unknown.
    pub answer_timeout: Duration,
}

/// A catalog of Iceberg tables.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Where it is, for messages; without secrets.
    fn describe(&self) -> String;

    /// The table as it is now; `None` where the catalog has none of this name. Unchanged metadata may come from memory.
    async fn load(&self, table: &TableIdent) -> Result<Option<Table>, CatalogError>;

    /// The table as this process saw it last; `None` if it never did. Asks nobody.
    fn last_known(&self, table: &TableIdent) -> Option<Table>;

    /// Adds a namespace, with its parents, if it is not there.
    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError>;

    /// Adds a table; false if somebody else did it first. `creation` names its location.
    async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        creation: TableCreation,
    ) -> Result<bool, CatalogError>;

    /// The tables of all namespaces.
    async fn list_tables(&self) -> Result<Vec<TableIdent>, CatalogError>;

    /// Applies `updates` to the table if it is still `base` as far as `requirements` say. Deletes again what it wrote
    /// when that is certainly not used.
    async fn swap(
        &self,
        base: &Table,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
        bounds: SwapBounds,
    ) -> Swap;

    /// As [`Catalog::load`]; a missing table is an error.
    async fn load_existing(&self, table: &TableIdent) -> Result<Table, CatalogError> {
        self.load(table).await?.ok_or_else(|| CatalogError::TableMissing { table: table.to_string() })
    }
}
