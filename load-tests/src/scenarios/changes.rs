//! `changes`: a dimension that follows an operational database. All its keys at once, then changes at a steady rate, open
//! loop: what that costs, how soon a change can be read, and how fast the table can be read before and after compaction.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::Utc;
use clap::Args;
use pulselake_generator::{CdcConfig, GeneratorConfig};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use serde::Serialize;
use serde_json::{Value, json};

use crate::arguments::RunArguments;
use crate::change_feed::{ChangeFeed, PacedChanges};
use crate::cli::{BrokerArgs, CommonArgs};
use crate::engine::{Engine, EngineBinary};
use crate::lake_watch::{LOOK_AGAIN, LakeWatch, SeenCommit};
use crate::latency;
use crate::metrics::Metrics;
use crate::report::{Limit, Report};
use crate::statistics::{Trend, median, mib, rounded};
use crate::table_scan::{self, TableRead};
use crate::topic::{Topics, unique, with_new_topic};

const DIMENSION: LakeTable = LakeTable::Dimension(Entity::Videos);
const HISTORY: LakeTable = LakeTable::DimensionHistory(Entity::Videos);
/// The tables whose commits are watched.
const WATCHED: [LakeTable; 2] = [HISTORY, DIMENSION];

/// How often memory is looked at while changes flow.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// How often metrics are asked for while changes flow: as often as a monitoring system would.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is asked whether the creates are taken in.
const INITIAL_INTERVAL: Duration = Duration::from_millis(200);
/// How long the tables may take to hold everything that was sent.
const SETTLE_PATIENCE: Duration = Duration::from_secs(900);
/// Between filling the topic and the first change lies this much and what the keys take, so that the log's clock can be the
/// wall clock. When it takes longer, both are apart by a fixed time.
const ROOM_MS: i64 = 10_000;
const KEYS_PER_MS_OF_ROOM: i64 = 10;
/// How often the table is read each time; the median counts.
const READS: usize = 3;

/// `pulselake-bench changes`.
#[derive(Debug, Args)]
#[command(mut_arg("partitions", |argument| argument.default_value("3")))]
pub(crate) struct ChangesArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Videos that exist at the start
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keys: u32,
    /// New versions of rows per second
    #[arg(long, value_name = "N", default_value_t = 10_000.0)]
    rate: f64,
    /// How long changes flow, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    duration_s: u64,
    /// Seed of the changes
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Fail when a million changes take more CPU
    #[arg(long, value_name = "SECONDS")]
    max_cpu_s_per_million: Option<f64>,
    /// Fail when resident memory was higher at any time
    #[arg(long, value_name = "MIB")]
    max_peak_resident_mib: Option<f64>,
    /// Fail when 95 % of the changes could not be read from the dimension this soon after they were made in the source
    #[arg(long, value_name = "SECONDS")]
    max_freshness_p95_s: Option<f64>,
}

/// What the creates of all keys cost, from the start of the process on.
#[derive(Serialize)]
struct InitialLoad {
    changes: u64,
    /// Until the engine had taken all of them from the topic.
    taken_s: f64,
    /// Until all of them could be read, the wait for the commit interval included.
    committed_s: f64,
    cpu_s: f64,
    cpu_s_per_million: f64,
    peak_resident_mib: f64,
}

/// What was seen while changes flowed.
#[derive(Default)]
struct Observed {
    resident_mib: Vec<f64>,
    /// Records sent and not taken from the topic yet.
    lag_taken: Vec<f64>,
    /// Records sent and not committed to the dimension yet.
    lag_committed: Vec<f64>,
    /// CPU of the engine from the first change on, until the last one was sent.
    cpu_s: f64,
}

/// The dimension as a reader finds it.
#[derive(Serialize)]
struct Reading {
    data_files: Value,
    data_bytes: Value,
    /// Rows in the data files: more than there are, as long as some are deleted by delete files.
    data_file_rows: Value,
    delete_files: Value,
    /// Medians of several readings.
    pulselake: TableRead,
    duckdb: Option<Value>,
}

/// Runs the scenario.
///
/// # Errors
/// When the broker, the engine or the audit fails, or the tables don't hold what was sent.
pub(crate) fn run(args: &ChangesArgs) -> anyhow::Result<(Value, bool)> {
    ensure!(args.duration_s >= 3, "--duration-s {} is too short to measure anything", args.duration_s);
    let binary = EngineBinary::at(&args.common.engine)?;
    with_new_topic(&args.broker, "changes", |topic| {
        // The engine wants a topic of events, too; this one stays empty.
        let topics = Topics::of(&args.broker.brokers)?;
        let events_topic = unique("events");
        topics.create(&events_topic, 1)?;
        let outcome = measure(args, &binary, topic, &events_topic);
        topics.delete(&events_topic)?;
        outcome
    })
}

fn measure(
    args: &ChangesArgs,
    binary: &EngineBinary,
    topic: &str,
    events_topic: &str,
) -> anyhow::Result<(Value, bool)> {
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let mut feed = ChangeFeed::new(&args.broker, topic, &config_of(args))?;
    eprintln!("filling {topic} with the creates of {} videos", args.keys);
    let initial_changes = feed.send_initial()?;

    let mut report = Report::begin("changes", binary, &args.common);
    let arguments = RunArguments::new(&args.common, &data_dir)
        .kafka(&args.broker.brokers, events_topic, &unique("group"))
        .with(["--cdc-topics", &format!("videos={topic}")])
        .set("maintenance.enabled", false)
        .with_metrics();
    let mut engine = binary.run(&arguments, &directory.path().join("engine.log"), None)?;
    let address = engine.wait_for_http()?;
    let watch = LakeWatch::of_tables(&data_dir, &WATCHED)?;
    let initial = load_initial(&mut engine, &address, &watch, topic, initial_changes)?;
    eprintln!("taken in: {}", json!(initial));

    let clock_ms = Utc::now().timestamp_millis();
    // Nothing is due before; then there is nothing to wait for.
    let pause_ms = u64::try_from(feed.start_ms() - clock_ms).unwrap_or(0);
    let clock_shift_ms = (clock_ms - feed.start_ms()).max(0);
    std::thread::sleep(Duration::from_millis(pause_ms));
    report.put("load_before_changes", crate::proc_fs::load_average());
    eprintln!("changes flow for {} s", args.duration_s);
    let cpu_before_s = engine.sample()?.cpu_s();
    let changes = PacedChanges::start(feed, Duration::from_secs(args.duration_s))?;
    let observed = observe(args, &mut engine, &address, &watch, &changes, topic)?;
    let (sent, worst_send_delay_ms) = changes.finish()?;
    report.put("load_after_changes", crate::proc_fs::load_average());
    let last_sent = Instant::now();
    eprintln!("waiting until the tables hold {} records", sent.count());
    wait_for_commit(&mut engine, &watch, topic, sent.count())?;
    let drained_s = last_sent.elapsed().as_secs_f64();
    let cpu_s = engine.sample()?.cpu_s() - cpu_before_s;
    let usage = engine.terminate()?;
    let commits = watch.finish()?;

    let changes_sent = sent.count() - initial_changes;
    let million = |cpu_s: f64| rounded(cpu_s / changes_sent as f64 * 1e6, 3);
    let freshness = latency::freshness(&commits, DIMENSION, topic, &sent.written_ms)?;
    report.put("keys", args.keys);
    report.put("rate_per_s", args.rate);
    report.put("duration_s", args.duration_s);
    report.put("initial", &initial);
    report.put("changes", changes_sent);
    report.put("changes_per_s", rounded(changes_sent as f64 / args.duration_s as f64, 1));
    report.put("late_versions", sent.late_versions);
    report.put("worst_send_delay_ms", worst_send_delay_ms);
    report.put("clock_shift_ms", clock_shift_ms);
    report.put("cpu_s_per_million", million(cpu_s));
    report.put("cpu_s_per_million_while_sent", million(observed.cpu_s));
    report.put("cpu_share_of_a_core", rounded(observed.cpu_s / args.duration_s as f64, 3));
    report.put("freshness", &freshness);
    report.put("drained_s", rounded(drained_s, 2));
    let peak = mib(usage.peak_resident_bytes);
    report.put("peak_resident_mib", peak);
    report.put("resident_mib", Trend::of(&observed.resident_mib));
    report.put("lag_taken_records", Trend::of(&observed.lag_taken));
    report.put("lag_committed_records", Trend::of(&observed.lag_committed));
    report.put("dimension_commits", commits.iter().filter(|commit| commit.table == DIMENSION).count());
    report.put("history_commits", commits.iter().filter(|commit| commit.table == HISTORY).count());
    eprintln!("freshness: {}", json!(freshness));
    eprintln!("CPU s per million: {}, peak MiB: {peak}", million(cpu_s));

    let before = read(binary, &data_dir, directory.path(), sent.rows())?;
    eprintln!("before compaction: {}", json!(before));
    report.put("before_compaction", &before);
    report.put("compaction", compact(binary, &data_dir, directory.path())?);
    let after = read(binary, &data_dir, directory.path(), sent.rows())?;
    eprintln!("after compaction: {}", json!(after));
    report.put("after_compaction", &after);
    let history = table_scan::by_pulselake(&data_dir, HISTORY)?;
    ensure!(
        history.rows == sent.versions,
        "{} has {} rows and should have {}",
        HISTORY.full_name(),
        history.rows,
        sent.versions
    );
    report.put("history_read", history);
    if !args.common.no_audit {
        let started = Instant::now();
        binary.audit(&data_dir)?;
        report.put("audit_s", rounded(started.elapsed().as_secs_f64(), 1));
    }
    report.check("max_cpu_s_per_million", args.max_cpu_s_per_million, Limit::AtMost, Some(million(cpu_s)));
    report.check("max_peak_resident_mib", args.max_peak_resident_mib, Limit::AtMost, Some(peak));
    let p95 = freshness.map(|latencies| latencies.p95_s);
    report.check("max_freshness_p95_s", args.max_freshness_p95_s, Limit::AtMost, p95);
    Ok(report.finish())
}

/// The changes that belong to so many videos; they begin when the creates should be in the tables.
fn config_of(args: &ChangesArgs) -> CdcConfig {
    let start_ms = Utc::now().timestamp_millis() + ROOM_MS + i64::from(args.keys) / KEYS_PER_MS_OF_ROOM;
    let events =
        GeneratorConfig { seed: args.seed, videos: args.keys, start_ms, ..GeneratorConfig::default() };
    CdcConfig { rate_per_s: args.rate, ..CdcConfig::beside(&events, Entity::Videos) }
}

/// Waits until the dimension holds the creates of all keys.
fn load_initial(
    engine: &mut Engine,
    address: &str,
    watch: &LakeWatch,
    topic: &str,
    changes: u64,
) -> anyhow::Result<InitialLoad> {
    while taken_records(address)? < changes as f64 {
        engine.ensure_alive()?;
        ensure!(
            engine.started.elapsed() < SETTLE_PATIENCE,
            "the creates are not taken in after {SETTLE_PATIENCE:?}"
        );
        std::thread::sleep(INITIAL_INTERVAL);
    }
    let taken_s = rounded(engine.started.elapsed().as_secs_f64(), 1);
    wait_for_commit(engine, watch, topic, changes)?;
    let sample = engine.sample()?;
    Ok(InitialLoad {
        changes,
        taken_s,
        committed_s: rounded(engine.started.elapsed().as_secs_f64(), 1),
        cpu_s: rounded(sample.cpu_s(), 2),
        cpu_s_per_million: rounded(sample.cpu_s() / changes as f64 * 1e6, 3),
        peak_resident_mib: mib(sample.memory.unwrap_or_default().peak_bytes),
    })
}

fn observe(
    args: &ChangesArgs,
    engine: &mut Engine,
    address: &str,
    watch: &LakeWatch,
    changes: &PacedChanges,
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
        if started.elapsed() >= metrics_due {
            metrics_due += METRICS_INTERVAL;
            let sent = changes.sent() as f64;
            let committed = watch.ask(|commits| committed_records(commits, topic))?;
            observed.lag_committed.push((sent - committed as f64).max(0.0));
            observed.lag_taken.push((sent - taken_records(address)?).max(0.0));
        }
    }
    observed.cpu_s = engine.sample()?.cpu_s() - cpu_before_s;
    Ok(observed)
}

/// Records that the engine has taken from the topic of changes.
fn taken_records(address: &str) -> anyhow::Result<f64> {
    Ok(Metrics::of(address)?.sum("pulselake_change_records_total"))
}

/// Records that the dimension has consumed.
fn committed_records(commits: &[SeenCommit], topic: &str) -> i64 {
    let last = commits.iter().rfind(|commit| commit.table == DIMENSION);
    last.map_or(0, |commit| commit.next_offsets(topic).values().sum())
}

/// Waits until the dimension has consumed so many records.
fn wait_for_commit(engine: &mut Engine, watch: &LakeWatch, topic: &str, records: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    loop {
        let committed = watch.ask(|commits| committed_records(commits, topic))?;
        if u64::try_from(committed)? >= records {
            return Ok(());
        }
        engine.ensure_alive()?;
        ensure!(
            Instant::now() < deadline,
            "{SETTLE_PATIENCE:?} after the last record the dimension holds {committed} of {records}:\n{}",
            engine.log()?.tail()
        );
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Reads the dimension several times, which has to have this many rows.
fn read(binary: &EngineBinary, data_dir: &Path, scratch: &Path, rows: u64) -> anyhow::Result<Reading> {
    let (_, said) =
        binary.tool(&["tables", "inspect", DIMENSION.full_name(), "--format", "json"], data_dir, scratch)?;
    let health: Value = serde_json::from_str(&said)?;
    let mut reads = Vec::new();
    for _ in 0..READS {
        let read = table_scan::by_pulselake(data_dir, DIMENSION)?;
        let name = DIMENSION.full_name();
        ensure!(read.rows == rows, "{name} has {} rows and should have {rows}", read.rows);
        reads.push(read);
    }
    let middle = |figure: fn(&TableRead) -> f64| median(&reads.iter().map(figure).collect::<Vec<_>>());
    let pulselake = TableRead { rows, wall_s: middle(|read| read.wall_s), cpu_s: middle(|read| read.cpu_s) };
    let duckdb = table_scan::by_duckdb(data_dir, DIMENSION)?;
    if let Some(found) = duckdb.as_ref().and_then(|read| read["rows"].as_u64()) {
        ensure!(found == rows, "DuckDB finds {found} rows instead of {rows}");
    }
    Ok(Reading {
        data_files: health["data_files"]["count"].clone(),
        data_bytes: health["data_files"]["bytes"].clone(),
        data_file_rows: health["data_files"]["records"].clone(),
        delete_files: health["delete_files"]["count"].clone(),
        pulselake,
        duckdb,
    })
}

/// Maintains the dimension with the program itself: what that used, and what it says of it.
fn compact(binary: &EngineBinary, data_dir: &Path, scratch: &Path) -> anyhow::Result<Value> {
    let arguments = ["maintain", "--table", DIMENSION.full_name(), "--format", "json"];
    let (usage, said) = binary.tool(&arguments, data_dir, scratch)?;
    let document: Value = serde_json::from_str(&said)?;
    let found = &document["tables"][0]["compaction"];
    let names =
        ["groups", "files_removed", "files_added", "delete_files_removed", "rows_read", "rows_written"];
    let mut summary: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), found[name].clone())).collect();
    summary.insert("wall_s".to_owned(), json!(rounded(usage.wall.as_secs_f64(), 2)));
    summary.insert("cpu_s".to_owned(), json!(rounded(usage.cpu_s(), 2)));
    summary.insert("peak_resident_mib".to_owned(), json!(mib(usage.peak_resident_bytes)));
    Ok(Value::Object(summary))
}
