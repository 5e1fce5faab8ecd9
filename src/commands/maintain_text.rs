//! What maintenance and its reports say to people.

use std::fmt::Write;

use pulselake_maintain::RoundReport;
use pulselake_maintain::erase::EraseReport;
use pulselake_maintain::health::TableHealth;

use crate::inspect::report::time_text;

/// Bytes with a unit that fits.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn time(ms: Option<i64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |at| time_text(at.saturating_mul(1_000)))
}

/// A table's health.
pub(super) fn health_text(health: &TableHealth) -> String {
    let mut text = String::new();
    let (files, deletes) = (&health.data_files, &health.delete_files);
    let (manifests, snapshots) = (&health.manifests, &health.snapshots);
    // Writing to a String can't fail.
    let _ = writeln!(text, "{}\n  location   {}", health.table, health.location);
    let _ = writeln!(
        text,
        "  files      {} with {} rows, {}, {} on average, in {} partitions",
        files.count,
        files.records,
        size(files.bytes),
        size(files.average_bytes),
        health.partitions
    );
    for class in files.by_size.iter().filter(|class| class.files > 0) {
        let name = class.name.replace('_', " ");
        let _ = writeln!(text, "             {name}: {} files, {}", class.files, size(class.bytes));
    }
    for partition in health.busiest_partitions.iter().take(3).filter(|found| found.files > 1) {
        let _ = writeln!(
            text,
            "             {}: {} files, {}",
            partition.partition,
            partition.files,
            size(partition.bytes)
        );
    }
    let _ = writeln!(
        text,
        "  deletes    {} files ({} equality, {} position), {}, for {} data files",
        deletes.count,
        deletes.equality,
        deletes.position,
        size(deletes.bytes),
        deletes.data_files_touched
    );
    let _ = writeln!(
        text,
        "  manifests  {}, {}, planned in {} ms",
        manifests.count,
        size(manifests.bytes),
        manifests.plan_ms
    );
    let _ = writeln!(
        text,
        "  snapshots  {}, from {} to {}; {} metadata versions",
        snapshots.count,
        time(snapshots.oldest_ms),
        time(snapshots.newest_ms),
        health.metadata_versions
    );
    match &health.orphans {
        Some(orphans) => {
            let _ = writeln!(
                text,
                "  orphans    {}, {}; {} more are too young to judge",
                orphans.files,
                size(orphans.bytes),
                orphans.too_young
            );
        }
        None => text.push_str("  orphans    not looked for (--orphans does)\n"),
    }
    if let Some(lease) = &health.lease {
        let until = time(Some(lease.expires_at_ms));
        let _ = writeln!(text, "  maintained by {} until {until}", lease.holder);
    }
    let ledger = if health.ledger.is_some() { "see pulselake ledger show" } else { "none" };
    let _ = writeln!(text, "  ledger     {ledger}");
    text
}

/// A round's plan, or what it did, with the table before and after.
pub(super) fn round_text(report: &RoundReport, is_dry_run: bool) -> String {
    let mut text = format!("{}\n", report.table);
    let (compaction, sweep) = (&report.compaction, &report.sweep);
    let would = if is_dry_run { "would " } else { "" };
    if !report.is_changed && !is_dry_run {
        text.push_str("  nothing to do\n");
    }
    for group in &compaction.planned {
        let place = if group.partition.is_empty() { "the table" } else { &group.partition };
        let _ = writeln!(
            text,
            "  {would}rewrite {} files of {place}, {}, {} delete files with them",
            group.files,
            size(group.bytes),
            group.delete_files
        );
    }
    if compaction.manifests_planned {
        let _ = writeln!(text, "  {would}rewrite the manifests");
    }
    if sweep.time_to_live.partitions > 0 {
        let _ = writeln!(
            text,
            "  {would}drop {} partitions for their age, {} rows",
            sweep.time_to_live.partitions, sweep.time_to_live.rows
        );
    }
    if sweep.expire.snapshots > 0 {
        let _ = writeln!(
            text,
            "  {would}expire {} snapshots and delete {} files that only they lead to",
            sweep.expire.snapshots, sweep.expire.unreferenced_files
        );
    }
    if sweep.orphans.orphans > 0 {
        let _ = writeln!(
            text,
            "  {would}delete {} orphans, {}",
            sweep.orphans.orphans,
            size(sweep.orphans.orphan_bytes)
        );
    }
    if let Some((refused, first)) = sweep.refused_deletes() {
        let _ = writeln!(
            text,
            "  NOT DELETED: {refused} of these files, orphans now: a round deletes them when they are older than maintenance.orphan_min_age_ms. The first: {first}"
        );
    }
    text.push_str(&shape_line("before", &report.before));
    if report.is_changed {
        text.push_str(&shape_line("after", &report.after));
        let _ = writeln!(
            text,
            "  worked     {} ms: read {}, wrote {}, {} groups, planned anew {} times",
            compaction.elapsed_ms,
            size(compaction.bytes_read),
            size(compaction.bytes_written),
            compaction.groups,
            compaction.conflicts
        );
    }
    text
}

fn shape_line(when: &str, health: &TableHealth) -> String {
    format!(
        "  {when:<10} {} files, {}, {} on average; {} delete files; {} manifests, planned in {} ms; {} snapshots\n",
        health.data_files.count,
        size(health.data_files.bytes),
        size(health.data_files.average_bytes),
        health.delete_files.count,
        health.manifests.count,
        health.manifests.plan_ms,
        health.snapshots.count
    )
}

/// What an erasure found and did.
pub(super) fn erase_text(report: &EraseReport) -> String {
    let mut text = format!("{} {}\n", report.subject, report.hash);
    for table in &report.tables {
        let done = if table.complete { "none left" } else { "NOT COMPLETE: run it again" };
        let _ = writeln!(
            text,
            "  {}: {} rows erased, {} files found, {} rewritten ({}); {done}",
            table.table,
            table.rows_erased,
            table.files_found,
            table.files_rewritten,
            size(table.bytes_rewritten)
        );
        if table.snapshots_holding > 0 {
            let gone = time(table.gone_after_ms);
            let _ = writeln!(
                text,
                "    {} older snapshots still hold them; maintenance expires the last one after {gone} (--expire-now does it at once)",
                table.snapshots_holding
            );
        }
        for reference in &table.held_by_references {
            let _ = writeln!(text, "    branch or tag {reference} holds them and never expires: drop it");
        }
    }
    for failed in &report.failed {
        let _ = writeln!(text, "  {}: FAILED: {}", failed.table, failed.error);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_that_fits() {
        let cases = [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (134_217_728, "128.0 MiB")];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }
}
