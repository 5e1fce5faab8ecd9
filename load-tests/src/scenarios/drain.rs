//! `drain`: a full topic into fresh tables, as fast as it goes, both sinks, exactly once, deduplication on.
//!
//! Two sizes give the slope: what a million events more costs, without the start and the end of a run.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::RunArguments;
use crate::bulk::{BulkPlan, FilledTopic, fill_topic};
use crate::cli::{BrokerArgs, CommonArgs};
use crate::engine::EngineBinary;
use crate::events::EventShape;
use crate::proc_fs;
use crate::report::{Limit, Report};
use crate::statistics::{median, mib, rounded};
use crate::topic::unique;

/// Longest time that one run may take for each million events, and at least a minute.
const PATIENCE_S_PER_MILLION: u64 = 60;

/// `pulselake-bench drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Events in the topic; two sizes, separated by a comma, give the cost of a million more
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2000000")]
    events: Vec<u64>,
    /// Runs of each size, alternating; the report has every one and the medians
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: usize,
    /// Events in one minute of event time
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    events_per_minute: u64,
    /// How far an event's time may lie behind the newest before it, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    jitter_ms: u32,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Fail when a million events take more CPU (the slope where there are two sizes)
    #[arg(long, value_name = "SECONDS")]
    max_cpu_s_per_million: Option<f64>,
    /// Fail when the biggest size is slower
    #[arg(long, value_name = "N")]
    min_events_per_s: Option<f64>,
    /// Fail when resident memory was higher at any time
    #[arg(long, value_name = "MIB")]
    max_peak_resident_mib: Option<f64>,
    /// Fail when a run of the biggest size made fewer commits of bronze.raw_events
    #[arg(long, value_name = "N")]
    min_bronze_commits: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
struct DrainRun {
    events: u64,
    cpu_s: f64,
    user_s: f64,
    system_s: f64,
    cpu_s_per_million: f64,
    wall_s: f64,
    events_per_s: f64,
    peak_resident_mib: f64,
    resident_at_end_mib: f64,
    bronze_commits: usize,
    gold_commits: usize,
    files: u64,
    file_bytes: u64,
    gold_rows: u64,
    load_before: f64,
    load_after: f64,
}

/// The medians of all runs of one size.
#[derive(Clone, Debug, Serialize)]
struct SizeSummary {
    events: u64,
    cpu_s: f64,
    cpu_s_per_million: f64,
    wall_s: f64,
    events_per_s: f64,
    peak_resident_mib: f64,
    bronze_commits: f64,
}

/// What a million events more costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Slope {
    cpu_s_per_million: f64,
    events_per_s: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When the broker, the engine or the audit fails.
pub(crate) fn run(args: &DrainArgs) -> anyhow::Result<(Value, bool)> {
    let binary = EngineBinary::at(&args.common.engine)?;
    let mut sizes = args.events.clone();
    sizes.sort_unstable();
    sizes.dedup();
    anyhow::ensure!(
        sizes.first().is_some_and(|least| *least > 0) && args.runs > 0,
        "there is nothing to drain"
    );
    let topics = sizes.iter().map(|events| fill(args, *events)).collect::<anyhow::Result<Vec<_>>>()?;

    let mut report = Report::begin("drain", &binary, &args.common);
    let mut runs = Vec::new();
    for number in 0..args.runs {
        for (events, topic) in sizes.iter().zip(&topics) {
            let run = drain(args, &binary, topic, *events)?;
            eprintln!(
                "run {} of {}: {events} events, {:.3} CPU s per million, {:.0} events/s",
                number + 1,
                args.runs,
                run.cpu_s_per_million,
                run.events_per_s
            );
            runs.push(run);
        }
    }
    let summaries: Vec<SizeSummary> = sizes.iter().map(|events| summary(&runs, *events)).collect();
    conclude(args, &mut report, &summaries, &runs);
    report.put("sizes", &summaries);
    report.put("runs", &runs);
    Ok(report.finish())
}

fn fill(args: &DrainArgs, events: u64) -> anyhow::Result<FilledTopic> {
    let plan = BulkPlan {
        shape: EventShape { seed: args.seed, ..EventShape::default() },
        events,
        events_per_minute: args.events_per_minute,
        jitter_ms: args.jitter_ms,
        partitions: args.broker.partitions,
        compression: args.broker.compression.clone(),
    };
    let topic = fill_topic(&args.broker.brokers, &plan)?;
    match topic.filled_in {
        Some(took) => eprintln!("filled {} in {:.1} s", topic.name, took.as_secs_f64()),
        None => eprintln!("{} is filled already", topic.name),
    }
    Ok(topic)
}

fn drain(
    args: &DrainArgs,
    binary: &EngineBinary,
    topic: &FilledTopic,
    events: u64,
) -> anyhow::Result<DrainRun> {
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let arguments = RunArguments::new(&args.common, &data_dir)
        .kafka(&args.broker.brokers, &topic.name, &unique("group"))
        .until_caught_up();

    let load_before = proc_fs::load_average()[0];
    let mut engine = binary.run(&arguments, &directory.path().join("engine.log"), None)?;
    let patience = Duration::from_secs(60 + events.div_ceil(1_000_000) * PATIENCE_S_PER_MILLION);
    let usage = engine.wait_for_success(patience)?;
    let load_after = proc_fs::load_average()[0];

    let log = engine.log()?;
    let records = log.records_read();
    anyhow::ensure!(records == Some(events), "the engine read {records:?} records instead of {events}");
    if !args.common.no_audit {
        binary.audit(&data_dir)?;
    }
    let commits = log.commits();
    let of = |table: &str| commits.iter().filter(|commit| commit.table == table).count();
    let millions = events as f64 / 1e6;
    Ok(DrainRun {
        events,
        cpu_s: rounded(usage.cpu_s(), 2),
        user_s: usage.user_s,
        system_s: usage.system_s,
        cpu_s_per_million: rounded(usage.cpu_s() / millions, 3),
        wall_s: rounded(usage.wall.as_secs_f64(), 2),
        events_per_s: (events as f64 / usage.wall.as_secs_f64()).round(),
        peak_resident_mib: mib(usage.peak_resident_bytes),
        resident_at_end_mib: mib(usage.resident_at_end_bytes),
        bronze_commits: of("bronze.raw_events"),
        gold_commits: of("gold.rt_video_stats_1min"),
        files: commits.iter().map(|commit| commit.files).sum(),
        file_bytes: commits.iter().map(|commit| commit.bytes).sum(),
        gold_rows: commits
            .iter()
            .filter(|commit| commit.table.starts_with("gold."))
            .map(|commit| commit.rows)
            .sum(),
        load_before,
        load_after,
    })
}

fn summary(runs: &[DrainRun], events: u64) -> SizeSummary {
    let middle = |figure: fn(&DrainRun) -> f64| {
        let figures: Vec<f64> = runs.iter().filter(|run| run.events == events).map(figure).collect();
        median(&figures)
    };
    SizeSummary {
        events,
        cpu_s: middle(|run| run.cpu_s),
        cpu_s_per_million: middle(|run| run.cpu_s_per_million),
        wall_s: middle(|run| run.wall_s),
        events_per_s: middle(|run| run.events_per_s),
        peak_resident_mib: middle(|run| run.peak_resident_mib),
        bronze_commits: middle(|run| run.bronze_commits as f64),
    }
}

fn slope(summaries: &[SizeSummary]) -> Option<Slope> {
    let [small, .., big] = summaries else { return None };
    let events = (big.events - small.events) as f64;
    Some(Slope {
        cpu_s_per_million: rounded((big.cpu_s - small.cpu_s) / events * 1e6, 3),
        events_per_s: (events / (big.wall_s - small.wall_s)).round(),
    })
}

fn conclude(args: &DrainArgs, report: &mut Report, summaries: &[SizeSummary], runs: &[DrainRun]) {
    // There is at least one size, and at least one run of each: both were checked before anything ran.
    let Some(big) = summaries.last() else { return };
    let slope = slope(summaries);
    let cpu = slope.map_or(big.cpu_s_per_million, |slope| slope.cpu_s_per_million);
    let peak = runs.iter().map(|run| run.peak_resident_mib).fold(0.0, f64::max);
    report.put("cpu_s_per_million", cpu);
    report.put("cpu_is_slope", slope.is_some());
    report.put("events_per_s", big.events_per_s);
    report.put("slope", slope);
    report.put("peak_resident_mib", peak);
    report.check("max_cpu_s_per_million", args.max_cpu_s_per_million, Limit::AtMost, Some(cpu));
    report.check("min_events_per_s", args.min_events_per_s, Limit::AtLeast, Some(big.events_per_s));
    report.check("max_peak_resident_mib", args.max_peak_resident_mib, Limit::AtMost, Some(peak));
    report.check("min_bronze_commits", args.min_bronze_commits, Limit::AtLeast, Some(big.bronze_commits));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(events: u64, cpu_s: f64, wall_s: f64) -> SizeSummary {
        SizeSummary {
            events,
            cpu_s,
            cpu_s_per_million: cpu_s / events as f64 * 1e6,
            wall_s,
            events_per_s: events as f64 / wall_s,
            peak_resident_mib: 0.0,
            bronze_commits: 1.0,
        }
    }

    #[test]
    fn the_slope_leaves_start_and_end_out() {
        // Half a CPU second and 2 s of wall time in every run, however small.
        let sizes = [size(2_000_000, 4.5, 6.0), size(20_000_000, 40.5, 42.0)];
        assert_eq!(slope(&sizes), Some(Slope { cpu_s_per_million: 2.0, events_per_s: 500_000.0 }));
        assert_eq!(slope(&sizes[..1]), None);
    }
}
