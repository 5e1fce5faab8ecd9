//! A naive replay of the bytes comes to what the truth says.

use std::collections::{BTreeMap, HashMap};

use pulselake_generator::CdcTruth;
use pulselake_generator::cdc::CdcRow;
use pulselake_model::{Entity, ErrorCode};
use serde_json::{Value, json};

use crate::support::{chaotic, judge, read_all, seconds_in, world};

#[test]
fn a_naive_replay_of_the_bytes_comes_to_the_truth() {
    for (entity, rate_per_s) in [(Entity::Videos, 25.0), (Entity::Users, 60.0)] {
        let world = world(chaotic(entity, 11, rate_per_s));
        let mut ends = Vec::new();
        let mut replay = Replay::default();
        for (partition, seconds) in [(0, 350), (1, 220), (2, 0)] {
            let (mut seen, _, end) = read_all(&world, partition, 0, seconds_in(&world, seconds));
            // In the middle of a block, too.
            let end = if partition == 0 { seen[seen.len() - 5].0 } else { end };
            seen.retain(|(offset, _, _)| *offset < end);
            ends.push(end);
            for (_, _, value) in &seen {
                replay.take(entity, value);
            }
        }
        let truth = CdcTruth::up_to(&world, &ends).unwrap();
        assert_eq!(replay.records, truth.records);
        assert_eq!(replay.tombstones, truth.tombstones);
        assert_eq!(replay.rejected_by_code, truth.rejected_by_code);
        assert!(truth.rejected_by_code.iter().filter(|count| **count > 0).count() >= 6);
        let distinct: usize = replay.versions.values().map(BTreeMap::len).sum();
        assert_eq!(
            (distinct as u64, replay.repeats, replay.late),
            (truth.versions, truth.repeats, truth.late)
        );
        assert!(truth.late > 50 && truth.repeats > 50);
        assert_eq!(replay.versions.len(), truth.keys.len());
        for (key, expected) in &truth.keys {
            let versions = &replay.versions[&world.key_text(*key)];
            let ((position, source_ts_ms), (operation, row)) = versions.last_key_value().unwrap();
            assert_eq!((*position, *source_ts_ms), (expected.position, expected.source_ts_ms));
            assert_eq!(operation, expected.operation.as_str());
            assert_eq!(versions.len() as u64, expected.versions);
            assert_eq!(*row, expected.row.as_ref().map_or(Value::Null, row_as_json));
        }
    }
}

/// `source.lsn` and `source.ts_ms`.
type Order = (i64, i64);

/// Reads changes as plainly as can be: everything is kept, sorted by position and time.
#[derive(Default)]
struct Replay {
    records: u64,
    tombstones: u64,
    repeats: u64,
    late: u64,
    rejected_by_code: [u64; ErrorCode::COUNT],
    versions: HashMap<String, BTreeMap<Order, (String, Value)>>,
}

impl Replay {
    fn take(&mut self, entity: Entity, value: &[u8]) {
        self.records += 1;
        if value.is_empty() {
            self.tombstones += 1;
            return;
        }
        let envelope = match judge(entity, value) {
            Ok(envelope) => envelope,
            Err(code) => {
                self.rejected_by_code[code as usize] += 1;
                return;
            }
        };
        let row = if envelope["op"] == "d" { &envelope["before"] } else { &envelope["after"] };
        let key = row[entity.key_column()].as_str().unwrap().to_owned();
        let source = &envelope["source"];
        let order = (source["lsn"].as_i64().unwrap(), source["ts_ms"].as_i64().unwrap());
        let operation = envelope["op"].as_str().unwrap().to_owned();
        let versions = self.versions.entry(key).or_default();
        let is_late = versions.last_key_value().is_some_and(|(last, _)| order < *last);
        match versions.insert(order, (operation, envelope["after"].clone())) {
            Some(_) => self.repeats += 1,
            None => self.late += u64::from(is_late),
        }
    }
}

fn row_as_json(row: &CdcRow) -> Value {
    let time = |time_ms: i64| {
        let time = chrono::DateTime::from_timestamp_millis(time_ms).unwrap();
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    match row {
        CdcRow::Video(video) => json!({
            "video_id": format!("v_{}", video.video),
            "creator_id": format!("u_{}", video.creator),
            "category": video.category,
            "region": video.region,
            "hashtags": video.hashtags,
            "duration_ms": video.duration_ms,
            "upload_time": time(video.upload_time_ms),
            "status": video.status,
        }),
        CdcRow::User(user) => json!({
            "user_id": format!("u_{}", user.user),
            "register_country": user.register_country,
            "device_os": user.device_os,
            "is_creator": user.is_creator,
            "ltv_segment": user.ltv_segment,
            "join_at": time(user.join_at_ms),
        }),
    }
}
