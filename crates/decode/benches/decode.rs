//! What decoding costs: batches in, Arrow columns out. `cargo bench -p pulselake-decode`.
//!
//! Two forms of event, as real producers send them: the load test's (epoch milliseconds, the body as a string) and the
//! generator's (RFC 3339, the body as an object). Criterion's `thrpt` line gives events per second: on an otherwise
//! idle core, a million divided by it is CPU seconds per million events.
#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_model::{EventType, RawBatch};

const BATCH_RECORDS: u64 = 5_000;
/// So many batches are decoded in turn that a batch has left the processor's nearest caches when it comes again.
const BATCHES: u64 = 20;
const FIRST_EVENT_MS: u64 = 1_770_458_400_000;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(BATCH_RECORDS));
    let forms =
        [("payload_json_string", batches(string_body_event)), ("payload_object", batches(object_body_event))];
    for (name, batches) in &forms {
        let mut decoder = EventDecoder::new(DecodeSettings::for_topic("content_events"));
        let first = decoder.decode(&batches[0], 0);
        assert_eq!(first.events.num_rows() as u64, BATCH_RECORDS, "every event is valid");
        let mut turn = batches.iter().cycle();
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                || turn.next(),
                |next| next.map(|batch| decoder.decode(batch, 0)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn batches(event: fn(u64) -> String) -> Vec<RawBatch> {
    (0..BATCHES).map(|index| batch(index * BATCH_RECORDS, event)).collect()
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

criterion_group!(benches, decode);
criterion_main!(benches);
