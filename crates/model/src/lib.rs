//! The words that every part of Pulselake shares: what a record is before and after decoding, which columns
//! the hot tables have, and why a record can be rejected.
//!
//! Nothing here does I/O or knows Iceberg or Kafka. Arrow schemas are the contract between the decoder, the
//! aggregator and the writers; names follow the domain's tables as they stand.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cold;
pub mod column_change;
pub mod decisions;
pub mod decoded;
pub mod entity;
pub mod error_code;
pub mod error_words;
pub mod event;
pub mod gold;
pub mod gold_counts;
pub mod qa;
pub mod raw;
pub mod schema;
pub mod tables;

pub use column_change::ColumnChange;
pub use decoded::{DecodedBatch, EventColumns, LastRecord};
pub use entity::Entity;
pub use error_code::ErrorCode;
pub use error_words::words_of;
pub use event::EventType;
pub use gold::{GoldFlush, GoldPosition, GoldRow, RESTATED_PARTITION, WindowCounters};
pub use gold_counts::GoldCounts;
pub use raw::{RawBatch, RawRecord};
