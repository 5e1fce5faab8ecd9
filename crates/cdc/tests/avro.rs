//! Records in Avro, as a converter of Connect wrote them and a registry knows their schemas (`samples/README.md`): the tables
//! have what they have of the same changes in JSON.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use arrow::array::AsArray;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pulselake_cdc::{
    CdcSettings, Columns, Flush, SchemaAnswer, Upserter, VersionIndex, WriterSchema, WriterSchemas,
    named_schemas,
};
use pulselake_model::{Entity, ErrorCode, RawBatch, schema};
use serde_json::Value;

/// Partition, offset, timestamp, value.
type Sample = (i32, i64, i64, Vec<u8>);

fn samples(lines: &str, bytes_of: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Sample> {
    let sample = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| record[name].as_i64().unwrap();
        let value = bytes_of(record["value"].as_str().unwrap_or_default())?;
        Some((number("partition") as i32, number("offset"), number("timestamp"), value))
    };
    lines.lines().filter_map(sample).collect()
}

/// Those that say the types of their columns. The table of all kinds of columns has another key: it is given this one.
fn in_json(lines: &str) -> Vec<Sample> {
    samples(lines, |text| {
        let is_bare = !text.is_empty() && !text.starts_with(r#"{"schema""#);
        let keyed = [
            (r#""id":1"#, r#""video_id":"1""#),
            (r#""id":3"#, r#""video_id":"3""#),
            (r#""field":"id""#, r#""field":"video_id""#),
        ];
        let text = keyed.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
        (!is_bare).then(|| text.into_bytes())
    })
}

fn in_avro(lines: &str) -> Vec<Sample> {
    samples(lines, |text| Some(STANDARD.decode(text).unwrap()))
}

fn videos_in_json() -> Vec<Sample> {
    in_json(include_str!("samples/videos_with_schema.ndjson"))
}

fn videos_in_avro() -> Vec<Sample> {
    in_avro(include_str!("samples/videos_avro.ndjson"))
}

/// What the registry said.
fn answers() -> WriterSchemas {
    let answer = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        let schema = WriterSchema::parse(answer["schema"].as_str().unwrap()).unwrap();
        (answer["id"].as_u64().unwrap() as u32, SchemaAnswer::Known(Arc::new(schema)))
    };
    include_str!("samples/avro_schemas.ndjson").lines().map(answer).collect()
}

fn upserter(schemas: WriterSchemas, settings: CdcSettings) -> Upserter {
    let entity = Entity::Videos;
    let columns =
        Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap();
    let mut upserter = Upserter::new(entity, settings, columns, VersionIndex::new(1_000));
    upserter.use_schemas(Arc::new(schemas));
    upserter
}

fn with_registry() -> CdcSettings {
    CdcSettings { has_schema_registry: true, ..CdcSettings::for_topic("cdc.content.videos") }
}

fn batch((partition, offset, timestamp_ms, value): &Sample) -> RawBatch {
    let mut batch = RawBatch::at(*partition, *offset);
    batch.push(*offset, Some(*timestamp_ms), value);
    batch
}

/// What the tables get of these records, and the codes of those that are rejected.
fn flushed(samples: &[Sample]) -> (Flush, Vec<String>) {
    let mut upserter = upserter(answers(), with_registry());
    for sample in samples {
        upserter.apply(&batch(sample), 0, None);
    }
    assert!(upserter.doubtful_keys().is_empty(), "the history is empty");
    let flush = upserter.take_flush().unwrap();
    let codes = flush.invalid.column_by_name("error_code").unwrap().as_string::<i32>();
    let codes = codes.iter().map(|code| code.unwrap().to_owned()).collect();
    (flush, codes)
}

/// Rejected with its code and reason.
fn rejected(schemas: WriterSchemas, settings: CdcSettings, value: &[u8]) -> (String, String) {
    let mut upserter = upserter(schemas, settings);
    let applied = upserter.apply(&batch(&(0, 0, 1, value.to_vec())), 0, None);
    assert_eq!(applied.rejected(), 1, "{value:?}");
    let flush = upserter.take_flush().unwrap();
    let column =
        |name: &str| flush.invalid.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
    (column("error_code"), column("error_reason"))
}

#[test]
fn rows_and_versions_are_those_of_json() {
    let kinds_in_json = in_json(include_str!("samples/kinds_of_columns.ndjson"));
    let kinds_in_avro = in_avro(include_str!("samples/kinds_of_columns_avro.ndjson"));
    for (json, avro) in [(videos_in_json(), videos_in_avro()), (kinds_in_json, kinds_in_avro)] {
        assert_eq!(json.len(), avro.len());
        assert!(json.iter().zip(&avro).any(|(json, avro)| json.3 != avro.3 && avro.3.starts_with(&[0])));
        let ((json, json_codes), (avro, avro_codes)) = (flushed(&json), flushed(&avro));
        assert_eq!(json_codes, avro_codes);
        assert!(json.history.num_rows() > 1 && json.history.num_columns() > 15);
        // Operations, order, places, version hashes and every column of the row.
        assert_eq!(json.history, avro.history);
        assert_eq!(json.upserts, avro.upserts);
        assert_eq!(json.deleted, avro.deleted);
    }
}

#[test]
fn a_change_that_was_delivered_in_json_adds_nothing_in_avro() {
    let (json, avro) = (videos_in_json(), videos_in_avro());
    let (alone, _) = flushed(&json);
    let (both, _) = flushed(&[json, avro].concat());
    assert_eq!(both.history.num_rows(), alone.history.num_rows());
    let repeated: u64 = both.positions.values().map(|position| position.duplicates).sum();
    assert_eq!(repeated, alone.history.num_rows() as u64);
}

#[test]
fn a_topic_may_have_both_forms() {
    let (json, avro) = (videos_in_json(), videos_in_avro());
    let mixed: Vec<Sample> = json
        .iter()
        .step_by(2)
        .zip(avro.iter().skip(1).step_by(2))
        .flat_map(|(one, other)| [one.clone(), other.clone()])
        .collect();
    let (expected, _) = flushed(&json[..mixed.len()]);
    let (found, codes) = flushed(&mixed);
    assert_eq!((found.history, codes), (expected.history, vec!["TYPE_CHANGED".to_owned()]));
}

#[test]
fn the_ids_that_a_batch_names_are_told() {
    let mut batch = RawBatch::at(0, 0);
    let values: [&[u8]; 9] = [
        &[],
        &[0],
        &[0, 0, 0, 0],
        &[0, 0, 0, 0, 7],
        &[0, 0, 0, 0, 7, 1],
        b"{}",
        &[0, 0, 0, 1, 0, 2],
        &[0, 0, 0, 0, 7],
        b"\x01\0\0\0\x05",
    ];
    for (offset, value) in (0..).zip(values) {
        batch.push(offset, None, value);
    }
    assert_eq!(Vec::from_iter(named_schemas(&batch)), [7, 256]);
    assert!(named_schemas(&RawBatch::at(0, 0)).is_empty());
}

#[test]
fn every_fault_has_its_code_and_says_what_to_do() {
    let int = || SchemaAnswer::Known(Arc::new(WriterSchema::parse("\"int\"").unwrap()));
    let envelope = |fields: &str| {
        let text = format!(r#"{{"type":"record","name":"Envelope","fields":[{fields}]}}"#);
        SchemaAnswer::Known(Arc::new(WriterSchema::parse(&text).unwrap()))
    };
    let op = r#"{"name":"op","type":"string"}"#;
    let value = [0, 0, 0, 0, 7, 2, b'c'];
    let cases: [(&[u8], Option<SchemaAnswer>, &str, &str); 12] = [
        (&value, None, "UNKNOWN_SCHEMA", "has no schema 7"),
        (&value, Some(SchemaAnswer::Unknown), "UNKNOWN_SCHEMA", "cdc.schema_registry_url has no schema 7"),
        (
            &value,
            Some(SchemaAnswer::Unusable("it is of type PROTOBUF".to_owned())),
            "UNKNOWN_SCHEMA",
            "schema 7 can't be used: it is of type PROTOBUF",
        ),
        (&value, Some(int()), "WRONG_TYPE", "schema 7 is not of a record"),
        (&[0, 0, 0], None, "MALFORMED_AVRO", "ends inside the schema's id"),
        (
            &value[..6],
            Some(envelope(op)),
            "MALFORMED_AVRO",
            "ends inside a value, by schema 7, at byte 6 of 6",
        ),
        (&[0, 0, 0, 0, 7, 2, b'c', 9], Some(envelope(op)), "MALFORMED_AVRO", "1 bytes follow the record"),
        (&[0, 0, 0, 0, 7, 2, 0xff], Some(envelope(op)), "NOT_UTF8", "not UTF-8, by schema 7"),
        (&value, Some(envelope(op)), "MISSING_FIELD", "after is absent or null"),
        (&value, Some(envelope("")), "MALFORMED_AVRO", "2 bytes follow"),
        (&value[..5], Some(envelope("")), "MISSING_FIELD", "op is absent"),
        (&[0, 0, 0, 0, 7, 2, b't'], Some(envelope(op)), "UNKNOWN_OPERATION", "op \"t\""),
    ];
    for (value, answer, code, words) in cases {
        let schemas = answer.map(|answer| (7, answer)).into_iter().collect();
        let (found, reason) = rejected(schemas, with_registry(), value);
        assert_eq!(found, code, "{reason}");
        assert!(reason.contains(words), "{code}: {reason}");
    }
    let (code, reason) = rejected(answers(), CdcSettings::default(), &videos_in_avro()[0].3);
    assert_eq!(code, "UNKNOWN_SCHEMA");
    assert!(reason.contains("cdc.schema_registry_url is not set"), "{reason}");
}

#[test]
fn the_limits_are_those_of_json() {
    let record = &videos_in_avro()[0].3;
    let limited = |max_record_bytes, max_nesting_depth| {
        let settings = CdcSettings { max_record_bytes, max_nesting_depth, ..with_registry() };
        rejected(answers(), settings, record)
    };
    assert_eq!(limited(record.len() - 1, 9).0, "TOO_LARGE");
    let (code, reason) = limited(record.len() * 2, 9);
    assert_eq!(code, "TOO_LARGE");
    assert!(reason.contains("longer as JSON"), "{reason}");
    // The envelope, its row, the row's array.
    assert_eq!(limited(10_000, 2).0, "MALFORMED_AVRO");
}

#[test]
fn a_record_that_is_cut_short_is_never_a_change() {
    let kinds = in_avro(include_str!("samples/kinds_of_columns_avro.ndjson"));
    let mut upserter = upserter(answers(), with_registry());
    for (_, _, _, value) in videos_in_avro().iter().chain(&kinds) {
        for length in 1..value.len() {
            let applied = upserter.apply(&batch(&(0, 0, 1, value[..length].to_vec())), 0, None);
            assert_eq!(applied.rejected_by_code[ErrorCode::MalformedAvro as usize], 1, "{length} bytes");
        }
    }
}

#[test]
fn a_value_that_is_null_is_a_tombstone() {
    let text = r#"["null",{"type":"record","name":"Envelope","fields":[]}]"#;
    let answer = SchemaAnswer::Known(Arc::new(WriterSchema::parse(text).unwrap()));
    let mut upserter = upserter(WriterSchemas::from_iter([(7, answer)]), with_registry());
    assert_eq!(upserter.apply(&batch(&(0, 0, 1, vec![0, 0, 0, 0, 7, 0])), 0, None).tombstones, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes of Debezium's with some of them changed, and any bytes at all.
    #[test]
    fn no_bytes_panic_and_each_record_is_accounted_for(
        changed in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut upserter = upserter(answers(), with_registry());
        let kinds = in_avro(include_str!("samples/kinds_of_columns_avro.ndjson"));
        for (_, _, _, value) in videos_in_avro().iter().chain(&kinds).filter(|sample| !sample.3.is_empty()) {
            let mut altered = value.clone();
            for (index, byte) in &changed {
                altered[index.index(value.len())] = *byte;
            }
            for value in [altered, [&value[..5], &noise].concat()] {
                let applied = upserter.apply(&batch(&(0, 0, 1, value)), 0, None);
                prop_assert_eq!(applied.tombstones + applied.changes + applied.rejected(), 1);
            }
        }
    }
}
