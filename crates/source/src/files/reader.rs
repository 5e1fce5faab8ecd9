//! The side of a file that is polled: takes chunks from the file's thread, never waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, TryRecvError};
use pulselake_model::RawBatch;

use super::gate::Gate;
use super::work::Chunk;
use crate::{PartitionReader, Polled, ReaderState, SourceError};

/// Reads one file through its thread.
pub(super) struct FileReader {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) position: i64,
    pub(super) chunks: Receiver<Result<Chunk, SourceError>>,
    pub(super) current: Option<Taking>,
    pub(super) pending: Option<SourceError>,
    pub(super) is_finished: bool,
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) gate: Arc<Gate>,
}

/// A chunk of which the first records have been handed over.
pub(super) struct Taking {
    chunk: Chunk,
    taken: usize,
}

impl FileReader {
    /// Takes the next chunk if it is there.
    fn refill(&mut self) -> bool {
        if self.current.is_some() {
            return true;
        }
        match self.chunks.try_recv() {
            Ok(Ok(chunk)) => {
                self.current = Some(Taking { chunk, taken: 0 });
                true
            }
            Ok(Err(error)) => {
                self.pending = Some(error);
                false
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                self.pending = Some(SourceError::Client {
                    action: format!("reading the file of partition {}", self.partition),
                    detail: "its thread ended before the file did".to_owned(),
                });
                false
            }
        }
    }

    /// Moves records of the current chunk into `batch`, within the limits.
    fn take(&mut self, batch: &mut RawBatch, max_records: usize, max_bytes: usize) {
        let Some(mut current) = self.current.take() else { return };
        let records = current.chunk.batch.records.len();
        let fits = records <= max_records && current.chunk.batch.bytes.len() <= max_bytes;
        if current.taken == 0 && batch.records.is_empty() && fits {
            let first_offset = batch.first_offset;
            *batch = current.chunk.batch;
            batch.first_offset = first_offset;
            self.is_finished = current.chunk.is_last;
            return;
        }
        while current.taken < records {
            if batch.records.len() >= max_records || batch.bytes.len() >= max_bytes {
                self.current = Some(current);
                return;
            }
            let record = current.chunk.batch.records[current.taken];
            batch.push(record.offset, record.timestamp_ms, current.chunk.batch.value(&record));
            current.taken += 1;
        }
        batch.next_offset = current.chunk.batch.next_offset;
        self.is_finished = current.chunk.is_last;
    }
}

impl PartitionReader for FileReader {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Polled, SourceError> {
        if self.is_cancelled.load(Ordering::Acquire) {
            return Err(SourceError::NotAssigned { topic: self.topic.clone(), partition: self.partition });
        }
        let mut batch = RawBatch::at(self.partition, self.position);
        while !self.is_finished
            && self.pending.is_none()
            && batch.records.len() < max_records
            && batch.bytes.len() < max_bytes
            && self.refill()
        {
            self.take(&mut batch, max_records, max_bytes);
        }
        if batch.is_empty()
            && let Some(error) = self.pending.take()
        {
            return Err(error);
        }
        self.position = batch.next_offset;
        let state = if self.is_finished { ReaderState::Finished } else { ReaderState::More };
        Ok(Polled { batch, state })
    }

    /// Nothing to do: the thread waits when its channel is full.
    fn set_paused(&mut self, _paused: bool) -> Result<(), SourceError> {
        Ok(())
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Release);
        self.gate.look_again();
    }
}
