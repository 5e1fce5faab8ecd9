//! Data files of one flush: partitions Arrow batches and encodes them as Parquet.
//!
//! One [`TableWriter`] writes to one table between two commits. Encoding runs on the runtime's blocking threads, so that
//! the thread that feeds it never stops for longer than a hand-over. Memory is bounded: encoded pages of an open file
//! stay in memory until its row group ends, and when all open files together hold more than a limit, the row group of
//! the largest is ended early. A file has no open descriptor before its first bytes go out.

mod bounds;
mod encoder;
mod keyed;
pub(crate) mod layout;
mod parquet_file;
mod partition;
mod properties;
mod text_bounds;

use std::collections::HashSet;

use arrow::array::RecordBatch;
use futures::StreamExt;
use iceberg::Runtime;
use iceberg::io::{FileIO, FileWrite};
use iceberg::spec::DataFile;
use iceberg::table::Table;
use pulselake_model::tables::LakeTable;

use crate::failpoint;
use crate::{Lake, LakeError, tables};
use encoder::{Encoder, FinishedFile, PendingBytes};
use layout::FileLayout;
pub use partition::{PartitionKey, Partitioner, hour_partitions, prefix_within_partition_cap};

/// Files closed (and synced) at the same time.
const CONCURRENT_CLOSES: usize = 8;

/// How the files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Level of the Zstandard compression.
    pub zstd_level: i32,
    /// Rows after which a row group ends.
    pub row_group_rows: usize,
    /// Size at which a file is closed and the next one begun, bytes.
    pub target_file_bytes: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { zstd_level: 1, row_group_rows: 1 << 20, target_file_bytes: 128 << 20 }
    }
}

/// Rows that are encoded before it is looked whether a file is full, where a batch may be of any size.
const ROWS_AT_ONCE: usize = 16 << 10;
/// Default of [`TableWriter::with_max_buffered_bytes`].
const MAX_BUFFERED_BYTES: usize = 64 << 20;

/// Writes the data files of one flush of one table.
///
/// Nothing of it is visible in the table before a commit names the files that [`TableWriter::close`] returns.
pub struct TableWriter {
    table: LakeTable,
    file_io: FileIO,
    runtime: Runtime,
    /// `None` after a call that failed or was cancelled half way.
    encoder: Option<Box<Encoder>>,
    /// Open files that have bytes on disk already, by location.
    sinks: Sinks,
    done: Vec<DataFile>,
    rows: u64,
    time_partitions: HashSet<i32>,
    open_partitions: usize,
    buffered_bytes: usize,
}

type Sinks = std::collections::HashMap<String, Box<dyn FileWrite>>;

impl TableWriter {
    /// A writer for rows of `table`. Writes nothing yet.
    pub async fn new(lake: &Lake, table: LakeTable, options: WriterOptions) -> Result<Self, LakeError> {
        let loaded = lake.last_known(table).await?;
        let layout = FileLayout::of_rows(table, loaded.metadata())?;
        Self::with_layout(lake, &loaded, layout, options)
    }

    /// A writer for files of another layout, in the table `loaded`.
    pub(crate) fn with_layout(
        lake: &Lake,
        loaded: &Table,
        layout: FileLayout,
        options: WriterOptions,
    ) -> Result<Self, LakeError> {
        let table = layout.table;
        let encoder = Encoder::new(layout, loaded.metadata(), options, MAX_BUFFERED_BYTES)?;
        Ok(Self {
            table,
            file_io: loaded.file_io().clone(),
            runtime: lake.runtime().clone(),
            encoder: Some(Box::new(encoder)),
            sinks: Sinks::new(),
            done: Vec::new(),
            rows: 0,
            time_partitions: HashSet::new(),
            open_partitions: 0,
            buffered_bytes: 0,
        })
    }

    /// The same writer with another bound on what all its open files hold in memory, bytes (default 64 MiB).
    pub fn with_max_buffered_bytes(mut self, bytes: usize) -> Self {
        if let Some(encoder) = &mut self.encoder {
            encoder.max_buffered_bytes = bytes;
        }
        self
    }

    /// Adds the rows of `batch`, whose columns are the model's, in table order; those of a dimension are matched by name
    /// (see [`Lake::write_rows`]). Rows of one partition keep their order.
    ///
    /// After an error, or when the future was dropped, the writer is good for [`TableWriter::abort`] only.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut encoder = self.take_encoder()?;
        let rows = batch.clone();
        let (encoder, touched, pending) = blocking(self.table, move || {
            let touched = encoder.encode(&rows)?;
            let pending = encoder.take_pending()?;
            Ok((encoder, touched, pending))
        })
        .await?;
        self.rows += batch.num_rows() as u64;
        self.time_partitions.extend(touched);
        self.open_partitions = encoder.open_files();
        self.buffered_bytes = encoder.buffered_bytes();
        for part in pending.bytes {
            self.send(part).await?;
        }
        for file in pending.finished {
            let closed = self.finish(file).await?;
            self.done.push(closed);
        }
        // Only now: an error above leaves a writer that can't go on as if nothing were missing.
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Files that are open now: one per partition.
    pub fn open_partitions(&self) -> usize {
        self.open_partitions
    }

    /// Values of the time partition (hours or days since the epoch) that this flush has rows of.
    pub fn time_partitions(&self) -> &HashSet<i32> {
        &self.time_partitions
    }

    /// What the open files hold in memory, bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Finishes all files: they are whole and, with `fsync`, on disk. On an error, all files of this writer are deleted.
    pub async fn close(mut self) -> Result<Vec<DataFile>, LakeError> {
        match self.close_files().await {
            Ok(files) => Ok(files),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    async fn close_files(&mut self) -> Result<Vec<DataFile>, LakeError> {
        if failpoint::reach("lake::before_parquet_close").await.is_some() {
            return Err(LakeError::Injected { point: "lake::before_parquet_close" });
        }
        let mut encoder = self.take_encoder()?;
        let last = blocking(self.table, move || encoder.finish_all()).await?;
        let closing: Vec<_> = last
            .into_iter()
            .map(|file| {
                let sink = self.sinks.remove(&file.location);
                finish_file(self.file_io.clone(), self.table, sink, file)
            })
            .collect();
        let closed: Vec<Result<DataFile, LakeError>> =
            futures::stream::iter(closing).buffered(CONCURRENT_CLOSES).collect().await;
        let mut first_error = None;
        for result in closed {
            match result {
                Ok(file) => self.done.push(file),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error {
            return Err(error);
        }
        if failpoint::reach("lake::after_parquet_close").await.is_some() {
            return Err(LakeError::Injected { point: "lake::after_parquet_close" });
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// Throws everything away: deletes what was written.
    pub async fn abort(mut self) {
        // Dropping an unfinished file removes its temporary one.
        self.sinks.clear();
        delete_all(&self.file_io, &std::mem::take(&mut self.done)).await;
    }

    /// Adds the rows as [`TableWriter::write`] does, in portions, so that a file that is full is closed before far more is encoded.
    pub(crate) async fn write_in_portions(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let count = ROWS_AT_ONCE.min(batch.num_rows() - from);
            self.write(&batch.slice(from, count)).await?;
            from += count;
        }
        Ok(())
    }

    fn take_encoder(&mut self) -> Result<Box<Encoder>, LakeError> {
        self.encoder
            .take()
            .ok_or_else(|| LakeError::WriterBroken { table: self.table.full_name().to_string() })
    }

    async fn send(&mut self, part: PendingBytes) -> Result<(), LakeError> {
        let failed = || LakeError::iceberg("write a data file of", self.table.full_name());
        let sink = match self.sinks.entry(part.location) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let output = self.file_io.new_output(vacant.key()).map_err(failed())?;
                vacant.insert(output.writer().await.map_err(failed())?)
            }
        };
        sink.write(part.bytes).await.map_err(failed())
    }

    async fn finish(&mut self, file: FinishedFile) -> Result<DataFile, LakeError> {
        let sink = self.sinks.remove(&file.location);
        finish_file(self.file_io.clone(), self.table, sink, file).await
    }
}

/// A run that ends before its flush leaves no whole files behind, not even on a disk that is full.
impl Drop for TableWriter {
    fn drop(&mut self) {
        let (file_io, files) = (self.file_io.clone(), std::mem::take(&mut self.done));
        if !files.is_empty() {
            self.runtime.io().spawn(async move { delete_all(&file_io, &files).await });
        }
    }
}

async fn delete_all(file_io: &FileIO, files: &[DataFile]) {
    for file in files {
        if let Err(error) = file_io.delete(file.file_path()).await {
            tracing::warn!(path = file.file_path(), %error, "could not delete a file of an aborted flush");
        }
    }
}

/// Runs `work` where it stops nobody. Borrows no writer: that one is not `Sync`.
async fn blocking<T: Send + 'static>(
    table: LakeTable,
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    let broken = |_| LakeError::WriterBroken { table: table.full_name().to_string() };
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

async fn finish_file(
    file_io: FileIO,
    table: LakeTable,
    sink: Option<Box<dyn FileWrite>>,
    file: FinishedFile,
) -> Result<DataFile, LakeError> {
    let failed = || LakeError::iceberg("write a data file of", table.full_name());
    let mut sink = match sink {
        Some(open) => open,
        None => {
            let output = file_io.new_output(&file.location).map_err(failed())?;
            output.writer().await.map_err(failed())?
        }
    };
    let written = match sink.write(file.rest).await {
        Ok(()) => sink.close().await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        // It may be there all the same, where only the answer was lost. What the store does later is the janitor's.
        drop(sink);
        let _ = file_io.delete(&file.location).await;
        return Err(failed()(error));
    }
    Ok(file.data_file)
}

/// Whether a batch's columns are those of the table.
fn check_columns(table: LakeTable, batch: &RecordBatch) -> Result<(), LakeError> {
    let expected = tables::model_schema(table);
    if std::sync::Arc::ptr_eq(&expected, &batch.schema()) {
        return Ok(());
    }
    let bad = |reason: String| LakeError::BadBatch { table: table.full_name().to_string(), reason };
    let found = batch.schema();
    if found.fields().len() != expected.fields().len() {
        return Err(bad(format!("{} columns, expected {}", found.fields().len(), expected.fields().len())));
    }
    for (have, want) in found.fields().iter().zip(expected.fields()) {
        if have.name() != want.name() || have.data_type() != want.data_type() {
            return Err(bad(format!(
                "column {} {}, expected {} {}",
                have.name(),
                have.data_type(),
                want.name(),
                want.data_type()
            )));
        }
    }
    for (column, want) in batch.columns().iter().zip(expected.fields()) {
        if !want.is_nullable() && column.null_count() > 0 {
            return Err(bad(format!("{} nulls in required column {}", column.null_count(), want.name())));
        }
    }
    Ok(())
}
