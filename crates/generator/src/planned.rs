//! A record as it waits for its block: everything that its bytes are made of, in 32 bytes.

use pulselake_model::EventType;

use crate::MalformedKind;
use crate::effects::{BEYOND_LATENESS_MS, Form};
use crate::spill::{BLOCK_MS, Spilled};

/// What a record is, seen from the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An event, delivered for the first time.
    Event,
    /// The same bytes again: a producer's retry of an event that was delivered before.
    Retry,
    /// A record that must end in quarantine.
    Malformed(MalformedKind),
}

/// A record that is planned for a block. Which block, and its partition, say where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedRecord {
    /// Block and index in it under which this was planned: `block << 20 | index`.
    pub(crate) plan_key: u64,
    /// Place of the video in the catalogue.
    pub(crate) video: u32,
    pub(crate) user: u32,
    pub(crate) watch_time_ms: u32,
    /// Record time minus what the client's clock said at the event.
    pub(crate) lag_ms: i32,
    /// Record time since its block's start; below 1,000.
    pub(crate) record_ms: u16,
    pub(crate) body_tail: u8,
    pub(crate) form: Form,
    pub(crate) event_type: EventType,
    pub(crate) kind: RecordKind,
}

impl PlannedRecord {
    /// Whether the client's clock is so slow that the event is beyond the usual allowed lateness.
    pub(crate) fn is_beyond_lateness(&self) -> bool {
        self.lag_ms > BEYOND_LATENESS_MS
    }
}

impl Spilled for PlannedRecord {
    fn due_at(self, record_time_ms: i64) -> Self {
        Self { record_ms: (record_time_ms % BLOCK_MS) as u16, ..self }
    }

    fn order_in_block(&self) -> i64 {
        self.record_ms.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_record_is_small() {
        assert!(size_of::<PlannedRecord>() <= 32);
    }
}
