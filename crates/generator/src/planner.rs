//! Plans what begins in a block: a function of (world, partition, block) alone.

use pulselake_model::EventType;

use crate::MalformedKind;
use crate::audience::BodyTails;
use crate::planned::{PlannedRecord, RecordKind};
use crate::random::{BlockRandom, Stream};
use crate::spill::{BLOCK_MS, SpillBuffer};
use crate::world::{INDEX_BITS, World};

/// The step of malformed records in event ids: apart from those of the six event types.
pub(crate) const MALFORMED_STEP: u8 = 8;

/// Plans the funnels and the malformed records that begin in this block, and puts their records into the buffer.
pub(crate) fn plan_block(world: &World, partition: i32, block: i64, buffer: &mut SpillBuffer<PlannedRecord>) {
    plan_funnels(world, partition, block, buffer);
    plan_malformed(world, partition, block, buffer);
}

fn plan_funnels(world: &World, partition: i32, block: i64, buffer: &mut SpillBuffer<PlannedRecord>) {
    let mut random = BlockRandom::new(world.config.seed, partition, Stream::Funnels, block);
    let mut arrivals = Arrivals::new(world, world.funnels_per_s(partition));
    let videos = world.videos_of(partition);
    let mut index = 0;
    while let Some(arrival_ms) = arrivals.next_ms(world, &mut random) {
        let impression_ms = block * BLOCK_MS + arrival_ms;
        let video_slot = videos.draw(&mut random);
        let viewer = world.audience.viewer(random.below(world.audience.seats()), block);
        let event = PlannedRecord {
            plan_key: plan_key(block, index),
            video_slot,
            user: viewer.user,
            watch_time_ms: 0,
            lag_ms: 0,
            record_ms: 0,
            body_tail: BodyTails::index(viewer, random.bits()),
            event_type: EventType::Impression,
            kind: RecordKind::Event,
        };
        world.laws.play_out(videos.video(video_slot), &mut random, |step_random, step| {
            let step_event =
                PlannedRecord { event_type: step.event_type, watch_time_ms: step.watch_time_ms, ..event };
            deliver(world, step_random, impression_ms + i64::from(step.elapsed_ms), step_event, buffer);
        });
        index += 1;
    }
}

/// Places an event's record, and its retry when there is one.
fn deliver(
    world: &World,
    random: &mut BlockRandom,
    event_ms: i64,
    event: PlannedRecord,
    buffer: &mut SpillBuffer<PlannedRecord>,
) {
    let laws = &world.delivery;
    let is_held_back = !laws.is_held_back.is_never() && random.happens(laws.is_held_back);
    let delay_law = if is_held_back { &laws.hold_ms } else { &laws.delay_ms };
    let delay_ms = delay_law.at(random.bits());
    buffer.place(event_ms + i64::from(delay_ms), PlannedRecord { lag_ms: delay_ms as i32, ..event });

    if laws.is_retried.is_never() || !random.happens(laws.is_retried) {
        return;
    }
    let retried_ms = delay_ms + laws.retry_ms.at(random.bits());
    let retry = PlannedRecord { lag_ms: retried_ms as i32, kind: RecordKind::Retry, ..event };
    buffer.place(event_ms + i64::from(retried_ms), retry);
}

fn plan_malformed(world: &World, partition: i32, block: i64, buffer: &mut SpillBuffer<PlannedRecord>) {
    if world.config.invalid_ratio == 0.0 {
        return;
    }
    let mut random = BlockRandom::new(world.config.seed, partition, Stream::Malformed, block);
    let mut arrivals = Arrivals::new(world, world.malformed_per_s(partition));
    let videos = world.videos_of(partition);
    let mut index = 0;
    while let Some(arrival_ms) = arrivals.next_ms(world, &mut random) {
        let viewer = world.audience.viewer(random.below(world.audience.seats()), block);
        let kind = MalformedKind::ALL[random.below(MalformedKind::ALL.len() as u32) as usize];
        let record = PlannedRecord {
            plan_key: plan_key(block, index),
            video_slot: videos.draw(&mut random),
            user: viewer.user,
            watch_time_ms: 0,
            lag_ms: 0,
            record_ms: 0,
            body_tail: BodyTails::index(viewer, random.bits()),
            event_type: EventType::Impression,
            kind: RecordKind::Malformed(kind),
        };
        buffer.place(block * BLOCK_MS + arrival_ms, record);
        index += 1;
    }
}

fn plan_key(block: i64, index: u64) -> u64 {
    // Blocks are never negative; the rate limit keeps the index inside its bits.
    ((block as u64) << INDEX_BITS) | index
}

/// Independent arrivals inside one block. Exponential gaps have no memory, so each block can begin anew.
struct Arrivals {
    at_us: f64,
    us_per_unit: f64,
}

impl Arrivals {
    fn new(world: &World, per_s: f64) -> Self {
        // A rate of 0 makes the first gap infinite: nothing arrives.
        Self { at_us: 0.0, us_per_unit: 1e6 / (per_s * world.mean_gap) }
    }

    /// When the next one arrives, in ms since the block's start; `None` when that is after its end.
    fn next_ms(&mut self, world: &World, random: &mut BlockRandom) -> Option<i64> {
        self.at_us += f64::from(world.gaps.at(random.bits())) * self.us_per_unit;
        (self.at_us < 1e6).then_some((self.at_us / 1000.0) as i64)
    }
}
