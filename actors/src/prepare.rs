//! From what a reader delivers to what each sink gets: decoded, cut where the sinks stand, and settled where another
//! decoder has judged before. Pure but for the decoder's own buffers.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use pulselake_decode::EventDecoder;
use pulselake_ledger::LastSeen;
use pulselake_model::{DecodedBatch, RawBatch};

use crate::messages::WriteBatch;
use crate::route::{Route, Routing, settle_by_quarantine};

/// Decodes one partition's batches for its sinks.
pub struct Preparer {
    decoder: EventDecoder,
    routing: Routing,
    quarantined: HashSet<i64>,
}

/// A stretch of records that lies on one side of every sink's offset.
pub struct Piece {
    /// All of it, for the aggregator.
    pub decoded: DecodedBatch,
    /// Bytes of its values.
    pub value_bytes: usize,
    /// Whether the aggregator needs it.
    pub to_gold: bool,
    /// What the bronze writer gets, where bronze does not have it yet.
    pub write: Option<WriteBatch>,
}

impl Preparer {
    /// `quarantined` are the offsets in quarantine, for the range where they decide.
    pub fn new(decoder: EventDecoder, routing: Routing, quarantined: HashSet<i64>) -> Self {
        Self { decoder, routing, quarantined }
    }

    /// The pieces that any sink needs, in order.
    pub fn prepare(&mut self, batch: RawBatch, ingested_at_us: i64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for raw in self.routing.cut(batch) {
            let route = self.routing.route(raw.first_offset);
            if route.to_bronze || route.to_gold {
                pieces.push(self.piece(&raw, route, ingested_at_us));
            }
        }
        pieces
    }

    fn piece(&mut self, raw: &RawBatch, route: Route, ingested_at_us: i64) -> Piece {
        let mut decoded = self.decoder.decode(raw, ingested_at_us);
        let mut invalid_to_write = decoded.invalid.clone();
        if route.quarantined_decides {
            let settled = settle_by_quarantine(&decoded, &self.quarantined);
            (decoded, invalid_to_write) = (settled.batch, settled.invalid_to_write);
        } else if !route.to_quarantine {
            invalid_to_write = invalid_to_write.slice(0, 0);
        }
        Piece {
            value_bytes: raw.bytes.len(),
            to_gold: route.to_gold,
            write: route.to_bronze.then(|| write_batch(&decoded, raw, invalid_to_write)),
            decoded,
        }
    }
}

fn write_batch(decoded: &DecodedBatch, raw: &RawBatch, invalid: RecordBatch) -> WriteBatch {
    let valid_offsets = &decoded.columns.offset;
    let rejected_offsets = if valid_offsets.len() == raw.records.len() {
        Vec::new()
    } else {
        let offsets = raw.records.iter().map(|record| record.offset);
        offsets.filter(|offset| valid_offsets.binary_search(offset).is_err()).collect()
    };
    WriteBatch {
        partition: decoded.partition,
        first: decoded.first_offset,
        next: decoded.next_offset,
        events: decoded.events.clone(),
        stream_time_us: decoded.columns.stream_time_us.clone(),
        invalid,
        rejected_offsets,
        last: last_seen(decoded),
        lost: 0,
    }
}

/// A batch's last record as the ledger names it.
pub(crate) fn last_seen(decoded: &DecodedBatch) -> Option<LastSeen> {
    decoded.last.map(|last| LastSeen { offset: last.offset, timestamp: last.timestamp_ms, hash: last.hash })
}
