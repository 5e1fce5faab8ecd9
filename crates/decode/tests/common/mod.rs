//! Reads the corpus of hostile records that this crate's tests and the end-to-end tests share.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// One record of `tests/fixtures/hostile_records.json`.
pub struct CorpusRecord {
    /// What is odd about it.
    pub name: String,
    /// The record's bytes.
    pub value: Vec<u8>,
    /// The record's own timestamp, milliseconds.
    pub timestamp_ms: i64,
    /// `valid` or the error code.
    pub expect: String,
    /// The body to be found, byte for byte, where the corpus says it.
    pub payload_json: Option<String>,
    /// The unknown fields to be found, where the corpus says it.
    pub header_extra_json: Option<String>,
}

/// The whole corpus, in the file's order.
pub fn hostile_records() -> Vec<CorpusRecord> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/hostile_records.json");
    let records: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    records.iter().map(corpus_record).collect()
}

fn corpus_record(record: &Value) -> CorpusRecord {
    let text = |field: &str| record[field].as_str().map(str::to_owned);
    CorpusRecord {
        name: text("name").unwrap(),
        value: value_of(record),
        timestamp_ms: record["timestamp_ms"].as_i64().unwrap(),
        expect: text("expect").unwrap(),
        payload_json: text("payload_json"),
        header_extra_json: text("header_extra_json"),
    }
}

/// `value_base64`, or the concatenation of `repeat`'s texts, each `times` times.
fn value_of(record: &Value) -> Vec<u8> {
    if let Some(encoded) = record["value_base64"].as_str() {
        return BASE64_STANDARD.decode(encoded).unwrap();
    }
    let pieces = record["repeat"].as_array().unwrap();
    let texts = pieces.iter().map(|piece| {
        let times = usize::try_from(piece["times"].as_u64().unwrap()).unwrap();
        piece["text"].as_str().unwrap().repeat(times)
    });
    texts.collect::<String>().into_bytes()
}
