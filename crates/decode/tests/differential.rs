//! The decoder against the reference over generated and damaged records: the same rows, value by value, and the same
//! error codes.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod reference;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use common::hostile_records;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use pulselake_decode::{DecodeSettings, EventDecoder, event_id_hash};
use pulselake_model::{ErrorCode, RawBatch};
use reference::Row;

/// A record with its own timestamp.
type Record = (Vec<u8>, Option<i64>);

const RECORD_TIMESTAMP_MS: i64 = 1_770_458_400_123;

/// Limits that generated records reach.
fn small_limits() -> DecodeSettings {
    DecodeSettings { max_record_bytes: 700, max_nesting_depth: 5, ..DecodeSettings::for_topic("t") }
}

/// What the decoder made of each record of one batch, in the records' order.
fn decoded(settings: &DecodeSettings, records: &[Record]) -> Vec<Result<Row, ErrorCode>> {
    let mut batch = RawBatch::at(0, 0);
    for (offset, (value, timestamp_ms)) in records.iter().enumerate() {
        batch.push(offset as i64, *timestamp_ms, value);
    }
    let mut decoder = EventDecoder::new(settings.clone());
    // The first time the decoder knows no sizes and has no buffers yet: the outcome must not depend on it.
    let fresh = decoder.decode(&batch, 7);
    let decoded = decoder.decode(&batch, 7);
    assert_eq!((&fresh.events, &fresh.invalid), (&decoded.events, &decoded.invalid));

    let mut outcomes: Vec<Option<Result<Row, ErrorCode>>> = records.iter().map(|_| None).collect();
    let columns = &decoded.columns;
    for row in 0..decoded.events.num_rows() {
        let text = |name: &str| text_at(&decoded.events, name, row);
        let event = Row {
            event_id: text("event_id").unwrap(),
            event_timestamp_us: columns.event_timestamp_us[row],
            video_id: text("video_id").unwrap(),
            user_id: text("user_id").unwrap(),
            event_type: columns.event_type[row],
            schema_version: text("schema_version").unwrap(),
            payload_json: text("payload_json").unwrap(),
            header_extra_json: text("header_extra_json"),
            stream_time_us: columns.stream_time_us[row],
            watch_time_ms: columns.watch_time_ms[row],
        };
        assert_eq!(columns.event_id_hash[row], event_id_hash(&event.event_id));
        assert_eq!(text("event_type").unwrap(), event.event_type.as_str());
        let times = decoded.events["event_timestamp"].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.value(row), event.event_timestamp_us);
        outcomes[columns.offset[row] as usize] = Some(Ok(event));
    }
    let offsets = decoded.invalid["source_offset"].as_primitive::<Int64Type>();
    for (row, offset) in offsets.values().iter().enumerate() {
        let name = text_at(&decoded.invalid, "error_code", row).unwrap();
        let code = ErrorCode::ALL.into_iter().find(|code| code.as_str() == name).unwrap();
        assert!(outcomes[*offset as usize].replace(Err(code)).is_none(), "neither row nor rejected twice");
    }
    outcomes.into_iter().map(Option::unwrap).collect()
}

fn text_at(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let array = batch[column].as_string::<i32>();
    (!array.is_null(row)).then(|| array.value(row).to_owned())
}

fn expected(settings: &DecodeSettings, records: &[Record]) -> Vec<Result<Row, ErrorCode>> {
    records.iter().map(|(value, timestamp_ms)| reference::judge(settings, value, *timestamp_ms)).collect()
}

fn shown(records: &[Record]) -> Vec<String> {
    records.iter().map(|(value, _)| String::from_utf8_lossy(value).into_owned()).collect()
}

/// A string literal: any text, with some characters escaped that need not be, and some half surrogate pairs.
fn literal() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z0-9_]{1,24}",
        2 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u[0-9a-fA-F]{4}",
        1 => r"\\ud83d\\ude0[0-9a-f]",
        1 => "[é東😀\u{7f}\u{80}]",
        1 => Just("\\ud800".to_owned()),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "0", "-0", "5.50", "1e3", "{}", "[]", "\"\""])
            .prop_map(str::to_owned),
        any::<i32>().prop_map(|number| number.to_string()),
        literal(),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((literal(), inner), 0..3).prop_map(|entries| object(&entries, " ")),
        ]
    })
}

fn object(entries: &[(String, String)], white_space: &str) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{white_space}{key}{white_space}:{white_space}{value}{white_space}"))
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn watch_time() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..700_000_000_i64).prop_map(|number| number.to_string()),
        1 => select(vec!["5400.0", "5.4e3", "5400.5", "-1", "-0.0", "604800000", "604800001", "1e999", "\"5\"", "null"])
            .prop_map(str::to_owned),
    ]
}

fn body_object() -> impl Strategy<Value = String> {
    let entry = prop_oneof![
        2 => (select(vec!["\"watch_time_ms\"", "\"watch\\u005ftime_ms\""]).prop_map(str::to_owned), watch_time()),
        3 => (literal(), json_value()),
    ];
    (prop::collection::vec(entry, 0..5), select(vec!["", "", " ", "\n\t"]))
        .prop_map(|(entries, white_space)| object(&entries, white_space))
}

/// A header field with a value that fits it, most of the time.
fn field(
    name: &'static str,
    good: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = Option<(String, String)>> {
    let escaped = format!("\"\\u{:04x}{}\"", u32::from(name.as_bytes()[0]), &name[1..]);
    let key = prop_oneof![20 => Just(format!("\"{name}\"")), 1 => Just(escaped)];
    let value = prop_oneof![30 => good.boxed(), 1 => json_value().boxed()];
    prop_oneof![30 => (key, value).prop_map(Some), 1 => Just(None)]
}

fn timestamp() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (RECORD_TIMESTAMP_MS - 1_000..RECORD_TIMESTAMP_MS + 310_000).prop_map(|ms| ms.to_string()),
        3 => select(vec![
            "\"2026-02-07T10:00:00.123Z\"", "\"2026-02-07T18:00:00+08:00\"", "\"2026-02-07 10:00:00.1234567z\"",
            "\"2016-12-31T23:59:60Z\"", "\"2016-12-31T22:59:60Z\"", "\"2026-02-07T10:00:00\"", "\"1770458400123\"",
            "253402300799999", "253402300800000", "99999999999999999999", "1770458400123.0", "0", "-1",
        ]).prop_map(str::to_owned),
    ]
}

fn record_text() -> impl Strategy<Value = String> {
    let id = || prop_oneof![3 => "[a-z0-9-]{1,36}".prop_map(|id| format!("\"{id}\"")), 1 => literal()];
    let kind = select(vec![
        "\"impression\"",
        "\"play_start\"",
        "\"like\"",
        "\"l\\u0069ke\"",
        "\"liked\"",
        "\"skip\"",
    ]);
    let version = select(vec!["\"1.0\"", "\"1\"", "\"1.\\u0030\"", "\"2.0\"", "null"]);
    let string_body = (body_object(), any::<bool>()).prop_map(|(body, escape_all)| {
        if escape_all {
            let units: String = body.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            return format!("\"{units}\"");
        }
        serde_json::Value::from(body).to_string()
    });
    let body = prop_oneof![
        4 => field("payload_json", string_body),
        2 => field("payload_json", literal()),
        4 => field("payload", body_object()),
        1 => Just(None),
    ];
    let fields = (
        field("event_id", id()),
        field("event_timestamp", timestamp()),
        field("video_id", id()),
        field("user_id", id()),
        field("event_type", kind.prop_map(str::to_owned)),
        prop::option::weighted(0.3, field("schema_version", version.prop_map(str::to_owned))),
        body,
        prop::collection::vec((literal(), json_value()), 0..2),
        prop::option::weighted(0.05, body_object().prop_map(|body| ("\"payload\"".to_owned(), body))),
    );
    let entries = fields.prop_map(|(id, time, video, user, kind, version, body, unknown, second)| {
        let known = [id, time, video, user, kind, version.flatten(), body, second];
        known.into_iter().flatten().chain(unknown).collect::<Vec<_>>()
    });
    (entries.prop_shuffle(), select(vec!["", "", "", " ", "\r\n"])).prop_map(|(entries, white_space)| {
        format!("{white_space}{}{white_space}", object(&entries, white_space))
    })
}

/// One change to a record's bytes: replace `cut` bytes at a place by others.
fn damage() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let inserted = prop_oneof![
        select(b"\"\\{}[]:,0-9.eE tnu\x00\x1f\n".to_vec()).prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![byte]),
        select(vec!["\\u00", "\\ud800", "\\\"", "null", "\"payload\":{},", "é", ""])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (any::<Index>(), 0..3_usize, inserted)
}

fn record() -> impl Strategy<Value = Record> {
    let damages = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(damage(), 1..3)];
    let timestamp_ms =
        prop_oneof![4 => Just(Some(RECORD_TIMESTAMP_MS)), 1 => Just(None), 1 => Just(Some(-1))];
    (record_text(), damages, timestamp_ms).prop_map(|(text, damages, timestamp_ms)| {
        let mut value = text.into_bytes();
        for (place, cut, inserted) in damages {
            let from = place.index(value.len() + 1);
            let to = (from + cut).min(value.len());
            value.splice(from..to, inserted);
        }
        (value, timestamp_ms)
    })
}

#[test]
fn the_reference_judges_the_hostile_corpus_as_it_says() {
    let settings = DecodeSettings::for_topic("t");
    let corpus = hostile_records();
    for record in &corpus {
        let verdict = reference::judge(&settings, &record.value, Some(record.timestamp_ms));
        let found = verdict.as_ref().map_or_else(|code| code.as_str(), |_| "valid");
        assert_eq!(found, record.expect, "{}", record.name);
        let Ok(row) = verdict else { continue };
        assert!(record.payload_json.as_ref().is_none_or(|text| *text == row.payload_json), "{}", record.name);
        let has_same_extra = |text: &String| row.header_extra_json.as_ref() == Some(text);
        assert!(record.header_extra_json.as_ref().is_none_or(has_same_extra), "{}", record.name);
    }
    let records: Vec<Record> =
        corpus.into_iter().map(|record| (record.value, Some(record.timestamp_ms))).collect();
    assert_eq!(decoded(&settings, &records), expected(&settings, &records));
}

/// Few in every run of the tests, many where PULSELAKE_SOAK asks for the long forms.
fn cases() -> u32 {
    if std::env::var_os("PULSELAKE_SOAK").is_some_and(|value| !value.is_empty()) { 50_000 } else { 150 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_decoder_does_what_the_reference_does(records in prop::collection::vec(record(), 1..12)) {
        let settings = small_limits();
        prop_assert_eq!(decoded(&settings, &records), expected(&settings, &records), "{:#?}", shown(&records));
    }
}
