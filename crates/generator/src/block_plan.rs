//! What begins in one block, in all partitions: a function of the world and the block's number.

use pulselake_model::EventType;

use crate::MalformedKind;
use crate::audience::{BodyTails, Device};
use crate::effects::{AHEAD_OF_TOLERANCE_MS, Effects, Form, UserEffects};
use crate::focus::Focus;
use crate::funnel::{Step, Taste};
use crate::hall::{Hall, Impression};
use crate::mix::mix64;
use crate::planned::{PlannedRecord, RecordKind};
use crate::random::{BlockRandom, KeyedRandom, Random, Stream};
use crate::spill::BLOCK_MS;
use crate::world::{FAR_FUTURE_MS, INDEX_BITS, World};

/// The step of malformed records in event ids: apart from those of the six event types.
pub(crate) const MALFORMED_STEP: u8 = 8;
/// The lane of malformed records that come by a burst, apart from those of scenarios with traffic of their own.
const BURST_LANE: u32 = 1_000;
/// Purposes of an impression's hash, by step of the funnel: deliveries, and what scenarios do to them.
const OF_DELIVERY: u64 = 0x100;
const OF_EFFECTS: u64 = 0x200;

/// A record and when it is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueRecord {
    /// Since the log's start.
    pub(crate) due_ms: i64,
    pub(crate) record: PlannedRecord,
}

/// The records of what begins in one block, by partition, in the order of planning.
pub(crate) struct BlockPlan {
    by_partition: Vec<Vec<DueRecord>>,
}

impl BlockPlan {
    /// Plans the hall's next block.
    pub(crate) fn of_next_block(world: &World, hall: &mut Hall) -> Self {
        let mut planning = Planning::new(world, hall.block());
        hall.play_block(world, |impression| planning.add_ordinary(impression));
        for focus in &world.focuses {
            planning.add_focus(focus);
        }
        planning.add_malformed();
        planning.plan
    }

    /// The records of a partition that exists.
    pub(crate) fn of_partition(&self, partition: i32) -> &[DueRecord] {
        &self.by_partition[partition as usize]
    }

    /// Memory that the plan takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let records: usize = self.by_partition.iter().map(Vec::capacity).sum();
        records * size_of::<DueRecord>() + self.by_partition.len() * size_of::<Vec<DueRecord>>()
    }
}

struct Planning<'a> {
    world: &'a World,
    block: i64,
    effects: Effects,
    /// By partition: funnels and malformed records planned so far.
    funnels: Vec<u64>,
    malformed: Vec<u64>,
    plan: BlockPlan,
}

/// What all events of a funnel share.
struct Funnel<'a> {
    impression: Impression,
    video: u32,
    partition: usize,
    taste: Taste,
    random: KeyedRandom,
    effects: &'a Effects,
    user_effects: UserEffects,
}

impl<'a> Planning<'a> {
    fn new(world: &'a World, block: i64) -> Self {
        let partitions = world.config.partitions as usize;
        Self {
            effects: Effects::in_block(&world.config, block),
            funnels: vec![0; partitions],
            malformed: vec![0; partitions],
            plan: BlockPlan { by_partition: vec![Vec::new(); partitions] },
            world,
            block,
        }
    }

    /// Plans the funnel of an impression of an ordinary video. Says when the viewer's next one comes, in ms.
    fn add_ordinary(&mut self, impression: Impression) -> u32 {
        let world = self.world;
        let mut random = impression.random();
        let place = world.catalogue.draw(&mut random);
        let video = world.catalogue.video(place);
        let effects = self.effects;
        let user_effects = if effects == Effects::default() {
            UserEffects::default()
        } else {
            effects.on_user(world.config.seed, impression.user)
        };
        self.add_funnel(Funnel {
            impression,
            video: place,
            partition: video.partition.into(),
            taste: video.taste(),
            random,
            effects: &effects,
            user_effects,
        })
    }

    /// Plans the funnels of a focus video, which no other scenario acts on.
    fn add_focus(&mut self, focus: &Focus) {
        let start_ms = self.block * BLOCK_MS;
        if !focus.is_open(start_ms) {
            return;
        }
        let world = self.world;
        let mut random = BlockRandom::new(world.config.seed, Stream::Scenario, focus.lane, self.block);
        let rate_factor = world.sessions.rate_factor(start_ms);
        let mut arrivals = Arrivals::new(world, focus.funnels_per_s(rate_factor));
        while let Some(arrival_ms) = arrivals.next_ms(world, &mut random) {
            let user = 1 + random.below(world.config.users);
            let key = mix64((u64::from(random.bits()) << 32) | u64::from(random.bits()));
            let device = Device::of(world.config.seed, user, key);
            let impression = Impression { at_ms: start_ms + arrival_ms, user, device, key };
            self.add_funnel(Funnel {
                impression,
                video: focus.place,
                partition: focus.partition.into(),
                taste: focus.taste,
                random: impression.random(),
                effects: &Effects::default(),
                user_effects: UserEffects::default(),
            });
        }
    }

    fn add_funnel(&mut self, mut funnel: Funnel<'_>) -> u32 {
        let world = self.world;
        let Impression { at_ms, user, device, key } = funnel.impression;
        let shown_device = if funnel.user_effects.is_broken { device.broken() } else { device };
        let event = PlannedRecord {
            plan_key: plan_key(self.block, &mut self.funnels[funnel.partition]),
            video: funnel.video,
            user,
            watch_time_ms: 0,
            lag_ms: 0,
            record_ms: 0,
            body_tail: BodyTails::index(shown_device, funnel.random.bits()),
            form: funnel.user_effects.form,
            event_type: EventType::Impression,
            kind: RecordKind::Event,
        };
        let due = &mut self.plan.by_partition[funnel.partition];
        let video = world.catalogue.video(funnel.video);
        let (effects, on_user) = (funnel.effects, funnel.user_effects);
        world.laws.play_out(video, funnel.taste, &mut funnel.random, |step: Step| {
            let Step { event_type, elapsed_ms, watch_time_ms } = step;
            if on_user.is_broken && event_type == EventType::Like {
                return;
            }
            let step_event = PlannedRecord { event_type, watch_time_ms, ..event };
            deliver(world, effects, on_user, key, at_ms + i64::from(elapsed_ms), step_event, due);
        })
    }

    /// Plans the malformed records of the configuration's share, and behind them those of bursts.
    fn add_malformed(&mut self) {
        let rate_factor = self.world.sessions.rate_factor(self.block * BLOCK_MS);
        let records_per_s = self.world.config.rate_per_s * rate_factor;
        let usual_per_s = records_per_s * self.world.config.invalid_ratio;
        self.add_malformed_stream(Stream::Malformed, 0, usual_per_s);
        let burst_per_s = records_per_s * self.effects.malformed_per_record;
        self.add_malformed_stream(Stream::Scenario, BURST_LANE, burst_per_s);
    }

    fn add_malformed_stream(&mut self, stream: Stream, lane: u32, per_s: f64) {
        if per_s == 0.0 {
            return;
        }
        let world = self.world;
        let mut random = BlockRandom::new(world.config.seed, stream, lane, self.block);
        let mut arrivals = Arrivals::new(world, per_s);
        while let Some(arrival_ms) = arrivals.next_ms(world, &mut random) {
            let user = 1 + random.below(world.config.users);
            let kind = MalformedKind::SINGLE[random.below(MalformedKind::SINGLE.len() as u32) as usize];
            let place = world.catalogue.draw(&mut random);
            let partition = usize::from(world.catalogue.video(place).partition);
            let device = Device::of(world.config.seed, user, random.bits().into());
            let record = PlannedRecord {
                plan_key: plan_key(self.block, &mut self.malformed[partition]),
                video: place,
                user,
                watch_time_ms: 0,
                lag_ms: if kind == MalformedKind::FutureTimestamp { -FAR_FUTURE_MS } else { 0 },
                record_ms: 0,
                body_tail: BodyTails::index(device, random.bits()),
                form: Form::Usual,
                event_type: EventType::Impression,
                kind: RecordKind::Malformed(kind),
            };
            let due_ms = self.block * BLOCK_MS + arrival_ms;
            self.plan.by_partition[partition].push(DueRecord { due_ms, record });
        }
    }
}

/// Plans an event's record, and its retry when there is one. `event_ms` is its true time since the log's start.
fn deliver(
    world: &World,
    effects: &Effects,
    on_user: UserEffects,
    key: u64,
    event_ms: i64,
    event: PlannedRecord,
    due: &mut Vec<DueRecord>,
) {
    let laws = &world.delivery;
    let step = event.event_type as u64;
    let mut random = KeyedRandom::aside(key, OF_DELIVERY + step);
    let is_held_back = !laws.is_held_back.is_never() && random.happens(laws.is_held_back);
    let delay_law = if is_held_back { &laws.hold_ms } else { &laws.delay_ms };
    let mut delay_ms = i64::from(delay_law.at(random.bits()));
    let mut retry_after_ms = (!laws.is_retried.is_never() && random.happens(laws.is_retried))
        .then(|| laws.retry_ms.at(random.bits()));

    if *effects != Effects::default() {
        let mut aside = KeyedRandom::aside(key, OF_EFFECTS + step);
        let (is_late, late_bits) = (aside.happens(effects.late), aside.bits());
        let (is_retried, retry_bits) = (aside.happens(effects.retried), aside.bits());
        if !is_held_back && is_late {
            delay_ms = laws.hold_ms.at(late_bits).into();
        } else if !is_held_back && on_user.is_offline {
            delay_ms += effects.offline_hold_ms(event_ms);
        }
        if is_retried && retry_after_ms.is_none() {
            retry_after_ms = Some(laws.retry_ms.at(retry_bits));
        }
    }
    // Delays are minutes and skews at most two days: both fit.
    let lag_ms = delay_ms as i32 - on_user.skew_ms;
    let is_refused = on_user.skew_ms > AHEAD_OF_TOLERANCE_MS;
    let kind = if is_refused { RecordKind::Malformed(MalformedKind::ClockAhead) } else { event.kind };
    due.push(DueRecord { due_ms: event_ms + delay_ms, record: PlannedRecord { lag_ms, kind, ..event } });

    let Some(after_ms) = retry_after_ms else { return };
    let kind = if is_refused { kind } else { RecordKind::Retry };
    let record = PlannedRecord { lag_ms: lag_ms + after_ms as i32, kind, ..event };
    due.push(DueRecord { due_ms: event_ms + delay_ms + i64::from(after_ms), record });
}

/// The key of the next thing that is planned in a block, counted by `planned`.
fn plan_key(block: i64, planned: &mut u64) -> u64 {
    let index = *planned;
    *planned += 1;
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
    fn next_ms(&mut self, world: &World, random: &mut impl Random) -> Option<i64> {
        self.at_us += f64::from(world.gaps.at(random.bits())) * self.us_per_unit;
        (self.at_us < 1e6).then_some((self.at_us / 1000.0) as i64)
    }
}
