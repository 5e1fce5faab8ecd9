//! What a person sees in the terminal while the engine runs: a summary that refreshes, or a progress bar for runs
//! that end by themselves. Without a terminal, a line now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pulselake_actors::{CachedVideo, DimensionCache, EngineStatus, Phase};
use pulselake_board::{LiveBoard, TopQuery};
use pulselake_model::tables::LakeTable;
use pulselake_source::Source;

const REFRESH: Duration = Duration::from_secs(1);
const TOP_VIDEOS: usize = 5;

/// Shows the summary until the task is aborted.
/// `videos` says what is known of the top videos, where their changes are followed.
pub(crate) async fn show_summary(
    status: EngineStatus,
    board: LiveBoard,
    videos: Option<DimensionCache>,
    place: String,
) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let mut rate = Rate::new(&status);
    let mut ticks = tokio::time::interval(REFRESH);
    loop {
        ticks.tick().await;
        let text = summary(&status, &board, videos.as_ref(), &place, rate.measure(&status));
        if bar.is_hidden() {
            eprintln!("{text}\n");
            tokio::time::sleep(REFRESH * 9).await;
        } else {
            bar.set_message(text);
            bar.tick();
        }
    }
}

/// Shows how far a bounded run has come until the task is aborted: in bytes where the source knows them (files), else
/// in offsets.
pub(crate) async fn show_progress(status: EngineStatus, source: Arc<dyn Source>) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = if source.progress().is_some() {
        "{bar:40} {percent}% {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}"
    } else {
        "{bar:40} {percent}% {pos}/{len} offsets, {per_sec}, {eta} left {msg}"
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut ticks = tokio::time::interval(REFRESH / 5);
    loop {
        ticks.tick().await;
        let (done, total) = match source.progress() {
            Some(progress) => (progress.done_bytes, progress.total_bytes),
            None => offsets_done(&status),
        };
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("({} records)", status.records().0));
    }
}

/// Offsets read in this run and offsets there were to read, over all partitions.
fn offsets_done(status: &EngineStatus) -> (u64, u64) {
    let mut sums = (0, 0);
    for (_, partition) in status.partitions() {
        let distance = |to: i64| u64::try_from(to - partition.started_at).unwrap_or(0);
        sums.0 += distance(partition.position);
        sums.1 += distance(partition.end);
    }
    sums
}

/// Records per second since the last look.
struct Rate {
    at: Instant,
    records: u64,
}

impl Rate {
    fn new(status: &EngineStatus) -> Self {
        Self { at: Instant::now(), records: status.records().0 }
    }

    fn measure(&mut self, status: &EngineStatus) -> f64 {
        let (now, records) = (Instant::now(), status.records().0);
        let seconds = now.duration_since(self.at).as_secs_f64().max(0.001);
        let per_second = (records - self.records) as f64 / seconds;
        (self.at, self.records) = (now, records);
        per_second
    }
}

fn summary(
    status: &EngineStatus,
    board: &LiveBoard,
    videos: Option<&DimensionCache>,
    place: &str,
    per_second: f64,
) -> String {
    let (records, quarantined) = status.records();
    let uptime = status.uptime().as_secs();
    let mut text = format!(
        "pulselake  {}  up {}:{:02}:{:02}  {place}\n\
         rate       {per_second:.0} records/s   {records} read, {quarantined} quarantined, lag {} records, restarts {}\n",
        phase(&status.phase()),
        uptime / 3600,
        uptime / 60 % 60,
        uptime % 60,
        status.lag(),
        status.restarts(),
    );
    for (label, table) in [("bronze", LakeTable::RawEvents), ("gold", LakeTable::VideoStats1Min)] {
        text.push_str(&table_line(status, label, table));
    }
    let top = board.top(&TopQuery { limit: TOP_VIDEOS, ..TopQuery::default() });
    if top.is_empty() {
        text.push_str("top videos by velocity: no event within the last 30 minutes yet");
        return text;
    }
    text.push_str(
        "top videos by velocity (30 min)   velocity  impressions   likes  shares  category, region, status\n",
    );
    for video in top {
        let [impressions, _, _, likes, shares, _] = video.sums.by_type;
        let known = videos.and_then(|cache| cache.get(&video.video_id)).map_or_else(String::new, described);
        text.push_str(&format!(
            "  {:<32} {:>8.3} {impressions:>12} {likes:>7} {shares:>7}  {known}\n",
            video.video_id, video.metrics.velocity
        ));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Category, region and status, as far as the dimension has them.
fn described(video: CachedVideo) -> String {
    let parts = [video.category, video.region, video.status];
    parts.iter().flatten().map(|part| part.as_ref()).collect::<Vec<_>>().join(", ")
}

fn table_line(status: &EngineStatus, label: &str, table: LakeTable) -> String {
    let Some(now) = status.table(table) else { return format!("{label:<10} no commit yet\n") };
    let clock_ms = Utc::now().timestamp_millis();
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let freshness = now.visible_through_us.map_or_else(String::new, |visible_us| {
        format!("events of {:.0} s ago are visible", seconds((clock_ms - visible_us / 1_000).max(0)))
    });
    format!(
        "{label:<10} last commit {:.0} s ago, {} commits, {} files, {} rows; {freshness}\n",
        seconds(clock_ms - now.committed_at_ms),
        now.commits,
        now.files,
        now.rows
    )
}

fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Running => "running".to_owned(),
        Phase::Restarting(reason) => format!("restarting ({reason})"),
        Phase::Draining => "draining".to_owned(),
        Phase::Stopped => "stopped".to_owned(),
    }
}
