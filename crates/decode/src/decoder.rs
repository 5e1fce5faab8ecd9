//! The decoder: a batch of records in, Arrow columns out.

use pulselake_model::{DecodedBatch, LastRecord, RawBatch};

use crate::columns::{EventRows, InvalidRows, Provenance};
use crate::judge::{DecodedEvent, Rejection, judge};
use crate::record_hash;
use crate::settings::DecodeSettings;
use crate::unescaped::Unescaped;

/// Kafka's word for "this record has no timestamp".
const NO_TIMESTAMP_MS: i64 = -1;

/// Decodes the records of one topic. One per shard: it keeps sizes and buffers from batch to batch, nothing that
/// decides validity.
pub struct EventDecoder {
    settings: DecodeSettings,
    events: EventRows,
    invalid: InvalidRows,
    /// Where bodies are unescaped.
    unescaped_body: Unescaped,
}

impl EventDecoder {
    /// A decoder with these settings.
    pub fn new(settings: DecodeSettings) -> Self {
        Self {
            settings,
            events: EventRows::new(),
            invalid: InvalidRows::default(),
            unescaped_body: Unescaped::default(),
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &DecodeSettings {
        &self.settings
    }

    /// Decodes every record of `batch`: each becomes a row of `events` or a row of `invalid`, in the order of the
    /// offsets. `ingested_at_us` (microseconds since the epoch) goes into the rows and decides nothing.
    ///
    /// The values of one batch must stay below 1 GiB together: Arrow's 32-bit string offsets end at 2 GiB.
    pub fn decode(&mut self, batch: &RawBatch, ingested_at_us: i64) -> DecodedBatch {
        let provenance =
            Provenance { topic: &self.settings.source_topic, partition: batch.partition, ingested_at_us };
        self.events.begin(batch);
        for record in &batch.records {
            let value = batch.value(record);
            match judge(&self.settings, value, record.timestamp_ms, &mut self.unescaped_body) {
                Ok(event) => self.events.push(record.offset, &event),
                Err(rejection) => self.invalid.push(&provenance, record, value, &rejection),
            }
        }
        let (events, columns) = self.events.finish(&provenance);
        let (invalid, invalid_by_code) = self.invalid.finish(&provenance);
        DecodedBatch {
            partition: batch.partition,
            first_offset: batch.first_offset,
            next_offset: batch.next_offset,
            record_count: batch.records.len() as u64,
            events,
            columns,
            invalid,
            invalid_by_code,
            last: last_record(batch),
        }
    }

    /// Judges one record: what [`decode`](Self::decode) would make of it.
    ///
    /// # Errors
    /// The [`Rejection`] with which the record would go to quarantine.
    pub fn judge(
        &self,
        value: &[u8],
        record_timestamp_ms: Option<i64>,
    ) -> Result<DecodedEvent<'static>, Rejection> {
        judge(&self.settings, value, record_timestamp_ms, &mut Unescaped::default())
            .map(DecodedEvent::into_owned)
    }
}

fn last_record(batch: &RawBatch) -> Option<LastRecord> {
    batch.records.last().map(|record| LastRecord {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms.unwrap_or(NO_TIMESTAMP_MS),
        hash: record_hash(batch.value(record)),
    })
}
