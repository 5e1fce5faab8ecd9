//! No record panics, whatever its bytes, and every record is accounted for.
#![allow(clippy::unwrap_used, missing_docs)]

use proptest::prelude::*;
use pulselake_cdc::{Applied, CdcSettings, Columns, Flush, Upserter, VersionIndex};
use pulselake_model::{Entity, RawBatch, schema};
use serde_json::{Value, json};

fn applied(values: &[Vec<u8>]) -> (Applied, Flush) {
    let entity = Entity::Videos;
    let columns =
        Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap();
    let settings = CdcSettings { max_columns: 40, ..CdcSettings::for_topic("t") };
    let mut upserter = Upserter::new(entity, settings, columns, VersionIndex::new(100));
    let mut batch = RawBatch::at(0, 0);
    for (offset, value) in (0..).zip(values) {
        batch.push(offset, Some(1), value);
    }
    let applied = upserter.apply(&batch, 0, None);
    assert!(upserter.doubtful_keys().is_empty(), "the history is empty");
    (applied, upserter.take_flush().unwrap())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        Just(json!("MDk=")),
        Just(json!("2026-02-07T10:00:00Z")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(".{0,3}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn column_name() -> impl Strategy<Value = String> {
    let known = [
        "category",
        "hashtags",
        "upload_time",
        "duration_sec",
        "author_id",
        "op",
        "updated_at",
        "x",
        "X",
        "y",
        "z",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn column_schema() -> impl Strategy<Value = Value> {
    let types = [
        "int8", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array", "struct", "map",
        "?",
    ];
    let names = [
        "",
        "io.debezium.time.Date",
        "io.debezium.time.Timestamp",
        "io.debezium.time.NanoTimestamp",
        "io.debezium.time.ZonedTimestamp",
        "io.debezium.data.VariableScaleDecimal",
        "org.apache.kafka.connect.data.Decimal",
    ];
    let parts = (
        prop::sample::select(types.to_vec()),
        prop::sample::select(names.to_vec()),
        any::<i8>(),
        any::<u8>(),
    );
    parts.prop_map(|(kind, name, scale, precision)| {
        json!({"type": kind, "name": name, "items": {"type": "string"},
            "parameters": {"scale": scale.to_string(), "connect.decimal.precision": precision.to_string()}})
    })
}

/// A record that is an envelope, with anything in its row.
fn envelope() -> impl Strategy<Value = Vec<u8>> {
    let columns =
        prop::collection::vec((column_name(), json_value(), prop::option::of(column_schema())), 0..6);
    let operation = prop::sample::select(vec!["c", "u", "d", "r", "t"]);
    (columns, operation, any::<bool>(), prop::option::of(json_value())).prop_map(|(columns, operation, full, source)| {
        let mut row = json!({"video_id": "v"});
        let mut fields = Vec::new();
        for (name, value, column) in columns {
            if let Some(mut column) = column {
                column["field"] = json!(name);
                fields.push(column);
            }
            row[&name] = value;
        }
        let payload = json!({"op": operation, "before": {"video_id": "w"}, "after": row, "source": source, "ts_ms": 1});
        let record = if full {
            json!({"schema": {"type": "struct", "fields": [{"field": "after", "fields": fields}]}, "payload": payload})
        } else {
            payload
        };
        record.to_string().into_bytes()
    })
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..100),
        1 => ".{0,60}".prop_map(String::into_bytes),
        1 => json_value().prop_map(|value| value.to_string().into_bytes()),
        6 => envelope(),
        2 => (envelope(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => (envelope(), any::<prop::sample::Index>()).prop_map(|(bytes, at)| bytes[..at.index(bytes.len())].to_vec()),
    ]
}

proptest! {
    #[test]
    fn every_record_is_accounted_for(values in prop::collection::vec(record(), 0..20)) {
        let (applied, flush) = applied(&values);
        prop_assert_eq!(applied.records, values.len() as u64);
        prop_assert_eq!(applied.records, applied.tombstones + applied.rejected() + applied.changes);
        prop_assert_eq!(flush.invalid.num_rows() as u64, applied.rejected());
        let position = flush.positions[&0];
        prop_assert_eq!(position.quarantined, applied.rejected());
        prop_assert!(flush.history.num_rows() as u64 >= applied.changes - position.duplicates);
        prop_assert!(flush.upserts.num_rows() <= 2);
    }

    /// Validity does not depend on what else is there, as long as the columns are the same.
    #[test]
    fn a_record_is_judged_alike_twice(value in record()) {
        let (one, _) = applied(std::slice::from_ref(&value));
        let (two, flush) = applied(&[value.clone(), value]);
        prop_assert_eq!(two.rejected(), 2 * one.rejected());
        prop_assert_eq!(flush.positions[&0].duplicates, one.changes);
    }
}

#[test]
fn depth_and_length_do_no_harm() {
    let deep = |depth: usize| {
        let row = format!(r#"{{"video_id":"v","a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"op":"c","after":{row},"ts_ms":1}}"#).into_bytes()
    };
    let digits = format!(r#"{{"op":"c","after":{{"video_id":"v","b":{}}},"ts_ms":1}}"#, "9".repeat(100_000))
        .into_bytes();
    let schema_deep = format!(
        r#"{{"schema":{}{},"payload":{{"op":"c","after":{{"video_id":"v"}},"ts_ms":1}}}}"#,
        r#"{"fields":["#.repeat(60),
        "]}".repeat(60)
    );
    let (applied, _) = applied(&[deep(126), deep(127), deep(400_000), digits, schema_deep.into_bytes()]);
    assert_eq!((applied.changes, applied.rejected()), (2, 3));
}
