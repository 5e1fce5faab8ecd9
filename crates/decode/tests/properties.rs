//! Properties of the decoder over generated records.
#![allow(clippy::unwrap_used, missing_docs)]

use arrow::array::AsArray;
use proptest::prelude::*;
use pulselake_decode::{DecodeSettings, EventDecoder, event_id_hash, record_hash};
use pulselake_model::{ErrorCode, EventType, LastRecord, RawBatch};
use serde_json::{Value, json};

const MAX_TIMESTAMP_MS: i64 = 253_402_300_799_999;

fn decoder() -> EventDecoder {
    EventDecoder::new(DecodeSettings::for_topic("content_events"))
}

/// Bytes from "anything" to "almost an event".
fn record_bytes() -> impl Strategy<Value = Vec<u8>> {
    let event = r#"{"event_id":"e","event_timestamp":1,"video_id":"v","user_id":"u","event_type":"like","payload":{"watch_time_ms":1}}"#;
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        ".{0,80}".prop_map(String::into_bytes),
        Just(event.as_bytes().to_vec()),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = event.as_bytes().to_vec();
            bytes[at.index(event.len())] = byte;
            bytes
        }),
        any::<prop::sample::Index>().prop_map(move |at| event.as_bytes()[..at.index(event.len())].to_vec()),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn id() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("ids are not empty", |id| !id.is_empty())
}

/// A JSON string literal with every character escaped, or as serde_json writes it.
fn literal(text: &str, escape_all: bool) -> String {
    if !escape_all {
        return Value::from(text).to_string();
    }
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{units}\"")
}

proptest! {
    #[test]
    fn every_record_comes_out_exactly_once(records in prop::collection::vec((record_bytes(), any::<Option<i64>>()), 0..40)) {
        let mut batch = RawBatch::at(3, 10);
        for (index, (value, timestamp_ms)) in records.iter().enumerate() {
            batch.push(10 + 2 * index as i64, *timestamp_ms, value);
        }
        let decoded = decoder().decode(&batch, 0);

        let offsets = |rows: &arrow::record_batch::RecordBatch| {
            rows["source_offset"].as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
        };
        let (valid, invalid) = (offsets(&decoded.events), offsets(&decoded.invalid));
        prop_assert!(valid.is_sorted() && invalid.is_sorted());
        let mut all = [valid.clone(), invalid].concat();
        all.sort_unstable();
        let expected: Vec<i64> = batch.records.iter().map(|record| record.offset).collect();
        prop_assert_eq!(all, expected);

        let columns = &decoded.columns;
        prop_assert_eq!(&columns.offset, &valid);
        let lengths = [columns.event_timestamp_us.len(), columns.stream_time_us.len(), columns.event_type.len(),
            columns.watch_time_ms.len(), columns.event_id_hash.len()];
        prop_assert_eq!(lengths, [valid.len(); 5]);
        prop_assert_eq!(decoded.record_count as usize, records.len());
        prop_assert_eq!(decoded.invalid_by_code.iter().sum::<u64>() as usize, decoded.invalid.num_rows());
        let last = records.last().map(|(value, timestamp_ms)| LastRecord {
            offset: 8 + 2 * records.len() as i64, timestamp_ms: timestamp_ms.unwrap_or(-1), hash: record_hash(value),
        });
        prop_assert_eq!(decoded.last, last);
    }

    #[test]
    fn a_valid_event_decodes_to_its_fields(
        ids in (id(), id(), id()), kind in 0..EventType::COUNT, timestamp_ms in 0..=MAX_TIMESTAMP_MS, lag_ms in 0..400_000_i64,
        escape_all in any::<bool>(), as_string in any::<bool>(), body in prop::collection::btree_map(any::<String>(), json_value(), 0..4),
        watch_time_ms in prop::option::of(0..=604_800_000_i64), extra in prop::option::of(json_value()), pretty in any::<bool>(),
    ) {
        let mut body: Value = body.into_iter().collect();
        body.as_object_mut().unwrap().remove("watch_time_ms");
        if let Some(watch_time_ms) = watch_time_ms {
            body["watch_time_ms"] = json!(watch_time_ms);
        }
        let body_text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let body_field = if as_string {
            format!("\"payload_json\":{}", literal(&body_text, escape_all))
        } else {
            format!("\"payload\": {body_text}")
        };
        let extra_text = extra.map(|value| value.to_string());
        let extra_field = extra_text.as_ref().map(|text| format!(",\"x y\" : {text} ")).unwrap_or_default();
        let event_type = EventType::ALL[kind];
        let (event_id, video_id, user_id) = ids;
        let record = format!(
            "{{{body_field}{extra_field},\"event_id\":{},\"video_id\":{},\"user_id\":{},\"event_type\":{},\"event_timestamp\":{timestamp_ms}}}",
            literal(&event_id, escape_all), literal(&video_id, escape_all), literal(&user_id, escape_all),
            literal(event_type.as_str(), escape_all),
        );
        let record_timestamp_ms = (timestamp_ms - lag_ms).max(0);
        let decoder = decoder();
        let verdict = decoder.judge(record.as_bytes(), Some(record_timestamp_ms));
        if timestamp_ms - record_timestamp_ms > 300_000 {
            prop_assert_eq!(verdict.unwrap_err().code, ErrorCode::FutureTimestamp);
            return Ok(());
        }
        let event = verdict.unwrap();

        prop_assert_eq!(event.event_id_hash(), event_id_hash(&event_id));
        prop_assert_eq!(&event.event_id, &event_id);
        prop_assert_eq!(&event.video_id, &video_id);
        prop_assert_eq!(&event.user_id, &user_id);
        prop_assert_eq!(event.event_type, event_type);
        prop_assert_eq!(event.event_timestamp_us, timestamp_ms * 1_000);
        prop_assert_eq!(event.stream_time_us, record_timestamp_ms * 1_000);
        prop_assert_eq!(&event.schema_version, "1.0");
        prop_assert_eq!(&event.payload_json, &body_text);
        prop_assert_eq!(event.watch_time_ms, watch_time_ms.unwrap_or(0));
        prop_assert_eq!(&event.header_extra_json, &extra_text.map(|text| format!("{{\"x y\":{text}}}")));
    }

    #[test]
    fn a_record_without_a_timestamp_is_never_in_the_future(timestamp_ms in 0..=MAX_TIMESTAMP_MS, none in prop_oneof![Just(None), (i64::MIN..0).prop_map(Some)]) {
        let record = format!(
            r#"{{"event_id":"e","event_timestamp":{timestamp_ms},"video_id":"v","user_id":"u","event_type":"like"}}"#
        );
        let decoder = decoder();
        let event = decoder.judge(record.as_bytes(), none).unwrap();
        prop_assert_eq!(event.stream_time_us, timestamp_ms * 1_000);
    }
}
