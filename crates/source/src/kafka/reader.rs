//! Reads one partition's queue into batches. Never waits: it takes what librdkafka has fetched.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pulselake_model::RawBatch;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};

use super::context::{Context, PulseConsumer, eof_offset, take_last_error};
use super::errors::{Meaning, Place};
use super::slot::{SharedSlot, SlotState};
use crate::{PartitionReader, Polled, ReaderState, SourceError};

/// How long a poll waits for the slot.
const LOCK_WAIT: Duration = Duration::from_millis(2);

/// A reader of one partition from one offset on.
pub(super) struct KafkaReader {
    /// Weak, so that a forgotten reader does not keep the client in its group after the source is closed.
    consumer: Weak<PulseConsumer>,
    context: Arc<Context>,
    slot: SharedSlot,
    partition: i32,
    /// The slot's epoch when this reader was opened.
    epoch: u64,
    /// First offset that has not been handed over.
    position: i64,
    stop_at: Option<i64>,
    /// The trouble count when the end of the partition was last reported; `None` when a record came since.
    end_seen: Option<u64>,
    /// An error that came behind records: they go first.
    pending: Option<SourceError>,
    is_finished: bool,
    /// Size of the last batch, for the next one's buffers.
    last_records: usize,
    last_bytes: usize,
}

/// What one step of a poll came to.
enum Step {
    Record,
    /// The end as it was when this was fetched. In a live topic every fetch brings some records and such a report: to
    /// stop at each would take one small fetch with each poll, and fall behind while the queue is full.
    End,
    Empty,
    Stop,
}

impl KafkaReader {
    pub(super) fn new(
        consumer: &Arc<PulseConsumer>,
        slot: SharedSlot,
        partition: i32,
        epoch: u64,
        from_offset: i64,
        stop_at: Option<i64>,
    ) -> Self {
        Self {
            consumer: Arc::downgrade(consumer),
            context: consumer.context().clone(),
            slot,
            partition,
            epoch,
            position: from_offset,
            stop_at,
            end_seen: None,
            pending: None,
            is_finished: stop_at.is_some_and(|stop| from_offset >= stop),
            last_records: 0,
            last_bytes: 0,
        }
    }

    fn not_assigned(&self) -> SourceError {
        SourceError::NotAssigned { topic: self.context.topic.clone(), partition: self.partition }
    }

    fn take_one(&mut self, state: &mut SlotState, batch: &mut RawBatch) -> Step {
        // The epoch was checked, so the queue is there; without one there is nothing to read.
        let Some(queue) = state.queue.as_ref() else { return Step::Empty };
        match queue.poll(Duration::ZERO) {
            None => Step::Empty,
            Some(Ok(message)) => self.take_message(&message, batch),
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.take_end();
                Step::End
            }
            Some(Err(error)) => {
                let failure = self.judge(&error);
                if matches!(failure, Some(SourceError::OffsetOutOfRange { .. })) {
                    state.is_fetcher_stopped = true;
                }
                self.pending = failure;
                Step::Stop
            }
        }
    }

    fn take_message(&mut self, message: &BorrowedMessage<'_>, batch: &mut RawBatch) -> Step {
        let offset = message.offset();
        self.end_seen = None;
        if offset < self.position || message.partition() != self.partition {
            self.pending = Some(SourceError::UnexpectedRecord {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset,
                place: format!("in the queue of partition {} at position {}", self.partition, self.position),
            });
            return Step::Stop;
        }
        if let Some(stop) = self.stop_at.filter(|stop| offset >= *stop) {
            self.position = stop;
            self.is_finished = true;
            return Step::Stop;
        }
        batch.push(offset, message.timestamp().to_millis(), message.payload().unwrap_or_default());
        self.position = offset + 1;
        Step::Record
    }

    /// The end of the partition: no record lies between the position and the offset that the report names.
    fn take_end(&mut self) {
        let reported = take_last_error()
            .filter(|(code, _)| *code == RDKafkaErrorCode::PartitionEOF)
            .and_then(|(_, reason)| eof_offset(&reason));
        let end = reported.or_else(|| self.clients_position()).unwrap_or(self.position);
        self.position = self.position.max(end);
        self.end_seen = Some(self.context.trouble());
    }

    /// librdkafka's own position: behind the last record or control record that was taken.
    fn clients_position(&self) -> Option<i64> {
        let list = self.consumer.upgrade()?.position().ok()?;
        list.find_partition(&self.context.topic, self.partition)?.offset().to_raw().filter(|at| *at >= 0)
    }

    /// What an error in the partition's queue means; `None` if the client deals with it itself.
    fn judge(&self, error: &KafkaError) -> Option<SourceError> {
        let context = &self.context;
        let detail = take_last_error().map(|(_, reason)| reason).unwrap_or_default();
        let Some(code) = error.rdkafka_error_code() else {
            return Some(SourceError::Client { action: "fetching".to_owned(), detail: error.to_string() });
        };
        if matches!(
            code,
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation
        ) {
            return Some(SourceError::OffsetOutOfRange {
                topic: context.topic.clone(),
                partition: self.partition,
                offset: self.position,
                detail,
            });
        }
        if code == RDKafkaErrorCode::UnknownPartition {
            return Some(SourceError::UnknownPartition {
                topic: context.topic.clone(),
                partition: self.partition,
            });
        }
        let place = Place {
            brokers: &context.brokers,
            topic: &context.topic,
            group: &context.group,
            action: "fetching",
        };
        match place.meaning(code, &detail) {
            Meaning::Fatal(fatal) => Some(fatal),
            Meaning::Passing => {
                tracing::warn!(partition = self.partition, %error, detail, "fetching is in trouble, the client retries");
                context.note_trouble();
                None
            }
        }
    }

    fn state(&mut self) -> ReaderState {
        if self.stop_at.is_some_and(|stop| self.position >= stop) {
            self.is_finished = true;
        }
        if self.is_finished {
            return ReaderState::Finished;
        }
        let trouble = self.context.trouble();
        let is_at_end = match self.end_seen {
            None => false,
            Some(seen) if seen == trouble => true,
            Some(_) => self.slot.probe().get(trouble).is_some_and(|high| self.position >= high),
        };
        if is_at_end { ReaderState::AtEnd } else { ReaderState::More }
    }
}

impl PartitionReader for KafkaReader {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Polled, SourceError> {
        if let Some(failure) = self.pending.take() {
            return Err(failure);
        }
        let mut batch = RawBatch::at(self.partition, self.position);
        let slot = self.slot.clone();
        // Only `open` and the rebalance callback hold it for long, and after either this reader is out of date.
        let Some(mut state) = slot.state.try_lock_for(LOCK_WAIT) else {
            return Ok(Polled { batch, state: ReaderState::More });
        };
        if !state.is_assigned || state.epoch != self.epoch {
            return Err(self.not_assigned());
        }
        if state.is_revoking {
            self.end_seen = None;
        }
        if !self.is_finished {
            batch.records.reserve(self.last_records.min(max_records));
            batch.bytes.reserve(self.last_bytes.min(max_bytes));
            while batch.records.len() < max_records && batch.bytes.len() < max_bytes {
                match self.take_one(&mut state, &mut batch) {
                    Step::Record | Step::End => {}
                    Step::Empty | Step::Stop => break,
                }
            }
        }
        drop(state);
        if let Some(failure) = self.context.replaced() {
            return Err(failure);
        }
        self.last_records = batch.records.len();
        self.last_bytes = batch.bytes.len();
        batch.next_offset = self.position;
        if batch.is_empty()
            && let Some(failure) = self.pending.take()
        {
            return Err(failure);
        }
        let reader_state = self.state();
        Ok(Polled { batch, state: reader_state })
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), SourceError> {
        let state = self.slot.state.lock();
        if !state.is_assigned || state.epoch != self.epoch {
            return Err(self.not_assigned());
        }
        // While nothing is fetched the end moves unseen; when fetching goes on, librdkafka reports it again.
        self.end_seen = None;
        let consumer = self.consumer.upgrade().ok_or(SourceError::Closed)?;
        let changed = self
            .context
            .list(&[self.partition], None)
            .and_then(|list| if paused { consumer.pause(&list) } else { consumer.resume(&list) });
        changed.map_err(|error| SourceError::Client {
            action: format!("{} partition {}", if paused { "pausing" } else { "resuming" }, self.partition),
            detail: error.to_string(),
        })
    }
}
