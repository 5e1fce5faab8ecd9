//! Any bytes as one record: the decoder never panics, puts the record in exactly one place, and takes for JSON what
//! serde_json takes for JSON.
//!
//! `cargo fuzz run decode_event corpus/decode_event seeds/decode_event` (from this folder; new inputs go to the first).
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pulselake_decode::{DecodeSettings, DecodedEvent, EventDecoder, Rejection};
use pulselake_model::{ErrorCode, RawBatch};
use serde_json::value::RawValue;

const RECORD_TIMESTAMP_MS: i64 = 1_770_458_400_123;

/// Small limits, so that short inputs reach them.
fn settings() -> DecodeSettings {
    DecodeSettings { max_record_bytes: 2_048, max_nesting_depth: 8, ..DecodeSettings::default() }
}

static JUDGE: LazyLock<EventDecoder> = LazyLock::new(|| EventDecoder::new(settings()));

fuzz_target!(|value: &[u8]| {
    let verdict = JUDGE.judge(value, Some(RECORD_TIMESTAMP_MS));
    assert_lands_once(value, &verdict);
    match &verdict {
        Ok(event) => assert_sound(value, event),
        Err(rejection) => assert_justified(value, rejection),
    }
});

fn assert_lands_once(value: &[u8], verdict: &Result<DecodedEvent<'_>, Rejection>) {
    let mut batch = RawBatch::at(0, 0);
    for offset in 0..2 {
        batch.push(offset, Some(RECORD_TIMESTAMP_MS), value);
    }
    let decoded = EventDecoder::new(settings()).decode(&batch, 0);
    let expected = if verdict.is_ok() { (2, 0) } else { (0, 2) };
    assert_eq!((decoded.events.num_rows(), decoded.invalid.num_rows()), expected);
    assert_eq!(decoded.columns.event_id_hash.len(), decoded.events.num_rows());
}

fn is_one_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'))
}

fn assert_sound(value: &[u8], event: &DecodedEvent<'_>) {
    assert!(std::str::from_utf8(value).is_ok_and(is_one_object));
    assert!(!event.event_id.is_empty() && !event.video_id.is_empty() && !event.user_id.is_empty());
    assert!((0..=604_800_000).contains(&event.watch_time_ms));
    assert!(event.watch_time_ms == 0 || is_one_object(&event.payload_json));
    assert!(event.stream_time_us <= event.event_timestamp_us);
    assert!(event.header_extra_json.as_deref().is_none_or(is_one_object));
}

fn assert_justified(value: &[u8], rejection: &Rejection) {
    let reason = rejection.reason.as_str();
    assert!(!reason.chars().any(char::is_control) && reason.chars().count() < 400);
    let expected_first = match std::str::from_utf8(value) {
        _ if value.len() > settings().max_record_bytes => Some(ErrorCode::TooLarge),
        Err(_) => Some(ErrorCode::NotUtf8),
        Ok(text) if !is_one_object(text) => Some(ErrorCode::MalformedJson),
        Ok(_) => None,
    };
    if let Some(code) = expected_first {
        assert_eq!(rejection.code, code, "{reason}");
        return;
    }
    assert!(!matches!(rejection.code, ErrorCode::TooLarge | ErrorCode::NotUtf8));
    if rejection.code == ErrorCode::MalformedJson {
        let is_named =
            ["nested deeper", "a second time", "lone surrogate"].iter().any(|why| reason.contains(why));
        assert!(is_named, "well-formed, but refused: {reason}");
    }
}
