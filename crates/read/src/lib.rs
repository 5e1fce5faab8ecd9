//! Reads Iceberg tables with deletes correctly and in bounded memory.
//!
//! [`plan_table`] finds the live files of a snapshot and the deletes of each; [`FileScan`] streams one data file in the
//! table's schema with its deletes applied; [`read_table`] does so for a whole table, and [`read_rows`] for the rows that a
//! [`RowFilter`] wants, of which it reads little more. The iceberg crate's own scan is
//! not used: it loses rows where an equality delete's key is NULL or younger than the data file.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adapt;
mod deletes;
mod error;
mod file_access;
mod partition;
mod plan;
mod positions;
mod prune;
mod row_filter;
mod scan;
mod table_stream;
mod windows;

pub use deletes::Deletes;
pub use error::ReadError;
pub use file_access::BytesRead;
pub use partition::PartitionPredicate;
pub use plan::{
    LiveEntry, ManifestFacts, PlannedFile, TablePlan, plan_rows, plan_table, plan_table_without_statistics,
};
pub use row_filter::{BoundFilter, ColumnRef, RowFilter};
pub use scan::{FileScan, RowCounts, ScanOptions};
pub use table_stream::{read_files, read_files_where, read_rows, read_table};
