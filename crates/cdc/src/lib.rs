//! Turns Debezium's changes of one entity into versions of its history and rows of its dimension. Pure: bytes in, Arrow out.
//!
//! What it promises:
//! - Every record is a tombstone, a row of quarantine, or brings one version (two where an update changes the key); no input
//!   panics and none recurses without bound.
//! - The history is the set of distinct versions: a version is its key, its place in the source's order and its hash, so that
//!   a repeated delivery adds nothing. The dimension has the last version of each key by that order, whatever order deliveries
//!   come in, and no row of a key whose last version is a deletion.
//! - **Validity is a function of the bytes, the schema that they name, the record's own timestamp, [`CdcSettings::fingerprint`] and
//!   the tables' columns**, never of the wall clock. A replay with columns that later records have widened rejects nothing more.
//!
//! The order is the database's own where the producer names it (PostgreSQL, MySQL, MariaDB, SQL Server, Oracle), then the moment of the change, then
//! delivery. What memory can't place ([`VersionIndex`]) is looked up in the history once a flush.
//!
//! How an [`Upserter`] is driven: `apply` batches; then `doubtful_keys`, a look-up, `settle`; `schema_changes`, an evolution of
//! both tables, `adopt`; `take_flush`, and the commits of quarantine, history and dimension in this order. After a crash
//! between the last two, [`catch_up`] says what the dimension lacks.
//!
//! A record is JSON, or Avro that names its schema in a registry ([`named_schemas`], [`Upserter::use_schemas`]): that is written as
//! the JSON of the same value first, so that both forms have one meaning. What the registry says of an id must not change.
//!
//! The rules. The first that fails names the code:
//!
//! | asked | code |
//! |---|---|
//! | no longer than `max_record_bytes`, as JSON neither | `TOO_LARGE` |
//! | the schema that a record in Avro names is known, and one of Avro's | `UNKNOWN_SCHEMA` |
//! | it is of a record | `WRONG_TYPE` |
//! | the bytes are a value of it and nothing after it, no deeper than `max_nesting_depth` | `MALFORMED_AVRO` |
//! | UTF-8 | `NOT_UTF8` |
//! | one JSON object, no known field of the envelope and no column of the row twice, no deeper than `max_nesting_depth` | `MALFORMED_JSON` |
//! | the full form's `payload`, its `schema`, `before`, `after` and `source` are objects or null, `op` is a string | `WRONG_TYPE` |
//! | `op` is there; c, u, r have `after` and d has `before`, with the key, which is not ""; some moment is stated | `MISSING_FIELD` |
//! | `op` is c, u, d or r | `UNKNOWN_OPERATION` |
//! | `source.ts_ms`, or else `ts_ms`, is epoch milliseconds from 1970 to 9999; so are base columns in any of their forms; further columns hold the years 1 to 9999 | `BAD_TIMESTAMP` |
//! | a value is of the type that its base column has, or that its own record's schema declares; some column can hold it; its name can be a column's | `WRONG_TYPE` |
//! | a value fits its further column, widened if need be | `TYPE_CHANGED` |
//! | the history has room for new columns | `TOO_MANY_COLUMNS` |
//!
//! Not seen through: Debezium's placeholder for a large value that an update of PostgreSQL left as it was
//! (`__debezium_unavailable_value`) is a value like any other; give such tables `REPLICA IDENTITY FULL`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arrays;
mod attribute;
mod avro;
mod catch_up;
mod columns;
mod connect_schema;
mod decimal;
mod envelope;
mod error;
mod flush;
mod index;
mod invalid;
mod names;
mod order;
mod pending;
mod position;
mod read_value;
mod rejection;
mod row;
mod settings;
mod timestamp;
mod upserter;
mod value;

pub use avro::{SchemaAnswer, SchemaError, WriterSchema, WriterSchemas, named_schemas};
pub use catch_up::{CatchUp, catch_up, catch_up_doubts};
pub use columns::{Alignment, Columns};
pub use error::CdcError;
pub use flush::Flush;
pub use index::{VERSION_COLUMNS, Verdict, VersionIndex, history_versions};
pub use order::{HistoryVersion, VersionOrder, key_hash};
pub use pending::FlushedPosition;
pub use pulselake_model::ColumnChange;
pub use settings::{CDC_DECODER_VERSION, CdcSettings};
pub use upserter::{Applied, Upserter};
