//! Settings of the engine: shards, supervision, decoder, windows.

use serde::{Deserialize, Serialize};

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Threads that decode and aggregate; 0 is one per core.
    pub shards: usize,
    /// Records in one batch at most.
    pub batch_records: usize,
    /// Bytes of values in one batch at most.
    pub batch_bytes: usize,
    /// How long a batch may wait to fill, in milliseconds.
    pub batch_wait_ms: u64,
    /// Batches that wait in one actor's mailbox at most.
    pub mailbox_batches: usize,
    /// A partition that stands at its end this long is idle and closes its windows, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How often the source's ends are looked up to measure lag, in milliseconds.
    pub lag_interval_ms: u64,
    /// How long the last commits may take after SIGTERM, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl EngineSettings {
    /// The number of shards: `shards`, or one per core this process may use.
    pub fn shard_count(&self) -> usize {
        if self.shards > 0 {
            return self.shards;
        }
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            shards: 0,
            batch_records: 4_096,
            batch_bytes: 4_194_304,
            batch_wait_ms: 100,
            mailbox_batches: 4,
            idle_timeout_ms: 30_000,
            lag_interval_ms: 5_000,
            drain_timeout_ms: 30_000,
        }
    }
}

/// `[supervision]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupervisionSettings {
    /// Pause before the first restart, doubled each time, in milliseconds.
    pub backoff_initial_ms: u64,
    /// Longest pause before a restart, in milliseconds.
    pub backoff_max_ms: u64,
    /// Crashes within `restart_window_ms`, of all shards together, before the service gives up.
    pub restart_budget: u32,
    /// The time over which restarts are counted, in milliseconds.
    pub restart_window_ms: u64,
    /// How often actors are asked whether they live, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// An actor that has not answered for so long hangs, in milliseconds.
    pub heartbeat_timeout_ms: u64,
}

impl Default for SupervisionSettings {
    fn default() -> Self {
        Self {
            backoff_initial_ms: 500,
            backoff_max_ms: 30_000,
            restart_budget: 10,
            restart_window_ms: 600_000,
            heartbeat_interval_ms: 5_000,
            heartbeat_timeout_ms: 60_000,
        }
    }
}

/// `[decode]`. These decide what is valid: changing one changes the decoder's fingerprint in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeSettings {
    /// Longest valid record, in bytes.
    pub max_record_bytes: usize,
    /// How far an event may lie ahead of its record's timestamp, in milliseconds.
    pub future_tolerance_ms: u64,
    /// How deep JSON may nest, in levels.
    pub max_nesting_depth: usize,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        Self { max_record_bytes: 1_048_576, future_tolerance_ms: 300_000, max_nesting_depth: 128 }
    }
}

/// `[windows]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowSettings {
    /// How far the watermark stays behind stream time, in milliseconds.
    pub watermark_delay_ms: u64,
    /// How long after its window's end an event still makes a correction, in milliseconds of stream time.
    pub allowed_lateness_ms: u64,
    /// Within which stream time a repeated event id counts once, in milliseconds; 0 switches deduplication off.
    pub dedup_horizon_ms: u64,
    /// Event ids remembered per partition at most.
    pub dedup_max_ids: usize,
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            watermark_delay_ms: 10_000,
            allowed_lateness_ms: 86_400_000,
            dedup_horizon_ms: 120_000,
            dedup_max_ids: 2_000_000,
        }
    }
}
