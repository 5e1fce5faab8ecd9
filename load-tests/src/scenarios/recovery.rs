//! `recovery`: events at a steady rate; the engine is killed with kill -9 and started again, several times. How long until
//! new events can be queried, and how long until the windows are rebuilt.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::Utc;
use clap::{Args, ValueEnum};
use pulselake_model::tables::LakeTable;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::RunArguments;
use crate::cli::{BrokerArgs, CommonArgs};
use crate::engine::{Engine, EngineBinary};
use crate::lake_watch::{LOOK_AGAIN, LakeWatch, SeenCommit};
use crate::latency;
use crate::metrics::Metrics;
use crate::paced::{PacedPlan, PacedStream};
use crate::report::{Limit, Report};
use crate::statistics::{median, mib, rounded};
use crate::topic::{unique, with_new_topic};

/// Longest wait for one recovery.
const PATIENCE: Duration = Duration::from_secs(240);
/// How much later each kill comes than the one before, so that they hit other moments between two commits.
const KILL_SHIFT: Duration = Duration::from_millis(3_700);
/// A window counts as overdue when this much has passed since its end and the watermark's delay.
const GOLD_SLACK_MS: i64 = 5_000;

/// How the engine gets its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Membership {
    /// A static member of its group: it gets its partitions back at once
    Static,
    /// No group: it takes every partition
    Assign,
    /// As set, by default a dynamic member: the broker has to notice that the dead one is gone
    AsSet,
}

/// `pulselake-bench recovery`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Events per second
    #[arg(long, value_name = "N", default_value_t = 10_000.0)]
    rate: f64,
    /// How often the engine is killed
    #[arg(long, value_name = "N", default_value_t = 5)]
    kills: u32,
    /// How long the engine works before the first kill, seconds; later ones come a little later each time
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    run_s: u64,
    /// How the engine gets its partitions
    #[arg(long, value_enum, default_value = "static")]
    membership: Membership,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// The engine's windows.watermark_delay_ms, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    watermark_delay_ms: u32,
    /// Fail when the first commit of new events came later after any restart
    #[arg(long, value_name = "SECONDS")]
    max_first_commit_s: Option<f64>,
}

/// One kill and what came after it; times are seconds after the restart.
#[derive(Clone, Debug, Serialize)]
struct Recovery {
    /// Bronze holds a record that it did not hold when the engine was killed.
    first_fresh_bronze_s: f64,
    /// The same for every partition that gets events.
    fresh_bronze_of_all_partitions_s: f64,
    /// Less than a second of events waits in the topic.
    caught_up_s: f64,
    /// Everything is read again that the open windows and the deduplication need.
    replay_finished_s: f64,
    /// Every window that is due can be queried.
    gold_caught_up_s: f64,
    replayed_records: u64,
    /// CPU seconds until all of this had happened.
    cpu_s: f64,
    peak_resident_mib: f64,
}

/// What the tables held when the engine was killed.
struct Before {
    commits: usize,
    bronze_next: HashMap<i32, i64>,
    replay_records: u64,
}

/// Runs the scenario.
///
/// # Errors
/// When the broker, the engine or the audit fails, or the engine does not recover.
pub(crate) fn run(args: &RecoveryArgs) -> anyhow::Result<(Value, bool)> {
    ensure!(args.kills > 0, "--kills 0 kills nothing");
    let binary = EngineBinary::at(&args.common.engine)?;
    with_new_topic(&args.broker, "recovery", |topic| measure(args, &binary, topic))
}

fn measure(args: &RecoveryArgs, binary: &EngineBinary, topic: &str) -> anyhow::Result<(Value, bool)> {
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let arguments = arguments(args, topic, &data_dir);
    let start = |number: u32| {
        let log_path = directory.path().join(format!("engine-{number}.log"));
        binary.run(&arguments, &log_path, None)
    };
    let mut report = Report::begin("recovery", binary, &args.common);
    let watch = LakeWatch::start(&data_dir)?;
    let mut engine = start(0)?;
    let stream = PacedStream::start(PacedPlan::of(&args.broker, topic, args.seed, args.rate))?;
    let mut recoveries = Vec::new();
    let mut cpu_s = 0.0;
    for kill in 1..=args.kills {
        std::thread::sleep(Duration::from_secs(args.run_s) + KILL_SHIFT * (kill - 1));
        wait_for_bronze(&mut engine, &watch)?;
        cpu_s += engine.sample()?.cpu_s();
        engine.kill()?;
        // What landed before the kill is seen with the next look.
        std::thread::sleep(LOOK_AGAIN * 4);
        let before = watch.ask(|commits| before(commits, topic))?;
        let restarted_at_ms = Utc::now().timestamp_millis();
        engine = start(kill)?;
        let recovery = recover(args, &mut engine, &watch, &stream, topic, &before, restarted_at_ms)?;
        eprintln!("kill {kill} of {}: new events after {:.2} s", args.kills, recovery.first_fresh_bronze_s);
        recoveries.push(recovery);
    }
    let sent = stream.stop()?;
    let usage = engine.terminate()?;
    cpu_s += usage.cpu_s();
    let commits = watch.finish()?;
    if !args.common.no_audit {
        binary.audit(&data_dir)?;
    }

    let figures = |figure: fn(&Recovery) -> f64| recoveries.iter().map(figure).collect::<Vec<f64>>();
    let worst = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max);
    let first_fresh = figures(|recovery| recovery.first_fresh_bronze_s);
    let sent_s = (sent.ended_ms() - sent.started_ms).max(1) as f64 / 1e3;
    report.put("rate_per_s", args.rate);
    report.put("events", sent.count());
    report.put("events_per_s", rounded(sent.count() as f64 / sent_s, 1));
    report.put("cpu_s_per_million", rounded(cpu_s / sent.count() as f64 * 1e6, 3));
    report.put("worst_send_delay_ms", sent.worst_delay_ms);
    report.put("membership", format!("{:?}", args.membership).to_lowercase());
    report.put("first_fresh_bronze_median_s", rounded(median(&first_fresh), 2));
    report.put("first_fresh_bronze_worst_s", worst(&first_fresh));
    report.put("replay_finished_worst_s", worst(&figures(|recovery| recovery.replay_finished_s)));
    report.put("gold_caught_up_worst_s", worst(&figures(|recovery| recovery.gold_caught_up_s)));
    report.put("peak_resident_mib", worst(&figures(|recovery| recovery.peak_resident_mib)));
    report.put("resident_at_end_mib", mib(usage.resident_at_end_bytes));
    report.put("commits", commits.len());
    report.put("files", commits.iter().map(|commit| commit.files).sum::<u64>());
    report.put("kills", &recoveries);
    report.check("max_first_commit_s", args.max_first_commit_s, Limit::AtMost, Some(worst(&first_fresh)));
    Ok(report.finish())
}

fn arguments(args: &RecoveryArgs, topic: &str, data_dir: &Path) -> RunArguments {
    let group = unique("group");
    let arguments = RunArguments::new(&args.common, data_dir)
        .kafka(&args.broker.brokers, topic, &group)
        .set("windows.watermark_delay_ms", args.watermark_delay_ms)
        .with_metrics();
    match args.membership {
        Membership::Static => arguments.set("kafka.group_instance_id", "pulselake-bench"),
        Membership::Assign => arguments.set("kafka.group_mode", "assign"),
        Membership::AsSet => arguments,
    }
}

/// A kill before the first commit would only show a first start.
fn wait_for_bronze(engine: &mut Engine, watch: &LakeWatch) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let has_bronze =
        |commits: &[SeenCommit]| commits.iter().any(|commit| commit.table == LakeTable::RawEvents);
    while !watch.ask(has_bronze)? {
        engine.ensure_alive()?;
        ensure!(Instant::now() < deadline, "the engine commits nothing within {PATIENCE:?}");
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn before(commits: &[SeenCommit], topic: &str) -> Before {
    let last = |table: LakeTable| commits.iter().rfind(|commit| commit.table == table);
    let bronze_next = last(LakeTable::RawEvents).map(|commit| commit.next_offsets(topic)).unwrap_or_default();
    let gold = last(LakeTable::VideoStats1Min).and_then(|commit| commit.ledger.as_ref());
    let replay_from = |partition: &i32| {
        gold.and_then(|ledger| ledger.partition(topic, *partition)).map_or(0, |entry| entry.replay_from)
    };
    let replay_records = bronze_next.iter().map(|(partition, next)| (next - replay_from(partition)).max(0));
    let replay_records = replay_records.sum::<i64>().unsigned_abs();
    Before { commits: commits.len(), bronze_next, replay_records }
}

fn recover(
    args: &RecoveryArgs,
    engine: &mut Engine,
    watch: &LakeWatch,
    stream: &PacedStream,
    topic: &str,
    before: &Before,
    restarted_at_ms: i64,
) -> anyhow::Result<Recovery> {
    let address = engine.wait_for_http()?;
    let since_ms = |at_ms: i64| rounded((at_ms - restarted_at_ms) as f64 / 1e3, 2);
    let (mut first, mut all, mut caught_up, mut replayed, mut gold) = (None, None, None, None, None);
    let taken_before = before.bronze_next.values().sum::<i64>() as f64;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now_ms = Utc::now().timestamp_millis();
        watch.ask(|commits| {
            let new = commits[before.commits..].iter().filter(|commit| commit.table == LakeTable::RawEvents);
            for commit in new {
                let next = commit.next_offsets(topic);
                let is_fresh =
                    |(partition, from): (&i32, &i64)| next.get(partition).is_some_and(|to| to > from);
                if before.bronze_next.iter().any(is_fresh) {
                    first.get_or_insert(since_ms(commit.seen_at_ms));
                }
                if before.bronze_next.iter().all(is_fresh) {
                    all.get_or_insert(since_ms(commit.seen_at_ms));
                }
            }
        })?;
        let metrics = Metrics::of(&address)?;
        let taken = taken_before + metrics.sum("pulselake_source_records_total");
        if caught_up.is_none() && stream.sent() as f64 - taken < args.rate {
            caught_up = Some(since_ms(now_ms));
        }
        let replayed_records = metrics.sum("pulselake_replayed_records_total");
        if replayed.is_none() && replayed_records >= before.replay_records as f64 {
            replayed = Some(since_ms(now_ms));
        }
        let is_due = now_ms - i64::from(args.watermark_delay_ms) - GOLD_SLACK_MS;
        let gold_is_there = watch.ask(|commits| holds_windows_until(commits, topic, is_due))?;
        if gold.is_none() && replayed.is_some() && gold_is_there {
            gold = Some(since_ms(now_ms));
        }
        if let (Some(first), Some(all), Some(caught_up), Some(replayed), Some(gold)) =
            (first, all, caught_up, replayed, gold)
        {
            let sample = engine.sample()?;
            return Ok(Recovery {
                first_fresh_bronze_s: first,
                fresh_bronze_of_all_partitions_s: all,
                caught_up_s: caught_up,
                replay_finished_s: replayed,
                gold_caught_up_s: gold,
                replayed_records: replayed_records as u64,
                cpu_s: rounded(sample.cpu_s(), 2),
                peak_resident_mib: mib(sample.memory.context("the engine has ended")?.peak_bytes),
            });
        }
        ensure!(
            Instant::now() < deadline,
            "the engine has not recovered within {PATIENCE:?}: first new events {first:?}, of all partitions {all:?}, \
             caught up {caught_up:?}, replayed {replayed:?} ({replayed_records} of {}), gold {gold:?} s:\n{}",
            before.replay_records,
            engine.log()?.tail()
        );
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Whether gold has every window of every partition that ends at or before this, milliseconds since the epoch.
fn holds_windows_until(commits: &[SeenCommit], topic: &str, due_ms: i64) -> bool {
    let Some(gold) = commits.iter().rfind(|commit| commit.table == LakeTable::VideoStats1Min) else {
        // No window has been closed before the first one is due; then gold's first commit is still to come.
        return false;
    };
    let closed = latency::closed_through_ms(gold, topic);
    let last_due_ms = due_ms.div_euclid(60_000) * 60_000;
    !closed.is_empty() && closed.iter().all(|(_, through_ms)| *through_ms >= last_due_ms)
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::{Ledger, PartitionLedger};

    use super::*;

    fn commit(table: LakeTable, entries: &[PartitionLedger]) -> SeenCommit {
        let mut ledger = Ledger::new("cluster", "decoder");
        let topic = ledger.topics.entry("t".to_owned()).or_default();
        topic.extend(entries.iter().cloned().enumerate().map(|(partition, entry)| (partition as i32, entry)));
        SeenCommit { table, seen_at_ms: 0, ledger: Some(ledger), files: 0, rows: 0, live_files: 0 }
    }

    #[test]
    fn what_is_replayed_lies_between_gold_and_bronze() {
        let bronze = [100, 50].map(|next| PartitionLedger { next, ..Default::default() });
        let gold = [70, 60].map(|replay_from| PartitionLedger { replay_from, ..Default::default() });
        let commits = [commit(LakeTable::VideoStats1Min, &gold), commit(LakeTable::RawEvents, &bronze)];
        let found = before(&commits, "t");
        assert_eq!((found.commits, found.replay_records), (2, 30));
        assert_eq!(found.bronze_next, HashMap::from([(0, 100), (1, 50)]));
        // Without a commit of gold everything is read again.
        assert_eq!(before(&commits[1..], "t").replay_records, 150);
    }

    #[test]
    fn gold_is_there_when_its_slowest_partition_is() {
        let closed = |through_ms: i64| PartitionLedger {
            closed_through: Some(through_ms * 1_000),
            ..Default::default()
        };
        let commits = [commit(LakeTable::VideoStats1Min, &[closed(120_000), closed(60_000)])];
        assert!(holds_windows_until(&commits, "t", 119_999));
        assert!(!holds_windows_until(&commits, "t", 120_000));
        assert!(!holds_windows_until(&[], "t", 0));
    }
}
