//! From settings to what a round of maintenance does.

use std::time::Duration;

use pulselake_commit::CommitLimits;
use pulselake_config::Settings;
use pulselake_maintain::RoundSettings;
use pulselake_maintain::compaction::{Budget, CancelToken, ClosedRule, Compaction, TablePolicy};
use pulselake_maintain::janitor::{LeaseSettings, OrphanSettings, RetentionRules, SweepSettings};

const GOLD: &str = "gold.rt_video_stats_1min";

/// A round over the table with this full name, which `cancel` asks to stop.
pub(crate) fn round_settings(
    settings: &Settings,
    table: &str,
    is_dry_run: bool,
    cancel: &CancelToken,
) -> RoundSettings {
    let mut compaction = Compaction::new(policy(settings, table));
    compaction.budget = budget(settings);
    compaction.cancel = cancel.clone();
    RoundSettings {
        compaction: Some(compaction),
        sweep: Some(sweep(settings, table)),
        who: maintainer_name(),
        cancel: cancel.clone(),
        is_dry_run,
    }
}

/// Bounds of the commits of maintenance.
pub(crate) fn maintenance_limits(settings: &Settings) -> CommitLimits {
    CommitLimits {
        answer_timeout: Duration::from_millis(settings.rest.answer_timeout_ms),
        history: Duration::from_millis(settings.maintenance.snapshot_max_age_ms),
        max_change_age: Duration::from_millis(settings.maintenance.orphan_min_age_ms / 2),
        ..CommitLimits::default()
    }
}

/// This host and process, for people who look at a lease.
pub(crate) fn maintainer_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}:{}", if host.is_empty() { "pulselake" } else { host }, std::process::id())
}

/// The lease of maintainers.
pub(crate) fn lease_settings(settings: &Settings) -> LeaseSettings {
    LeaseSettings {
        duration: Duration::from_millis(settings.maintenance.lease_ms),
        ..LeaseSettings::default()
    }
}

/// Which snapshots stay.
pub(crate) fn retention_rules(settings: &Settings) -> RetentionRules {
    RetentionRules {
        max_age_ms: i64::try_from(settings.maintenance.snapshot_max_age_ms).unwrap_or(i64::MAX),
        min_snapshots: settings.maintenance.snapshots_to_keep,
    }
}

/// Which files count as orphans.
pub(crate) fn orphan_settings(settings: &Settings) -> OrphanSettings {
    OrphanSettings { safety_age: Duration::from_millis(settings.maintenance.orphan_min_age_ms) }
}

fn policy(settings: &Settings, table: &str) -> TablePolicy {
    let maintenance = &settings.maintenance;
    let close_delay = Duration::from_millis(maintenance.partition_close_delay_ms);
    let mut policy = TablePolicy::of_table(table);
    policy.target_file_bytes = maintenance.target_file_bytes;
    policy.urgent_files = maintenance.urgent_files;
    if matches!(policy.closed, ClosedRule::AfterItsEnd(_)) {
        // Gold's days grow as long as corrections are accepted.
        let lateness = match table {
            GOLD => Duration::from_millis(settings.windows.allowed_lateness_ms),
            _ => Duration::ZERO,
        };
        policy.closed = ClosedRule::AfterItsEnd(close_delay + lateness);
    }
    policy
}

fn budget(settings: &Settings) -> Budget {
    Budget {
        memory_bytes: settings.maintenance.memory_bytes,
        safety_age: Duration::from_millis(settings.maintenance.orphan_min_age_ms),
        commit: maintenance_limits(settings),
        ..Budget::default()
    }
}

fn sweep(settings: &Settings, table: &str) -> SweepSettings {
    let gold_max_age_ms = settings.maintenance.gold_max_age_ms;
    SweepSettings {
        retention: retention_rules(settings),
        orphans: Some(orphan_settings(settings)),
        time_to_live: (table == GOLD && gold_max_age_ms > 0).then(|| Duration::from_millis(gold_max_age_ms)),
        lease: lease_settings(settings),
    }
}
