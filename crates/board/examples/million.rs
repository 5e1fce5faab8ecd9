//! A board with a million active videos: memory, what adding costs, and how long asking takes while events come in.
//!
//!     cargo run --release -p pulselake-board --example million [VIDEOS]
//!
//! Events are drawn as the generator draws them in shape: few videos take most of the traffic, every video has at least
//! one event in the 30 minutes, and each event is an impression, a play, its end, a like, a share or a skip. Memory is what
//! the board says of itself, and beside it what the process holds (`VmRSS`), the latter with the test's own data.

#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pulselake_board::{BoardSettings, LiveBoard, PartitionTime, TopOrder, TopQuery};
use pulselake_decision::MINUTE_US;
use pulselake_model::{EventType, WindowCounters};

const MINUTES: u64 = 30;
/// Events of the 30 minutes for each video: 10,000 a second and a million videos.
const EVENTS_PER_VIDEO: u64 = 18;
const BATCH: usize = 4_096;
const START_MINUTE: i64 = 29_500_000;
const PLAY_MS: i64 = 12_000;

/// A splitmix64 step: the same load in every run.
fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The kind of an event: as many of each as the funnel gives.
fn kind(random: u64) -> EventType {
    match random % 100 {
        0..=35 => EventType::Impression,
        36..=66 => EventType::PlayStart,
        67..=81 => EventType::PlayFinish,
        82..=95 => EventType::Skip,
        96..=98 => EventType::Like,
        _ => EventType::Share,
    }
}

/// Every video once, and then few videos most of the time.
fn video(event: u64, videos: u64) -> u64 {
    if event.is_multiple_of(EVENTS_PER_VIDEO) {
        return mix(event / EVENTS_PER_VIDEO) % videos;
    }
    let uniform = (mix(event) >> 11) as f64 / (1_u64 << 53) as f64;
    // About Zipf with exponent 1.
    (((videos as f64).powf(uniform) - 1.0) as u64).min(videos - 1)
}

/// What a batch of events comes to: (number of the video, counts) by video.
fn batch(first: u64, videos: u64) -> Vec<(String, WindowCounters)> {
    let mut events: Vec<(u64, EventType)> =
        (first..first + BATCH as u64).map(|event| (video(event, videos), kind(mix(!event)))).collect();
    events.sort_unstable_by_key(|(number, _)| *number);
    let of_video = events.chunk_by(|(one, _), (other, _)| one == other);
    of_video
        .map(|same| {
            let mut counters = WindowCounters::default();
            for (_, kind) in same {
                let watched_ms =
                    if matches!(kind, EventType::Impression | EventType::PlayStart) { 0 } else { PLAY_MS };
                counters.add(*kind, watched_ms);
            }
            (format!("v_{}", same[0].0), counters)
        })
        .collect()
}

fn time(minute: i64) -> PartitionTime {
    PartitionTime { newest_event_us: Some((minute + 1) * MINUTE_US - 1), ..PartitionTime::default() }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// Puts one batch on the board; how many deltas it was, and how long it took.
fn add(board: &LiveBoard, event: u64, videos: u64, minute: i64) -> (usize, Duration) {
    let deltas = batch(event, videos);
    let started = Instant::now();
    let counts = deltas.iter().map(|(id, counters)| (id.as_str(), minute * MINUTE_US, *counters));
    board.add_counts(0, 1, counts);
    board.advance(0, 1, time(minute));
    (deltas.len(), started.elapsed())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    println!("{what:<58} {:>10.2} ms", started.elapsed().as_secs_f64() * 1e3);
    result
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.replace('_', "").parse::<u64>());
    let videos = arguments.next().and_then(Result::ok).unwrap_or(1_000_000);
    let board = LiveBoard::new(BoardSettings { max_videos: 2 * videos as usize, ..BoardSettings::default() });
    board.begin(0, 1, None);
    let before_mib = resident_mib();
    let per_minute = videos * EVENTS_PER_VIDEO / MINUTES / BATCH as u64;
    let (mut deltas, mut adding) = (0, Duration::ZERO);
    let mut event = 0;
    for minute in 0..MINUTES as i64 {
        for _ in 0..per_minute {
            let (added, took) = add(&board, event, videos, START_MINUTE + minute);
            (deltas, adding) = (deltas + added, adding + took);
            event += BATCH as u64;
        }
    }
    let stats = board.stats();
    println!("{} videos on the board, {event} events in {deltas} deltas", stats.videos);
    println!(
        "memory {} MiB by its own count, {} MiB more resident: {} bytes a video",
        stats.memory_bytes >> 20,
        resident_mib() - before_mib,
        stats.memory_bytes / stats.videos.max(1)
    );
    println!(
        "adding: {} ns a delta, {} ns an event",
        adding.as_nanos() / deltas as u128,
        adding.as_nanos() / u128::from(event)
    );

    let top = |order| board.top(&TopQuery { limit: 50, order, keep: None }).len();
    timed("top(50), the first of a minute: every score is made", || top(TopOrder::Velocity));
    timed("top(50) again", || top(TopOrder::Velocity));
    timed("top(50) by surprise", || top(TopOrder::Surprise));
    timed("top(50) by the shrunken velocity", || top(TopOrder::Shrunken));
    let keep = |id: &str| id.ends_with('7');
    timed("top(50) of a tenth of the videos", || {
        board.top(&TopQuery { limit: 50, keep: Some(&keep), ..TopQuery::default() }).len()
    });
    for _ in 0..10_000 / BATCH + 1 {
        add(&board, event, videos, START_MINUTE + 29);
        event += BATCH as u64;
    }
    timed("top(50) behind a second's 10,000 events", || top(TopOrder::Velocity));
    let mut visited = 0;
    timed("every video with its sums", || board.visit_all(&mut |_, _| visited += 1));
    timed("a closed minute's videos with their 30 minutes", || {
        board.rolling_at(0, (START_MINUTE + 28) * MINUTE_US, &mut |_, _| visited += 1)
    });
    ask_while_adding(&board, event, videos);
}

/// One thread asks once a second, as the API's live updates do, another adds without a pause: what one does to the other.
fn ask_while_adding(board: &LiveBoard, from: u64, videos: u64) {
    let prepared: Vec<_> = (0..400).map(|number| batch(from + number * BATCH as u64, videos)).collect();
    let adding = |first_minute: i64| {
        let mut slowest = Duration::ZERO;
        let started = Instant::now();
        for round in 0..3 {
            let minute = START_MINUTE + first_minute + round;
            for deltas in &prepared {
                let one = Instant::now();
                let counts = deltas.iter().map(|(id, counters)| (id.as_str(), minute * MINUTE_US, *counters));
                board.add_counts(0, 1, counts);
                board.advance(0, 1, time(minute));
                slowest = slowest.max(one.elapsed());
            }
        }
        (started.elapsed(), slowest)
    };
    let (alone, slowest_alone) = adding(30);
    let done = AtomicBool::new(false);
    let (asked, (beside, slowest)) = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                board.top(&TopQuery { limit: 50, ..TopQuery::default() });
                times.push(started.elapsed());
                std::thread::sleep(Duration::from_millis(100));
            }
            times
        });
        let result = adding(33);
        done.store(true, Ordering::Relaxed);
        (asker.join().unwrap_or_default(), result)
    });
    let batches = 3 * prepared.len();
    println!(
        "{batches} batches: {:.2} ms each alone (slowest {:.2}), {:.2} ms with top(50) ten times a second (slowest {:.2})",
        alone.as_secs_f64() * 1e3 / batches as f64,
        slowest_alone.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3 / batches as f64,
        slowest.as_secs_f64() * 1e3,
    );
    let most = asked.iter().max().copied().unwrap_or_default();
    println!("top(50) meanwhile: {} times, slowest {:.1} ms", asked.len(), most.as_secs_f64() * 1e3);
}
