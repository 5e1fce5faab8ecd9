//! One partition of the topic as this process knows it: whether it is assigned, its queue, and which reader may
//! use it. The lock of a slot orders everything that touches the client's position in that partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::consumer::base_consumer::PartitionQueue;

use super::context::Context;

/// A partition's slot; lives as long as the source, so that an old reader always finds out that it is old.
#[derive(Default)]
pub(super) struct Slot {
    /// What the reader, `open` and the rebalance callback share.
    ///
    /// A reader holds it for the time of a poll. Without it a message taken by an old reader after `open` has
    /// sought would set librdkafka's idea of the position back (it is moved when a message is taken), and a later
    /// pause would resume there.
    pub(super) state: Mutex<SlotState>,
    probe: EndProbe,
}

/// What a slot's lock protects.
#[derive(Default)]
pub(super) struct SlotState {
    /// Whether the partition is assigned to this process.
    pub(super) is_assigned: bool,
    /// It is being taken away: librdkafka holds its fetching, so that its end is not known.
    pub(super) is_revoking: bool,
    /// Counts assignments and openings: a reader with another number is out of date.
    pub(super) epoch: u64,
    /// The partition's own queue while it is assigned.
    pub(super) queue: Option<PartitionQueue<Context>>,
    /// The fetcher has stopped by an error (offset out of range): only a new assignment starts it again.
    pub(super) is_fetcher_stopped: bool,
}

impl Slot {
    /// Takes the partition away: readers fail from now on.
    pub(super) fn release(&self) {
        let mut state = self.state.lock();
        state.is_assigned = false;
        state.is_revoking = false;
        state.epoch += 1;
        state.queue = None;
    }

    /// The end offset found by asking, valid for connection trouble number `trouble`.
    pub(super) fn probe(&self) -> &EndProbe {
        &self.probe
    }
}

/// The last stable offset as it was asked for after a trouble with the connection.
///
/// librdkafka reports the end of a partition once. If the connection breaks afterwards the report says nothing
/// any more, and without a new record it does not come again: then this answer stands in.
#[derive(Default)]
pub(super) struct EndProbe {
    high: AtomicI64,
    trouble: AtomicU64,
}

impl EndProbe {
    /// Notes the answer to a question that was asked when `trouble` troubles had been counted.
    pub(super) fn set(&self, high: i64, trouble: u64) {
        self.high.store(high, Ordering::Release);
        self.trouble.store(trouble, Ordering::Release);
    }

    /// The end offset, if it was asked for after the last trouble.
    pub(super) fn get(&self, trouble: u64) -> Option<i64> {
        (self.trouble.load(Ordering::Acquire) == trouble).then(|| self.high.load(Ordering::Acquire))
    }
}

/// A slot as it is shared.
pub(super) type SharedSlot = Arc<Slot>;
