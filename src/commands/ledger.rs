//! `pulselake ledger`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use pulselake_config::Settings;
use pulselake_lake::{Lake, OpenMode, RewindReport};
use pulselake_ledger::{Ledger, OffsetRanges, PartitionLedger};
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::output::{in_runtime, write_json, write_out};
use super::tables::shown_tables;
use crate::cli::{LedgerCommand, LedgerRewindArgs, LedgerShowArgs, OutputFormat};
use crate::engine::open_lake;
use crate::inspect::first_offset;
use crate::inspect::report::time_text;

/// Shows the ledgers, or rewinds one.
///
/// # Errors
/// When the tables can't be read, a ledger to be shown can't be trusted, or the rewind is refused.
pub(crate) fn run(command: &LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Show(args) => show(args),
        LedgerCommand::Rewind(args) => rewind(args),
    }
}

async fn open(settings: &Settings) -> anyhow::Result<Lake> {
    open_lake(settings, OpenMode::MustExist).await
}

/// One table's ledger.
#[derive(Serialize)]
struct Shown {
    table: &'static str,
    ledger: Option<Ledger>,
    error: Option<String>,
}

fn show(args: &LedgerShowArgs) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document {
        ledgers: Vec<Shown>,
    }
    let settings = args.inspect.settings()?;
    let ledgers = in_runtime(async {
        let lake = open(&settings).await?;
        let mut ledgers = Vec::new();
        let asked_for =
            |table: &LakeTable| table.has_ledger() && args.table.is_none_or(|only| only == *table);
        for table in shown_tables(&lake).await?.into_iter().filter(asked_for) {
            let (ledger, error) = match lake.table_overview(table).await?.ledger {
                Ok(ledger) => (ledger, None),
                Err(error) => (None, Some(error.to_string())),
            };
            ledgers.push(Shown { table: table.full_name(), ledger, error });
        }
        anyhow::Ok(ledgers)
    })?;
    let any_untrusted = ledgers.iter().any(|shown| shown.error.is_some());
    match args.inspect.format {
        OutputFormat::Json => write_json(&Document { ledgers })?,
        OutputFormat::Text => {
            let mut text = String::new();
            for shown in &ledgers {
                text.push_str(shown.table);
                text.push('\n');
                match (&shown.ledger, &shown.error) {
                    (_, Some(error)) => text.push_str(&format!("  ledger     NOT TRUSTED: {error}\n")),
                    (Some(ledger), None) => text.push_str(&ledger_text(ledger)),
                    (None, None) => text.push_str("  ledger     none: nothing was consumed yet\n"),
                }
            }
            write_out(text.as_bytes())?;
        }
    }
    Ok(if any_untrusted { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a rewind means for one partition.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ComesAgain {
    topic: String,
    partition: i32,
    /// First offset that comes again.
    from: i64,
    /// Offset that the table stood at before the rewind; `None` where the old ledger was missing or unreadable.
    to: Option<i64>,
}

fn rewind(args: &LedgerRewindArgs) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document {
        table: &'static str,
        snapshot_id: Option<i64>,
        comes_again: Vec<ComesAgain>,
    }
    let settings = args.inspect.settings()?;
    let report = in_runtime(async { Ok(open(&settings).await?.rewind(args.table).await?) })?;
    let table = args.table.full_name();
    if report.to.is_none() {
        bail!(
            "no snapshot of {table} carries a ledger, so there is nothing to rewind to; nothing was changed"
        );
    }
    let comes_again = if report.snapshot_id.is_some() { comes_again(&report) } else { Vec::new() };
    match args.inspect.format {
        OutputFormat::Json => {
            write_json(&Document { table, snapshot_id: report.snapshot_id, comes_again })?;
        }
        OutputFormat::Text => write_out(rewind_text(table, &report, &comes_again).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The partitions whose position went back.
fn comes_again(report: &RewindReport) -> Vec<ComesAgain> {
    let (from, to) = (report.from.as_ref(), report.to.as_ref());
    let mut topics: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
    for ledger in [from, to].into_iter().flatten() {
        for (topic, entries) in &ledger.topics {
            topics.entry(topic).or_default().extend(entries.keys());
        }
    }
    let mut list = Vec::new();
    for (topic, mut partitions) in topics {
        partitions.sort_unstable();
        partitions.dedup();
        for partition in partitions {
            let before = from.and_then(|ledger| ledger.partition(topic, partition));
            let after = to.and_then(|ledger| ledger.partition(topic, partition));
            // A partition that the snapshot does not know begins anew, where this ledger began to count it.
            let start = after.map(|entry| entry.next).or_else(|| before.map(first_offset)).unwrap_or(0);
            if before.is_none_or(|entry| entry.next != start) {
                let end = before.map(|entry| entry.next);
                list.push(ComesAgain { topic: topic.clone(), partition, from: start, to: end });
            }
        }
    }
    list
}

fn replayed_records(ledger: &Ledger) -> u64 {
    let topics = ledger.replayed.values().flat_map(|replayed| replayed.offsets.values());
    topics.map(OffsetRanges::len).sum()
}

fn rewind_text(table: &str, report: &RewindReport, comes_again: &[ComesAgain]) -> String {
    let Some(snapshot_id) = report.snapshot_id else {
        return format!("{table}: property and snapshot agree, nothing was changed\n");
    };
    let mut text =
        format!("{table}: the ledger of its snapshots is the truth again (snapshot {snapshot_id})\n");
    for again in comes_again {
        let source = format!("{}-{}", again.topic, again.partition);
        // Writing to a String can't fail.
        let _ = match again.to {
            Some(to) => {
                writeln!(text, "  {source}: offsets {}..{to} come again with the next run", again.from)
            }
            None => writeln!(text, "  {source}: goes on at offset {}", again.from),
        };
    }
    let replayed = |ledger: &Option<Ledger>| ledger.as_ref().map_or(0, replayed_records);
    let gone = replayed(&report.from).saturating_sub(replayed(&report.to));
    if gone > 0 {
        let _ = writeln!(
            text,
            "  {gone} records replayed from the quarantine are gone: `pulselake quarantine replay` takes them again"
        );
    }
    text
}

/// A ledger for people: one line for each partition.
pub(super) fn ledger_text(ledger: &Ledger) -> String {
    let header = [
        "partition",
        "next",
        "seq",
        "generation",
        "closed through",
        "watermark",
        "records",
        "quarantined",
        "duplicates",
        "late",
        "dropped",
        "open",
        "gaps",
        "lost",
    ];
    let mut lines: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    for (topic, entries) in &ledger.topics {
        for (partition, entry) in entries {
            lines.push(entry_line(topic, *partition, entry));
        }
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = format!("  source     {}\n  decoder    {}\n", ledger.cluster_id, ledger.fingerprint);
    for line in &lines {
        text.push_str("  ");
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            text.push_str(&if column == 0 {
                format!("{cell}{padding}")
            } else {
                format!("  {padding}{cell}")
            });
        }
        text.push('\n');
    }
    for (topic, replayed) in &ledger.replayed {
        for (partition, offsets) in &replayed.offsets {
            let duplicates = replayed.duplicates.get(partition).copied().unwrap_or(0);
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "  {topic}-{partition}: {} records entered by {} replays of the quarantine, {duplicates} of them duplicates",
                offsets.len(),
                replayed.seq
            );
        }
    }
    text
}

fn entry_line(topic: &str, partition: i32, entry: &PartitionLedger) -> Vec<String> {
    let time = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), time_text);
    let counts = &entry.counts;
    let mut line = vec![
        format!("{topic}-{partition}"),
        entry.next.to_string(),
        entry.seq.to_string(),
        entry.generation.to_string(),
        time(entry.closed_through),
        time(entry.watermark),
    ];
    line.extend(
        [
            counts.records,
            counts.quarantined,
            counts.duplicates,
            counts.late,
            counts.dropped,
            counts.open,
            counts.gaps,
            counts.lost,
        ]
        .map(|count| count.to_string()),
    );
    line
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::{Counts, ReplayLedger};

    use super::*;

    fn ledger(entries: &[(i32, i64)]) -> Ledger {
        let mut ledger = Ledger::new("c", "f");
        for &(partition, next) in entries {
            let counts = Counts { records: 5, ..Counts::default() };
            let entry = PartitionLedger { next, counts, ..PartitionLedger::default() };
            ledger.topics.entry("t".into()).or_default().insert(partition, entry);
        }
        ledger
    }

    #[test]
    fn a_rewind_says_what_comes_again() {
        let report = RewindReport {
            from: Some(ledger(&[(0, 90), (1, 20), (2, 105)])),
            to: Some(ledger(&[(0, 50), (1, 20)])),
            snapshot_id: Some(7),
        };
        let expected = |partition, from, to| ComesAgain { topic: "t".into(), partition, from, to: Some(to) };
        assert_eq!(comes_again(&report), [expected(0, 50, 90), expected(2, 100, 105)]);
        let text = rewind_text("bronze.raw_events", &report, &comes_again(&report));
        assert!(text.contains("t-0: offsets 50..90 come again"), "{text}");
        assert!(!text.contains("quarantine replay"), "{text}");
        let mut replayed = report.clone();
        let entry = ReplayLedger {
            offsets: BTreeMap::from([(0, OffsetRanges::from_iter([3, 4]))]),
            ..ReplayLedger::default()
        };
        replayed.from.as_mut().unwrap().replayed.insert("t".into(), entry);
        assert!(rewind_text("t", &replayed, &[]).contains("2 records replayed from the quarantine are gone"));
        let unreadable = RewindReport { from: None, ..report };
        assert_eq!(comes_again(&unreadable)[0].to, None);
    }

    #[test]
    fn a_ledger_is_one_aligned_line_for_each_partition() {
        let text = ledger_text(&ledger(&[(0, 9), (11, 1_000)]));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        assert!(lines[2].starts_with("  t-11"), "{text}");
    }
}
