//! `api`: requests at a steady rate, open loop, while the engine takes in generated events; how soon the HTTP API answers, and
//! whether the events notice.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::arguments::RunArguments;
use crate::cli::CommonArgs;
use crate::engine::{Engine, EngineBinary};
use crate::metrics::Metrics;
use crate::report::{Limit, Report};
use crate::statistics::rounded;

/// Longest wait for the engine to be ready, and for its first videos.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A request that has no answer by then has failed.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Longest latency that is told apart from longer ones, microseconds.
const LONGEST_US: u64 = 60_000_000;
/// What is asked for, how often of ten requests.
const MIX: [(&str, u64); 5] = [("trending", 4), ("video", 3), ("pulse", 1), ("decisions", 1), ("health", 1)];

/// `pulselake-bench api`.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Generated events per second
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    rate: u64,
    /// Requests per second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    requests_per_s: u64,
    /// How long requests are sent, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    duration_s: u64,
    /// How long events flow before, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    warm_up_s: u64,
    /// Clients of live updates beside the requests
    #[arg(long, value_name = "N", default_value_t = 2)]
    event_streams: u32,
    /// Fail when one request in a hundred took longer
    #[arg(long, value_name = "MS")]
    max_p99_ms: Option<f64>,
    /// Fail when fewer events were taken in per second while requests were sent
    #[arg(long, value_name = "N")]
    min_events_per_s: Option<f64>,
}

/// One answer.
struct Answered {
    kind: usize,
    /// From when the request was due, not from when it was sent: no wait is left out.
    latency: Duration,
    is_good: bool,
}

/// Latencies of many requests, milliseconds.
#[derive(Clone, Debug, Serialize)]
struct RequestLatencies {
    count: u64,
    failed: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// Runs the scenario.
///
/// # Errors
/// When the engine fails or does not get ready.
pub(crate) fn run(args: &ApiArgs) -> anyhow::Result<(Value, bool)> {
    let binary = EngineBinary::at(&args.common.engine)?;
    let directory = tempfile::Builder::new().prefix("pulselake-bench.").tempdir_in(&args.common.work_dir)?;
    let data_dir = directory.path().join("lake");
    let arguments = RunArguments::new(&args.common, &data_dir)
        .set("source.kind", "generator")
        .set("generator.rate_per_s", args.rate)
        .set("cdc.videos_topic", "cdc.content.videos")
        .set("cdc.users_topic", "cdc.users.profiles")
        .with_metrics();
    let mut report = Report::begin("api", &binary, &args.common);
    let mut engine = binary.run(&arguments, &directory.path().join("engine.log"), None)?;
    let address = engine.wait_for_http()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let videos = runtime.block_on(first_videos(&mut engine, &address))?;
    std::thread::sleep(Duration::from_secs(args.warm_up_s));

    let cpu_before_s = engine.sample()?.cpu_s();
    let events_before = Metrics::of(&address)?.sum("pulselake_source_records_total");
    let begun = Instant::now();
    let answers = runtime.block_on(send_all(args, &address, &videos));
    let elapsed_s = begun.elapsed().as_secs_f64();
    engine.ensure_alive()?;
    let events = Metrics::of(&address)?.sum("pulselake_source_records_total") - events_before;
    let cpu_s = engine.sample()?.cpu_s() - cpu_before_s;
    let usage = engine.terminate()?;
    if !args.common.no_audit {
        binary.audit(&data_dir)?;
    }

    let all = latencies(answers.iter())?;
    report.put("rate_per_s", args.rate);
    report.put("requests_per_s", args.requests_per_s);
    report.put("duration_s", args.duration_s);
    report.put("event_streams", args.event_streams);
    report.put("events_per_s", rounded(events / elapsed_s, 1));
    report.put("cpu_share_of_a_core", rounded(cpu_s / elapsed_s, 3));
    report.put("peak_resident_mib", crate::statistics::mib(usage.peak_resident_bytes));
    report.put("requests", &all);
    for (kind, (name, _)) in MIX.iter().enumerate() {
        report.put(name, latencies(answers.iter().filter(|answer| answer.kind == kind))?);
    }
    report.put("mix", json!(MIX.map(|(name, share)| format!("{share} of 10: {name}"))));
    // A request that failed was not quick, however soon it did.
    let p99 = (all.failed == 0).then_some(all.p99_ms);
    report.check("max_p99_ms", args.max_p99_ms, Limit::AtMost, p99);
    report.check("min_events_per_s", args.min_events_per_s, Limit::AtLeast, Some(events / elapsed_s));
    Ok(report.finish())
}

/// Waits until the engine is ready and has videos on its board; their ids.
async fn first_videos(engine: &mut Engine, address: &str) -> anyhow::Result<Vec<String>> {
    let client = reqwest::Client::new();
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        engine.ensure_alive()?;
        ensure!(Instant::now() < deadline, "the engine's board is empty after {START_PATIENCE:?}");
        let answer = client.get(format!("http://{address}/api/v1/trending?limit=200")).send().await;
        if let Ok(list) = answer
            && let Ok(body) = list.json::<Value>().await
        {
            let ids = body["videos"].as_array().into_iter().flatten();
            let ids: Vec<String> =
                ids.filter_map(|video| video["video_id"].as_str().map(str::to_owned)).collect();
            if ids.len() >= 50 {
                return Ok(ids);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Sends each request when it is due, whatever became of those before it.
async fn send_all(args: &ApiArgs, address: &str, videos: &[String]) -> Vec<Answered> {
    let client = reqwest::Client::new();
    let streams: Vec<_> = (0..args.event_streams)
        .map(|_| tokio::spawn(follow(client.clone(), format!("http://{address}/api/v1/events"))))
        .collect();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let begun = Instant::now();
    for number in 0..args.requests_per_s * args.duration_s {
        let due = begun + Duration::from_secs_f64(number as f64 / args.requests_per_s as f64);
        tokio::time::sleep_until(due.into()).await;
        let kind = kind_of(number);
        let url = format!("http://{address}/api/v1/{}", path(kind, number, videos));
        let (client, sender) = (client.clone(), sender.clone());
        tokio::spawn(async move {
            let is_good = ask(&client, &url).await.is_ok();
            // The receiver waits for all.
            let _ = sender.send(Answered { kind, latency: due.elapsed(), is_good });
        });
    }
    drop(sender);
    let mut answers = Vec::new();
    while let Some(answer) = receiver.recv().await {
        answers.push(answer);
    }
    for stream in streams {
        stream.abort();
    }
    answers
}

async fn ask(client: &reqwest::Client, url: &str) -> anyhow::Result<()> {
    let answer = client.get(url).timeout(ANSWER_PATIENCE).send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(())
}

/// Reads live updates until it is aborted.
async fn follow(client: reqwest::Client, url: String) -> anyhow::Result<()> {
    let mut stream = client.get(url).send().await?.error_for_status()?;
    while stream.chunk().await?.is_some() {}
    Ok(())
}

/// Which part of the mix a request is: the same for the same number.
fn kind_of(number: u64) -> usize {
    let mut place = number % MIX.iter().map(|(_, share)| share).sum::<u64>();
    MIX.iter()
        .position(|(_, share)| {
            let is_here = place < *share;
            place = place.saturating_sub(*share);
            is_here
        })
        .unwrap_or(0)
}

fn path(kind: usize, number: u64, videos: &[String]) -> String {
    match MIX[kind].0 {
        "trending" => "trending?limit=50".to_owned(),
        "video" => {
            let turn = usize::try_from(number).unwrap_or(0) % videos.len();
            format!("videos/{}", videos[turn])
        }
        other => other.to_owned(),
    }
}

fn latencies<'a>(answers: impl Iterator<Item = &'a Answered>) -> anyhow::Result<RequestLatencies> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3).context("no histogram")?;
    let (mut count, mut failed) = (0, 0);
    for answer in answers {
        count += 1;
        failed += u64::from(!answer.is_good);
        histogram.saturating_record(u64::try_from(answer.latency.as_micros()).unwrap_or(LONGEST_US).max(1));
    }
    let ms = |us: u64| rounded(us as f64 / 1e3, 2);
    Ok(RequestLatencies {
        count,
        failed,
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p95_ms: ms(histogram.value_at_quantile(0.95)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_as_it_says() {
        let mut counts = [0_u64; MIX.len()];
        for number in 0..1_000 {
            counts[kind_of(number)] += 1;
        }
        assert_eq!(counts, MIX.map(|(_, share)| share * 100));
    }

    #[test]
    fn videos_take_turns() {
        let videos = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            (path(1, 4, &videos), path(1, 5, &videos)),
            ("videos/a".to_owned(), "videos/b".to_owned())
        );
        assert_eq!(path(0, 1, &videos), "trending?limit=50");
        assert_eq!(path(2, 1, &videos), "pulse");
    }

    #[test]
    fn a_failure_counts_with_its_latency() {
        let answer = |ms, is_good| Answered { kind: 0, latency: Duration::from_millis(ms), is_good };
        let found = latencies([answer(10, true), answer(20, false), answer(30, true)].iter()).unwrap();
        assert_eq!((found.count, found.failed), (3, 1));
        assert!((found.p50_ms - 20.0).abs() < 0.1 && (found.max_ms - 30.0).abs() < 0.1, "{found:?}");
    }
}
