//! `live`: events at a steady rate, open loop; how soon they can be queried, and whether lag and memory stay where they
//! are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use pulselake_model::tables::LakeTable;
use serde_json::{Value, json};

use crate::arguments::RunArguments;
use crate::cli::{BrokerArgs, CommonArgs};
use crate::engine::{Engine, EngineBinary};
use crate::lake_watch::{LOOK_AGAIN, LakeWatch, SeenCommit};
use crate::latency;
use crate::metrics::Metrics;
use crate::paced::{PacedPlan, PacedStream, SentEvents};
use crate::report::{Limit, Report};
use crate::statistics::{Trend, mib, rounded};
use crate::topic::{unique, with_new_topic};

/// How often memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// How often metrics are asked for: as often as a monitoring system would, because asking costs the engine CPU.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last events may take to reach the tables.
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for the engine to take its partitions.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// `pulselake-bench live`.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Events per second
    #[arg(long, value_name = "N", default_value_t = 10_000.0)]
    rate: f64,
    /// How long events flow, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    duration_s: u64,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// The engine's windows.watermark_delay_ms, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    watermark_delay_ms: u32,
    /// Fail when a million events take more CPU
    #[arg(long, value_name = "SECONDS")]
    max_cpu_s_per_million: Option<f64>,
    /// Fail when resident memory was higher at any time
    #[arg(long, value_name = "MIB")]
    max_peak_resident_mib: Option<f64>,
    /// Fail when 95 % of the events could not be queried in bronze this soon
    #[arg(long, value_name = "SECONDS")]
    max_bronze_p95_s: Option<f64>,
    /// Fail when 95 % of gold's rows could not be queried this soon after their window's end
    #[arg(long, value_name = "SECONDS")]
    max_gold_p95_s: Option<f64>,
    /// Fail when mean resident memory grew by more from the first third of the time to the last
    #[arg(long, value_name = "MIB")]
    max_memory_growth_mib: Option<f64>,
    /// Fail when the mean number of records sent but not taken grew by more from the first third of the time to the last
    #[arg(long, value_name = "RECORDS")]
    max_lag_growth: Option<f64>,
}

/// What was seen while events flowed.
#[derive(Default)]
struct Observed {
    resident_mib: Vec<f64>,
    /// Records sent and not taken from the topic yet.
    lag_taken: Vec<f64>,
    /// Records sent and not committed to bronze yet.
    lag_committed: Vec<f64>,
    cpu_s: f64,
    peak_bytes: u64,
}

/// Runs the scenario.
///
/// # Errors
/// When the broker, the engine or the audit fails.
pub(crate) fn run(args: &LiveArgs) -> anyhow::Result<(Value, bool)> {
    let binary = EngineBinary::at(&args.common.engine)?;
    with_new_topic(&args.broker, "live", |topic| measure(args, &binary, topic))
}

fn measure(args: &LiveArgs, binary: &EngineBinary, topic: &str) -> anyhow::Result<(Value, bool)> {
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let arguments = RunArguments::new(&args.common, &data_dir)
        .kafka(&args.broker.brokers, topic, &unique("group"))
        .set("windows.watermark_delay_ms", args.watermark_delay_ms)
        .with_metrics();
    let mut report = Report::begin("live", binary, &args.common);
    let mut engine = binary.run(&arguments, &directory.path().join("engine.log"), None)?;
    let address = engine.wait_for_http()?;
    wait_for_partitions(&mut engine, &address, args.broker.partitions)?;

    let watch = LakeWatch::start(&data_dir)?;
    let stream = PacedStream::start(PacedPlan::of(&args.broker, topic, args.seed, args.rate))?;
    let observed = observe(args, &mut engine, &address, &watch, &stream, topic)?;
    let sent = stream.stop()?;
    settle(&mut engine, &watch, &sent, topic, i64::from(args.watermark_delay_ms))?;
    let usage = engine.terminate()?;
    let commits = watch.finish()?;
    if !args.common.no_audit {
        binary.audit(&data_dir)?;
    }

    let cpu = observed.cpu_s / sent.count() as f64 * 1e6;
    let peak = mib(observed.peak_bytes.max(usage.peak_resident_bytes));
    let bronze = latency::bronze(&commits, topic, &sent)?;
    let gold = latency::gold(&commits, topic, &sent, i64::from(args.watermark_delay_ms))?;
    let memory = Trend::of(&observed.resident_mib);
    let lag = Trend::of(&observed.lag_taken);
    let of = |table: LakeTable| commits.iter().filter(|commit| commit.table == table).count();
    report.put("rate_per_s", args.rate);
    report.put("duration_s", args.duration_s);
    report.put("events", sent.count());
    report.put("events_per_s", rounded(sent.count() as f64 / args.duration_s as f64, 1));
    report.put("worst_send_delay_ms", sent.worst_delay_ms);
    report.put("cpu_s_per_million", rounded(cpu, 3));
    report.put("cpu_share_of_a_core", rounded(observed.cpu_s / args.duration_s as f64, 3));
    report.put("bronze_latency", &bronze);
    report.put("gold_after_window_end", &gold);
    report.put("poll_interval_ms", LOOK_AGAIN.as_millis() as u64);
    report.put("peak_resident_mib", peak);
    report.put("resident_at_end_mib", mib(usage.resident_at_end_bytes));
    report.put("resident_mib", memory);
    report.put("lag_taken_records", lag);
    report.put("lag_committed_records", Trend::of(&observed.lag_committed));
    report.put("bronze_commits", of(LakeTable::RawEvents));
    report.put("gold_commits", of(LakeTable::VideoStats1Min));
    report.put("files", commits.iter().map(|commit| commit.files).sum::<u64>());
    report.put("rows", json!({"bronze": rows(&commits, LakeTable::RawEvents), "gold": rows(&commits, LakeTable::VideoStats1Min)}));
    report.check("max_cpu_s_per_million", args.max_cpu_s_per_million, Limit::AtMost, Some(cpu));
    report.check("max_peak_resident_mib", args.max_peak_resident_mib, Limit::AtMost, Some(peak));
    let bronze_p95 = bronze.map(|latencies| latencies.p95_s);
    report.check("max_bronze_p95_s", args.max_bronze_p95_s, Limit::AtMost, bronze_p95);
    // A window that never came has no latency, and must not look like a good one.
    let complete = gold.filter(|latencies| latencies.missing_windows == 0);
    let gold_p95 = complete.map(|latencies| latencies.per_partition.p95_s);
    report.check("max_gold_p95_s", args.max_gold_p95_s, Limit::AtMost, gold_p95);
    let growth = |trend: Option<Trend>| trend.map(|trend| trend.growth);
    report.check("max_memory_growth_mib", args.max_memory_growth_mib, Limit::AtMost, growth(memory));
    report.check("max_lag_growth", args.max_lag_growth, Limit::AtMost, growth(lag));
    Ok(report.finish())
}

fn rows(commits: &[SeenCommit], table: LakeTable) -> u64 {
    commits.iter().filter(|commit| commit.table == table).map(|commit| commit.rows).sum()
}

/// Waits until the engine has all partitions, so that its start is no part of what is measured.
fn wait_for_partitions(engine: &mut Engine, address: &str, partitions: i32) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while Metrics::of(address)?.sum("pulselake_assigned_partitions") < f64::from(partitions) {
        engine.ensure_alive()?;
        ensure!(
            Instant::now() < deadline,
            "the engine has not taken its partitions within {START_PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn observe(
    args: &LiveArgs,
    engine: &mut Engine,
    address: &str,
    watch: &LakeWatch,
    stream: &PacedStream,
    topic: &str,
) -> anyhow::Result<Observed> {
    let mut observed = Observed::default();
    let started = Instant::now();
    let cpu_before_s = engine.sample()?.cpu_s();
    let mut metrics_due = METRICS_INTERVAL;
    for tick in 1..=args.duration_s {
        std::thread::sleep((MEMORY_INTERVAL * u32::try_from(tick)?).saturating_sub(started.elapsed()));
        let memory = engine.sample()?.memory.unwrap_or_default();
        observed.resident_mib.push(mib(memory.resident_bytes));
        observed.peak_bytes = observed.peak_bytes.max(memory.peak_bytes);
        if started.elapsed() >= metrics_due {
            metrics_due += METRICS_INTERVAL;
            let sent = stream.sent() as f64;
            let committed = watch.ask(|commits| committed_records(commits, topic))?;
            observed.lag_committed.push((sent - committed).max(0.0));
            let taken = Metrics::of(address)?.sum("pulselake_source_records_total");
            observed.lag_taken.push((sent - taken).max(0.0));
        }
    }
    observed.cpu_s = engine.sample()?.cpu_s() - cpu_before_s;
    Ok(observed)
}

/// Records that bronze holds.
fn committed_records(commits: &[SeenCommit], topic: &str) -> f64 {
    let mut next: HashMap<i32, i64> = HashMap::new();
    for commit in commits.iter().filter(|commit| commit.table == LakeTable::RawEvents) {
        next.extend(commit.next_offsets(topic));
    }
    next.values().sum::<i64>() as f64
}

/// Waits until bronze holds everything that was sent, and gold every window that the events closed.
fn settle(
    engine: &mut Engine,
    watch: &LakeWatch,
    sent: &SentEvents,
    topic: &str,
    watermark_delay_ms: i64,
) -> anyhow::Result<()> {
    let partitions = sent.intended_ms.iter().filter(|times| !times.is_empty()).count();
    let last_end = latency::window_ends(sent.started_ms, sent.ended_ms() - watermark_delay_ms).pop();
    let is_settled = |commits: &[SeenCommit]| {
        let in_gold = commits.iter().rfind(|commit| commit.table == LakeTable::VideoStats1Min);
        let closed = in_gold.map(|commit| latency::closed_through_ms(commit, topic)).unwrap_or_default();
        let has_windows = last_end
            .is_none_or(|end| closed.iter().filter(|(_, through)| *through >= end).count() == partitions);
        has_windows && committed_records(commits, topic) >= sent.count() as f64
    };
    let deadline = Instant::now() + SETTLE_PATIENCE;
    while !watch.ask(is_settled)? {
        engine.ensure_alive()?;
        ensure!(
            Instant::now() < deadline,
            "{SETTLE_PATIENCE:?} after the last event the tables still miss events or windows:\n{}",
            engine.log()?.tail()
        );
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
