//! The events obey the domain's laws: funnel, popularity, rate, delivery; and the truth counts what the bytes say.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use pulselake_generator::{
    GeneratorConfig, LogRecord, PartitionLog, RecordKind, TruthCounts, World, count_events, partition_of_key,
};
use pulselake_model::{EventType, RawBatch, WindowCounters};

fn records_of(config: &GeneratorConfig, from_block: i64, to_block: i64) -> Vec<LogRecord> {
    let world = World::new(Arc::new(config.clone())).unwrap();
    let mut records = Vec::new();
    let mut logs: Vec<PartitionLog> = (0..config.partitions)
        .map(|partition| PartitionLog::in_world(world.clone(), partition).unwrap())
        .collect();
    // Block by block, so that all partitions use one plan.
    for block in from_block..to_block {
        for log in &mut logs {
            records.extend(log.records_of_block(block).unwrap());
        }
    }
    records
}

fn totals(truth: &TruthCounts) -> WindowCounters {
    let mut sum = WindowCounters::default();
    truth.by_video_minute.values().for_each(|counters| sum.merge(counters));
    sum
}

#[track_caller]
fn assert_near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual}, expected {expected} ± {tolerance}");
}

#[test]
fn the_rate_is_the_mean_of_all_records_in_steady_state() {
    let chaos = GeneratorConfig {
        invalid_ratio: 0.05,
        duplicate_ratio: 0.1,
        late_ratio: 0.02,
        ..GeneratorConfig::default()
    };
    for config in [GeneratorConfig::default(), chaos] {
        let config = GeneratorConfig { rate_per_s: 100.0, users: 20_000, ..config };
        // From a block on that every earlier one's spill has reached: every seat's sessions of an hour.
        let truth = count_events(Arc::new(config.clone()), 300, 3_900).unwrap();
        assert_near(truth.records as f64 / 3_600.0, 100.0, 1.0);
        let malformed = truth.malformed_by_code.iter().sum::<u64>();
        assert_near(malformed as f64 / truth.records as f64, config.invalid_ratio, 0.002);
        assert_near(truth.retries as f64 / truth.events as f64, config.duplicate_ratio, 0.003);
        assert_eq!(truth.records, truth.events + truth.retries + malformed);
        assert_eq!(totals(&truth).events() as u64, truth.events);
    }
    let slow = GeneratorConfig { rate_per_s: 0.5, partitions: 2, ..GeneratorConfig::default() };
    let records = count_events(Arc::new(slow), 300, 72_300).unwrap().records;
    assert_near(records as f64 / 72_000.0, 0.5, 0.02);
}

#[test]
fn the_day_curve_moves_the_rate_over_the_hours_and_keeps_the_mean() {
    let config =
        GeneratorConfig { rate_per_s: 5.0, partitions: 1, day_curve: 1.0, ..GeneratorConfig::default() };
    let world = World::new(Arc::new(config)).unwrap();
    let mut log = PartitionLog::in_world(world, 0).unwrap();
    let mut by_hour = [0.0; 24];
    for block in 0..24 * 3_600 {
        by_hour[block as usize / 3_600] += log.records_of_block(block).unwrap().count() as f64 / 3_600.0;
    }
    assert_near(by_hour.iter().sum::<f64>() / 24.0, 5.0, 0.1);
    // The log starts at midnight (UTC): the peak is at 14 hours, the trough at 20.
    assert_near(by_hour[14], 5.0 * 1.66, 0.8);
    assert_near(by_hour[20], 5.0 * 0.13, 0.3);
}

#[test]
fn a_user_looks_at_one_video_at_a_time() {
    let records = records_of(&GeneratorConfig { rate_per_s: 300.0, ..GeneratorConfig::default() }, 0, 1_200);
    let mut by_user: HashMap<u32, Vec<(i64, EventType)>> = HashMap::new();
    // What happened in the last seconds is not all delivered.
    let last_ms = GeneratorConfig::default().start_ms + 1_190_000;
    for record in records.into_iter().filter(|record| record.event_time_ms < last_ms) {
        by_user.entry(record.user).or_default().push((record.event_time_ms, record.event_type));
    }
    let (mut gaps, mut views) = (Vec::new(), 0);
    for events in by_user.values_mut() {
        let is_ending = |event_type| matches!(event_type, EventType::PlayFinish | EventType::Skip);
        events.sort_unstable_by_key(|(at_ms, event_type)| (*at_ms, is_ending(*event_type)));
        let mut open_since = None;
        for (at_ms, event_type) in events {
            match event_type {
                EventType::Impression => {
                    assert!(open_since.is_none(), "the next impression comes when the video is over");
                    views += 1;
                }
                EventType::PlayStart => open_since = Some(*at_ms),
                EventType::PlayFinish | EventType::Skip => {
                    // A play whose start lies before the log has no start here.
                    gaps.extend(open_since.take().map(|since: i64| *at_ms - since));
                }
                _ => assert!(open_since.is_some(), "likes and shares come during a play"),
            }
        }
    }
    assert!(views > 80_000 && gaps.len() > 70_000, "{views} {}", gaps.len());
}

#[test]
fn funnels_keep_the_domains_probabilities() {
    let sum = totals(&count_events(Arc::new(GeneratorConfig::default()), 100, 300).unwrap());
    let count = |event_type| sum.by_type[event_type as usize] as f64;
    let plays = count(EventType::PlayStart);
    assert_near(plays / count(EventType::Impression), 0.85, 0.005);
    assert_near(count(EventType::Like) / plays, 0.08, 0.003);
    assert_near(count(EventType::Share) / plays, 0.015, 0.001_5);
    assert_near((count(EventType::PlayFinish) + count(EventType::Skip)) / plays, 1.0, 0.005);
    // Near the quality gate, as a normal day is.
    assert_near(count(EventType::PlayFinish) / plays, 0.57, 0.07);
}

#[test]
fn each_funnel_is_one_story() {
    // So many videos that a user rarely sees one twice: video and user name the funnel.
    let config =
        GeneratorConfig { rate_per_s: 20.0, videos: 20_000, users: u32::MAX, ..GeneratorConfig::default() };
    let mut funnels: HashMap<(u32, u32), Vec<LogRecord>> = HashMap::new();
    for record in records_of(&config, 0, 1_200) {
        funnels.entry((record.video, record.user)).or_default().push(record);
    }
    let (mut finished, mut like_places) = (0, Vec::new());
    for events in funnels.values() {
        let of = |wanted| events.iter().filter(move |event| event.event_type == wanted).collect::<Vec<_>>();
        let impressions = of(EventType::Impression);
        if impressions.len() != 1 || impressions[0].record_time_ms > config.start_ms + 1_100_000 {
            // The same user saw the video again, or the funnel ran out of the blocks read.
            continue;
        }
        let plays = of(EventType::PlayStart);
        let endings = [of(EventType::PlayFinish), of(EventType::Skip)].concat();
        if plays.is_empty() {
            assert_eq!(events.len(), 1, "{events:?}");
            continue;
        }
        assert_eq!((plays.len(), endings.len()), (1, 1), "{events:?}");
        assert!(plays[0].event_time_ms > impressions[0].event_time_ms);
        assert_eq!((impressions[0].watch_time_ms, plays[0].watch_time_ms), (0, 0));
        for event in events.iter().filter(|event| event.watch_time_ms > 0) {
            assert_eq!(event.event_time_ms - plays[0].event_time_ms, i64::from(event.watch_time_ms));
            assert!(event.watch_time_ms <= endings[0].watch_time_ms);
        }
        finished += 1;
        for like in of(EventType::Like) {
            like_places.push(f64::from(like.watch_time_ms) / f64::from(endings[0].watch_time_ms));
        }
    }
    assert!(finished > 3_000, "{finished}");
    like_places.sort_by(f64::total_cmp);
    assert_near(like_places[like_places.len() / 2], 0.25, 0.06);
}

#[test]
fn a_fifth_of_the_videos_gets_four_fifths_of_the_impressions() {
    let config = GeneratorConfig { videos: 500, ..GeneratorConfig::default() };
    let mut by_video: HashMap<u32, u64> = HashMap::new();
    for record in records_of(&config, 0, 200) {
        if record.event_type == EventType::Impression {
            *by_video.entry(record.video).or_default() += 1;
        }
    }
    let mut impressions: Vec<u64> = by_video.into_values().collect();
    impressions.sort_unstable_by(|left, right| right.cmp(left));
    let head: u64 = impressions.iter().take(100).sum();
    assert_near(head as f64 / impressions.iter().sum::<u64>() as f64, 0.8, 0.01);
}

#[test]
fn users_come_in_sessions() {
    let mut times: HashMap<u32, Vec<i64>> = HashMap::new();
    let config = GeneratorConfig { rate_per_s: 100.0, users: 10_000, ..GeneratorConfig::default() };
    for record in records_of(&config, 0, 600) {
        if record.event_type == EventType::Impression {
            times.entry(record.user).or_default().push(record.event_time_ms);
        }
    }
    // 21,600 impressions in ten minutes among 10,000 users: evenly spread, nearly everybody would have one or two.
    let regulars = times.values().filter(|impressions| impressions.len() >= 8).count();
    assert!(times.len() < 2_000 && regulars > 500, "{} users, {regulars} regulars", times.len());
}

#[test]
fn records_follow_their_events_within_two_seconds_or_are_held_back() {
    let config = GeneratorConfig { late_ratio: 0.05, ..GeneratorConfig::default() };
    let records = records_of(&config, 300, 360);
    let lag_ms = |record: &LogRecord| record.record_time_ms - record.event_time_ms;
    let late = records.iter().filter(|record| (121_000..=210_000).contains(&lag_ms(record))).count();
    let prompt = records.iter().filter(|record| (5..=2_000).contains(&lag_ms(record))).count();
    assert_eq!(late + prompt, records.len());
    assert_near(late as f64 / records.len() as f64, 0.05, 0.005);
    // Event times are not in order although record times are.
    assert!(records.windows(2).any(|pair| pair[0].event_time_ms > pair[1].event_time_ms));
}

#[test]
fn every_event_has_the_domains_form_and_the_bytes_say_what_the_truth_says() {
    let config = GeneratorConfig {
        rate_per_s: 200.0,
        partitions: 3,
        videos: 200,
        users: 1_000,
        invalid_ratio: 0.03,
        duplicate_ratio: 0.04,
        late_ratio: 0.02,
        ..GeneratorConfig::default()
    };
    let world = World::new(Arc::new(config.clone())).unwrap();
    let mut recount: BTreeMap<(u32, i64), WindowCounters> = BTreeMap::new();
    let mut ids: HashSet<String> = HashSet::new();
    for partition in 0..3 {
        let mut log = PartitionLog::in_world(world.clone(), partition).unwrap();
        let mut batch = RawBatch::at(partition, 0);
        log.read_into(&mut batch, world.block_start_ms(250) - 1, usize::MAX, usize::MAX).unwrap();
        let planned: Vec<LogRecord> =
            (0..250).flat_map(|block| log.records_of_block(block).unwrap().collect::<Vec<_>>()).collect();
        assert_eq!(planned.len(), batch.records.len());
        let mut values_by_id: HashMap<String, &[u8]> = HashMap::new();
        for (record, raw) in planned.iter().zip(&batch.records) {
            assert_eq!((record.offset, Some(record.record_time_ms)), (raw.offset, raw.timestamp_ms));
            let value = batch.value(raw);
            if matches!(record.kind, RecordKind::Malformed(_)) {
                continue;
            }
            let event: serde_json::Value = serde_json::from_slice(value).unwrap();
            let event_id = event["event_id"].as_str().unwrap().to_owned();
            if record.kind == RecordKind::Retry {
                assert_eq!(values_by_id.get(&event_id), Some(&value), "a retry repeats an earlier record");
                continue;
            }
            values_by_id.insert(event_id.clone(), value);
            assert!(ids.insert(event_id), "event ids are unique over the log");
            assert_form(&event, partition);
            let time_ms = chrono::DateTime::parse_from_rfc3339(event["event_timestamp"].as_str().unwrap())
                .unwrap()
                .timestamp_millis();
            assert_eq!(time_ms, record.event_time_ms);
            let video = event["video_id"].as_str().unwrap()[2..].parse().unwrap();
            recount.entry((video, time_ms - time_ms % 60_000)).or_default().add(
                EventType::parse(event["event_type"].as_str().unwrap()).unwrap(),
                event["payload"]["watch_time_ms"].as_i64().unwrap(),
            );
        }
    }
    let truth = count_events(Arc::new(config), 0, 250).unwrap();
    assert_eq!(recount, truth.by_video_minute);
    assert!(truth.malformed_by_code.iter().filter(|&&count| count > 0).count() >= 8);
}

fn assert_form(event: &serde_json::Value, partition: i32) {
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<HashSet<_>>();
    let expected_keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
    let header =
        ["event_id", "event_timestamp", "video_id", "user_id", "event_type", "schema_version", "payload"];
    assert_eq!(keys(event), expected_keys(&header));
    let body =
        ["watch_time_ms", "video_duration_ms", "device_os", "app_version", "network_type", "referral_source"];
    let payload = &event["payload"];
    assert_eq!(keys(payload), expected_keys(&body));
    assert_eq!(event["schema_version"], "1.0");
    assert!(event["user_id"].as_str().unwrap().strip_prefix("u_").unwrap().parse::<u32>().unwrap() <= 1_000);
    let video_id = event["video_id"].as_str().unwrap();
    assert_eq!(partition_of_key(video_id.as_bytes(), 3), partition);

    let (watched, duration) =
        (payload["watch_time_ms"].as_u64().unwrap(), payload["video_duration_ms"].as_u64().unwrap());
    match event["event_type"].as_str().unwrap() {
        "impression" | "play_start" => assert_eq!(watched, 0),
        "play_finish" => assert_eq!(watched, duration),
        _ => assert!(watched > 0 && watched <= duration),
    }
}
