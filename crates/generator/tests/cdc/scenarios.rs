//! What scenarios do to the changes: rows of focus videos, droughts, and a catalogue that knows what events speak of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use pulselake_generator::cdc::{CdcRecord, CdcRecordKind, CdcRow, ChangeOperation};
use pulselake_generator::{
    CdcConfig, CdcTruth, CdcWorld, FIRST_FOCUS_VIDEO, GeneratorConfig, PartitionLog, RecordKind, Scenario,
    World, partition_of_key,
};
use pulselake_model::Entity;
use serde_json::json;

use crate::support::{chaotic, payload, read_all, seconds_in, world};

const HOUR_MS: i64 = 3_600_000;

fn scenarios(texts: &[&str]) -> Vec<Scenario> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Everything in the first `seconds`, from all partitions.
fn everything(world: &Arc<CdcWorld>, seconds: i64) -> Vec<(CdcRecord, Vec<u8>)> {
    let mut records = Vec::new();
    for partition in 0..world.config().partitions {
        let (seen, described, _) = read_all(world, partition, 0, seconds_in(world, seconds));
        records.extend(described.into_iter().zip(seen.into_iter().map(|(_, _, value)| value)));
    }
    records
}

fn is_create(record: &CdcRecord) -> bool {
    matches!(
        record.kind,
        CdcRecordKind::Version(ChangeOperation::Create) | CdcRecordKind::Repeat(ChangeOperation::Create)
    )
}

#[test]
fn focus_videos_have_a_row_from_a_day_before_the_start_and_cold_starts_from_their_own() {
    let texts = [
        "normal_baseline:start_s=40,length_s=60",
        "late_events",
        "cold_start_under_exposed:start_s=0",
        "viral_high_quality:start_s=10",
        "viral_low_quality:start_s=10",
        "inventory_drought:start_s=20",
        "cold_start_under_exposed:start_s=75,length_s=9",
        "hot_partition",
    ];
    let config = CdcConfig { scenarios: scenarios(&texts), ..chaotic(Entity::Videos, 8, 20.0) };
    let world = world(config);
    let start_ms = world.config().start_ms;
    let mut created = BTreeMap::new();
    for (record, value) in everything(&world, 90) {
        let Some(index) = record.key.checked_sub(FIRST_FOCUS_VIDEO.into()) else { continue };
        assert_eq!(record.kind, CdcRecordKind::Version(ChangeOperation::Create), "there is nothing else");
        let row = payload(&value).unwrap()["after"].take();
        assert_eq!(row["video_id"], json!(format!("v_{}", record.key)));
        assert_eq!(row["status"], json!("active"));
        let upload_time = chrono::DateTime::parse_from_rfc3339(row["upload_time"].as_str().unwrap()).unwrap();
        assert_eq!(upload_time.timestamp_millis(), record.source_ts_ms);
        let delay_ms = record.record_time_ms - record.source_ts_ms;
        let is_initial = record.offset < world.initial_end_offset();
        assert!(if is_initial { record.record_time_ms < start_ms } else { (0..1_000).contains(&delay_ms) });
        assert_eq!(created.insert(index, record.source_ts_ms - start_ms), None);
    }
    let day_before = -86_400_000;
    let expected = [(0, day_before), (2, 0), (3, day_before), (4, day_before), (6, 75_000), (7, day_before)];
    assert_eq!(created, BTreeMap::from(expected));

    let end = world.end_offset_at(seconds_in(&world, 90));
    let truth = CdcTruth::up_to(&world, &[end; 3]).unwrap();
    for (index, created_ms) in expected {
        let key = &truth.keys[&(u64::from(FIRST_FOCUS_VIDEO) + index)];
        assert_eq!((key.versions, key.source_ts_ms), (1, start_ms + created_ms));
        let Some(CdcRow::Video(row)) = &key.row else { panic!("no row of a video") };
        assert_eq!(row.upload_time_ms, start_ms + created_ms);
    }
}

/// As many scenarios as there can be: each row has a place of its own in the true order.
#[test]
fn the_true_order_has_room_for_every_focus_video() {
    for kind in ["normal_baseline", "cold_start_under_exposed:start_s=100"] {
        let scenarios = scenarios(&[kind; 64]);
        let config = CdcConfig { scenarios, invalid_ratio: 0.0, ..chaotic(Entity::Videos, 8, 20.0) };
        // A snapshot's rows share a place.
        let places: HashSet<(i64, i64, u64)> = everything(&world(config), 230)
            .iter()
            .filter_map(|(record, _)| match record.kind {
                CdcRecordKind::Version(operation) => {
                    let is_snapshot = operation == ChangeOperation::Snapshot;
                    let alone = if is_snapshot { 0 } else { record.key };
                    Some((record.position, record.source_ts_ms, alone))
                }
                _ => None,
            })
            .collect();
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{kind}");
    }
}

#[test]
fn users_are_the_same_with_any_scenarios() {
    let texts = ["inventory_drought", "viral_high_quality", "cold_start_under_exposed:start_s=3"];
    let plain = chaotic(Entity::Users, 8, 20.0);
    let eventful = CdcConfig { scenarios: scenarios(&texts), ..plain.clone() };
    assert!(everything(&world(plain), 120) == everything(&world(eventful), 120));
}

/// Without deletes, a drought takes the creates out of the log, with all that speaks of them, and changes nothing else.
#[test]
fn what_a_drought_leaves_is_what_there_is_without_it() {
    for (text, range_s) in [
        ("inventory_drought:start_s=40,length_s=100", 40..140),
        ("inventory_drought:start_s=120", 120..i64::MAX / 1_000),
    ] {
        let plain = CdcConfig { create_ratio: 0.2, delete_ratio: 0.0, ..chaotic(Entity::Videos, 12, 30.0) };
        let dry = CdcConfig { scenarios: scenarios(&[text]), ..plain.clone() };
        let (plain_world, dry_world) = (world(plain), world(dry));
        let start_ms = plain_world.config().start_ms;
        let range_ms = range_s.start * 1_000..range_s.end * 1_000;
        let mut expected = everything(&plain_world, 260);
        let dried_up: HashSet<u64> = expected
            .iter()
            .filter(|(record, _)| is_create(record) && range_ms.contains(&(record.source_ts_ms - start_ms)))
            .map(|(record, _)| record.key)
            .collect();
        assert!(dried_up.len() > 200, "{}", dried_up.len());
        expected.retain(|(record, _)| !dried_up.contains(&record.key));
        let seen = everything(&dry_world, 260);
        let without_offsets = |records: Vec<(CdcRecord, Vec<u8>)>| -> Vec<(CdcRecord, Vec<u8>)> {
            // Records of a block move up where others are left out.
            records.into_iter().map(|(record, value)| (CdcRecord { offset: 0, ..record }, value)).collect()
        };
        assert!(without_offsets(seen) == without_offsets(expected), "{text}");
    }
}

#[test]
fn no_video_comes_or_comes_back_in_a_drought_while_others_change_on() {
    let config = CdcConfig {
        scenarios: scenarios(&["inventory_drought:start_s=60,length_s=120"]),
        create_ratio: 0.1,
        ..chaotic(Entity::Videos, 21, 50.0)
    };
    let world = world(config);
    let start_ms = world.config().start_ms;
    let mut operations: HashMap<(bool, ChangeOperation), u32> = HashMap::new();
    for (record, _) in everything(&world, 240) {
        let since_start_ms = record.source_ts_ms - start_ms;
        let CdcRecordKind::Version(operation) = record.kind else { continue };
        if since_start_ms >= 0 {
            let is_dry = (60_000..180_000).contains(&since_start_ms);
            *operations.entry((is_dry, operation)).or_default() += 1;
        }
    }
    let count = |is_dry, operation| operations.get(&(is_dry, operation)).copied().unwrap_or(0);
    assert_eq!((count(true, ChangeOperation::Create), count(true, ChangeOperation::Delete)), (0, 0));
    assert!(count(false, ChangeOperation::Create) > 400 && count(false, ChangeOperation::Delete) > 100);
    // 120 s of each: what doesn't create goes on at its rate, but for rows that were gone already.
    let wet = count(false, ChangeOperation::Update) + count(false, ChangeOperation::Delete);
    let dry = count(true, ChangeOperation::Update);
    assert!(f64::from(dry) > 0.95 * f64::from(wet), "{dry} after {wet}");
    assert!(count(true, ChangeOperation::Snapshot) > 300);
}

/// Events speak of videos that the catalogue already has, whatever happens.
#[test]
fn the_catalogue_has_a_row_for_every_video_that_events_speak_of() {
    let mixes: [&[&str]; 3] = [
        &[
            "inventory_drought",
            "cold_start_under_exposed:start_s=0,strength=9",
            "cold_start_under_exposed:start_s=31,strength=9",
        ],
        &[
            "viral_high_quality:start_s=20",
            "normal_baseline:strength=9",
            "clock_skew",
            "late_events:strength=2",
            "cold_start_under_exposed:start_s=12,strength=9",
        ],
        &[
            "hot_partition:start_s=30",
            "duplicates",
            "schema_drift",
            "invalid_payload_burst:start_s=10,length_s=30",
            "viral_low_quality:start_s=60",
        ],
    ];
    for (texts, seed) in mixes.iter().zip(1..) {
        let events = GeneratorConfig {
            seed,
            videos: 300,
            users: 900,
            rate_per_s: 400.0,
            partitions: 4,
            scenarios: scenarios(texts),
            ..GeneratorConfig::default()
        };
        let beside = CdcConfig::beside(&events, Entity::Videos).at_rate(20.0);
        assert_eq!(beside.scenarios, events.scenarios);
        // Rows that nobody deletes are there from their create on.
        let catalogue = world(CdcConfig { delete_ratio: 0.0, ..beside });
        let mut created_ms: HashMap<u64, i64> = HashMap::new();
        for (record, _) in everything(&catalogue, 120) {
            assert!(!matches!(record.kind, CdcRecordKind::Version(ChangeOperation::Delete)));
            if record.kind == CdcRecordKind::Version(ChangeOperation::Create) {
                created_ms.insert(record.key, record.record_time_ms);
            }
        }
        let event_world = World::new(Arc::new(events.clone())).unwrap();
        let mut seen_focus = HashSet::new();
        for partition in 0..events.partitions {
            let mut log = PartitionLog::in_world(event_world.clone(), partition).unwrap();
            for block in 0..120 {
                for record in log.records_of_block(block).unwrap() {
                    if matches!(record.kind, RecordKind::Malformed(_)) {
                        continue;
                    }
                    let created = created_ms.get(&u64::from(record.video));
                    assert!(
                        created.is_some_and(|created_ms| *created_ms < record.record_time_ms),
                        "{record:?} in {texts:?}, created at {created:?}"
                    );
                    assert_eq!(
                        partition_of_key(format!("v_{}", record.video).as_bytes(), events.partitions),
                        partition
                    );
                    if record.video >= FIRST_FOCUS_VIDEO {
                        seen_focus.insert(record.video);
                    }
                }
            }
        }
        let focused = events.scenarios.iter().filter(|scenario| scenario.has_focus()).count();
        assert_eq!(seen_focus.len(), focused, "{texts:?}");
    }
}

/// Active videos younger than an hour, in proportion to the active ones.
fn fresh_supply(world: &Arc<CdcWorld>, minutes: i64) -> f64 {
    let now_ms = seconds_in(world, minutes * 60);
    let truth = CdcTruth::up_to(world, &[world.end_offset_at(now_ms); 3]).unwrap();
    let active: Vec<i64> = truth
        .rows()
        .filter_map(|(_, row)| match row {
            CdcRow::Video(video) => (video.status == "active").then_some(video.upload_time_ms),
            CdcRow::User(_) => None,
        })
        .collect();
    let fresh = active.iter().filter(|upload_time_ms| now_ms - **upload_time_ms < HOUR_MS).count();
    fresh as f64 / active.len() as f64
}

#[test]
fn the_fresh_supply_decays_in_a_drought_and_only_then() {
    let supply = |texts: &[&str]| {
        let events = GeneratorConfig { scenarios: scenarios(texts), ..GeneratorConfig::default() };
        let world = world(CdcConfig::beside(&events, Entity::Videos));
        [0, 20, 40, 61, 90].map(|minutes| fresh_supply(&world, minutes))
    };
    let usual = supply(&[]);
    assert!(usual.iter().all(|ratio| (0.03..0.045).contains(ratio)), "{usual:?}");
    let dry = supply(&["inventory_drought"]);
    assert!(dry[0] == usual[0] && dry[0] > dry[1] && dry[1] > dry[2] && dry[2] > 0.0, "{dry:?}");
    assert!(dry[1] < 0.8 * usual[1] && dry[2] < 0.45 * usual[2], "{dry:?}");
    assert_eq!(dry[3..], [0.0, 0.0]);
    let over = supply(&["inventory_drought:start_s=1200,length_s=1200"]);
    assert_eq!(over[..2], usual[..2]);
    assert!(over[2] < 0.8 * usual[2] && over[4] > over[3] && over[4] < usual[4], "{over:?}");
    let half = supply(&["inventory_drought:strength=0.5"]);
    assert!((0.4..0.6).contains(&(half[4] / usual[4])), "{half:?}");
}
