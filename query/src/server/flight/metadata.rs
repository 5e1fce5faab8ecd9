//! What tools ask before they ask for rows: catalogs, schemas, tables, and what the server can do.

use std::sync::LazyLock;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    SqlInfo,
};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use tonic::Status;

use super::convert::status_of;
use crate::catalog::{CATALOG, SERVING};
use crate::server::Gate;

const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

/// The one catalog.
pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    builder.append(CATALOG);
    builder.build().map_err(Status::from)
}

/// The kinds of tables.
pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    builder.append(TABLE);
    builder.append(VIEW);
    builder.build().map_err(Status::from)
}

/// The schemas that have a table or a view.
pub(super) async fn schemas(gate: &Gate, query: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let listing = gate.ask(|engine| async move { engine.listing().await }).await;
    let listing = listing.map_err(|error| status_of(&error))?;
    let mut names: Vec<String> = listing.tables.into_iter().map(|(schema, _)| schema).collect();
    if !listing.views.is_empty() {
        names.push(SERVING.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    let mut builder = query.into_builder();
    for name in &names {
        builder.append(CATALOG, name);
    }
    builder.build().map_err(Status::from)
}

/// Tables and views, with their columns where they are asked for.
pub(super) async fn tables(gate: &Gate, query: CommandGetTables) -> Result<RecordBatch, Status> {
    let with_columns = query.include_schema;
    let found = gate.ask(move |engine| async move {
        let listing = engine.listing().await?;
        let of_tables = listing.tables.into_iter().map(|(schema, name)| (schema, name, TABLE));
        let of_views = listing.views.into_iter().map(|name| (SERVING.to_owned(), name, VIEW));
        let mut found = Vec::new();
        for (schema, name, kind) in of_tables.chain(of_views) {
            let columns = match with_columns {
                true => engine.columns(&schema, &name).await?,
                false => None,
            };
            let columns = columns.map_or_else(Schema::empty, |known| known.as_ref().clone());
            found.push((schema, name, kind, columns));
        }
        Ok(found)
    });
    let found = found.await.map_err(|error| status_of(&error))?;
    let mut builder = query.into_builder();
    for (schema, name, kind, columns) in &found {
        builder.append(CATALOG, schema, name, kind, columns).map_err(Status::from)?;
    }
    builder.build().map_err(Status::from)
}

/// What the server is and can do.
pub(super) fn sql_info(query: CommandGetSqlInfo) -> Result<RecordBatch, Status> {
    static ANSWERS: LazyLock<Result<SqlInfoData, FlightError>> = LazyLock::new(|| {
        let mut builder = SqlInfoDataBuilder::new();
        builder.append(SqlInfo::FlightSqlServerName, "Pulselake");
        builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        builder.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
        builder.append(SqlInfo::FlightSqlServerReadOnly, true);
        builder.append(SqlInfo::FlightSqlServerSql, true);
        builder.append(SqlInfo::FlightSqlServerSubstrait, false);
        builder.append(SqlInfo::FlightSqlServerCancel, false);
        builder.append(SqlInfo::FlightSqlServerBulkIngestion, false);
        builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
        builder.build()
    });
    match &*ANSWERS {
        Ok(answers) => query.into_builder(answers).build().map_err(Status::from),
        Err(error) => Err(Status::internal(error.to_string())),
    }
}
