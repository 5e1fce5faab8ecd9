//! The live board of an engine that is killed again and again, against the gold of one that never was.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use common::engine::{free_address, http_get, metric_sum};
use common::scene::Scene;
use common::{PATIENCE, poll, scaled};
use futures::TryStreamExt;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;
use serde_json::Value;

const GOLD: &str = "gold.rt_video_stats_1min";
const MINUTE_US: i64 = 60_000_000;
const COUNTS: [&str; 6] = ["impressions", "play_start", "play_finish", "likes", "shares", "skips"];

type Minutes = BTreeMap<i64, [i64; 6]>;

/// What gold has of each video in the last 30 minutes of the topic.
fn last_30_minutes(scene: &Scene) -> BTreeMap<String, Minutes> {
    let settings = LakeSettings {
        catalog_uri: format!("sqlite://{}/catalog.db", scene.data_dir().display()),
        warehouse: format!("file://{}/warehouse", scene.data_dir().display()),
        ..LakeSettings::new("", "")
    };
    let read = async {
        let lake = Lake::open(&settings, OpenMode::MustExist).await.unwrap();
        let columns: Vec<&str> = ["video_id", "window_start"].into_iter().chain(COUNTS).collect();
        let rows = lake.read(LakeTable::VideoStats1Min, &columns).await.unwrap();
        rows.try_collect::<Vec<_>>().await.unwrap()
    };
    let mut of_video: BTreeMap<String, Minutes> = BTreeMap::new();
    for batch in tokio::runtime::Runtime::new().unwrap().block_on(read) {
        let (videos, starts) = (batch.column(0).as_string::<i32>(), batch.column(1));
        let starts = starts.as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let minutes = of_video.entry(videos.value(row).to_owned()).or_default();
            let sums = minutes.entry(starts.value(row)).or_default();
            for (place, sum) in sums.iter_mut().enumerate() {
                *sum += batch.column(2 + place).as_primitive::<Int64Type>().value(row);
            }
        }
    }
    let newest_us =
        of_video.values().filter_map(|minutes| minutes.keys().next_back()).max().copied().unwrap();
    for minutes in of_video.values_mut() {
        *minutes = minutes.split_off(&(newest_us - 29 * MINUTE_US));
    }
    of_video.retain(|_, minutes| !minutes.is_empty());
    of_video
}

fn get(address: &str, path: &str) -> Option<Value> {
    let (code, body) = http_get(address, path)?;
    (code == 200).then(|| serde_json::from_str(&body).ok()).flatten()
}

/// What the board shows of a video in its last 30 minutes.
fn shown(address: &str, video: &str) -> Option<Minutes> {
    let answer = get(address, &format!("/api/v1/videos/{video}"))?;
    if answer["source"] != "board" {
        return None;
    }
    let start_us = |moment: &Value| {
        chrono::DateTime::parse_from_rfc3339(moment.as_str().unwrap()).unwrap().timestamp_micros()
    };
    let newest_us = start_us(&answer["minute"]);
    let mut minutes = Minutes::new();
    for minute in answer["minutes"].as_array().unwrap() {
        minutes.insert(start_us(&minute["minute"]), COUNTS.map(|name| minute[name].as_i64().unwrap()));
    }
    let of_30 = minutes.split_off(&(newest_us - 29 * MINUTE_US));
    let summed =
        ["impressions_30m", "play_start_30m", "play_finish_30m", "likes_30m", "shares_30m", "skips_30m"];
    let sums: Vec<i64> =
        (0..COUNTS.len()).map(|place| of_30.values().map(|counts| counts[place]).sum()).collect();
    assert_eq!(summed.map(|name| answer[name].as_i64().unwrap()).to_vec(), sums, "{answer}");
    Some(of_30)
}

/// The best by velocity, as the contract has it.
fn best(truth: &BTreeMap<String, Minutes>, count: usize) -> Vec<(String, f64)> {
    let velocity = |minutes: &Minutes| {
        let sum = |place: usize| minutes.values().map(|counts| counts[place]).sum::<i64>();
        (sum(3) + 5 * sum(4)) as f64 / sum(0).max(100) as f64
    };
    let mut videos: Vec<_> = truth.iter().map(|(id, minutes)| (id.clone(), velocity(minutes))).collect();
    videos.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    videos.truncate(count);
    videos
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn an_engine_that_is_killed_shows_what_one_shows_that_never_was() {
    let scene = Scene::new("board", 4);
    let mut stream = scene.stream(20.0, 11);
    let address = free_address();
    let bind = format!("http.bind={address}");
    let settings = ["kafka.group_mode=assign", bind.as_str()];
    for life in 0..scaled(4, 20) {
        stream.advance(600_000);
        stream.flush();
        let mut engine = scene.start(&settings);
        engine.wait_until("gold is committed", |log| log.commits(GOLD) > 0);
        // The others die with their board half filled, or before.
        if life % 2 == 1 {
            engine.wait_until("the board has gold's minutes", |log| log.has("board_refilled"));
        }
        engine.kill();
    }
    stream.advance(90_000);
    stream.flush();

    let mut whole = Scene::without_topic("board-whole");
    (whole.topic, whole.partitions) = (scene.topic.clone(), scene.partitions);
    whole.run_to_end();
    let truth = last_30_minutes(&whole);
    assert!(truth.len() > 50, "only {} videos in the last 30 minutes", truth.len());

    let mut engine = scene.start(&settings);
    let all_shown = || {
        let found = truth.keys().map(|video| Some((video.clone(), shown(&address, video)?)));
        found.collect::<Option<BTreeMap<String, Minutes>>>()
    };
    let is_right = || all_shown().is_some_and(|found| found == truth).then_some(());
    let in_time = poll(PATIENCE, is_right).is_some();
    engine.wait_until("the board has gold's minutes", |log| log.has("board_refilled"));
    // Once more behind the refill: it may have come last, and must not have counted anything again.
    let found = all_shown().unwrap_or_default();
    for (video, minutes) in &truth {
        assert_eq!(found.get(video), Some(minutes), "{video}, in time: {in_time}");
    }

    let trending = get(&address, "/api/v1/trending?limit=20&order=velocity").unwrap();
    let listed = trending["videos"].as_array().unwrap().iter();
    // To 12 digits: serde_json reads the last bit of a number only nearly.
    let line = |video_id: &str, velocity: f64| format!("{video_id} {velocity:.12}");
    let shown_first: Vec<String> = listed
        .map(|video| line(video["video_id"].as_str().unwrap(), video["velocity_30m"].as_f64().unwrap()))
        .collect();
    let wanted: Vec<String> =
        best(&truth, 20).iter().map(|(video, velocity)| line(video, *velocity)).collect();
    assert_eq!(shown_first, wanted);
    let board = get(&address, "/api/v1/board").unwrap();
    assert_eq!(board["coverage"]["complete"], true, "{board}");
    let (_, metrics) = http_get(&address, "/metrics").unwrap();
    assert!(metric_sum(&metrics, "pulselake_board_latency_seconds_count") > 0.0);
    engine.kill();
}
