//! Records that a real Debezium sent (`samples/README.md`): what the tables have in the end.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::util::display::array_value_to_string;
use pulselake_cdc::{Applied, CdcSettings, Columns, Flush, Upserter, VersionIndex};
use pulselake_model::{Entity, ErrorCode, RawBatch, schema};
use serde_json::Value;

struct Sample {
    case: String,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    value: String,
}

fn samples(lines: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        Sample {
            case: record["case"].as_str().unwrap().to_owned(),
            partition: record["partition"].as_i64().unwrap() as i32,
            offset: record["offset"].as_i64().unwrap(),
            timestamp_ms: record["timestamp"].as_i64().unwrap(),
            value: record["value"].as_str().unwrap_or_default().to_owned(),
        }
    };
    lines.lines().map(sample).collect()
}

fn upserter(entity: Entity) -> Upserter {
    let columns =
        Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap();
    Upserter::new(entity, CdcSettings::for_topic(entity.default_topic()), columns, VersionIndex::new(1_000))
}

fn apply(upserter: &mut Upserter, sample: &Sample) -> Applied {
    let mut batch = RawBatch::at(sample.partition, sample.offset);
    batch.push(sample.offset, Some(sample.timestamp_ms), sample.value.as_bytes());
    upserter.apply(&batch, 0, None)
}

fn text(batch: &RecordBatch, name: &str, at: usize) -> String {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    if column.is_null(at) { "-".to_owned() } else { array_value_to_string(column, at).unwrap() }
}

/// All records in one flush.
fn flushed(entity: Entity, lines: &str) -> (Flush, BTreeMap<String, ErrorCode>) {
    let mut upserter = upserter(entity);
    let mut rejected = BTreeMap::new();
    for sample in samples(lines) {
        let applied = apply(&mut upserter, &sample);
        let code = ErrorCode::ALL.into_iter().find(|code| applied.rejected_by_code[*code as usize] > 0);
        rejected.extend(code.map(|code| (sample.case, code)));
    }
    assert!(upserter.doubtful_keys().is_empty(), "the history is empty");
    (upserter.take_flush().unwrap(), rejected)
}

fn present(flush: &Flush, key: &str, column: &str) -> Vec<(String, String)> {
    let row = |at| (text(&flush.upserts, key, at), text(&flush.upserts, column, at));
    (0..flush.upserts.num_rows()).map(row).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(one, other)| (one.to_owned(), other.to_owned())).collect()
}

#[test]
fn videos_end_as_in_postgresql() {
    let (flush, rejected) = flushed(Entity::Videos, include_str!("samples/videos_with_schema.ndjson"));
    assert_eq!(rejected, [("column changed to text".to_owned(), ErrorCode::TypeChanged)].into());
    assert_eq!(
        present(&flush, "video_id", "category"),
        pairs([("v_1", "again"), ("v_33", "dance"), ("v_4", "after incremental")])
    );
    assert_eq!(text(&flush.upserts, "hashtags", 2), "[x, with, comma, ü]");
    assert_eq!(text(&flush.upserts, "upload_time", 2), "2026-02-08T10:00:00.500Z");
    assert_eq!(text(&flush.upserts, "tier", 2), "basic");
    let tombstones: u64 = flush.positions.values().map(|position| position.tombstones).sum();
    let records: u64 = flush.positions.values().map(|position| position.records).sum();
    let duplicates: u64 = flush.positions.values().map(|position| position.duplicates).sum();
    assert_eq!((tombstones, duplicates), (3, 0));
    assert_eq!(flush.history.num_rows() as u64, records - tombstones - 1);
    let scores = flush.history.column_by_name("quality_score").unwrap();
    assert_eq!(scores.len() - scores.null_count(), 2, "int and long, in a column of longs");
}

#[test]
fn users_end_as_in_postgresql_and_repeated_deliveries_are_known() {
    let (flush, rejected) = flushed(Entity::Users, include_str!("samples/users_bare.ndjson"));
    // Bare records: the column was one of numbers first.
    let text_now: Vec<&str> = rejected.keys().map(String::as_str).collect();
    assert!(rejected.values().all(|code| *code == ErrorCode::TypeChanged), "{rejected:?}");
    assert!(text_now.contains(&"column changed to text"));
    assert!(!text_now.contains(&"column widened"), "{text_now:?}");
    assert_eq!(
        present(&flush, "user_id", "join_at"),
        pairs([("u_1", "2025-01-01T00:00:00Z"), ("u_33", "2026-01-01T00:00:00Z")])
    );
    assert_eq!(text(&flush.upserts, "is_creator", 0), "true");
}

#[test]
fn repeated_deliveries_after_a_kill_bring_nothing() {
    let mut upserter = upserter(Entity::Users);
    for sample in samples(include_str!("samples/users_bare.ndjson")) {
        if sample.case == "killed, repeated deliveries" {
            apply(&mut upserter, &sample);
        }
    }
    let flush = upserter.take_flush().unwrap();
    let position = flush.positions[&1];
    assert_eq!((position.records, position.duplicates, position.quarantined), (11, 5, 0));
    assert_eq!(flush.history.num_rows(), 6);
    assert_eq!(present(&flush, "user_id", "device_os"), pairs([("u_1", "while dead")]));
}

/// The samples' table has another key: it is given this one.
fn kinds(case: &str) -> Sample {
    let found = samples(include_str!("samples/kinds_of_columns.ndjson"));
    let mut sample = found.into_iter().find(|sample| sample.case == case).unwrap();
    let keys = [
        (r#""id":1"#, r#""video_id":"1""#),
        (r#""id":3"#, r#""video_id":"3""#),
        (r#""field":"id""#, r#""field":"video_id""#),
    ];
    for (theirs, ours) in keys {
        sample.value = sample.value.replace(theirs, ours);
    }
    sample
}

#[test]
fn each_kind_of_column_becomes_its_type() {
    let mut upserter = upserter(Entity::Videos);
    assert_eq!(apply(&mut upserter, &kinds("snapshot, with schema")).changes, 1);
    let types: BTreeMap<String, String> = upserter
        .schema_changes()
        .iter()
        .map(|change| (change.name().to_owned(), change.data_type().to_string()))
        .collect();
    let flush = upserter.take_flush().unwrap();
    let timestamp = r#"Timestamp(µs, "+00:00")"#;
    let expected = [
        ("small", "Int32", "-7"),
        ("whole", "Int32", "2147483647"),
        ("big", "Int64", "9223372036854775807"),
        ("single", "Float32", "1.5"),
        ("dbl", "Float64", "0.1"),
        ("money_4", "Decimal128(12, 4)", "1234.5678"),
        ("any_numeric", "Utf8", "98765432109876543210.5"),
        ("flag", "Boolean", "true"),
        ("day", "Date32", "2026-02-07"),
        ("clock", "Int64", "36672123456"),
        ("stamp", timestamp, "2026-02-07T10:11:12.123456Z"),
        ("stamp_3", timestamp, "2026-02-07T10:11:12.123Z"),
        ("stamp_tz", timestamp, "2026-02-07T08:11:12.123456Z"),
        ("span", "Int64", "93600000000"),
        ("uid", "Utf8", "0b5e2f6e-1c1b-4a53-8f3a-0f1a2b3c4d5e"),
        ("doc", "Utf8", r#"{"a": [1, 2.50, null], "b": "x"}"#),
        ("bin", "Binary", "00ff10"),
        ("ints", "Utf8", "[1,null,3]"),
        ("fixed", "Utf8", "ab   "),
        ("long_text", "Utf8", "short"),
    ];
    for (name, data_type, value) in expected {
        assert_eq!(types[name], data_type, "{name}");
        assert_eq!(text(&flush.upserts, name, 0), value, "{name}");
    }
    let texts = flush.upserts.column_by_name("texts").unwrap().as_list::<i32>().value(0);
    let texts = texts.as_string::<i32>();
    assert_eq!((texts.value(0), texts.is_null(1), texts.value(2)), ("a", true, "c d"));
    // What stayed as it was comes as a placeholder, and as such it is kept.
    assert_eq!(
        apply(&mut upserter, &kinds("update without the values that lie out of line, with schema")).changes,
        1
    );
}

#[test]
fn without_a_schema_the_json_types_count() {
    let mut upserter = upserter(Entity::Videos);
    for case in ["snapshot, bare", "update without the values that lie out of line, bare"] {
        assert_eq!(apply(&mut upserter, &kinds(case)).changes, 1, "{case}");
    }
    let flush = upserter.take_flush().unwrap();
    let expected =
        [("small", "1"), ("dbl", "0.1"), ("money_4", "ALxhTg=="), ("day", "20491"), ("flag", "true")];
    for (name, value) in expected {
        assert_eq!(text(&flush.upserts, name, 0), value, "{name}");
    }
}

#[test]
fn what_no_table_holds_is_rejected_with_its_reason() {
    let mut upserter = upserter(Entity::Videos);
    let odd = apply(&mut upserter, &kinds("odd values, with schema"));
    assert_eq!(odd.rejected_by_code[ErrorCode::BadTimestamp as usize], 1);
    let truncate = apply(&mut upserter, &kinds("truncate, bare, decimal.handling.mode=string"));
    assert_eq!(truncate.rejected_by_code[ErrorCode::UnknownOperation as usize], 1);
}
