//! The event-time state of one source partition: 1-minute windows, watermark, late corrections, deduplication.
//!
//! Pure: no I/O, no clock, no threads. What comes out is a function of the records and of the moments at which
//! the caller closes an idle partition; how the records were cut into batches never matters. [`PartitionWindows`] is
//! fed decoded batches in offset order and, at every flush, hands out the rows to commit together with the
//! position that a restart needs. There is no state store: a restart reads the records again from that position
//! and arrives at the same open windows and the same set of known event ids. Whoever wants to show counts before their
//! window closes asks for what each batch has added ([`PartitionWindows::apply_counting`]).
//!
//! Promises, at every flush, over the partition's whole life:
//! * `records = quarantined + duplicates + dropped + open + events in all rows flushed so far` (late events are in rows);
//! * the sum of the rows per video and window is what one uninterrupted run would have counted;
//! * a position never lets a restart begin to read after a record that it needs.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch_view;
mod checkpoints;
mod dedup;
mod deltas;
mod error;
mod partition;
mod replay;
mod settings;
mod time;
mod video_counts;

pub use deltas::CountedDelta;
pub use error::ApplyError;
pub use partition::PartitionWindows;
pub use replay::ReplayDifference;
pub use settings::WindowSettings;
pub use time::{WINDOW_US, window_end_us, window_start_us};
