//! Scenarios about a video of their own.

use pulselake_generator::{FIRST_FOCUS_VIDEO, GeneratorConfig, focus_video, partition_of_key};
use pulselake_model::{EventType, WindowCounters};

use crate::support::{Seen, assert_near, config, read};

const HALF_HOUR_S: i64 = 1_800;

/// What the first focus video's events come to.
fn counters(seen: &[Seen]) -> WindowCounters {
    let mut counters = WindowCounters::default();
    for one in seen.iter().filter(|one| one.record.video == FIRST_FOCUS_VIDEO) {
        counters.add(one.record.event_type, one.record.watch_time_ms.into());
    }
    counters
}

struct Rates {
    impressions: f64,
    plays: f64,
    completion: f64,
    skip: f64,
    like: f64,
    share: f64,
    velocity: f64,
}

fn rates(seen: &[Seen]) -> Rates {
    let sum = counters(seen);
    let of = |event_type: EventType| sum.by_type[event_type as usize] as f64;
    let (impressions, plays) = (of(EventType::Impression), of(EventType::PlayStart));
    Rates {
        impressions,
        plays,
        completion: of(EventType::PlayFinish) / plays,
        skip: of(EventType::Skip) / plays,
        like: of(EventType::Like) / plays,
        share: of(EventType::Share) / plays,
        velocity: (of(EventType::Like) + 5.0 * of(EventType::Share)) / impressions.max(100.0),
    }
}

/// A log with so little ordinary traffic that half an hour is read soon.
fn quiet(scenario: &str, seed: u64) -> GeneratorConfig {
    GeneratorConfig { rate_per_s: 3.0, seed, ..config(&[scenario]) }
}

#[test]
fn a_normal_baseline_is_near_the_gate_and_slower_than_viral() {
    for seed in 1..4 {
        let rates = rates(&read(&quiet("normal_baseline", seed), HALF_HOUR_S));
        assert!((300.0..=1_200.0).contains(&rates.impressions), "{}", rates.impressions);
        assert_near(rates.completion, 0.55, 0.09);
        assert_near(rates.skip, 0.35, 0.09);
        assert!(rates.velocity < 0.2, "{}", rates.velocity);
    }
}

#[test]
fn a_cold_start_is_small_good_and_begins_after_its_row_is_there() {
    for seed in 1..4 {
        let seen = read(&quiet("cold_start_under_exposed:start_s=10", seed), HALF_HOUR_S + 10);
        let rates = rates(&seen);
        assert!((40.0..=180.0).contains(&rates.impressions) && rates.plays >= 30.0, "{}", rates.impressions);
        assert!(rates.completion >= 0.6 && rates.skip <= 0.35, "{} {}", rates.completion, rates.skip);
        let focused = seen.iter().filter(|one| one.record.video == FIRST_FOCUS_VIDEO);
        let first_ms = focused.map(|one| one.record.event_time_ms).min().unwrap();
        assert!(first_ms >= quiet("duplicates", seed).start_ms + 15_000);
    }
}

#[test]
fn viral_videos_have_500_times_the_mean_impressions_and_differ_in_quality() {
    for (kind, is_good) in [("viral_high_quality", true), ("viral_low_quality", false)] {
        let scenario = format!("{kind}:start_s=20,length_s=200,strength=1");
        let config = GeneratorConfig { videos: 5_000, ..config(&[&scenario]) };
        let rates = rates(&read(&config, 300));
        // 200 records a second are 72 impressions; 200 s of a tenth of them.
        assert_near(rates.impressions, 1_440.0, 150.0);
        assert!((0.10..=0.22).contains(&rates.like) && (0.03..=0.10).contains(&rates.share));
        assert!(rates.velocity > 0.25, "{}", rates.velocity);
        if is_good {
            assert!(rates.completion >= 0.70 && rates.skip <= 0.25, "{} {}", rates.completion, rates.skip);
        } else {
            assert!(rates.completion <= 0.25 && rates.skip >= 0.60, "{} {}", rates.completion, rates.skip);
        }
    }
}

#[test]
fn strength_scales_the_traffic_of_a_focus_video() {
    let impressions = |strength: &str| {
        let scenario = format!("viral_high_quality:strength={strength}");
        rates(&read(&GeneratorConfig { videos: 5_000, ..config(&[&scenario]) }, 150)).impressions
    };
    let (weak, strong) = (impressions("0.5"), impressions("2"));
    assert_near(strong / weak, 4.0, 0.6);
}

#[test]
fn a_hot_key_takes_its_share_of_all_traffic_while_it_is_active() {
    for (strength, expected) in [("1", 0.6), ("0.5", 0.3)] {
        let scenario = format!("hot_partition:start_s=100,length_s=150,strength={strength}");
        let seen = read(&config(&[&scenario]), 250);
        let hot_partition = partition_of_key(b"v_1000000000", 3);
        let is_hot = |one: &&Seen| one.record.video == FIRST_FOCUS_VIDEO;
        assert!(seen.iter().filter(is_hot).all(|one| one.partition == hot_partition));
        // Both kinds of traffic are steady a minute after their start.
        let from_offset = 165 << 20;
        let steady: Vec<&Seen> = seen.iter().filter(|one| one.record.offset >= from_offset).collect();
        let hot = steady.iter().copied().filter(is_hot).count();
        assert_near(hot as f64 / steady.len() as f64, expected, 0.03);
    }
}

#[test]
fn each_scenario_has_a_video_of_its_own_that_nothing_else_shows() {
    let seen = read(&config(&["duplicates", "normal_baseline", "viral_low_quality:strength=0.1"]), 200);
    let mut focused: Vec<u32> =
        seen.iter().map(|one| one.record.video).filter(|&video| video >= FIRST_FOCUS_VIDEO).collect();
    focused.sort_unstable();
    focused.dedup();
    assert_eq!(focused, [focus_video(1), focus_video(2)]);
    // Other scenarios leave them alone: what is expected of a focus video doesn't depend on the mix.
    let on_focus = seen.iter().filter(|one| one.record.video >= FIRST_FOCUS_VIDEO);
    assert!(on_focus.into_iter().all(|one| one.record.kind == pulselake_generator::RecordKind::Event));
}
