//! What a large queue costs: a commit, a read after somebody else's commit, and memory.
//!
//!     cargo run --release -p pulselake-actions --example queue_rate 100000
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use pulselake_actions::{ActionQueue, QueueSettings};
use pulselake_decision::{Action, DecisionType, MINUTE_US, Metrics30m, ReasonCode, action_id};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;

/// Actions of one commit.
const BATCH: i64 = 10_000;

fn action(number: i64) -> Action {
    let (video_id, window_start_us) = (format!("v_{number}"), (number / 100) * MINUTE_US);
    Action {
        action_id: action_id(&video_id, window_start_us, "rules-2"),
        video_id,
        decision: DecisionType::Boost,
        window_start_us,
        decided_at_us: window_start_us + MINUTE_US,
        expires_at_us: i64::MAX,
        rule_version: "rules-2".to_owned(),
        metrics: Metrics30m { impressions: 900, velocity: 0.25, ..Metrics30m::default() },
        reasons: vec![ReasonCode::HighVelocityP90, ReasonCode::GatePass],
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().unwrap_or("0").parse::<u64>().unwrap_or(0) * 1_024
}

#[tokio::main]
async fn main() {
    let count: i64 = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    let settings =
        LakeSettings::new(format!("sqlite://{root}/catalog.db"), format!("file://{root}/warehouse"));
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&[LakeTable::ActionQueue]).await.unwrap();
    let writer = ActionQueue::open(lake.clone(), QueueSettings::default()).await.unwrap();
    for first in (0..count).step_by(BATCH as usize) {
        writer.decide(0, |_| (first..(first + BATCH).min(count)).map(action).collect()).await.unwrap();
    }
    let before = resident_bytes();
    let begun = Instant::now();
    let reader = ActionQueue::open(lake, QueueSettings::default()).await.unwrap();
    let read = begun.elapsed();
    let bytes = resident_bytes().saturating_sub(before);
    let begun = Instant::now();
    let one = reader.decide(0, |_| vec![action(count)]).await.unwrap();
    let committed = begun.elapsed();
    println!(
        "{count} actions: read in {} ms, {} bytes each; a commit of {} in {} ms",
        read.as_millis(),
        bytes / count.max(1).unsigned_abs(),
        one.added.len(),
        committed.as_millis()
    );
}
