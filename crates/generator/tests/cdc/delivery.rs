//! How the changes come: late, twice, with tombstones behind deletes, as often as is set.

use std::collections::HashMap;

use pulselake_generator::cdc::{CdcRecordKind, CdcRow, ChangeOperation};
use pulselake_generator::{CdcConfig, CdcTruth, CdcWorld};
use pulselake_model::Entity;

use crate::support::{chaotic, read_all, seconds_in, world};

#[test]
fn the_log_is_as_disorderly_as_it_is_set_to_be() {
    let config = CdcConfig { snapshot_every_s: 0, ..chaotic(Entity::Videos, 5, 200.0) };
    let world = world(config);
    let end = world.end_offset_at(seconds_in(&world, 300));
    let truth = CdcTruth::up_to(&world, &[end; 3]).unwrap();
    let changes = (truth.versions - 400) as f64;
    assert!((55_000.0..61_000.0).contains(&changes), "{changes}");
    let share = |count: u64| count as f64 / changes;
    assert!((0.04..0.06).contains(&share(truth.repeats)), "{}", truth.repeats);
    // A third of all versions are the first ones of double changes.
    assert!((0.025..0.045).contains(&share(truth.late)), "{}", truth.late);
    assert!((0.04..0.06).contains(&share(truth.rejected_by_code.iter().sum())));
    assert!((0.03..0.06).contains(&share(truth.tombstones)), "{}", truth.tombstones);
    assert!(truth.keys.len() > 1_000, "{}", truth.keys.len());
    let banned =
        truth.rows().filter(|(_, row)| matches!(row, CdcRow::Video(video) if video.status == "banned"));
    assert!((20..120).contains(&banned.count()));
    assert!(truth.keys.values().filter(|key| key.row.is_none()).count() > 15);
    // Some come after everything near them, so that they fall into a later commit.
    let (_, described, _) = read_all(&world, 0, 0, seconds_in(&world, 300));
    let held = described
        .iter()
        .filter(|record| matches!(record.kind, CdcRecordKind::Version(_)))
        .filter(|record| record.offset > world.initial_end_offset())
        .filter(|record| record.record_time_ms - record.source_ts_ms > 31_000);
    assert!(held.count() > 100);

    let quiet = CdcConfig {
        duplicate_ratio: 0.0,
        reorder_ratio: 0.0,
        invalid_ratio: 0.0,
        delete_ratio: 0.0,
        create_ratio: 0.0,
        ..world.config().clone()
    };
    let quiet_world = CdcWorld::new(quiet).unwrap();
    let quiet_truth = CdcTruth::up_to(&quiet_world, &[end; 3]).unwrap();
    assert_eq!(quiet_truth.records, quiet_truth.versions);
    assert_eq!((quiet_truth.late, quiet_truth.keys.len(), quiet_truth.rows().count()), (0, 400, 400));
    assert!((quiet_truth.versions as f64 - 400.0 - 60_000.0).abs() < 200.0);
}

#[test]
fn without_a_rate_there_are_the_initial_creates_alone() {
    let world = world(CdcConfig { rate_per_s: 0.0, snapshot_every_s: 0, ..chaotic(Entity::Users, 1, 1.0) });
    let truth = CdcTruth::up_to(&world, &[world.end_offset_at(seconds_in(&world, 500)); 3]).unwrap();
    assert_eq!((truth.records, truth.versions, truth.rows().count()), (900, 900, 900));
}

#[test]
fn a_tombstone_follows_its_delete_at_once() {
    let world = world(chaotic(Entity::Users, 2, 100.0));
    let (seen, described, _) = read_all(&world, 1, 0, seconds_in(&world, 90));
    let mut tombstones = 0;
    for (place, record) in described.iter().enumerate().filter(|(_, r)| r.kind == CdcRecordKind::Tombstone) {
        assert!(seen[place].2.is_empty());
        let delete = described[place - 1];
        assert_eq!(delete.kind, CdcRecordKind::Version(ChangeOperation::Delete));
        assert_eq!(delete.key, record.key);
        tombstones += 1;
    }
    assert!(tombstones > 50, "{tombstones}");
}

#[test]
fn repeats_have_the_bytes_of_what_they_repeat() {
    let world = world(chaotic(Entity::Videos, 4, 100.0));
    let (seen, described, _) = read_all(&world, 2, 0, seconds_in(&world, 200));
    let mut first: HashMap<(u64, i64), &[u8]> = HashMap::new();
    let mut repeats = 0;
    for ((_, _, value), record) in seen.iter().zip(&described) {
        match record.kind {
            CdcRecordKind::Version(_) => {
                assert!(first.insert((record.key, record.position), value).is_none());
            }
            CdcRecordKind::Repeat(_) => {
                assert_eq!(first[&(record.key, record.position)], value);
                repeats += 1;
            }
            CdcRecordKind::Tombstone | CdcRecordKind::Malformed(_) => {}
        }
    }
    assert!(repeats > 200, "{repeats}");
}
