//! The rows of a SQL catalog, whatever the database.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::CatalogError;

/// Iceberg's JDBC catalog tables. Both databases understand them, and `$1` as a parameter.
pub(super) const CREATE_TABLES: [&str; 2] = [
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
pub(super) const SELECT_LOCATION: &str = "SELECT metadata_location FROM iceberg_tables
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
pub(super) const SWAP: &str =
    "UPDATE iceberg_tables SET metadata_location = $4, previous_metadata_location = $5
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND metadata_location = $5
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";
pub(super) const INSERT_TABLE: &str = "INSERT INTO iceberg_tables
    (catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type)
    VALUES ($1, $2, $3, $4, NULL, 'TABLE') ON CONFLICT DO NOTHING";
pub(super) const INSERT_NAMESPACE: &str = "INSERT INTO iceberg_namespace_properties
    (catalog_name, namespace, property_key, property_value) VALUES ($1, $2, 'exists', 'true')
    ON CONFLICT DO NOTHING";
pub(super) const LIST_TABLES: &str = "SELECT table_namespace, table_name FROM iceberg_tables
    WHERE catalog_name = $1 AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)
    ORDER BY table_namespace, table_name";

/// Which row.
#[derive(Clone, Debug)]
pub(crate) struct TableKey {
    pub catalog: String,
    /// Levels joined by dots.
    pub namespace: String,
    pub name: String,
}

/// What became of a statement that compares and sets.
#[derive(Debug)]
pub(crate) enum RowSwap {
    Done,
    Conflict,
    /// Nothing changed.
    Refused(CatalogError),
    /// It may have happened.
    Unknown(CatalogError),
}

/// A database with these tables.
#[async_trait]
pub(crate) trait RowStore: Debug + Send + Sync {
    /// Where it is, without secrets.
    fn describe(&self) -> String;

    /// The table's current metadata file; `None` where the catalog has no such table.
    async fn metadata_location(&self, table: &TableKey) -> Result<Option<String>, CatalogError>;

    /// Adds a namespace, if it is not there.
    async fn add_namespace(&self, catalog: &str, namespace: &str) -> Result<(), CatalogError>;

    /// Adds a table; false if somebody else did it first.
    async fn add_table(&self, table: &TableKey, location: &str) -> Result<bool, CatalogError>;

    /// Namespace and name of each table.
    async fn list_tables(&self, catalog: &str) -> Result<Vec<(String, String)>, CatalogError>;

    /// Moves the table from metadata file `old` to `new`, if it still stands at `old`.
    async fn swap(&self, table: &TableKey, old: &str, new: &str) -> RowSwap;
}
