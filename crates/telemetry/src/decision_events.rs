//! The log events of decisions, their rules and their outbox, one function each. Every one has the field `event`.

use std::time::Duration;

use tracing::{error, info, warn};

use crate::RoundFigures;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `BOOST=2,RESCUE=1`.
fn listed(counts: &[(&'static str, u64)]) -> String {
    let shown = counts.iter().filter(|(_, count)| *count > 0);
    shown.map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(",")
}

/// A round of decisions has ended. `minute` is the newest one that was decided about. One that decided and held back
/// nothing is told at the level debug.
pub fn decided(minute: &str, partitions: usize, videos: u64, rule_version: &str, figures: &RoundFigures) {
    let (taken, suppressed) = (listed(&figures.taken), listed(&figures.suppressed));
    let (expired, retries, duration_ms) = (figures.expired, figures.retries, millis(figures.duration));
    if taken.is_empty() && expired == 0 {
        tracing::debug!(
            event = "decided",
            minute,
            partitions,
            videos,
            rule_version,
            taken,
            suppressed,
            expired,
            retries,
            duration_ms,
            "decided: nothing to do"
        );
        return;
    }
    info!(
        event = "decided",
        minute, partitions, videos, rule_version, taken, suppressed, expired, retries, duration_ms, "decided"
    );
}

/// A round of decisions failed; ingestion goes on, and the round is made again.
pub fn round_failed(retry_in: Duration, reason: &str) {
    warn!(
        event = "decisions_failed",
        retry_in_ms = millis(retry_in),
        reason,
        "a round of decisions failed, trying again; ingestion goes on"
    );
}

/// The queue can't be used until somebody has looked at it; ingestion goes on.
pub fn queue_broken(retry_in: Duration, reason: &str) {
    error!(
        event = "queue_broken",
        retry_in_ms = millis(retry_in),
        reason,
        "nothing is decided until this is put right; ingestion goes on"
    );
}

/// The actor of decisions was started again.
pub fn decision_maker_restarted(restart_in: Duration, cause: &str) {
    warn!(
        event = "decision_maker_restarted",
        restart_in_ms = millis(restart_in),
        cause,
        "the decision maker failed, it is started again; ingestion goes on"
    );
}

/// The state of freshness has changed.
pub fn freshness_changed(before: &str, after: &str, age_p95_s: Option<f64>) {
    let consequence = match after {
        "fresh" => "everything is decided again",
        "degraded" => "gold is old: only REVIEW is decided",
        _ => "gold is too old, or the source is out: nothing is decided",
    };
    warn!(event = "freshness_changed", before, after, age_p95_s, "{consequence}");
}

/// Rules are in force: at the start, and when their file has changed.
pub fn rules_in_force(version: &str, origin: &str) {
    info!(event = "rules_in_force", version, origin, "these rules decide");
}

/// A baseline is in force: at the start, and when another takes its place.
pub fn baseline_in_force(origin: &str, velocity_p90: f64, impressions_p40: f64, cohorts: usize) {
    info!(
        event = "baseline_in_force",
        origin, velocity_p90, impressions_p40, cohorts, "decisions compare with this baseline"
    );
}

/// A file of rules or baselines can't be used; the ones in force stay.
pub fn file_refused(path: &str, reason: &str) {
    warn!(
        event = "rules_refused",
        path, reason, "the file can't be used, what was in force before stays in force"
    );
}

/// The published baselines can't be used; those before them stay.
pub fn baselines_unusable(reason: &str) {
    warn!(
        event = "baselines_unusable",
        reason, "dims.rt_rule_quantile_baselines can't be used, the baseline before it stays in force"
    );
}

/// The outbox has found out what is in its topic already.
pub fn outbox_resumed(topic: &str, read: u64, missing: usize) {
    info!(
        event = "outbox_resumed",
        topic, read, missing, "the topic's tail was read: what is missing there is sent"
    );
}

/// The outbox can't send, or can't read its topic; it tries again and loses nothing.
pub fn outbox_failed(topic: &str, retry_in: Duration, waiting: usize, reason: &str) {
    warn!(
        event = "outbox_failed",
        topic,
        retry_in_ms = millis(retry_in),
        waiting,
        reason,
        "actions can't be sent, trying again"
    );
}
