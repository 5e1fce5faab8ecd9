//! When each version is delivered, and what is delivered beside it: a function of (world, partition, block) alone.

use super::focus::FocusPlace;
use super::malformed::MalformedChange;
use super::rows::ChangeOperation;
use super::world::{CdcWorld, KEYS_PER_INITIAL_BLOCK};
use crate::cdc::CdcConfig;
use crate::mix::{Role, mix64, trait_hash};
use crate::random::Chance;
use crate::spill::{BLOCK_MS, SpillBuffer, Spilled};

/// The connector hands over what it has read this often: so records come in the true order where nothing reorders them.
const POLL_MS: i64 = 250;
/// A first version that comes after the second comes this much later: soon, or behind everything that is near.
const LONGEST_SWAP_MS: u64 = 2_000;
const SHORTEST_HOLD_MS: u64 = 31_000;
const LONGEST_HOLD_MS: u64 = 90_000;
/// A repeated delivery follows the first within this time: three in four soon, the others later.
const LONGEST_SOON_REPEAT_MS: u64 = 2_000;
const LONGEST_REPEAT_MS: u64 = 30_000;

/// A snapshot takes so many seconds, or fewer where there are few rows.
const SNAPSHOT_S: u64 = 20;
const LEAST_SNAPSHOT_ROWS_PER_S: u64 = 1_000;

/// Positions (`source.lsn`): the creates of the initial keys, then the slots, each with room for what happens in it.
const FIRST_CREATE_POSITION: i64 = 1 << 32;
const POSITIONS_PER_CREATE: i64 = 128;
const FIRST_SLOT_POSITION: i64 = 1 << 33;
const POSITIONS_PER_SLOT: i64 = 256;
const SECOND_VERSION_POSITION: i64 = 64;
/// From here on between two slots: snapshots at even distances, creates of focus videos at odd ones. There are at most
/// 64 of these.
const AFTER_SLOT_POSITION: i64 = 96;

/// `source.txId`: below the first there is room for the creates of focus videos.
const FIRST_TRANSACTION: u64 = 700;

/// What a record of a log of changes is, seen from the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CdcRecordKind {
    /// A version of a key, delivered for the first time.
    Version(ChangeOperation),
    /// The same bytes again.
    Repeat(ChangeOperation),
    /// A record without a value, after a delete.
    Tombstone,
    /// A record that must end in quarantine.
    Malformed(MalformedChange),
}

/// When in the source's history a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The create of a key that exists at the start.
    Initial,
    /// The create of a scenario's video.
    Focus(FocusPlace),
    /// The first or the second version of a slot.
    Slot { slot: u64, is_second: bool },
    /// The snapshot of this number, from 1.
    Snapshot { number: u64 },
}

/// A record that is planned for a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedChange {
    /// ms since the log's start; negative for initial creates.
    pub(crate) record_time_ms: i64,
    pub(crate) key: u64,
    pub(crate) version: u64,
    pub(crate) moment: Moment,
    pub(crate) kind: CdcRecordKind,
}

impl Spilled for PlannedChange {
    fn due_at(self, record_time_ms: i64) -> Self {
        Self { record_time_ms, ..self }
    }

    fn order_in_block(&self) -> i64 {
        self.record_time_ms
    }
}

/// How changes come to the log.
pub(crate) struct DeliveryLaws {
    is_repeated: Chance,
    is_reordered: Chance,
    is_joined_by_malformed: Chance,
    is_wrapped: Chance,
    /// How many blocks beyond its slot's a record can be delivered.
    spill_blocks: i64,
}

impl DeliveryLaws {
    pub(crate) fn new(config: &CdcConfig) -> Self {
        let hold_ms = if config.reorder_ratio > 0.0 { LONGEST_HOLD_MS as i64 } else { 0 };
        let repeat_ms = if config.duplicate_ratio > 0.0 { LONGEST_REPEAT_MS as i64 } else { 0 };
        Self {
            is_repeated: Chance::of(config.duplicate_ratio),
            is_reordered: Chance::of(config.reorder_ratio),
            is_joined_by_malformed: Chance::of(config.invalid_ratio),
            is_wrapped: Chance::of(config.wrapped_ratio),
            spill_blocks: (BLOCK_MS - 1 + POLL_MS + hold_ms + repeat_ms) / BLOCK_MS,
        }
    }

    pub(crate) fn spill_blocks(&self) -> i64 {
        self.spill_blocks
    }
}

impl CdcWorld {
    /// `source.lsn` of a record.
    pub(crate) fn position(&self, moment: Moment, key: u64) -> i64 {
        match moment {
            Moment::Initial => create_position(key),
            Moment::Focus(FocusPlace::AfterKey { key: after_key, nth }) => {
                create_position(after_key) + i64::from(nth)
            }
            Moment::Focus(FocusPlace::InBlock { slots, nth, .. }) => {
                after_slots_position(slots) + 2 * i64::from(nth) - 1
            }
            Moment::Slot { slot, is_second } => {
                let within = if is_second { SECOND_VERSION_POSITION } else { 0 };
                FIRST_SLOT_POSITION + (slot as i64 + 1) * POSITIONS_PER_SLOT + within
            }
            Moment::Snapshot { number } => {
                let slots = self.schedule.slots_before(self.snapshot_ms(number));
                after_slots_position(slots) + 2 * self.focus.uploads_before(self.snapshot_block(number))
            }
        }
    }

    /// `source.ts_ms` of a record: when the source committed it, ms since the epoch.
    pub(crate) fn source_ts_ms(&self, moment: Moment, key: u64) -> i64 {
        match moment {
            Moment::Initial | Moment::Focus(_) => self.created_ms(key),
            Moment::Slot { slot, is_second } => self.config.start_ms + self.written_ms(slot, is_second),
            Moment::Snapshot { number } => self.config.start_ms + self.snapshot_ms(number),
        }
    }

    /// The record's `ts_ms`: when the connector read it, ms since the epoch. The same in a repeated delivery.
    pub(crate) fn read_at_ms(&self, change: &PlannedChange) -> i64 {
        match change.moment {
            Moment::Initial | Moment::Focus(_) | Moment::Snapshot { .. } => {
                self.config.start_ms + change.record_time_ms
            }
            Moment::Slot { slot, is_second } => {
                self.config.start_ms + delivered_ms(self.written_ms(slot, is_second))
            }
        }
    }

    /// `source.txId`: the two versions of a slot share it where they were committed together.
    pub(crate) fn transaction(&self, moment: Moment, key: u64) -> u64 {
        match moment {
            Moment::Initial => FIRST_TRANSACTION + key,
            Moment::Focus(FocusPlace::AfterKey { nth, .. }) => FIRST_TRANSACTION - u64::from(nth),
            Moment::Focus(FocusPlace::InBlock { slots, .. }) => self.transaction_after(slots),
            Moment::Slot { slot, is_second } => {
                let is_apart = is_second && !self.is_one_transaction(slot);
                FIRST_TRANSACTION + self.config.initial_keys() + 3 * slot + u64::from(is_apart)
            }
            Moment::Snapshot { number } => {
                self.transaction_after(self.schedule.slots_before(self.snapshot_ms(number)))
            }
        }
    }

    fn transaction_after(&self, slots: u64) -> u64 {
        FIRST_TRANSACTION + self.config.initial_keys() + 3 * slots + 2
    }

    pub(crate) fn is_wrapped(&self, moment: Moment, key: u64) -> bool {
        let hash = self.delivery_hash(self.position(moment, key) as u64);
        self.delivery.is_wrapped.hits((mix64(hash) >> 32) as u32)
    }

    /// When a version is written in the source, ms since the start.
    fn written_ms(&self, slot: u64, is_second: bool) -> i64 {
        if is_second && !self.is_one_transaction(slot) {
            return self.schedule.second_ms(slot);
        }
        self.schedule.slot_ms(slot)
    }

    fn is_one_transaction(&self, slot: u64) -> bool {
        self.delivery_hash(slot) >> 63 == 1
    }

    fn delivery_hash(&self, value: u64) -> u64 {
        trait_hash(self.entity_seed, Role::ChangeDelivery, value)
    }

    /// A snapshot begins when this block does.
    fn snapshot_block(&self, number: u64) -> i64 {
        number as i64 * i64::from(self.config.snapshot_every_s)
    }

    fn snapshot_ms(&self, number: u64) -> i64 {
        self.snapshot_block(number) * BLOCK_MS
    }
}

fn create_position(key: u64) -> i64 {
    FIRST_CREATE_POSITION + key as i64 * POSITIONS_PER_CREATE
}

/// Behind everything that happens in the first `slots` slots.
fn after_slots_position(slots: u64) -> i64 {
    FIRST_SLOT_POSITION + slots as i64 * POSITIONS_PER_SLOT + AFTER_SLOT_POSITION
}

/// Initial creates of a block; empty for a later block. They are as old as their keys, but delivered just before the
/// start: a topic that deletes what is older than some days keeps them.
pub(crate) fn plan_initial(world: &CdcWorld, partition: i32, block: i64, out: &mut Vec<PlannedChange>) {
    out.clear();
    let Some(keys) = world.initial_keys_of(block) else { return };
    let first_key = *keys.start();
    let block_ms = (block - world.initial_blocks()) * BLOCK_MS;
    let create = |key, moment, after_key| {
        let within_ms = (after_key - first_key) * BLOCK_MS.unsigned_abs() / KEYS_PER_INITIAL_BLOCK;
        PlannedChange {
            // Nothing is before 1970.
            record_time_ms: (block_ms + within_ms as i64).max(-world.config.start_ms),
            key,
            version: 0,
            moment,
            kind: CdcRecordKind::Version(ChangeOperation::Create),
        }
    };
    let is_here = |key: &u64| world.partition_of(*key) == partition;
    out.extend(keys.clone().filter(is_here).map(|key| create(key, Moment::Initial, key)));
    for video in world.focus.all().iter().filter(|video| is_here(&video.key)) {
        match video.place {
            FocusPlace::AfterKey { key: after_key, .. } if keys.contains(&after_key) => {
                out.push(create(video.key, Moment::Focus(video.place), after_key));
            }
            _ => {}
        }
    }
    // In the true order, which is that of the keys but for focus videos.
    out.sort_by_key(|change| world.position(change.moment, change.key));
}

/// Plans the slots and the snapshot rows of a block (0: the first after the start), and puts them into the buffer.
pub(crate) fn plan_block(
    world: &CdcWorld,
    partition: i32,
    block: i64,
    buffer: &mut SpillBuffer<PlannedChange>,
) {
    let from_ms = block * BLOCK_MS;
    for slot in world.schedule.slots_before(from_ms)..world.schedule.slots_before(from_ms + BLOCK_MS) {
        plan_slot(world, partition, slot, buffer);
    }
    plan_uploads(world, partition, block, buffer);
    plan_snapshot(world, partition, block, buffer);
}

/// The creates of focus videos that are uploaded when the block begins: each delivered once and soon.
fn plan_uploads(world: &CdcWorld, partition: i32, block: i64, buffer: &mut SpillBuffer<PlannedChange>) {
    for video in world.focus.all() {
        if video.upload_block() != Some(block) || world.partition_of(video.key) != partition {
            continue;
        }
        let moment = Moment::Focus(video.place);
        let kind = CdcRecordKind::Version(ChangeOperation::Create);
        let create = PlannedChange { record_time_ms: 0, key: video.key, version: 0, moment, kind };
        buffer.place(delivered_ms(block * BLOCK_MS), create);
    }
}

fn plan_slot(world: &CdcWorld, partition: i32, slot: u64, buffer: &mut SpillBuffer<PlannedChange>) {
    let change = world.schedule.slot(slot);
    // A log that has created a billion keys comes to the numbers of focus videos, which are taken.
    if world.partition_of(change.key) != partition || world.focus.get(change.key).is_some() {
        return;
    }
    let mut first_ms = delivered_ms(world.written_ms(slot, false));
    if !change.is_double {
        deliver(world, slot, false, change.key, change.version, first_ms, buffer);
        return;
    }
    let second_ms = delivered_ms(world.written_ms(slot, true));
    let hash = mix64(world.delivery_hash(slot));
    if world.delivery.is_reordered.hits(hash as u32) {
        let is_held = hash >> 63 == 1;
        let delay_ms = if is_held {
            SHORTEST_HOLD_MS + (hash >> 32) % (LONGEST_HOLD_MS - SHORTEST_HOLD_MS)
        } else {
            1 + (hash >> 32) % LONGEST_SWAP_MS
        };
        first_ms = second_ms + delay_ms as i64;
    }
    deliver(world, slot, false, change.key, change.version, first_ms, buffer);
    deliver(world, slot, true, change.key, change.version + 1, second_ms, buffer);
}

/// Places a version's record and what comes with it.
fn deliver(
    world: &CdcWorld,
    slot: u64,
    is_second: bool,
    key: u64,
    version: u64,
    at_ms: i64,
    buffer: &mut SpillBuffer<PlannedChange>,
) {
    let laws = &world.delivery;
    let moment = Moment::Slot { slot, is_second };
    let Some(operation) = world.operation(key, version) else { return };
    let record = |kind| PlannedChange { record_time_ms: 0, key, version, moment, kind };
    buffer.place(at_ms, record(CdcRecordKind::Version(operation)));

    let hash = mix64(world.delivery_hash(slot) ^ (1 + u64::from(is_second)));
    if operation == ChangeOperation::Delete && hash >> 63 == 1 {
        buffer.place(at_ms, record(CdcRecordKind::Tombstone));
    }
    if laws.is_repeated.hits(hash as u32) {
        let repeat_hash = mix64(hash);
        let longest_ms =
            if repeat_hash.is_multiple_of(4) { LONGEST_REPEAT_MS } else { LONGEST_SOON_REPEAT_MS };
        let repeated_ms = at_ms + 1 + ((repeat_hash >> 32) % longest_ms) as i64;
        buffer.place(repeated_ms, record(CdcRecordKind::Repeat(operation)));
    }
    let malformed_hash = mix64(hash ^ 4);
    if laws.is_joined_by_malformed.hits(malformed_hash as u32) {
        let kinds = MalformedChange::ALL;
        let kind = kinds[((malformed_hash >> 32) % kinds.len() as u64) as usize];
        buffer.place(at_ms, record(CdcRecordKind::Malformed(kind)));
    }
}

/// Rows of the snapshot that is under way, in the order of their keys, focus videos last. All are as they were when it
/// began, while changes go on beside it: a row can come after a newer version of its key.
fn plan_snapshot(world: &CdcWorld, partition: i32, block: i64, buffer: &mut SpillBuffer<PlannedChange>) {
    let every_s = i64::from(world.config.snapshot_every_s);
    if every_s == 0 || block < every_s {
        return;
    }
    let number = (block / every_s).unsigned_abs();
    let slots = world.schedule.slots_before(world.snapshot_ms(number));
    let keys = world.schedule.keys_after(slots);
    let keys_per_block = keys.div_ceil(SNAPSHOT_S).max(LEAST_SNAPSHOT_ROWS_PER_S);
    let before = (block % every_s).unsigned_abs() * keys_per_block;
    let row = |key, version| {
        let kind = CdcRecordKind::Version(ChangeOperation::Snapshot);
        PlannedChange { record_time_ms: 0, key, version, moment: Moment::Snapshot { number }, kind }
    };
    for key in before + 1..=keys.min(before + keys_per_block) {
        if world.partition_of(key) != partition || world.focus.get(key).is_some() {
            continue;
        }
        let version = world.schedule.version_after(key, slots);
        if !world.is_there(key, version) {
            continue;
        }
        let within_ms = (key - before - 1) * BLOCK_MS.unsigned_abs() / keys_per_block;
        buffer.place(block * BLOCK_MS + within_ms as i64, row(key, version));
    }
    if !(before..before + keys_per_block).contains(&(keys - 1)) {
        return;
    }
    let began_in = world.snapshot_block(number);
    for video in world.focus.all().iter().filter(|video| world.partition_of(video.key) == partition) {
        if video.upload_block().is_none_or(|uploaded_in| uploaded_in < began_in) {
            buffer.place(block * BLOCK_MS + BLOCK_MS - 1, row(video.key, 0));
        }
    }
}

/// When what was written then is handed over, ms since the start.
fn delivered_ms(written_ms: i64) -> i64 {
    (written_ms / POLL_MS + 1) * POLL_MS
}
