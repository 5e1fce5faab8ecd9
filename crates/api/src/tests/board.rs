//! Lists, videos and the pulse, from a board with three videos.

use pulselake_decision::MINUTE_US;
use serde_json::{Value, json};

use super::fixture::{fixture, newest_minute_us};
use crate::Moment;

fn ids(list: &Value) -> Vec<&str> {
    list["videos"].as_array().unwrap().iter().map(|video| video["video_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_ordered_cut_and_filtered() {
    let scene = fixture(|_| ()).await;
    for (query, expected) in [
        ("", &["nova", "bait", "calm"][..]),
        ("?limit=1", &["nova"]),
        ("?order=impressions", &["calm", "bait", "nova"]),
        ("?category=music", &["nova", "calm"]),
        ("?region=de&category=dance", &["bait"]),
        ("?category=nothing", &[]),
    ] {
        let answer = scene.get(&format!("/api/v1/trending{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(ids(&answer.body), expected, "{query}");
    }
}

#[tokio::test]
async fn figures_are_the_contracts() {
    let scene = fixture(|_| ()).await;
    let list = scene.get("/api/v1/trending").await.body;
    let minute = serde_json::to_value(Moment::from_us(newest_minute_us())).unwrap();
    assert_eq!((&list["minute"], &list["coverage"]["complete"]), (&minute, &json!(true)));
    assert_eq!(list["coverage"]["covered_minutes"], 30);
    let nova = &list["videos"][0];
    for (field, value) in [
        ("rank", json!(1)),
        ("velocity_30m", json!(1.0)),
        ("completion_rate_30m", json!(0.8)),
        ("skip_rate_30m", json!(0.1)),
        ("impressions_30m", json!(200)),
        ("play_start_30m", json!(100)),
        ("play_finish_30m", json!(80)),
        ("likes_30m", json!(100)),
        ("shares_30m", json!(20)),
        ("skips_30m", json!(10)),
        ("quadrant", json!("supernova")),
        ("category", json!("music")),
        ("region", json!("de")),
        ("status", json!("active")),
        ("action", Value::Null),
    ] {
        assert_eq!(nova[field], value, "{field}");
    }
    assert!(nova["age_s"].as_i64().unwrap() >= 600);
    assert_eq!(list["videos"][1]["quadrant"], "clickbait");
    assert_eq!(list["videos"][2]["quadrant"], "steady");
}

#[tokio::test]
async fn a_video_comes_with_its_minutes() {
    let scene = fixture(|_| ()).await;
    let calm = scene.get("/api/v1/videos/calm").await;
    assert_eq!((calm.status, &calm.body["source"]), (200, &json!("board")));
    assert_eq!(calm.body["impressions_30m"], 1_100);
    let minutes = calm.body["minutes"].as_array().unwrap();
    let shown: Vec<_> = minutes.iter().map(|minute| (&minute["impressions"], &minute["skips"])).collect();
    assert_eq!(shown, [(&json!(100), &json!(40)), (&json!(1_000), &json!(10))]);

    // Neither on the board nor in the (empty) table.
    let unknown = scene.get("/api/v1/videos/nobody%20knows%20it").await;
    assert_eq!((unknown.status, unknown.code()), (404, "not_found"));
    assert!(unknown.body["error"]["message"].as_str().unwrap().contains("nobody knows it"));
}

#[tokio::test]
async fn the_pulse_counts_what_is_on_the_board() {
    let scene = fixture(|_| ()).await;
    let pulse = scene.get("/api/v1/pulse").await.body;
    // Of the minute that is over: 40 of 100.
    assert_eq!((&pulse["doomscroll"]["rate"], &pulse["doomscroll"]["state"]), (&json!(0.4), &json!("ok")));
    assert_eq!(pulse["cold_start"]["videos"], 2);
    assert_eq!(
        (&pulse["cold_start"]["share"], &pulse["cold_start"]["state"]),
        (&json!(1.0), &json!("green"))
    );
    assert_eq!((&pulse["fresh_supply"]["active"], &pulse["fresh_supply"]["fresh"]), (&json!(3), &json!(2)));
    assert_eq!(pulse["thresholds"], json!({"velocity_p90": 0.2, "completion": 0.55}));
}

#[tokio::test]
async fn an_empty_board_says_that_it_knows_nothing() {
    let scene = fixture(|parts| parts.board = pulselake_board::LiveBoard::default()).await;
    let list = scene.get("/api/v1/trending").await.body;
    assert_eq!((&list["minute"], &list["coverage"]["complete"]), (&Value::Null, &json!(false)));
    assert!(ids(&list).is_empty());
    let pulse = scene.get("/api/v1/pulse").await.body;
    for (panel, field) in [
        ("doomscroll", "rate"),
        ("doomscroll", "state"),
        ("cold_start", "share"),
        ("cold_start", "state"),
        ("fresh_supply", "ratio"),
    ] {
        assert_eq!(pulse[panel][field], Value::Null, "{panel} {field}");
    }
    assert_eq!(scene.get("/api/v1/board").await.body["videos"], 0);
}

#[tokio::test]
async fn a_partition_that_is_not_covered_shows() {
    let scene = fixture(|parts| {
        let from_us = newest_minute_us() - 9 * MINUTE_US;
        parts.board.begin(1, 1, Some(from_us));
    })
    .await;
    let coverage = scene.get("/api/v1/board").await.body["coverage"].clone();
    assert_eq!((&coverage["complete"], &coverage["covered_minutes"]), (&json!(false), &json!(10)));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_named() {
    // Nobody listens there: port 9 is discard's.
    let peer = "http://127.0.0.1:9";
    let scene = fixture(|parts| parts.settings.peers = vec![peer.to_owned()]).await;
    let list = scene.get("/api/v1/trending").await.body;
    assert_eq!(list["coverage"]["missing_peers"], json!([peer]));
    assert_eq!((&list["coverage"]["complete"], ids(&list).len()), (&json!(false), 3));
    let board = scene.get("/api/v1/board").await.body;
    assert!(board["peers"][0]["error"].is_string(), "{board}");
    let alone = scene.get("/api/v1/trending?local=true").await.body;
    assert_eq!(alone["coverage"]["complete"], true, "{alone}");
}
