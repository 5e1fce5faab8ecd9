//! Named cases: what single records become in the three tables.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use pulselake_cdc::{
    CdcError, CdcSettings, Columns, Flush, FlushedPosition, HistoryVersion, Upserter, VersionIndex,
    VersionOrder, history_versions,
};
use pulselake_model::{Entity, ErrorCode, LastRecord, RawBatch, schema};

const TOPIC: &str = "cdc.content.videos";
const INGESTED_AT_US: i64 = 1_770_458_400_000_000;

fn upserter_of(entity: Entity, settings: CdcSettings) -> Upserter {
    let columns =
        Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap();
    let index = VersionIndex::new(settings.max_index_keys);
    Upserter::new(entity, settings, columns, index)
}

fn upserter() -> Upserter {
    upserter_of(Entity::Videos, CdcSettings::for_topic(TOPIC))
}

fn batch(first_offset: i64, values: &[&str]) -> RawBatch {
    let mut batch = RawBatch::at(0, first_offset);
    for (offset, value) in (first_offset..).zip(values) {
        batch.push(offset, Some(77), value.as_bytes());
    }
    batch
}

/// Applies the records and takes them out, with nothing in the history but what the flushes so far have brought.
fn flushed(upserter: &mut Upserter, first_offset: i64, values: &[&str], history: &[HistoryVersion]) -> Flush {
    upserter.apply(&batch(first_offset, values), INGESTED_AT_US, None);
    let keys = upserter.doubtful_keys();
    upserter.settle(history.iter().filter(|version| keys.contains(&version.key)).cloned().collect());
    upserter.take_flush().unwrap()
}

/// One row as text, nulls as "-".
fn row(batch: &RecordBatch, at: usize, names: &[&str]) -> Vec<String> {
    let value = |name: &&str| {
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        if column.is_null(at) { "-".to_owned() } else { array_value_to_string(column, at).unwrap() }
    };
    names.iter().map(value).collect()
}

fn rows(batch: &RecordBatch, names: &[&str]) -> Vec<Vec<String>> {
    (0..batch.num_rows()).map(|at| row(batch, at, names)).collect()
}

fn change(operation: &str, key: &str, lsn: i64, category: &str) -> String {
    let image = format!(r#"{{"video_id":"{key}","category":"{category}"}}"#);
    let (before, after) = if operation == "d" { (image.as_str(), "null") } else { ("null", image.as_str()) };
    format!(
        r#"{{"op":"{operation}","before":{before},"after":{after},"source":{{"connector":"postgresql","lsn":{lsn},"ts_ms":{lsn}}}}}"#
    )
}

fn position(flush: &Flush) -> FlushedPosition {
    flush.positions[&0]
}

#[test]
fn a_full_envelope_becomes_a_version_and_a_row() {
    let record = r#"{"schema":{"type":"struct","fields":[{"type":"struct","field":"after","fields":[
        {"type":"string","field":"video_id"},
        {"type":"int64","name":"io.debezium.time.MicroTimestamp","field":"upload_time"},
        {"type":"int32","field":"age_limit"},
        {"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"5"},"field":"price"}]}]},
        "payload":{"op":"c","before":null,"after":{"video_id":"v","author_id":"u","category":null,"region":"DE","hashtags":["a","b"],
            "duration_sec":60,"upload_time":1770458400123456,"status":"active","age_limit":16,"price":"MDk="},
            "source":{"connector":"postgresql","lsn":9,"ts_ms":1000},"ts_ms":2000}}"#;
    let mut upserter = upserter();
    let applied = upserter.apply(&batch(5, &[record]), INGESTED_AT_US, None);
    assert_eq!((applied.records, applied.changes, applied.rejected()), (1, 1, 0));
    assert_eq!((applied.oldest_source_ts_ms, applied.newest_source_ts_ms), (Some(1_000), Some(1_000)));
    let changes: Vec<String> = upserter.schema_changes().iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["add age_limit as Int32", "add price as Decimal128(5, 2)"]);
    let flush = upserter.take_flush().unwrap();
    let base = [
        "video_id",
        "creator_id",
        "category",
        "region",
        "hashtags",
        "duration_ms",
        "upload_time",
        "status",
        "updated_at",
        "source_ts_ms",
        "age_limit",
        "price",
    ];
    let values = [
        "v",
        "u",
        "-",
        "DE",
        "[a, b]",
        "60000",
        "2026-02-07T10:00:00.123456Z",
        "active",
        "2026-02-07T10:00:00Z",
        "1000",
        "16",
        "123.45",
    ];
    assert_eq!(row(&flush.history, 0, &base), values);
    assert_eq!(row(&flush.upserts, 0, &base), values);
    let own = [
        "op",
        "valid_from",
        "source_position",
        "source_position_minor",
        "source_topic",
        "source_partition",
        "source_offset",
    ];
    assert_eq!(row(&flush.history, 0, &own), ["c", "1970-01-01T00:00:01Z", "9", "0", TOPIC, "0", "5"]);
    assert_eq!(flush.upserts.num_columns(), base.len());
    assert!(flush.deleted.is_empty(), "nothing of this key can be there");
    assert_eq!(flush.invalid.num_rows(), 0);
    assert_eq!(flush.invalid.schema(), schema::invalid_events());
}

#[test]
fn a_bare_envelope_of_users_is_read_too() {
    let record = r#"{"op":"r","after":{"user_id":"u","register_country":"DE","device_os":"iOS","is_creator":1,"ltv_segment":"VIP",
        "join_at":"2026-02-07T10:00:00Z"},"ts_ms":5}"#;
    let mut upserter = upserter_of(Entity::Users, CdcSettings::for_topic("cdc.users.profiles"));
    let flush = flushed(&mut upserter, 0, &[record], &[]);
    let names = [
        "user_id",
        "register_country",
        "device_os",
        "is_creator",
        "ltv_segment",
        "join_at",
        "op",
        "source_position",
    ];
    assert_eq!(
        row(&flush.history, 0, &names),
        ["u", "DE", "iOS", "true", "VIP", "2026-02-07T10:00:00Z", "r", "-"]
    );
    assert_eq!(flush.upserts.schema(), schema::dimension(Entity::Users));
    assert_eq!(flush.history.schema(), schema::dimension_history(Entity::Users));
}

#[test]
fn each_operation_does_its_work() {
    let mut upserter = upserter();
    let first = [change("r", "a", 1, "x"), change("c", "b", 2, "x"), change("c", "gone", 3, "x")];
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let flush = flushed(&mut upserter, 0, &first, &[]);
    assert_eq!(rows(&flush.upserts, &["video_id", "category"]), [["a", "x"], ["b", "x"], ["gone", "x"]]);
    assert!(flush.deleted.is_empty());

    let second = [
        change("u", "a", 4, "y"),
        change("d", "gone", 5, "x"),
        change("c", "short", 6, "x"),
        change("d", "short", 7, "x"),
    ];
    let second: Vec<&str> = second.iter().map(String::as_str).collect();
    let flush = flushed(&mut upserter, 3, &second, &[]);
    assert_eq!(rows(&flush.upserts, &["video_id", "category"]), [["a", "y"]]);
    assert_eq!(flush.deleted, ["a", "gone"]);
    assert_eq!(
        rows(&flush.history, &["video_id", "op", "category", "source_ts_ms"]),
        [["a", "u", "y", "4"], ["gone", "d", "-", "5"], ["short", "c", "x", "6"], ["short", "d", "-", "7"]]
    );
}

#[test]
fn a_key_change_ends_the_old_key_and_begins_the_new_one() {
    let mut upserter = upserter();
    let flush = flushed(&mut upserter, 0, &[&change("c", "old", 1, "x")], &[]);
    assert_eq!(flush.upserts.num_rows(), 1);
    let renamed = r#"{"op":"u","before":{"video_id":"old"},"after":{"video_id":"new","category":"x"},"source":{"connector":"postgresql","lsn":2,"ts_ms":2}}"#;
    let flush = flushed(&mut upserter, 1, &[renamed], &[]);
    assert_eq!(
        rows(&flush.history, &["video_id", "op", "source_offset"]),
        [["new", "u", "1"], ["old", "d", "1"]]
    );
    assert_eq!(rows(&flush.upserts, &["video_id"]), [["new"]]);
    assert_eq!(flush.deleted, ["old"]);
    assert_eq!((position(&flush).records, position(&flush).duplicates), (1, 0));
    let again = flushed(&mut upserter, 2, &[renamed], &[]);
    assert_eq!((again.history.num_rows(), position(&again).duplicates), (0, 1));
}

#[test]
fn an_old_change_goes_to_the_history_alone_and_a_deleted_key_stays_deleted() {
    let mut upserter = upserter();
    let before = flushed(&mut upserter, 0, &[&change("c", "a", 5, "x"), &change("d", "a", 9, "x")], &[]);
    let history = history_versions(Entity::Videos, &before.history).unwrap();
    upserter.apply(&batch(2, &[&change("u", "a", 7, "late")]), INGESTED_AT_US, None);
    assert!(matches!(upserter.take_flush(), Err(CdcError::Unsettled { keys: 1 })));
    assert_eq!(upserter.doubtful_keys(), ["a"]);
    upserter.settle(history);
    assert!(upserter.doubtful_keys().is_empty());
    let flush = upserter.take_flush().unwrap();
    assert_eq!(rows(&flush.history, &["category"]), [["late"]]);
    assert_eq!((flush.upserts.num_rows(), flush.deleted.len()), (0, 0));
    assert_eq!((position(&flush).late, position(&flush).duplicates), (1, 0));
}

#[test]
fn a_repeated_delivery_is_known_by_its_content_not_by_its_envelope() {
    let record = |envelope_ts: i64| {
        format!(
            r#"{{"op":"u","after":{{"category":"x","video_id":"a","new":null}},"source":{{"connector":"postgresql","lsn":1,"ts_ms":1}},"ts_ms":{envelope_ts}}}"#
        )
    };
    let mut upserter = upserter();
    let first = flushed(&mut upserter, 0, &[&record(1), &record(2), &change("u", "a", 1, "x")], &[]);
    assert_eq!((first.history.num_rows(), position(&first).duplicates), (1, 2));
    let second = flushed(&mut upserter, 3, &[&record(3)], &[]);
    assert_eq!((second.history.num_rows(), position(&second).duplicates), (0, 1));
}

#[test]
fn of_versions_of_one_moment_the_later_delivered_is_the_last() {
    let plain = |category: &str| {
        format!(r#"{{"op":"u","after":{{"video_id":"a","category":"{category}"}},"source":{{"ts_ms":5}}}}"#)
    };
    let mut upserter = upserter();
    let first = flushed(&mut upserter, 0, &[&plain("x"), &plain("y")], &[]);
    assert_eq!(rows(&first.upserts, &["category"]), [["y"]]);
    assert_eq!((first.history.num_rows(), position(&first).late), (2, 0));
    let history = history_versions(Entity::Videos, &first.history).unwrap();
    let second = flushed(&mut upserter, 2, &[&plain("x"), &plain("z")], &history);
    assert_eq!(rows(&second.upserts, &["category"]), [["z"]]);
    assert_eq!(second.deleted, ["a"]);
    assert_eq!((second.history.num_rows(), position(&second).duplicates), (1, 1));
}

#[test]
fn a_change_behind_a_look_up_waits_for_the_next_one() {
    let mut upserter = upserter();
    flushed(&mut upserter, 0, &[&change("c", "a", 5, "x"), &change("c", "b", 5, "x")], &[]);
    upserter.apply(&batch(2, &[&change("u", "a", 3, "x")]), INGESTED_AT_US, None);
    assert_eq!(upserter.doubtful_keys(), ["a"]);
    upserter.apply(&batch(3, &[&change("u", "b", 3, "x"), &change("u", "a", 3, "x")]), INGESTED_AT_US, None);
    let order = VersionOrder { position: Some(5), position_minor: Some(0), source_ts_ms: 5 };
    let of_b = HistoryVersion { key: "b".to_owned(), order, version_hash: 1 };
    upserter.settle(vec![of_b]);
    assert_eq!(upserter.doubtful_keys(), ["b"], "nobody asked for b");
}

#[test]
fn rejected_records_are_rows_of_quarantine() {
    let mut upserter = upserter();
    let mut raw = batch(5, &[r#"{"op":"t"}"#]);
    raw.push(6, None, b"\xff\x00");
    let applied = upserter.apply(&raw, INGESTED_AT_US, None);
    assert_eq!(applied.rejected_by_code[ErrorCode::UnknownOperation as usize], 1);
    assert_eq!(applied.rejected_by_code[ErrorCode::NotUtf8 as usize], 1);
    let flush = upserter.take_flush().unwrap();
    let names = [
        "invalid_event_id",
        "source_topic",
        "source_partition",
        "source_offset",
        "schema_version",
        "error_code",
        "ingested_at",
        "record_timestamp",
    ];
    assert_eq!(
        rows(&flush.invalid, &names),
        [
            [
                "cdc.content.videos-0-5",
                TOPIC,
                "0",
                "5",
                "-",
                "UNKNOWN_OPERATION",
                "2026-02-07T10:00:00Z",
                "1970-01-01T00:00:00.077Z"
            ],
            ["cdc.content.videos-0-6", TOPIC, "0", "6", "-", "NOT_UTF8", "2026-02-07T10:00:00Z", "-"],
        ]
    );
    assert_eq!(flush.invalid.column_by_name("raw_value").unwrap().as_binary::<i32>().value(1), b"\xff\x00");
    assert_eq!(row(&flush.invalid, 0, &["error_reason"]), [r#"op "t" is none of c, u, d, r"#]);
    assert_eq!((position(&flush).quarantined, position(&flush).quarantine_rows), (2, 2));
}

#[test]
fn a_record_of_a_schema_registry_says_what_to_set() {
    let mut upserter = upserter();
    let flush = flushed(&mut upserter, 0, &["\0\0\0\0\u{1}abc"], &[]);
    let found = row(&flush.invalid, 0, &["error_code", "error_reason"]);
    assert_eq!(found[0], "UNKNOWN_SCHEMA");
    assert!(found[1].contains("schema 1 ") && found[1].contains("cdc.schema_registry_url"), "{found:?}");
}

#[test]
fn where_the_quarantine_decides_its_offsets_are_out() {
    let mut upserter = upserter();
    let values = [change("c", "a", 1, "x"), "broken".to_owned(), "broken".to_owned()];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let applied = upserter.apply(&batch(0, &values), INGESTED_AT_US, Some(&HashSet::from([0, 1])));
    assert_eq!((applied.settled, applied.rejected(), applied.changes), (2, 1, 0));
    let flush = upserter.take_flush().unwrap();
    assert_eq!(rows(&flush.invalid, &["source_offset"]), [["2"]]);
    assert_eq!(flush.history.num_rows(), 0);
    assert_eq!((position(&flush).quarantined, position(&flush).quarantine_rows), (3, 1));
}

#[test]
fn positions_count_everything() {
    let mut upserter = upserter();
    assert!(upserter.is_empty());
    let mut raw = RawBatch::at(0, 10);
    raw.push(12, Some(5), b"");
    raw.push(14, None, change("c", "a", 1, "x").as_bytes());
    raw.next_offset = 17;
    upserter.apply(&raw, INGESTED_AT_US, None);
    assert!(!upserter.is_empty() && upserter.pending_rows() == 1 && upserter.pending_bytes() > 100);
    let flush = upserter.take_flush().unwrap();
    let hash = pulselake_decode::record_hash(change("c", "a", 1, "x").as_bytes());
    let last = Some(LastRecord { offset: 14, timestamp_ms: -1, hash });
    assert_eq!(
        position(&flush),
        FlushedPosition { next: 17, last, records: 2, tombstones: 1, gaps: 5, ..FlushedPosition::default() }
    );
    assert!(upserter.is_empty() && upserter.pending_rows() == 0 && upserter.pending_bytes() == 0);
    assert!(upserter.take_flush().unwrap().positions.is_empty());
    let mut moved = RawBatch::at(0, 17);
    moved.next_offset = 20;
    upserter.apply(&moved, INGESTED_AT_US, None);
    assert_eq!(
        position(&upserter.take_flush().unwrap()),
        FlushedPosition { next: 20, gaps: 3, ..FlushedPosition::default() }
    );
}

#[test]
fn every_code_is_reached() {
    let settings = CdcSettings {
        max_record_bytes: 400,
        max_nesting_depth: 6,
        max_columns: 20,
        ..CdcSettings::for_topic(TOPIC)
    };
    let mut upserter = upserter_of(Entity::Videos, settings);
    let after = |row: &str| format!(r#"{{"op":"c","after":{row},"ts_ms":1}}"#);
    assert_eq!(upserter.apply(&batch(0, &[&after(r#"{"video_id":"v","a":1}"#)]), 0, None).changes, 1);
    let cases = [
        ("{".to_owned(), ErrorCode::MalformedJson),
        (after(r#"{"video_id":"v","a":[[[[[[1]]]]]]}"#), ErrorCode::MalformedJson),
        (after(r#"{"video_id":"v","video_id":"w"}"#), ErrorCode::MalformedJson),
        (after(r#"{"a":1}"#), ErrorCode::MissingField),
        (r#"{"op":"d","before":{"a":1},"ts_ms":1}"#.to_owned(), ErrorCode::MissingField),
        (
            r#"{"op":"u","before":{"video_id":7},"after":{"video_id":"v"},"ts_ms":1}"#.to_owned(),
            ErrorCode::WrongType,
        ),
        (after(r#"{"video_id":"v","duration_ms":"1"}"#), ErrorCode::WrongType),
        (after(r#"{"video_id":"v","upload_time":-1}"#), ErrorCode::BadTimestamp),
        (after(&format!(r#"{{"video_id":"v","title":"{}"}}"#, "x".repeat(400))), ErrorCode::TooLarge),
        (r#"{"op":"m","ts_ms":1}"#.to_owned(), ErrorCode::UnknownOperation),
        (after(r#"{"video_id":"v","a":"x"}"#), ErrorCode::TypeChanged),
        (after(r#"{"video_id":"v","b":1,"c":1,"d":1,"e":1}"#), ErrorCode::TooManyColumns),
    ];
    for (value, code) in cases {
        let applied = upserter.apply(&batch(0, &[&value]), 0, None);
        assert_eq!(applied.rejected_by_code[code as usize], 1, "{} {value}", code.as_str());
    }
    assert_eq!(upserter.take_flush().unwrap().history.num_rows(), 1);
}

/// A record with a schema part that declares one further column `x`.
fn declared(lsn: i64, column: &str, value: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"struct","field":"after","fields":[{{"field":"x",{column}}}]}}]}},
        "payload":{{"op":"u","after":{{"video_id":"a","x":{value}}},"source":{{"connector":"postgresql","lsn":{lsn},"ts_ms":1}}}}}}"#
    )
}

#[test]
fn a_widened_column_takes_the_rows_that_were_read_before() {
    let mut upserter = upserter();
    let values = [
        declared(1, r#""type":"int16""#, "7"),
        declared(2, r#""type":"int64""#, "5000000000"),
        declared(3, r#""type":"string""#, r#""high""#),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let applied = upserter.apply(&batch(0, &values), INGESTED_AT_US, None);
    assert_eq!(applied.rejected_by_code[ErrorCode::TypeChanged as usize], 1);
    let changes: Vec<String> = upserter.schema_changes().iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["add x as Int64"]);
    let flush = upserter.take_flush().unwrap();
    assert_eq!(rows(&flush.history, &["x"]), [["7"], ["5000000000"]]);
    let reason = row(&flush.invalid, 0, &["error_reason"]).remove(0);
    assert_eq!(reason, r#"column x is long in the table and string in the record: "high""#);
    assert!(upserter.schema_changes().is_empty());
}

#[test]
fn adopted_columns_may_stand_in_another_order() {
    let with = |names: &[&str]| {
        let table = |base: &arrow::datatypes::SchemaRef| {
            let mut fields: Vec<_> = base.fields().iter().cloned().collect();
            fields.extend(names.iter().map(|name| {
                std::sync::Arc::new(arrow::datatypes::Field::new(
                    *name,
                    arrow::datatypes::DataType::Int64,
                    true,
                ))
            }));
            arrow::datatypes::Schema::new(fields)
        };
        let entity = Entity::Videos;
        Columns::new(entity, &table(&schema::dimension_history(entity)), &table(&schema::dimension(entity)))
            .unwrap()
    };
    let mut upserter = upserter();
    let record = r#"{"op":"c","after":{"video_id":"v","b":2,"a":1},"ts_ms":1}"#;
    upserter.apply(&batch(0, &[record]), INGESTED_AT_US, None);
    upserter.adopt(with(&["foreign", "b"]));
    let changes: Vec<String> = upserter.schema_changes().iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["add a as Int64"]);
    let flush = upserter.take_flush().unwrap();
    assert_eq!(row(&flush.upserts, 0, &["a", "b", "foreign"]), ["1", "2", "-"]);
    let names: Vec<String> =
        flush.history.schema().fields().iter().skip(18).map(|field| field.name().clone()).collect();
    assert_eq!(names, ["foreign", "b", "a"]);
}

#[test]
fn values_arrive_in_arrow_as_they_were() {
    let mut upserter = upserter();
    let cases = [
        (r#""type":"double""#, r#""NaN""#, "NaN"),
        (r#""type":"int32","name":"io.debezium.time.Date""#, "20491", "2026-02-07"),
        (r#""type":"bytes""#, r#""AQI=""#, "0102"),
        (r#""type":"array","items":{"type":"string"}"#, r#"["a"]"#, "[a]"),
        (r#""type":"boolean""#, "true", "true"),
        (r#""type":"float""#, "0.5", "0.5"),
        (r#""type":"struct""#, r#"{"a":1}"#, r#"{"a":1}"#),
    ];
    for (number, (column, value, expected)) in cases.into_iter().enumerate() {
        let record = declared(1, column, value).replace("\"x\"", &format!("\"x{number}\""));
        let record = record.replace("\"a\",\"x", &format!("\"k{number}\",\"x"));
        let flush = flushed(&mut upserter, 0, &[&record], &[]);
        assert_eq!(row(&flush.upserts, 0, &[&format!("x{number}")]), [expected], "{column}");
    }
}

#[test]
fn times_and_hashes_have_the_models_types() {
    let mut upserter = upserter();
    let flush = flushed(&mut upserter, 0, &[&change("c", "a", 1, "x")], &[]);
    let of_history = |name: &str| flush.history.column_by_name(name).unwrap().clone();
    assert_eq!(of_history("updated_at").as_primitive::<TimestampMicrosecondType>().value(0), INGESTED_AT_US);
    let version = &history_versions(Entity::Videos, &flush.history).unwrap()[0];
    assert_eq!(of_history("version_hash").as_primitive::<Int64Type>().value(0), version.version_hash);
    assert_eq!(version.order, VersionOrder { position: Some(1), position_minor: Some(0), source_ts_ms: 1 });
}
