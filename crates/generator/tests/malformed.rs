//! Malformed records are broken in the way that their kind says, and only in that way.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;

use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_generator::{GeneratorConfig, MalformedKind, PartitionLog, RecordKind, World};
use pulselake_model::{EventType, RawBatch};

#[test]
fn each_kind_occurs_and_is_broken_as_it_says() {
    let config = GeneratorConfig { partitions: 1, invalid_ratio: 0.2, ..GeneratorConfig::default() };
    let world = World::new(Arc::new(config)).unwrap();
    let mut log = PartitionLog::in_world(world.clone(), 0).unwrap();
    let mut batch = RawBatch::at(0, 0);
    log.read_into(&mut batch, world.block_start_ms(10) - 1, usize::MAX, usize::MAX).unwrap();
    let planned: Vec<_> =
        (0..10).flat_map(|block| log.records_of_block(block).unwrap().collect::<Vec<_>>()).collect();

    let decoder = EventDecoder::new(DecodeSettings::default());
    let mut seen = HashSet::new();
    for (record, raw) in planned.iter().zip(&batch.records) {
        let RecordKind::Malformed(kind) = record.kind else { continue };
        seen.insert(kind);
        let verdict = decoder.judge(batch.value(raw), raw.timestamp_ms);
        assert_eq!(verdict.unwrap_err().code, kind.error_code(), "{kind:?}");
        let value = batch.value(raw);
        assert!(
            is_broken_so(kind, value, record.record_time_ms),
            "{kind:?}: {}",
            String::from_utf8_lossy(value)
        );
    }
    assert_eq!(seen.len(), MalformedKind::SINGLE.len());
}

fn is_broken_so(kind: MalformedKind, value: &[u8], record_time_ms: i64) -> bool {
    use MalformedKind as Kind;
    let parsed: Option<serde_json::Value> = serde_json::from_slice(value).ok();
    let starts_as_event = value.starts_with(br#"{"event_id":""#);
    match kind {
        Kind::Truncated => return parsed.is_none() && value.starts_with(b"{"),
        Kind::TrailingText | Kind::PlainText => {
            return parsed.is_none() && starts_as_event == (kind == Kind::TrailingText);
        }
        Kind::NotUtf8 => return std::str::from_utf8(value).is_err() && starts_as_event,
        Kind::NotAnObject => return parsed.is_some_and(|value| value.is_array()),
        // Too deep for this parser as well.
        Kind::DeepPayload => return parsed.is_none() && starts_as_event && value.ends_with(b"]]}}"),
        _ => {}
    }
    let Some(event) = parsed else { return false };
    let timestamp =
        chrono::DateTime::parse_from_rfc3339(event["event_timestamp"].as_str().unwrap_or_default());
    // Each part is good or is the one that the kind breaks.
    let good_parts = [
        (event["event_id"].is_string(), kind == Kind::NoEventId),
        (event["video_id"].is_string(), matches!(kind, Kind::NullVideoId | Kind::ArrayVideoId)),
        (
            event["user_id"].as_str().is_some_and(|id| !id.is_empty()),
            matches!(kind, Kind::EmptyUserId | Kind::NumberUserId),
        ),
        (
            event["event_type"].as_str().and_then(EventType::parse).is_some(),
            matches!(
                kind,
                Kind::NoEventType | Kind::ObjectEventType | Kind::UnknownEventType | Kind::HugeEventType
            ),
        ),
        (
            timestamp.is_ok_and(|time| time.timestamp_millis() <= record_time_ms + 300_000),
            matches!(
                kind,
                Kind::BadTimestamp
                    | Kind::ImpossibleDate
                    | Kind::FutureTimestamp
                    | Kind::BooleanTimestamp
                    | Kind::HugeTimestamp
            ),
        ),
        (event["payload"].is_object(), kind == Kind::TextPayload),
        (event["schema_version"] == "1.0", kind == Kind::UnsupportedSchemaVersion),
    ];
    good_parts.iter().all(|(is_good, is_the_broken_one)| is_good != is_the_broken_one)
}
