//! What the actors need to know: plain numbers, already validated by the configuration.

use std::time::Duration;

/// Settings of the whole pipeline.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Threads that partitions are spread over.
    pub shards: usize,
    /// Records that one batch holds at most.
    pub batch_records: usize,
    /// Bytes of values that one batch holds at most.
    pub batch_bytes: usize,
    /// How long a reader at its end waits for more before it hands a batch on.
    pub batch_wait: Duration,
    /// Capacity of each mailbox, in batches.
    pub mailbox_batches: usize,
    /// How long a partition must stand at its end before its newest windows close.
    pub idle_timeout: Duration,
    /// How long a drain (SIGTERM, revoked partitions) may take before the shard is killed instead.
    pub drain_timeout: Duration,
    /// Bronze and quarantine: longest time between two commits.
    pub bronze_commit_interval: Duration,
    /// Bronze and quarantine: bytes buffered before a commit is made early.
    pub bronze_flush_bytes: usize,
    /// Bronze: hour partitions that one commit may touch.
    pub bronze_max_open_hours: usize,
    /// Gold: how long the first partition with a closed minute waits for the others.
    pub gold_collect_wait: Duration,
    /// Gold: longest time that a correction waits for a commit to ride along with.
    pub gold_correction_interval: Duration,
    /// Gold: rows a partition may hold back before it is collected early; at twice this number it stops taking batches.
    pub gold_max_pending_rows: usize,
    /// Restarts of one shard: first pause.
    pub backoff_initial: Duration,
    /// Restarts of one shard: longest pause.
    pub backoff_max: Duration,
    /// Restarts within `restart_window` before the service gives up.
    pub restart_budget: usize,
    /// See `restart_budget`.
    pub restart_window: Duration,
    /// How often an actor shows that it is alive.
    pub heartbeat_interval: Duration,
    /// How long an actor may be silent before its shard is killed.
    pub heartbeat_timeout: Duration,
    /// How often lag is measured against the source's end.
    pub lag_interval: Duration,
    /// Read to the end offsets seen at the start, close every window, commit, and end.
    pub until_caught_up: bool,
    /// Count what retention removed unread and go on, instead of stopping.
    pub continue_on_data_loss: bool,
}
