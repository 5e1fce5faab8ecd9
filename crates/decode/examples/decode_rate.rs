//! Prints the decoder's cost in CPU seconds per million events: `cargo run --release -p pulselake-decode --example
//! decode_rate [EVENTS]`. Two forms of event, as real producers send them; the whole path, batch in, Arrow columns out.

use std::time::Instant;

use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_model::{EventType, RawBatch};

const DEFAULT_EVENTS: u64 = 1_000_000;
const BATCH_RECORDS: u64 = 5_000;
const FIRST_EVENT_MS: u64 = 1_770_458_400_000;

fn main() {
    let events = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(DEFAULT_EVENTS);
    let batch_count = events.div_ceil(BATCH_RECORDS);
    measure("epoch milliseconds, payload_json string", batch_count, string_body_event);
    measure("RFC 3339, payload object", batch_count, object_body_event);
}

fn measure(name: &str, batch_count: u64, event: fn(u64) -> String) {
    let batches: Vec<RawBatch> = (0..batch_count).map(|index| batch(index * BATCH_RECORDS, event)).collect();
    let events = batch_count * BATCH_RECORDS;
    let bytes_per_event = batches.iter().map(|batch| batch.bytes.len() as u64).sum::<u64>() / events;
    let mut decoder = EventDecoder::new(DecodeSettings::for_topic("content_events"));
    let (cpu_before, started) = (cpu_seconds(), Instant::now());
    let valid: usize = batches.iter().map(|batch| decoder.decode(batch, 0).events.num_rows()).sum();
    let elapsed_s = started.elapsed().as_secs_f64();
    let on_cpu_s = cpu_seconds().zip(cpu_before).map_or(f64::NAN, |(after, before)| after - before);
    assert_eq!(valid as u64, events, "every event is valid");
    let per_million = 1e6 / events as f64;
    let (cpu_s, wall_s) = (on_cpu_s * per_million, elapsed_s * per_million);
    println!("{name}: {cpu_s:.3} CPU s, {wall_s:.3} s per million events of {bytes_per_event} bytes");
}

/// Time this thread spent on a CPU; `None` where the kernel doesn't tell.
fn cpu_seconds() -> Option<f64> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = statistics.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

fn batch(first: u64, event: fn(u64) -> String) -> RawBatch {
    let mut batch = RawBatch::at(0, first as i64);
    for index in first..first + BATCH_RECORDS {
        batch.push(index as i64, Some((FIRST_EVENT_MS + index) as i64), event(index).as_bytes());
    }
    batch
}

/// Spreads a counter over all bits, so that neighbouring events don't look alike.
fn scattered(index: u64) -> u64 {
    index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn event_type(index: u64) -> &'static str {
    EventType::ALL[(scattered(index) >> 40) as usize % EventType::COUNT].as_str()
}

fn uuid(index: u64) -> String {
    let bits = scattered(index);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{index:012x}",
        bits >> 32,
        bits >> 16 & 0xffff,
        bits >> 4 & 0xfff,
        bits & 0xfff
    )
}

fn string_body_event(index: u64) -> String {
    let bits = scattered(index);
    format!(
        r#"{{"event_id":"{}","event_timestamp":{},"video_id":"v{:06}","user_id":"u{:07}","event_type":"{}","payload_json":"{{\"watch_time_ms\":{},\"device\":\"{}\",\"app\":\"8.{}.1\",\"net\":\"wifi\",\"pos\":{}}}"}}"#,
        uuid(index),
        FIRST_EVENT_MS + index,
        bits % 10_000,
        bits % 1_000_000,
        event_type(index),
        bits % 100_000,
        ["ios", "android", "web"][bits as usize % 3],
        bits % 40,
        bits % 25,
    )
}

fn object_body_event(index: u64) -> String {
    let bits = scattered(index);
    format!(
        r#"{{"event_id":"{}","event_timestamp":"2026-02-07T10:{:02}:{:02}.{:03}Z","video_id":"v_{}","user_id":"u_{}","event_type":"{}","schema_version":"1.0","payload":{{"watch_time_ms":{},"video_duration_ms":{},"is_follow":false,"comment_stay_ms":0,"profile_enter":false}}}}"#,
        uuid(index),
        index / 60_000 % 60,
        index / 1_000 % 60,
        index % 1_000,
        bits % 4_000_000,
        bits % 5_000,
        event_type(index),
        bits % 20_000,
        bits % 60_000,
    )
}
