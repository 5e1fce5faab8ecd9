//! What the engine makes of the generator's changes is what the generator says that it must be: rows, versions, and what
//! goes to quarantine under which code.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use pulselake_cdc::{CdcSettings, Columns, Upserter, VersionIndex};
use pulselake_generator::cdc::CdcRow;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcTruth, CdcWorld, GeneratorConfig, ReadOutcome};
use pulselake_model::{Entity, ErrorCode, RawBatch, schema};

/// Records of a batch: of each partition in turn.
const BATCH_RECORDS: usize = 700;

#[test]
fn the_upserter_comes_to_the_generators_truth() {
    for entity in Entity::ALL {
        // One upload comes as a snapshot begins, and in a drought.
        let scenarios = [
            "inventory_drought:start_s=70,length_s=60",
            "cold_start_under_exposed:start_s=90",
            "hot_partition",
        ];
        let scenarios = scenarios.map(|text| text.parse().unwrap()).to_vec();
        let events = GeneratorConfig { videos: 300, users: 500, scenarios, ..GeneratorConfig::default() };
        let config = CdcConfig {
            rate_per_s: 40.0,
            delete_ratio: 0.1,
            duplicate_ratio: 0.05,
            reorder_ratio: 0.2,
            wrapped_ratio: 0.3,
            invalid_ratio: 0.1,
            snapshot_every_s: 90,
            ..CdcConfig::beside(&events, entity)
        };
        let world = CdcWorld::new(config).unwrap();
        let up_to_ms = events.start_ms + 200_000 - 1;
        let truth = CdcTruth::up_to(&world, &[world.end_offset_at(up_to_ms); 3]).unwrap();
        assert!(truth.late > 100 && truth.repeats > 100 && truth.tombstones > 100);

        let columns =
            Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap();
        let settings = CdcSettings::for_topic(entity.default_topic());
        let mut upserter = Upserter::new(entity, settings, columns, VersionIndex::new(usize::MAX));
        let mut logs: Vec<CdcPartitionLog> =
            (0..3).map(|partition| CdcPartitionLog::in_world(world.clone(), partition).unwrap()).collect();
        let (mut changes, mut tombstones) = (0, 0);
        let mut rejected_by_code = [0; ErrorCode::COUNT];
        let mut is_more = true;
        while is_more {
            is_more = false;
            for log in &mut logs {
                let mut batch = RawBatch::at(log.partition(), log.position());
                let outcome = log.read_into(&mut batch, up_to_ms, BATCH_RECORDS, usize::MAX).unwrap();
                is_more |= outcome == ReadOutcome::More;
                let applied = upserter.apply(&batch, 0, None);
                changes += applied.changes;
                tombstones += applied.tombstones;
                for (sum, count) in rejected_by_code.iter_mut().zip(applied.rejected_by_code) {
                    *sum += count;
                }
            }
        }

        assert_eq!(rejected_by_code, truth.rejected_by_code);
        assert_eq!((changes, tombstones), (truth.versions + truth.repeats, truth.tombstones));
        assert_eq!(upserter.schema_changes(), []);
        assert_eq!(upserter.doubtful_keys(), Vec::<String>::new());
        let flush = upserter.take_flush().unwrap();
        assert_eq!(flush.history.num_rows() as u64, truth.versions);
        assert_eq!(flush.invalid.num_rows() as u64, truth.rejected_by_code.iter().sum::<u64>());
        let expected: BTreeMap<String, Vec<String>> =
            truth.rows().map(|(key, row)| (world.key_text(key), texts_of(row))).collect();
        assert_eq!(rows_of(entity, &flush.upserts), expected);
    }
}

/// The columns of a row that differ between versions and keys, as text.
fn texts_of(row: &CdcRow) -> Vec<String> {
    match row {
        CdcRow::Video(video) => vec![
            video.category.to_owned(),
            video.region.to_owned(),
            video.status.to_owned(),
            (video.upload_time_ms * 1_000).to_string(),
        ],
        CdcRow::User(user) => vec![
            user.register_country.to_owned(),
            user.device_os.to_owned(),
            user.ltv_segment.to_owned(),
            (user.join_at_ms * 1_000).to_string(),
        ],
    }
}

/// The same of a dimension's rows, by key.
fn rows_of(entity: Entity, rows: &RecordBatch) -> BTreeMap<String, Vec<String>> {
    let (text_columns, time_column) = match entity {
        Entity::Videos => (["category", "region", "status"], "upload_time"),
        Entity::Users => (["register_country", "device_os", "ltv_segment"], "join_at"),
    };
    let text =
        |name: &str, row: usize| rows.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    let times = rows.column_by_name(time_column).unwrap().as_primitive::<TimestampMicrosecondType>();
    (0..rows.num_rows())
        .map(|row| {
            let mut texts: Vec<String> = text_columns.iter().map(|name| text(name, row)).collect();
            texts.push(times.value(row).to_string());
            (text(entity.key_column(), row), texts)
        })
        .collect()
}
