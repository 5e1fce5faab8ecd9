//! `scaling`: one shard against two, without a broker, so that the engine has the machine's cores for itself. Runs
//! alternate, so that a change of the machine's load meets both.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::Utc;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::RunArguments;
use crate::bulk::{BulkPlan, fill_files};
use crate::cli::CommonArgs;
use crate::engine::EngineBinary;
use crate::events::EventShape;
use crate::proc_fs;
use crate::report::{Limit, Report};
use crate::statistics::{median, mib, rounded};

/// Longest time that one run may take for each million events, beside a minute.
const PATIENCE_S_PER_MILLION: u64 = 60;

/// Where the events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// NDJSON files, one for each partition: the events that `drain` has in its topic
    Files,
    /// The engine's own generator; making an event costs CPU in the shard that reads it
    Generator,
}

/// `pulselake-bench scaling`.
#[derive(Debug, Args)]
pub(crate) struct ScalingArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where the events come from
    #[arg(long, value_enum, default_value = "files")]
    source: Origin,
    /// Events of each run (of the generator: about so many)
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Numbers of shards; the first is what the others are compared with
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2")]
    shards: Vec<usize>,
    /// Runs with each number of shards
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// Confine the engine to as many cores as it has shards. Without it the threads that read and commit have the other
    /// cores for themselves even with one shard
    #[arg(long)]
    pin: bool,
    /// Partitions
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=1024))]
    partitions: i32,
    /// Events in one minute of event time
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    events_per_minute: u64,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Where the files are kept for the next call; without it they are removed at the end
    #[arg(long, value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Fail when the last number of shards is not so many times as fast as the first
    #[arg(long, value_name = "RATIO")]
    min_ratio: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
struct ScalingRun {
    shards: usize,
    events: u64,
    cpu_s_per_million: f64,
    cores_used: f64,
    wall_s: f64,
    events_per_s: f64,
    peak_resident_mib: f64,
    resident_at_end_mib: f64,
    commits: usize,
    files: u64,
    load_before: f64,
}

/// The medians of all runs with so many shards.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ShardsSummary {
    shards: usize,
    events_per_s: f64,
    cpu_s_per_million: f64,
    peak_resident_mib: f64,
    /// Times as fast as the first number of shards.
    ratio: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When the engine or the audit fails.
pub(crate) fn run(args: &ScalingArgs) -> anyhow::Result<(Value, bool)> {
    ensure!(args.shards.len() > 1 && !args.shards.contains(&0), "--shards needs two numbers above 0");
    ensure!(args.runs > 0, "--runs 0 measures nothing");
    let binary = EngineBinary::at(&args.common.engine)?;
    let own_directory =
        tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let files_dir = args.files_dir.as_deref().unwrap_or(own_directory.path());
    std::fs::create_dir_all(files_dir).with_context(|| format!("can't create {}", files_dir.display()))?;
    let plan = BulkPlan {
        shape: EventShape { seed: args.seed, ..EventShape::default() },
        events: args.events,
        events_per_minute: args.events_per_minute,
        jitter_ms: 3_000,
        partitions: args.partitions,
        compression: "none".to_owned(),
    };
    let files = match args.source {
        Origin::Files => fill_files(files_dir, &plan)?,
        Origin::Generator => Vec::new(),
    };
    let mut report = Report::begin("scaling", &binary, &args.common);
    let mut runs = Vec::new();
    for number in 0..args.runs {
        for shards in &args.shards {
            let run = measure(args, &binary, &files, *shards)?;
            eprintln!(
                "run {} of {}: {shards} shards, {:.0} events/s",
                number + 1,
                args.runs,
                run.events_per_s
            );
            runs.push(run);
        }
    }
    let summaries = summaries(&args.shards, &runs);
    let ratio = summaries.last().map(|summary| summary.ratio);
    let peak = runs.iter().map(|run| run.peak_resident_mib).fold(0.0, f64::max);
    report.put("source", format!("{:?}", args.source).to_lowercase());
    report.put("pinned", args.pin);
    report.put("ratio", ratio);
    report.put("cpu_s_per_million", summaries.last().map(|summary| summary.cpu_s_per_million));
    report.put("events_per_s", summaries.last().map(|summary| summary.events_per_s));
    report.put("peak_resident_mib", peak);
    report.put("shards", &summaries);
    report.put("runs", &runs);
    report.check("min_ratio", args.min_ratio, Limit::AtLeast, ratio);
    Ok(report.finish())
}

fn measure(
    args: &ScalingArgs,
    binary: &EngineBinary,
    files: &[PathBuf],
    shards: usize,
) -> anyhow::Result<ScalingRun> {
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let arguments = RunArguments::new(&args.common, &data_dir).set("engine.shards", shards).until_caught_up();
    let arguments = match args.source {
        Origin::Files => {
            let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
            arguments.with(["--files"]).with(paths.iter().map(String::as_str))
        }
        Origin::Generator => {
            // It began so long ago that this many events are there by now.
            let rate_per_s = (args.events_per_minute / 60).max(1);
            let start_ms = Utc::now().timestamp_millis() - (args.events * 1_000 / rate_per_s) as i64;
            arguments
                .set("source.kind", "generator")
                .set("generator.rate_per_s", rate_per_s)
                .set("generator.partitions", args.partitions)
                .set("generator.seed", args.seed)
                .set("generator.start_ms", start_ms)
        }
    };
    let load_before = proc_fs::load_average()[0];
    let mut engine =
        binary.run(&arguments, &directory.path().join("engine.log"), args.pin.then_some(shards))?;
    let patience = Duration::from_secs(60 + args.events.div_ceil(1_000_000) * PATIENCE_S_PER_MILLION);
    let usage = engine.wait_for_success(patience)?;
    let log = engine.log()?;
    let events = log.records_read().context("the engine does not say how many records it has read")?;
    ensure!(
        args.source == Origin::Generator || events == args.events,
        "the engine read {events} records instead of {}",
        args.events
    );
    if !args.common.no_audit {
        binary.audit(&data_dir)?;
    }
    let wall_s = usage.wall.as_secs_f64();
    let commits = log.commits();
    Ok(ScalingRun {
        shards,
        events,
        cpu_s_per_million: rounded(usage.cpu_s() / events as f64 * 1e6, 3),
        cores_used: rounded(usage.cpu_s() / wall_s, 2),
        wall_s: rounded(wall_s, 2),
        events_per_s: (events as f64 / wall_s).round(),
        peak_resident_mib: mib(usage.peak_resident_bytes),
        resident_at_end_mib: mib(usage.resident_at_end_bytes),
        commits: commits.len(),
        files: commits.iter().map(|commit| commit.files).sum(),
        load_before,
    })
}

fn summaries(shards: &[usize], runs: &[ScalingRun]) -> Vec<ShardsSummary> {
    let middle = |count: usize, figure: fn(&ScalingRun) -> f64| {
        let figures: Vec<f64> = runs.iter().filter(|run| run.shards == count).map(figure).collect();
        median(&figures)
    };
    let first = shards.first().map_or(f64::NAN, |count| middle(*count, |run| run.events_per_s));
    let summary = |count: &usize| ShardsSummary {
        shards: *count,
        events_per_s: middle(*count, |run| run.events_per_s),
        cpu_s_per_million: middle(*count, |run| run.cpu_s_per_million),
        peak_resident_mib: middle(*count, |run| run.peak_resident_mib),
        ratio: rounded(middle(*count, |run| run.events_per_s) / first, 3),
    };
    shards.iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(shards: usize, events_per_s: f64) -> ScalingRun {
        ScalingRun {
            shards,
            events: 1,
            cpu_s_per_million: 2.0,
            cores_used: 1.0,
            wall_s: 1.0,
            events_per_s,
            peak_resident_mib: 1.0,
            resident_at_end_mib: 1.0,
            commits: 1,
            files: 1,
            load_before: 0.0,
        }
    }

    #[test]
    fn the_ratio_compares_medians() {
        let runs = [
            run_of(1, 100.0),
            run_of(2, 190.0),
            run_of(1, 110.0),
            run_of(2, 180.0),
            run_of(1, 10.0),
            run_of(2, 20.0),
        ];
        let found = summaries(&[1, 2], &runs);
        assert_eq!((found[0].ratio, found[1].ratio), (1.0, 1.8));
        assert_eq!(found[1].events_per_s, 180.0);
    }
}
