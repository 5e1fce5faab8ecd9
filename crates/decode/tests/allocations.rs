//! Decoding allocates per batch, not per record.
#![allow(clippy::unwrap_used, missing_docs)]

use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_model::RawBatch;

fn batch(records: i64, body_field: &str) -> RawBatch {
    let mut batch = RawBatch::at(0, 0);
    for offset in 0..records {
        let record = format!(
            r#"{{"event_id":"c3b3260d-e7bb-5f9d-8b68-{offset:012}","event_timestamp":"2026-02-07T10:00:00.123Z","video_id":"v_1","user_id":"u_1","event_type":"like","schema_version":"1.0",{body_field}}}"#
        );
        batch.push(offset, Some(1_770_458_400_123), record.as_bytes());
    }
    batch
}

/// Allocations of decoding one batch of this size, by a decoder that has seen such a batch before.
fn allocations(records: i64, body_field: &str) -> u64 {
    let batch = batch(records, body_field);
    let mut decoder = EventDecoder::new(DecodeSettings::for_topic("content_events"));
    decoder.decode(&batch, 0);
    let info = allocation_counter::measure(|| {
        let decoded = decoder.decode(&batch, 0);
        assert_eq!(decoded.events.num_rows() as i64, records);
    });
    info.count_total
}

#[test]
fn ten_times_the_records_allocate_no_more_often() {
    let forms = [
        ("object", r#""payload":{"watch_time_ms":5400,"device_os":"iOS","flags":[{"a":1}]}"#),
        ("string", r#""payload_json":"{\"watch_time_ms\":5400,\"device\":\"ios\"}""#),
        ("none", r#""payload":null"#),
    ];
    for (name, body_field) in forms {
        let (few, many) = (allocations(100, body_field), allocations(1_000, body_field));
        assert!(few > 0, "nothing was measured");
        assert_eq!(few, many, "{name}");
    }
}
