//! `[decisions]`: what is decided about videos, and where it goes.

use serde::{Deserialize, Serialize};

/// Whether and how the engine decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionSettings {
    /// Whether it does. It takes the videos' changes and a live board too.
    pub enabled: bool,
    /// File of the rules; empty: the built-in ones.
    pub rules_file: String,
    /// File of the baseline that counts until one is published; empty: the built-in one.
    pub baseline_file: String,
    /// Topic that actions are sent to; empty: none.
    pub actions_topic: String,
    /// How long a minute that some partitions have closed waits for the others.
    pub straggler_wait_ms: u64,
    /// How far a partition's watermark may be behind the clock.
    pub max_watermark_lag_ms: u64,
    /// Time between two looks at the files and the published baselines.
    pub reload_interval_ms: u64,
    /// Time between two looks at what others have committed to the queue.
    pub refresh_interval_ms: u64,
}

impl Default for DecisionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            rules_file: String::new(),
            baseline_file: String::new(),
            actions_topic: String::new(),
            straggler_wait_ms: 5_000,
            max_watermark_lag_ms: 180_000,
            reload_interval_ms: 5_000,
            refresh_interval_ms: 5_000,
        }
    }
}
