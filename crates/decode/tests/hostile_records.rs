//! The corpus of hostile records, among good ones: every good one is an event, every bad one in quarantine with its
//! code, and neither disturbs the other.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use common::{CorpusRecord, hostile_records};
use pulselake_decode::{DecodeSettings, EventDecoder, Rejection};
use pulselake_model::{DecodedBatch, ErrorCode, RawBatch, schema};

const PARTITION: i32 = 7;
const FIRST_OFFSET: i64 = 1_000;
const INGESTED_AT_US: i64 = 1_770_458_500_000_000;

/// The corpus at even distances, a good record before each; offsets have gaps.
fn interleaved(records: &[CorpusRecord]) -> RawBatch {
    let mut batch = RawBatch::at(PARTITION, FIRST_OFFSET);
    for (index, record) in records.iter().enumerate() {
        let offset = hostile_offset(index);
        batch.push(offset - 1, Some(record.timestamp_ms), good_record(index, record.timestamp_ms).as_bytes());
        batch.push(offset, Some(record.timestamp_ms), &record.value);
    }
    batch
}

fn hostile_offset(index: usize) -> i64 {
    FIRST_OFFSET + 3 * index as i64 + 1
}

fn good_record(index: usize, timestamp_ms: i64) -> String {
    format!(
        r#"{{"event_id":"good-{index}","event_timestamp":{timestamp_ms},"video_id":"v_1","user_id":"u_1","event_type":"skip","payload":{{"watch_time_ms":{index}}}}}"#
    )
}

fn decoder() -> EventDecoder {
    EventDecoder::new(DecodeSettings::for_topic("content_events"))
}

fn row_at(batch: &RecordBatch, offset: i64) -> Option<usize> {
    let offsets = batch["source_offset"].as_primitive::<Int64Type>();
    offsets.values().iter().position(|value| *value == offset)
}

fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let array = batch[column].as_string::<i32>();
    (!array.is_null(row)).then(|| array.value(row))
}

#[test]
fn every_record_lands_where_it_belongs() {
    let records = hostile_records();
    let batch = interleaved(&records);
    let decoded = decoder().decode(&batch, INGESTED_AT_US);

    assert_eq!(decoded.events.schema(), schema::bronze_events());
    assert_eq!(decoded.invalid.schema(), schema::invalid_events());
    assert_eq!(decoded.record_count as usize, 2 * records.len());
    assert_eq!(decoded.events.num_rows() + decoded.invalid.num_rows(), 2 * records.len());
    assert_eq!((decoded.first_offset, decoded.next_offset), (batch.first_offset, batch.next_offset));
    for (index, record) in records.iter().enumerate() {
        let offset = hostile_offset(index);
        assert_good(&decoded, index, offset - 1);
        if record.expect == "valid" {
            assert_valid(&decoded, record, offset);
        } else {
            assert_quarantined(&decoded, record, offset);
        }
    }
    for code in ErrorCode::OF_EVENTS {
        let expected = records.iter().filter(|record| record.expect == code.as_str()).count();
        assert_eq!(decoded.invalid_by_code[code as usize] as usize, expected, "{}", code.as_str());
    }
}

fn assert_good(decoded: &DecodedBatch, index: usize, offset: i64) {
    let row = row_at(&decoded.events, offset).unwrap();
    assert_eq!(text(&decoded.events, "event_id", row), Some(format!("good-{index}").as_str()));
    assert_eq!(text(&decoded.events, "source_topic", row), Some("content_events"));
    assert_eq!(text(&decoded.events, "header_extra_json", row), None);
    assert_eq!(decoded.columns.offset[row], offset);
    assert_eq!(decoded.columns.watch_time_ms[row], index as i64);
}

fn assert_valid(decoded: &DecodedBatch, record: &CorpusRecord, offset: i64) {
    let row = row_at(&decoded.events, offset).unwrap_or_else(|| panic!("{} is not an event", record.name));
    if let Some(body) = &record.payload_json {
        assert_eq!(text(&decoded.events, "payload_json", row), Some(body.as_str()), "{}", record.name);
    }
    assert_eq!(
        text(&decoded.events, "header_extra_json", row),
        record.header_extra_json.as_deref(),
        "{}",
        record.name
    );
}

fn assert_quarantined(decoded: &DecodedBatch, record: &CorpusRecord, offset: i64) {
    let invalid = &decoded.invalid;
    let row = row_at(invalid, offset).unwrap_or_else(|| panic!("{} is not in quarantine", record.name));
    let reason = text(invalid, "error_reason", row).unwrap();
    assert_eq!(text(invalid, "error_code", row), Some(record.expect.as_str()), "{}: {reason}", record.name);
    assert_eq!(text(invalid, "invalid_event_id", row), Some(format!("content_events-7-{offset}").as_str()));
    assert_eq!(invalid["raw_value"].as_binary::<i32>().value(row), record.value, "{}", record.name);
    assert_eq!(invalid["source_partition"].as_primitive::<Int32Type>().value(row), PARTITION);
    let microseconds = |column: &str| invalid[column].as_primitive::<TimestampMicrosecondType>().value(row);
    assert_eq!(microseconds("ingested_at"), INGESTED_AT_US);
    assert_eq!(microseconds("record_timestamp"), record.timestamp_ms * 1_000);
    assert!(!reason.is_empty() && reason.chars().count() <= 400, "{}: {reason}", record.name);
    assert!(!reason.chars().any(char::is_control), "{}: {reason}", record.name);
}

#[test]
fn the_corpus_is_wide_and_names_are_distinct() {
    let records = hostile_records();
    let names: BTreeSet<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names.len(), records.len());
    assert!(records.iter().filter(|record| record.expect != "valid").count() >= 60);
    for code in ErrorCode::OF_EVENTS {
        assert!(records.iter().any(|record| record.expect == code.as_str()), "no {}", code.as_str());
    }
}

#[test]
fn judging_one_record_agrees_with_decoding_a_batch() {
    let decoder = decoder();
    for record in hostile_records() {
        let verdict = decoder.judge(&record.value, Some(record.timestamp_ms));
        let code = verdict.map_or_else(|rejection| rejection.code.as_str(), |_| "valid");
        assert_eq!(code, record.expect, "{}", record.name);
    }
}

#[test]
fn a_decoder_carries_nothing_from_batch_to_batch() {
    let (records, mut decoder) = (hostile_records(), decoder());
    let batch = interleaved(&records);
    let first = decoder.decode(&batch, INGESTED_AT_US);
    let empty = decoder.decode(&RawBatch::at(PARTITION, 5), INGESTED_AT_US);
    let again = decoder.decode(&batch, INGESTED_AT_US);

    assert_eq!((empty.events.num_rows(), empty.invalid.num_rows(), empty.last), (0, 0, None));
    assert_eq!(empty.invalid_by_code, [0; ErrorCode::COUNT]);
    assert_eq!(first.events, again.events);
    assert_eq!(first.invalid, again.invalid);
    assert_eq!(first.invalid_by_code, again.invalid_by_code);
    assert_eq!(first.columns.event_id_hash, again.columns.event_id_hash);
}

fn rejection(value: &str) -> Rejection {
    decoder().judge(value.as_bytes(), Some(1_770_458_400_123)).unwrap_err()
}

#[test]
fn reasons_name_the_field_and_its_value() {
    let cases = [
        (
            r#"{"event_id":"a","event_timestamp":"soon\t","video_id":"v","user_id":"u","event_type":"like"}"#,
            r#"event_timestamp "soon\t" is neither RFC 3339 nor epoch milliseconds from 1970 to 9999"#,
        ),
        (
            r#"{"event_id":"a","event_timestamp":1,"video_id":"v","user_id":"u","event_type":"buy"}"#,
            r#"event_type "buy" is none of impression, play_start, play_finish, like, share, skip"#,
        ),
        (r#"{"event_id":7}"#, "event_id must be a string, not a number: 7"),
        (r#"{"event_id":null}"#, "event_id is absent or null"),
        (r#"{"event_id":"a" "b":1}"#, r#"expected `,` or `}` at byte 16: {"event_id":"a" "b":1}"#),
        (
            r#"{"event_id":1,"event_id":2}"#,
            r#"field event_id stands there a second time at byte 25: {"event_id":1,"event_id":2}"#,
        ),
        (
            r#"{"event_id":"a","event_timestamp":1770458700124,"video_id":"v","user_id":"u","event_type":"like"}"#,
            "event_timestamp 1770458700124 is 300001 ms ahead of the record's own timestamp, more than 300000",
        ),
    ];
    for (value, reason) in cases {
        assert_eq!(rejection(value).reason, reason);
    }
}

#[test]
fn the_stated_schema_version_goes_with_the_rejection() {
    assert_eq!(rejection(r#"{"schema_version":"1.4"}"#).schema_version.as_deref(), Some("1.4"));
    assert_eq!(rejection(r#"{"schema_version":"2.0"}"#).schema_version.as_deref(), Some("2.0"));
    assert_eq!(rejection("{}").schema_version, None);
    assert_eq!(rejection(r#"{"schema_version":"1.4""#).schema_version, None);
}
