//! What the decision maker needs to know: plain values, already validated by the configuration.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of decisions.
#[derive(Clone, Debug)]
pub struct DecisionSettings {
    /// File of the rules; `None`: the built-in ones.
    pub rules_file: Option<PathBuf>,
    /// File of the baseline that counts until one is published; `None`: the built-in seed.
    pub baseline_file: Option<PathBuf>,
    /// How often the files and the published baselines are looked at.
    pub reload_interval: Duration,
    /// How long a minute that some partitions have closed waits for the others, to be one commit.
    pub straggler_wait: Duration,
    /// How far a partition's watermark may be behind the clock.
    pub max_watermark_lag: Duration,
    /// Time between two looks at whether a minute has closed.
    pub look_interval: Duration,
    /// Time between two reads of what others have committed to the queue; overdue actions expire then too.
    pub refresh_interval: Duration,
    /// First pause after a failure; it doubles up to the longest.
    pub backoff_initial: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// How often the actor shows that it is alive.
    pub heartbeat_interval: Duration,
    /// How long it may be silent before it is started again.
    pub heartbeat_timeout: Duration,
}

/// Settings for tests: everything comes soon.
#[cfg(test)]
pub(super) fn for_tests(soon: Duration) -> DecisionSettings {
    DecisionSettings {
        rules_file: None,
        baseline_file: None,
        reload_interval: soon,
        straggler_wait: soon,
        max_watermark_lag: Duration::from_secs(180),
        look_interval: soon,
        refresh_interval: soon,
        backoff_initial: soon,
        backoff_max: soon * 10,
        heartbeat_interval: Duration::from_secs(1),
        heartbeat_timeout: Duration::from_secs(60),
    }
}
