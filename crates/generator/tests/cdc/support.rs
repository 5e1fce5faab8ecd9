//! What the tests share: logs, reading them, and a plain reader of envelopes.

use std::sync::Arc;

use pulselake_generator::cdc::CdcRecord;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcWorld, GeneratorConfig, ReadOutcome};
use pulselake_model::{Entity, ErrorCode, RawBatch};
use serde_json::Value;

/// A record as bytes and places, for comparisons.
pub type Seen = (i64, Option<i64>, Vec<u8>);

pub fn chaotic(entity: Entity, seed: u64, rate_per_s: f64) -> CdcConfig {
    let events = GeneratorConfig { seed, videos: 400, users: 900, ..GeneratorConfig::default() };
    CdcConfig {
        rate_per_s,
        create_ratio: 0.03,
        delete_ratio: 0.1,
        duplicate_ratio: 0.05,
        reorder_ratio: 0.1,
        wrapped_ratio: 0.2,
        invalid_ratio: 0.05,
        snapshot_every_s: 100,
        ..CdcConfig::beside(&events, entity)
    }
}

pub fn world(config: CdcConfig) -> Arc<CdcWorld> {
    CdcWorld::new(config).unwrap()
}

pub fn records(batch: &RawBatch) -> Vec<Seen> {
    batch
        .records
        .iter()
        .map(|record| (record.offset, record.timestamp_ms, batch.value(record).to_vec()))
        .collect()
}

/// Everything from `offset` on with a record time up to `up_to_ms`, with what each record is.
pub fn read_all(
    world: &Arc<CdcWorld>,
    partition: i32,
    offset: i64,
    up_to_ms: i64,
) -> (Vec<Seen>, Vec<CdcRecord>, i64) {
    let mut log = CdcPartitionLog::in_world(world.clone(), partition).unwrap();
    let mut batch = RawBatch::at(partition, offset);
    let mut described = Vec::new();
    while log
        .read_with(&mut batch, up_to_ms, usize::MAX, usize::MAX, |record| described.push(record))
        .unwrap()
        == ReadOutcome::More
    {}
    (records(&batch), described, batch.next_offset)
}

pub fn seconds_in(world: &CdcWorld, seconds: i64) -> i64 {
    world.config().start_ms + seconds * 1_000 - 1
}

pub fn payload(value: &[u8]) -> Option<Value> {
    let mut envelope: Value = serde_json::from_slice(value).ok()?;
    let is_wrapped = envelope.get("schema").is_some() && envelope.get("payload").is_some();
    Some(if is_wrapped { envelope["payload"].take() } else { envelope })
}

pub fn judge(entity: Entity, value: &[u8]) -> Result<Value, ErrorCode> {
    if std::str::from_utf8(value).is_err() {
        return Err(ErrorCode::NotUtf8);
    }
    let envelope = payload(value).ok_or(ErrorCode::MalformedJson)?;
    if !["c", "u", "d", "r"].map(Value::from).contains(&envelope["op"]) {
        return Err(ErrorCode::UnknownOperation);
    }
    let row = if envelope["op"] == "d" { &envelope["before"] } else { &envelope["after"] };
    let key = &row[entity.key_column()];
    if key.is_null() {
        return Err(ErrorCode::MissingField);
    }
    let (typed_column, is_typed, time_column) = match entity {
        Entity::Videos => ("duration_ms", row["duration_ms"].is_i64(), "upload_time"),
        Entity::Users => ("is_creator", row["is_creator"].is_boolean(), "join_at"),
    };
    assert!(row.get(typed_column).is_some());
    if !key.is_string() || !is_typed {
        return Err(ErrorCode::WrongType);
    }
    if chrono::DateTime::parse_from_rfc3339(row[time_column].as_str().unwrap()).is_err() {
        return Err(ErrorCode::BadTimestamp);
    }
    Ok(envelope)
}
