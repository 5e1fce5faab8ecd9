//! Everything Iceberg: the catalog, the engine's tables, Parquet files and commits that carry the ledger.
//!
//! What it promises:
//! - A commit lands whole or not at all, and at most once per `commit_id` ([`Lake::append`]): the decision to commit
//!   is `pulselake_ledger`'s, taken anew on every attempt; the rest is the commit layer's (`pulselake_commit`).
//! - A file that a commit could refer to is on disk, whole, before the catalog knows of it ([`storage`]).
//! - Tables without a ledger are appended to by [`Lake::append_rows`], or upserted by their key on the snapshot that was
//!   read, never on another ([`Lake::upsert_rows`]); those of batch jobs are exchanged a day at a time
//!   ([`Lake::replace_partition`]).
//! - What corrects gold beside its stream ([`Lake::append_restatement`]) leaves the ledger as it is.
//! - Nothing is deleted while the outcome of a commit is unknown.
//! - Metadata stays small: a commit drops the entries of snapshots beyond [`CommitLimits::max_snapshots`] (oldest first,
//!   never one of the newest of the current ancestry), merges small manifests, and deletes the metadata files that fell
//!   out of the metadata log. Data files and manifests of dropped snapshots stay on disk: they are the janitor's business.
//!
//! A [`Lake`] keeps the tokio runtime it was opened in: open it in one that lives as long as the lake is used.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod append;
mod append_rows;
mod day_rows;
mod decision;
mod error;
mod evolve;
mod key_read;
mod lake;
mod landed;
mod overview;
mod replace;
mod restate;
mod restate_rows;
mod rewind;
mod settings;
mod shape_guard;
mod tables;
mod upsert;
mod view;
pub mod writer;

pub use append::{LedgeredAppend, Receipt};
pub use day_rows::DayRows;
pub use decision::decide_replay;
pub use error::{CommitAction, CommitError, LakeError};
pub use lake::{Lake, OpenMode};
pub use overview::TableOverview;
pub use pulselake_commit::{CommitLimits, failpoint};
pub use pulselake_read::RowFilter;
pub use pulselake_store::local as storage;
pub use replace::{BEFORE_REPLACE_COMMIT, ReplaceError, Replaced, ReplacedPart};
pub use restate::{RestateError, Restatement, RestatementBase};
pub use rewind::RewindReport;
pub use settings::{LakeSettings, Place};
pub use tables::{FORMAT_PROPERTY, FORMAT_VERSION, iceberg_schema, ident as table_ident};
pub use upsert::{Moved, UpsertError, Upserted};
pub use view::{BatchStream, TableView};
pub use writer::{TableWriter, WriterOptions, hour_partitions, prefix_within_partition_cap};
