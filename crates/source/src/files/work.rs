//! What a file's thread does: reads records from a position on and sends them in chunks.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pulselake_model::RawBatch;

use super::expand::{FileKind, InputFile, unreadable};
use super::gate::Gate;
use super::lines::{Line, LineReader};
use super::parquet_rows::RowEncoder;
use crate::SourceError;

/// Consecutive records of a file, and whether they are its last (or the last before `stop_at`).
pub(super) struct Chunk {
    pub(super) batch: RawBatch,
    pub(super) is_last: bool,
}

/// What is known of a file beyond its name, shared between the source and its readers.
#[derive(Default)]
pub(super) struct FileFacts {
    /// Bytes of it that the present reader has read.
    pub(super) done_bytes: Arc<AtomicU64>,
    /// How many lines it has, plus one; 0 while nobody has read it to its end.
    lines_plus_one: AtomicI64,
}

impl FileFacts {
    /// How many lines the file has, once somebody has read them all.
    pub(super) fn line_count(&self) -> Option<i64> {
        match self.lines_plus_one.load(Ordering::Acquire) {
            0 => None,
            count => Some(count - 1),
        }
    }
}

/// A thread's task.
pub(super) struct Work {
    pub(super) file: InputFile,
    pub(super) facts: Arc<FileFacts>,
    pub(super) gate: Arc<Gate>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from_offset: i64,
    pub(super) stop_at: Option<i64>,
    pub(super) max_line_bytes: usize,
    pub(super) chunk_bytes: usize,
    pub(super) chunks: Sender<Result<Chunk, SourceError>>,
}

/// Nobody takes the chunks any more.
struct Abandoned;

/// Most records in a chunk.
const CHUNK_RECORDS: usize = 4_096;
/// Rows decoded from Parquet at a time.
const PARQUET_ROWS: usize = 1_024;

impl Work {
    /// Reads until the end, `stop_at`, an error, or until the reader is gone.
    pub(super) fn run(self) {
        let Some(_pass) = self.gate.enter(self.partition, &self.is_cancelled) else { return };
        self.facts.done_bytes.store(0, Ordering::Relaxed);
        let outcome = match self.file.kind {
            FileKind::Parquet => self.read_rows(),
            FileKind::Lines | FileKind::GzipLines | FileKind::ZstdLines => self.read_lines(),
        };
        if let Err(error) = outcome {
            // If nobody listens any more, nobody wants to know.
            let _ = self.hand_over(Err(error));
        }
    }

    fn open(&self) -> Result<File, SourceError> {
        let path = &self.file.path;
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        if size == self.file.size_bytes {
            return Ok(file);
        }
        Err(SourceError::File {
            path: path.clone(),
            detail: format!(
                "has changed from {} to {size} bytes since the source was opened; input files must not change, restart",
                self.file.size_bytes
            ),
        })
    }

    fn damaged(&self, position: i64, detail: &dyn std::fmt::Display) -> SourceError {
        SourceError::DamagedFile { path: self.file.path.clone(), position, detail: detail.to_string() }
    }

    fn beyond_end(&self, end: i64) -> SourceError {
        SourceError::OffsetOutOfRange {
            topic: format!("{} ({})", self.topic, self.file.path.display()),
            partition: self.partition,
            offset: self.from_offset,
            detail: format!("the file has {end} records"),
        }
    }

    /// The position after which nothing is wanted.
    fn bound(&self) -> i64 {
        self.stop_at.unwrap_or(i64::MAX)
    }

    fn send(&self, batch: RawBatch, is_last: bool) -> Result<(), Abandoned> {
        self.hand_over(Ok(Chunk { batch, is_last }))
    }

    /// Waits for room in the channel. A reader that was replaced may live on without polling: then the place at the
    /// gate is not held for it.
    fn hand_over(&self, mut message: Result<Chunk, SourceError>) -> Result<(), Abandoned> {
        const LOOK_EVERY: Duration = Duration::from_millis(50);
        loop {
            match self.chunks.send_timeout(message, LOOK_EVERY) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(unsent)) if !self.is_cancelled.load(Ordering::Acquire) => {
                    message = unsent;
                }
                Err(_) => return Err(Abandoned),
            }
        }
    }

    fn is_full(&self, batch: &RawBatch) -> bool {
        batch.bytes.len() >= self.chunk_bytes || batch.records.len() >= CHUNK_RECORDS
    }

    fn read_lines(&self) -> Result<(), SourceError> {
        let done_bytes = self.facts.done_bytes.clone();
        let opened = LineReader::new(self.open()?, self.file.kind, self.max_line_bytes, done_bytes);
        let mut lines = opened.map_err(|error| self.damaged(0, &error))?;
        if let Err(error) = lines.skip_to(self.from_offset) {
            return Err(self.damaged(lines.number(), &error));
        }
        if lines.number() < self.from_offset {
            return Err(self.beyond_end(lines.number()));
        }
        let mut batch = RawBatch::at(self.partition, self.from_offset);
        let mut line = Vec::new();
        loop {
            if lines.number() >= self.bound() {
                let _ = self.send(batch, true);
                return Ok(());
            }
            match lines.next_line(&mut line) {
                Err(error) => {
                    let position = lines.number();
                    // What was read before the damage is whole.
                    let _ = self.send(batch, false);
                    return Err(self.damaged(position, &error));
                }
                Ok(Line::End) => {
                    self.facts.lines_plus_one.store(lines.number() + 1, Ordering::Release);
                    let _ = self.send(batch, true);
                    return Ok(());
                }
                Ok(Line::Whole { number, cut_bytes }) => {
                    if cut_bytes > 0 {
                        tracing::warn!(
                            path = %self.file.path.display(), line = number, cut_bytes,
                            "line longer than files.max_line_bytes: handed over cut, to be quarantined as too large"
                        );
                    }
                    // An empty line is no record: its number is a gap.
                    if !line.is_empty() {
                        batch.push(number, None, &line);
                    }
                    batch.next_offset = number + 1;
                }
            }
            if self.is_full(&batch) {
                let next = batch.next_offset;
                if self.send(batch, false).is_err() {
                    return Ok(());
                }
                batch = RawBatch::at(self.partition, next);
            }
        }
    }

    fn read_rows(&self) -> Result<(), SourceError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(self.open()?)
            .map_err(|error| self.damaged(0, &error))?;
        let rows = builder.metadata().file_metadata().num_rows();
        if self.from_offset > rows {
            return Err(self.beyond_end(rows));
        }
        let encoder = RowEncoder::new(builder.schema())
            .map_err(|detail| SourceError::File { path: self.file.path.clone(), detail })?;
        let offset = usize::try_from(self.from_offset).unwrap_or(usize::MAX);
        let reader = builder.with_batch_size(PARQUET_ROWS).with_offset(offset).build();
        let reader = reader.map_err(|error| self.damaged(self.from_offset, &error))?;
        let mut batch = RawBatch::at(self.partition, self.from_offset);
        let bound = self.bound().min(rows);
        for decoded in reader {
            let position = batch.next_offset;
            let decoded = decoded.map_err(|error| self.damaged(position, &error))?;
            let values = encoder.encode(&decoded).map_err(|error| self.damaged(position, &error))?;
            for value in values.iter() {
                if batch.next_offset >= bound {
                    break;
                }
                batch.push(batch.next_offset, None, value);
                if self.is_full(&batch) {
                    let next = batch.next_offset;
                    if self.send(std::mem::take(&mut batch), false).is_err() {
                        return Ok(());
                    }
                    batch = RawBatch::at(self.partition, next);
                }
            }
            let share = self.file.size_bytes as f64 * batch.next_offset as f64 / rows.max(1) as f64;
            self.facts.done_bytes.store(share as u64, Ordering::Relaxed);
            if batch.next_offset >= bound {
                break;
            }
        }
        if batch.next_offset < bound {
            return Err(self.damaged(batch.next_offset, &format_args!("the footer promises {rows} rows")));
        }
        let _ = self.send(batch, true);
        Ok(())
    }
}
