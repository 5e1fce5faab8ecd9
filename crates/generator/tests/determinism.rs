//! The log is the same however it is read: forward, in pieces, after any seek, and from one release to the next.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use pulselake_generator::{GeneratorConfig, PartitionLog, ReadOutcome, Scenario, ScenarioKind, World};
use pulselake_model::RawBatch;
use xxhash_rust::xxh3::Xxh3;

/// A record as bytes and places, for comparisons.
type Seen = (i64, Option<i64>, Vec<u8>);

fn records(batch: &RawBatch) -> Vec<Seen> {
    batch
        .records
        .iter()
        .map(|record| (record.offset, record.timestamp_ms, batch.value(record).to_vec()))
        .collect()
}

/// Everything from `offset` to the end of block `last_block`, in one read.
fn read_all(log: &mut PartitionLog, offset: i64, up_to_ms: i64) -> (Vec<Seen>, i64) {
    let mut batch = RawBatch::at(log.partition(), offset);
    while log.read_into(&mut batch, up_to_ms, usize::MAX, usize::MAX).unwrap() == ReadOutcome::More {}
    (records(&batch), batch.next_offset)
}

fn chaotic(seed: u64, rate_per_s: f64) -> GeneratorConfig {
    GeneratorConfig {
        seed,
        rate_per_s,
        partitions: 4,
        videos: 300,
        users: 2_000,
        invalid_ratio: 0.02,
        duplicate_ratio: 0.05,
        late_ratio: 0.03,
        ..GeneratorConfig::default()
    }
}

/// Every scenario at once, each in the middle of the first two minutes.
fn mixed_scenarios() -> Vec<Scenario> {
    let scenario = |kind| Scenario { kind, start_s: 20, length_s: 60, strength: 0.7 };
    ScenarioKind::ALL.into_iter().map(scenario).collect()
}

/// Changes exactly when the bytes of existing logs change: then the number in the identity must rise, too.
#[test]
fn the_bytes_are_those_of_the_first_release() {
    let plain = GeneratorConfig::default();
    let mixed = GeneratorConfig { day_curve: 0.7, scenarios: mixed_scenarios(), ..chaotic(9, 300.0) };
    let expectations = [
        (plain, 0x7942_1088_c15c_2b70),
        (chaotic(7, 800.0), 0xd22a_b825_b500_9765),
        (mixed, 0x2d42_6121_e53c_e71d),
    ];
    for (config, expected) in expectations {
        let world = World::new(Arc::new(config)).unwrap();
        let mut hasher = Xxh3::new();
        for partition in 0..world.config().partitions {
            let mut log = PartitionLog::in_world(world.clone(), partition).unwrap();
            let (seen, _) = read_all(&mut log, 0, world.block_start_ms(120) - 1);
            for (offset, timestamp_ms, value) in seen {
                hasher.update(&offset.to_le_bytes());
                hasher.update(&timestamp_ms.unwrap().to_le_bytes());
                hasher.update(&value);
            }
        }
        let digest = hasher.digest();
        assert_eq!(digest, expected, "{digest:#x} for {}", world.config().identity());
    }
}

#[test]
fn the_order_in_which_partitions_are_read_does_not_matter() {
    let config = Arc::new(GeneratorConfig { scenarios: mixed_scenarios(), ..chaotic(5, 200.0) });
    let up_to_ms = config.start_ms + 150_000 - 1;
    // Each in a world of its own, so nobody's plans are at hand.
    let alone: Vec<Vec<Seen>> = (0..4)
        .map(|partition| read_all(&mut PartitionLog::new(config.clone(), partition).unwrap(), 0, up_to_ms).0)
        .collect();
    let world = World::new(config.clone()).unwrap();
    let mut logs: Vec<PartitionLog> =
        (0..4).map(|partition| PartitionLog::in_world(world.clone(), partition).unwrap()).collect();
    let mut together = vec![Vec::new(); 4];
    // Steps of different lengths: the readers fall apart and meet again.
    for step in 1..=150_i64 {
        for (log, seen) in logs.iter_mut().zip(&mut together) {
            let stride = 1 + 7 * i64::from(log.partition());
            let near_ms = world.block_start_ms((step / stride * stride).max(step / 150 * 150)) - 1;
            let position = log.position();
            seen.extend(read_all(log, position, near_ms).0);
        }
    }
    assert!(alone == together);
}

#[test]
fn another_seed_is_another_log() {
    let read = |seed| {
        let mut log = PartitionLog::new(Arc::new(chaotic(seed, 500.0)), 1).unwrap();
        read_all(&mut log, 0, GeneratorConfig::default().start_ms + 20_000).0
    };
    assert_eq!(read(1), read(1));
    assert_ne!(read(1), read(2));
}

#[test]
fn nothing_appears_twice_and_offsets_and_times_rise() {
    let world = World::new(Arc::new(chaotic(3, 2_000.0))).unwrap();
    let mut log = PartitionLog::in_world(world.clone(), 2).unwrap();
    let (seen, next_offset) = read_all(&mut log, 0, world.block_start_ms(200) - 1);
    assert!(seen.len() > 10_000);
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    assert_eq!(next_offset, 200 << 20);
    for (offset, timestamp_ms, _) in &seen {
        let block_start_ms = world.block_start_ms(offset >> 20);
        assert!((block_start_ms..block_start_ms + 1_000).contains(&timestamp_ms.unwrap()));
    }
}

#[test]
fn a_live_reader_gets_each_record_at_its_time_and_knows_when_to_come_back() {
    let world = World::new(Arc::new(chaotic(11, 300.0))).unwrap();
    let last_ms = world.block_start_ms(30) - 1;
    let (expected, _) = read_all(&mut PartitionLog::in_world(world.clone(), 0).unwrap(), 0, last_ms);

    let mut log = PartitionLog::in_world(world.clone(), 0).unwrap();
    let (mut seen, mut now_ms) = (Vec::new(), world.config().start_ms - 5_000);
    while now_ms <= last_ms {
        let mut batch = RawBatch::at(0, log.position());
        let outcome = log.read_into(&mut batch, now_ms, usize::MAX, usize::MAX).unwrap();
        assert!(batch.records.iter().all(|record| record.timestamp_ms.unwrap() <= now_ms));
        assert!(log.position() >= log.end_offset_at(now_ms));
        seen.extend(records(&batch));
        let ReadOutcome::CaughtUp { next_ms } = outcome else { panic!("no limit was given") };
        assert!(next_ms > now_ms);
        now_ms = next_ms;
    }
    assert_eq!(seen, expected);
}

#[test]
fn the_end_is_the_first_offset_of_the_incomplete_block() {
    let config = GeneratorConfig::default();
    let start_ms = config.start_ms;
    let log = PartitionLog::new(Arc::new(config), 0).unwrap();
    let ends =
        [(i64::MIN, 0), (start_ms, 0), (start_ms + 998, 0), (start_ms + 999, 1), (start_ms + 5_000, 5)];
    for (now_ms, block) in ends {
        assert_eq!(log.end_offset_at(now_ms), block << 20, "{now_ms}");
    }
}

#[test]
fn offsets_that_no_log_has_are_refused() {
    let mut log = PartitionLog::new(Arc::new(GeneratorConfig::default()), 0).unwrap();
    assert!(log.seek(-1).is_err());
    assert!(log.seek(i64::MAX).is_err());
    assert!(log.records_of_block(-1).is_err());
    assert!(log.read_into(&mut RawBatch::at(0, -7), i64::MAX, 1, 1).is_err());
    assert!(PartitionLog::new(Arc::new(GeneratorConfig::default()), 12).is_err());
    assert_eq!(log.position(), 0);
}

#[test]
fn a_partition_without_videos_is_read_without_records_and_without_end() {
    let config = GeneratorConfig { videos: 1, partitions: 2, ..GeneratorConfig::default() };
    let world = World::new(Arc::new(config)).unwrap();
    let empty = (0..2).find(|&partition| world.records_per_s(partition) == 0.0).unwrap();
    let mut log = PartitionLog::in_world(world, empty).unwrap();
    let mut batch = RawBatch::at(empty, 0);
    assert_eq!(log.read_into(&mut batch, i64::MAX, 10, 1_000).unwrap(), ReadOutcome::More);
    assert!(batch.records.is_empty() && batch.next_offset > 0);
}

#[test]
fn a_rate_that_offsets_have_no_room_for_is_refused() {
    let config = GeneratorConfig { rate_per_s: 2e6, partitions: 1, ..GeneratorConfig::default() };
    let refusal = World::new(Arc::new(config)).err().unwrap().to_string();
    assert!(refusal.contains("lower rate_per_s or raise partitions"), "{refusal}");
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let kind = prop::sample::select(ScenarioKind::ALL.to_vec());
    (kind, 0..200u32, 0..200u32, 0.1..3.0f64).prop_map(|(kind, start_s, length_s, strength)| Scenario {
        kind,
        start_s,
        length_s,
        strength,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_seek_reads_what_a_forward_reader_read(
        seed in any::<u64>(),
        rate_per_s in 20.0..300.0f64,
        day_curve in 0.0..1.0f64,
        scenarios in prop::collection::vec(any_scenario(), 0..5),
        seeks in prop::collection::vec((0..260i64, 0..400i64), 1..4),
    ) {
        let config = GeneratorConfig { day_curve, scenarios, ..chaotic(seed, rate_per_s) };
        let world = World::new(Arc::new(config)).unwrap();
        let up_to_ms = world.block_start_ms(260) - 1;
        let (forward, _) = read_all(&mut PartitionLog::in_world(world.clone(), 1).unwrap(), 0, up_to_ms);
        // One reader for all seeks: what it holds from the one before must not matter.
        let mut log = PartitionLog::in_world(world.clone(), 1).unwrap();
        for (block, index) in seeks {
            let offset = (block << 20) + index;
            let near_ms = world.block_start_ms(block + 20).min(up_to_ms + 1) - 1;
            let expected: Vec<Seen> = forward
                .iter()
                .filter(|(at, timestamp_ms, _)| *at >= offset && timestamp_ms.unwrap() <= near_ms)
                .cloned()
                .collect();
            log.seek(offset).unwrap();
            let (seen, _) = read_all(&mut log, offset, near_ms);
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn limits_cut_the_log_into_pieces_that_fit_together(
        seed in any::<u64>(),
        max_records in 0..40usize,
        max_bytes in 0..5_000usize,
        step_ms in 1..3_000i64,
    ) {
        let world = World::new(Arc::new(chaotic(seed, 400.0))).unwrap();
        let last_ms = world.block_start_ms(15) - 1;
        let (expected, _) = read_all(&mut PartitionLog::in_world(world.clone(), 3).unwrap(), 0, last_ms);
        let mut log = PartitionLog::in_world(world.clone(), 3).unwrap();
        let (mut seen, mut now_ms) = (Vec::new(), world.config().start_ms);
        loop {
            let mut batch = RawBatch::at(3, log.position());
            let outcome = log.read_into(&mut batch, now_ms, max_records, max_bytes).unwrap();
            prop_assert!(batch.records.len() <= max_records.max(1));
            prop_assert!(batch.bytes.len() <= max_bytes || batch.records.len() == 1);
            prop_assert_eq!(batch.next_offset, log.position());
            seen.extend(records(&batch));
            if outcome == ReadOutcome::More {
                continue;
            }
            if now_ms == last_ms {
                break;
            }
            now_ms = (now_ms + step_ms).min(last_ms);
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn an_identity_gives_its_configuration_back(
        seed in any::<u64>(), rate_per_s in 0.001..1e9f64, partitions in 1..10_000i32, videos in 1..10_000_000u32,
        users in 1..u32::MAX, start_ms in 0..4_102_444_800_000i64, ratios in [0.0..0.9f64, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64],
        scenarios in prop::collection::vec(any_scenario(), 0..4),
    ) {
        let [invalid_ratio, duplicate_ratio, late_ratio, day_curve] = ratios;
        let config = GeneratorConfig {
            seed, rate_per_s, partitions, videos, users, start_ms, invalid_ratio, duplicate_ratio, late_ratio,
            day_curve, scenarios,
        };
        prop_assert_eq!(GeneratorConfig::from_identity(&config.identity()), Some(config));
    }
}
