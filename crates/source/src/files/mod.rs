//! Files as a source: NDJSON (plain, gzip, zstd) and Parquet, for backfill and replay.
//!
//! Each file is a partition, numbered by its place in the sorted list; an offset is a line or row number. A
//! thread per open file reads ahead into a small bounded channel, so that who polls never waits for the disk.

mod expand;
mod gate;
mod lines;
mod parquet_rows;
mod reader;
mod source;
mod work;

pub use source::{FileSource, FileSourceSettings};
