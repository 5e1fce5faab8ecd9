//! What the changes say: of keys that the events use, each version going on from the one before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use pulselake_generator::cdc::{CdcRecordKind, ChangeOperation, MalformedChange};
use pulselake_generator::{
    CdcConfig, FIRST_FOCUS_VIDEO, GeneratorConfig, PartitionLog, World, partition_of_key,
};
use pulselake_model::{Entity, RawBatch};
use serde_json::{Value, json};

use crate::support::{chaotic, judge, payload, read_all, seconds_in, world};

#[test]
fn every_key_is_created_in_its_partition_before_the_start_and_can_be_read_at_once() {
    for entity in Entity::ALL {
        let world = world(CdcConfig::beside(&GeneratorConfig::default(), entity));
        let start_ms = world.config().start_ms;
        let mut created = HashSet::new();
        for partition in 0..3 {
            // A day before the start: what exists then can be read whatever the time is.
            let (seen, described, next_offset) = read_all(&world, partition, 0, start_ms - 86_400_000);
            assert_eq!(next_offset, world.initial_end_offset());
            assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
            for (record, (_, timestamp_ms, value)) in described.iter().zip(&seen) {
                assert!(timestamp_ms.unwrap() < start_ms && record.source_ts_ms < start_ms);
                assert_eq!(record.kind, CdcRecordKind::Version(ChangeOperation::Create));
                assert_eq!(partition_of_key(world.key_text(record.key).as_bytes(), 3), partition);
                let envelope = payload(value).unwrap();
                assert_eq!(envelope["after"][entity.key_column()], json!(world.key_text(record.key)));
                assert!(created.insert(record.key));
            }
        }
        assert_eq!(created.len() as u64, world.config().initial_keys());
    }
}

#[test]
fn the_events_use_what_was_created_and_say_the_same() {
    let events = GeneratorConfig {
        videos: 400,
        users: 900,
        rate_per_s: 300.0,
        partitions: 1,
        scenarios: vec!["viral_high_quality".parse().unwrap()],
        ..GeneratorConfig::default()
    };
    let after_of = |entity| -> HashMap<String, Value> {
        let world = world(CdcConfig::beside(&events, entity));
        (0..3)
            .flat_map(|partition| read_all(&world, partition, 0, 0).0)
            .map(|(_, _, value)| payload(&value).unwrap()["after"].clone())
            .map(|row| (row[entity.key_column()].as_str().unwrap().to_owned(), row))
            .collect()
    };
    let (videos, users) = (after_of(Entity::Videos), after_of(Entity::Users));
    let event_world = World::new(Arc::new(events.clone())).unwrap();
    let mut log = PartitionLog::in_world(event_world, 0).unwrap();
    let mut batch = RawBatch::at(0, 0);
    log.read_into(&mut batch, events.start_ms + 60_000, usize::MAX, usize::MAX).unwrap();
    assert!(batch.records.len() > 5_000);
    let mut is_focus_seen = false;
    for record in &batch.records {
        let event: Value = serde_json::from_slice(batch.value(record)).unwrap();
        let video = &videos[event["video_id"].as_str().unwrap()];
        let user = &users[event["user_id"].as_str().unwrap()];
        is_focus_seen |= event["video_id"] == json!(format!("v_{FIRST_FOCUS_VIDEO}"));
        assert_eq!(video["duration_ms"], event["payload"]["video_duration_ms"]);
        assert_eq!(user["device_os"], event["payload"]["device_os"]);
        assert_eq!(users[video["creator_id"].as_str().unwrap()]["is_creator"], json!(true));
    }
    assert!(is_focus_seen);
}

#[test]
fn in_the_true_order_each_version_goes_on_from_the_one_before() {
    let eventful = [
        // Two uploads at once, when a snapshot begins, and one in the drought.
        "cold_start_under_exposed:start_s=200",
        "inventory_drought:start_s=120,length_s=90",
        "viral_low_quality",
        "cold_start_under_exposed:start_s=200",
        "cold_start_under_exposed:start_s=130",
        "inventory_drought:start_s=230,length_s=20,strength=0.5",
        "normal_baseline:start_s=50",
    ];
    let eventful = eventful.map(|text| text.parse().unwrap()).to_vec();
    // At a low rate, uploads and snapshots have the same slots before them.
    let configs = [
        (chaotic(Entity::Videos, 3, 30.0), 0),
        (chaotic(Entity::Users, 3, 30.0), 0),
        (CdcConfig { scenarios: eventful.clone(), ..chaotic(Entity::Videos, 3, 30.0) }, 5),
        (CdcConfig { scenarios: eventful.clone(), ..chaotic(Entity::Videos, 3, 0.01) }, 5),
        (CdcConfig { scenarios: eventful, ..chaotic(Entity::Videos, 3, 0.0) }, 5),
    ];
    for (config, focus_videos) in configs {
        let world = world(config);
        let mut envelopes = Vec::new();
        // What was written up to then has all been delivered 100 s later, whatever held it up.
        let complete_ms = world.config().start_ms + 300_000;
        for partition in 0..3 {
            let (seen, described, _) = read_all(&world, partition, 0, complete_ms + 100_000);
            for ((_, _, value), record) in seen.iter().zip(described) {
                if record.source_ts_ms > complete_ms {
                    continue;
                }
                if let CdcRecordKind::Version(operation) = record.kind {
                    let envelope = payload(value).unwrap();
                    assert_eq!(envelope["source"]["lsn"], json!(record.position));
                    assert_eq!(envelope["source"]["ts_ms"], json!(record.source_ts_ms));
                    assert_eq!(envelope["op"], json!(operation.as_str()));
                    assert!(envelope["ts_ms"].as_i64().unwrap() >= record.source_ts_ms);
                    envelopes.push((record.position, record.key, envelope));
                }
            }
        }
        envelopes.sort_by_key(|(position, key, _)| (*position, *key));
        let source_times: Vec<i64> =
            envelopes.iter().map(|(_, _, envelope)| envelope["source"]["ts_ms"].as_i64().unwrap()).collect();
        assert!(source_times.is_sorted());

        let mut state: HashMap<u64, Value> = HashMap::new();
        let mut positions = HashSet::new();
        let mut snapshot_rows: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        let mut live_at_snapshot: BTreeMap<i64, usize> = BTreeMap::new();
        for (position, key, envelope) in envelopes {
            let last = state.get(&key).cloned().unwrap_or(Value::Null);
            let operation = envelope["op"].as_str().unwrap();
            assert!(operation == "r" || positions.insert(position), "two changes at {position}");
            match operation {
                "c" => {
                    assert_eq!((&last, &envelope["before"]), (&Value::Null, &Value::Null));
                    state.insert(key, envelope["after"].clone());
                }
                "u" => {
                    assert!(!last.is_null());
                    assert_eq!(envelope["before"], last);
                    state.insert(key, envelope["after"].clone());
                }
                "d" => {
                    assert!(!last.is_null());
                    assert_eq!((&envelope["before"], &envelope["after"]), (&last, &Value::Null));
                    state.remove(&key);
                }
                _ => {
                    assert_eq!(envelope["after"], last, "a snapshot's row is the one that was there");
                    let snapshot_ms = envelope["source"]["ts_ms"].as_i64().unwrap();
                    live_at_snapshot.entry(snapshot_ms).or_insert(state.len());
                    snapshot_rows.entry(snapshot_ms).or_default().push(key);
                }
            }
        }
        // Three snapshots began, each with one row for every key that was there, at one moment.
        let rows: Vec<usize> = snapshot_rows.values().map(Vec::len).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows, live_at_snapshot.into_values().collect::<Vec<_>>());
        assert_eq!(state.keys().filter(|key| **key >= u64::from(FIRST_FOCUS_VIDEO)).count(), focus_videos);
    }
}

#[test]
fn every_malformed_kind_occurs_and_is_what_its_code_says() {
    for entity in Entity::ALL {
        let world = world(CdcConfig { invalid_ratio: 0.9, ..chaotic(entity, 6, 100.0) });
        let (seen, described, _) = read_all(&world, 0, 0, seconds_in(&world, 300));
        let mut kinds = HashSet::new();
        for ((_, _, value), record) in seen.iter().zip(described) {
            if let CdcRecordKind::Malformed(kind) = record.kind {
                assert_eq!(judge(entity, value), Err(kind.error_code()), "{kind:?}");
                kinds.insert(kind);
            }
        }
        assert_eq!(kinds.len(), MalformedChange::ALL.len());
    }
}

#[test]
fn the_form_with_a_schema_says_what_the_bare_one_says() {
    let read = |wrapped_ratio| {
        let world =
            world(CdcConfig { wrapped_ratio, invalid_ratio: 0.0, ..chaotic(Entity::Videos, 9, 50.0) });
        read_all(&world, 0, 0, seconds_in(&world, 30)).0
    };
    let (bare, wrapped) = (read(0.0), read(1.0));
    assert_eq!(bare.len(), wrapped.len());
    for ((_, _, bare_value), (_, _, wrapped_value)) in bare.iter().zip(&wrapped) {
        assert_eq!(payload(bare_value), payload(wrapped_value));
        if !bare_value.is_empty() {
            let whole: Value = serde_json::from_slice(wrapped_value).unwrap();
            let fields = |struct_schema: &Value| -> HashSet<String> {
                let names = struct_schema["fields"].as_array().unwrap().iter();
                names.map(|field| field["field"].as_str().unwrap().to_owned()).collect()
            };
            let row = whole["payload"]
                .get("after")
                .filter(|row| row.is_object())
                .unwrap_or(&whole["payload"]["before"]);
            let columns: HashSet<String> = row.as_object().unwrap().keys().cloned().collect();
            assert_eq!(fields(&whole["schema"]["fields"][1]), columns);
            let source: HashSet<String> =
                whole["payload"]["source"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(fields(&whole["schema"]["fields"][2]), source);
        }
    }
}
