//! The log is the same however it is read, and from one release to the next.

use proptest::prelude::*;
use pulselake_generator::{
    CdcConfig, CdcPartitionLog, CdcTruth, GeneratorConfig, ReadOutcome, Scenario, ScenarioKind,
};
use pulselake_model::{Entity, RawBatch};
use xxhash_rust::xxh3::Xxh3;

use crate::support::{Seen, chaotic, read_all, records, seconds_in, world};

/// Changes exactly when the bytes of existing logs change: then the number in the identity must rise, too.
#[test]
fn the_bytes_are_those_of_the_first_release() {
    let digest_of = |config| {
        let world = world(config);
        let mut hasher = Xxh3::new();
        for partition in 0..3 {
            let (seen, _, _) = read_all(&world, partition, 0, seconds_in(&world, 240));
            for (offset, timestamp_ms, value) in seen {
                hasher.update(&offset.to_le_bytes());
                hasher.update(&timestamp_ms.unwrap().to_le_bytes());
                hasher.update(&value);
            }
        }
        format!("{:016x}", hasher.digest())
    };
    let plain = CdcConfig::beside(&GeneratorConfig::default(), Entity::Videos);
    let digests = [plain, chaotic(Entity::Videos, 7, 40.0), chaotic(Entity::Users, 7, 40.0)].map(digest_of);
    assert_eq!(digests, ["90f49309cbdafe31", "f681ef1856eaf4d7", "d75dce5a956b6809"]);
}

#[test]
fn offsets_that_no_log_has_are_refused() {
    let world = world(chaotic(Entity::Users, 1, 1.0));
    assert!(CdcPartitionLog::in_world(world.clone(), 3).is_err());
    let mut log = CdcPartitionLog::in_world(world.clone(), 0).unwrap();
    assert!(log.seek(-1).is_err() && log.seek(i64::MAX).is_err());
    assert!(log.records_of_block(-1).is_err() && log.records_of_block(1 << 32).is_err());
    assert!(log.read_into(&mut RawBatch::at(0, -7), i64::MAX, 1, 1).is_err());
    assert!(CdcTruth::up_to(&world, &[0; 4]).is_err());
    assert_eq!(CdcTruth::up_to(&world, &[0; 3]).unwrap(), CdcTruth::default());
}

/// Anything that acts on the changes, at any time of the log that is read here.
fn scenario() -> impl Strategy<Value = Scenario> {
    let kinds = prop::sample::select(vec![
        ScenarioKind::InventoryDrought,
        ScenarioKind::ColdStartUnderExposed,
        ScenarioKind::NormalBaseline,
    ]);
    let strengths = prop::sample::select(vec![0.2, 0.9, 1.0, 2.0]);
    (kinds, 0..250u32, 0..120u32, strengths).prop_map(|(kind, start_s, length_s, strength)| Scenario {
        kind,
        start_s,
        length_s,
        strength,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_seek_reads_what_a_forward_reader_read(
        seed in any::<u64>(),
        rate_per_s in 0.1..120.0f64,
        entity in prop::sample::select(Entity::ALL.to_vec()),
        scenarios in prop::collection::vec(scenario(), 0..5),
        seeks in prop::collection::vec((0..260i64, 0..400i64), 1..4),
    ) {
        let world = world(CdcConfig { scenarios, ..chaotic(entity, seed, rate_per_s) });
        let up_to_ms = seconds_in(&world, 260);
        let (forward, _, _) = read_all(&world, 1, 0, up_to_ms);
        // One reader for all seeks: what it holds from the one before must not matter.
        let mut log = CdcPartitionLog::in_world(world.clone(), 1).unwrap();
        for (block, index) in seeks {
            let offset = (block << 20) + index;
            let near_ms = seconds_in(&world, block + 20).min(up_to_ms);
            let expected: Vec<Seen> = forward
                .iter()
                .filter(|(at, time_ms, _)| *at >= offset && time_ms.unwrap() <= near_ms)
                .cloned()
                .collect();
            let mut batch = RawBatch::at(1, offset);
            while log.read_into(&mut batch, near_ms, usize::MAX, usize::MAX).unwrap() == ReadOutcome::More {}
            prop_assert_eq!(records(&batch), expected);
        }
    }

    #[test]
    fn limits_and_the_clock_cut_the_log_into_pieces_that_fit_together(
        seed in any::<u64>(),
        max_records in 0..40usize,
        max_bytes in 0..5_000usize,
        step_ms in 1..3_000i64,
    ) {
        let world = world(chaotic(Entity::Videos, seed, 80.0));
        let last_ms = seconds_in(&world, 15);
        let (expected, _, _) = read_all(&world, 2, 0, last_ms);
        let mut log = CdcPartitionLog::in_world(world.clone(), 2).unwrap();
        let (mut seen, mut now_ms) = (Vec::new(), world.config().start_ms - 10);
        loop {
            let mut batch = RawBatch::at(2, log.position());
            let outcome = log.read_into(&mut batch, now_ms, max_records, max_bytes).unwrap();
            prop_assert!(batch.records.len() <= max_records.max(1));
            prop_assert!(batch.bytes.len() <= max_bytes || batch.records.len() == 1);
            prop_assert_eq!(batch.next_offset, log.position());
            seen.extend(records(&batch));
            let ReadOutcome::CaughtUp { next_ms } = outcome else { continue };
            prop_assert!(next_ms > now_ms && log.position() >= world.end_offset_at(now_ms));
            if now_ms == last_ms {
                break;
            }
            now_ms = (now_ms + step_ms).min(last_ms);
        }
        prop_assert_eq!(seen, expected);
    }
}
