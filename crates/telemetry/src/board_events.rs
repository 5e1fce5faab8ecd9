//! The log events of the live board; see [`crate::events`].

use std::time::Duration;

use tracing::{info, warn};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The board has what was committed before this run began.
pub fn board_refilled(run: &str, partitions: &[i32], rows: u64, took: Duration) {
    info!(
        event = "board_refilled",
        run,
        partitions = ?partitions,
        rows,
        duration_ms = millis(took),
        "the live board has the last minutes of gold again"
    );
}

/// Reading gold for the board failed; without `retry_in` nobody tries again, and the board is whole once its minutes have
/// passed.
pub fn board_refill_failed(run: &str, partitions: &[i32], reason: &str, retry_in: Option<Duration>) {
    warn!(
        event = "board_refill_failed",
        run,
        partitions = ?partitions,
        reason,
        retry_in_ms = retry_in.map(millis),
        "gold could not be read for the live board, which lacks the minutes before this run until then"
    );
}
