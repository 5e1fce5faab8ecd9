//! The exactly-once protocol as a model test: two owners that each believe that one partition is theirs, three tables
//! in memory, and the real functions in between: recovery plan, routing, decoder, windows, ledger entries, decision.
//! Whatever the order of reads, flushes, idle closes, lost answers, crashes and changes of the decoder, in the end every
//! record is in bronze or in quarantine exactly once, and the sum of gold is what a naive recount of bronze gives.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_ledger::{
    Advance, Decision, Ledger, LedgerHeads, PartitionLedger, RecoveryStop, SourceBounds, SourceFacts,
    apply_advances, decide, plan_partition,
};
use pulselake_model::{DecodedBatch, GoldRow, RawBatch, WindowCounters};
use pulselake_window::{PartitionWindows, WindowSettings};

use crate::bronze_open::FlushedRange;
use crate::bronze_writer::{BronzeHeads, bronze_entry, quarantine_entry};
use crate::gold_writer::gold_entry;
use crate::messages::TakenFlush;
use crate::prepare::{Preparer, last_seen};
use crate::recovery::gold_position;
use crate::refill::decoded;
use crate::route::Routing;

const TOPIC: &str = "t";
/// Longest record that the strict decoder takes.
const STRICT_BYTES: usize = 400;
const QUARANTINE: usize = 0;
const BRONZE: usize = 1;
const GOLD: usize = 2;

/// One record of the modelled partition; `None` as an id is a record that every decoder rejects.
#[derive(Clone, Debug)]
struct Record {
    event_id: Option<u8>,
    /// Only the lenient decoder takes it.
    is_long: bool,
    minute: i64,
    second: i64,
    video: u8,
}

#[derive(Clone, Debug)]
enum Step {
    Read {
        owner: usize,
        records: usize,
    },
    FlushBronze {
        owner: usize,
        answer_lost: bool,
        crash_between: bool,
    },
    FlushGold {
        owner: usize,
        answer_lost: bool,
    },
    CloseIdle {
        owner: usize,
    },
    Crash {
        owner: usize,
    },
    /// Everybody is started with the other decoder; where that one can't know what was decided, nothing changes.
    ChangeDecoder,
}

/// The tables: contents and ledgers, changed together.
#[derive(Default)]
struct Tables {
    ledgers: [Option<Ledger>; 3],
    bronze: Vec<i64>,
    quarantine: Vec<i64>,
    gold: Vec<(GoldRow, i64)>,
    commits: u64,
}

struct Owner {
    fingerprint: String,
    preparer: Preparer,
    windows: PartitionWindows,
    heads: BronzeHeads,
    gold: PartitionLedger,
    last: Option<pulselake_ledger::LastSeen>,
    position: i64,
    range: Option<FlushedRange>,
    events: Vec<i64>,
    invalid: Vec<i64>,
}

struct World {
    is_strict: bool,
    deduplicates: bool,
    records: Vec<Record>,
    tables: Tables,
    owners: Vec<Owner>,
}

/// With deduplication the horizon spans every modelled record, so that the recount needs no notion of stream time.
fn window_settings(deduplicates: bool) -> WindowSettings {
    let dedup_horizon_ms = if deduplicates { 86_400_000 } else { 0 };
    WindowSettings {
        watermark_delay_ms: 10_000,
        allowed_lateness_ms: 86_400_000,
        dedup_horizon_ms,
        dedup_max_ids: 1_000,
    }
}

fn value(record: &Record) -> String {
    let id = record.event_id.map_or_else(String::new, |id| format!("e{id}"));
    let time_ms = 1_770_000_000_000 + record.minute * 60_000 + record.second * 1_000;
    let padding = " ".repeat(if record.is_long { STRICT_BYTES } else { 0 });
    format!(
        r#"{{"event_id":"{id}","event_timestamp":{time_ms},"video_id":"v{}","user_id":"u","event_type":"like","payload":{{"watch_time_ms":7}}}}{padding}"#,
        record.video
    )
}

impl World {
    fn new(records: Vec<Record>, deduplicates: bool) -> Self {
        let mut world =
            Self { is_strict: true, deduplicates, records, tables: Tables::default(), owners: Vec::new() };
        world.owners = vec![world.start_owner(), world.start_owner()];
        world
    }

    fn start_owner(&self) -> Owner {
        self.try_start_owner(self.is_strict).unwrap()
    }

    fn change_decoder(&mut self) {
        if let (Ok(first), Ok(second)) =
            (self.try_start_owner(!self.is_strict), self.try_start_owner(!self.is_strict))
        {
            self.is_strict = !self.is_strict;
            self.owners = vec![first, second];
        }
    }

    fn try_start_owner(&self, is_strict: bool) -> Result<Owner, RecoveryStop> {
        let max_record_bytes = if is_strict { STRICT_BYTES } else { 10 * STRICT_BYTES };
        let settings =
            DecodeSettings { source_topic: TOPIC.into(), max_record_bytes, ..DecodeSettings::default() };
        let fingerprint = settings.fingerprint();
        let entry =
            |table: usize| self.tables.ledgers[table].as_ref().and_then(|ledger| ledger.partition(TOPIC, 0));
        let heads = LedgerHeads { quarantine: entry(QUARANTINE), bronze: entry(BRONZE), gold: entry(GOLD) };
        let facts = SourceFacts {
            bounds: SourceBounds { low: 0, high: self.records.len() as i64 },
            fingerprint: &fingerprint,
            continue_on_data_loss: false,
        };
        let plan = plan_partition(0, heads, facts)?;
        let decides = plan.bronze_next..plan.quarantined_decides_to.unwrap_or(plan.bronze_next);
        let quarantined =
            self.tables.quarantine.iter().copied().filter(|offset| decides.contains(offset)).collect();
        let mut windows = PartitionWindows::new(
            window_settings(self.deduplicates),
            heads.gold.map(gold_position),
            plan.gold_from,
        );
        if let Some(to) = plan.refill_to {
            windows.apply(&self.refill(plan.gold_from, to)).unwrap();
        }
        Ok(Owner {
            fingerprint,
            preparer: Preparer::new(EventDecoder::new(settings), Routing::new(&plan), quarantined),
            windows,
            heads: BronzeHeads {
                bronze: PartitionLedger {
                    fingerprint_from: plan.fingerprint_from,
                    ..heads.bronze.cloned().unwrap_or_default()
                },
                quarantine: heads.quarantine.cloned().unwrap_or_default(),
            },
            gold: heads.gold.cloned().unwrap_or_default(),
            last: heads.gold.and_then(|entry| entry.last),
            position: plan.read_from,
            range: None,
            events: Vec::new(),
            invalid: Vec::new(),
        })
    }

    /// What bronze and quarantine have of `[from, to)`.
    fn refill(&self, from: i64, to: i64) -> DecodedBatch {
        let mut raw = RawBatch::at(0, from);
        for offset in (from..to).filter(|offset| self.tables.bronze.contains(offset)) {
            raw.push(offset, None, value(&self.records[offset as usize]).as_bytes());
        }
        let events = EventDecoder::new(DecodeSettings::default()).decode(&raw, 0).events;
        let rejected = self.tables.quarantine.iter().copied().filter(|offset| (from..to).contains(offset));
        decoded(0, from, to, events, &sorted(&rejected.collect::<Vec<_>>()))
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Read { owner, records } => self.read(owner, records),
            Step::FlushBronze { owner, answer_lost, crash_between } => {
                self.flush_bronze(owner, answer_lost, crash_between);
            }
            Step::FlushGold { owner, answer_lost } => self.flush_gold(owner, answer_lost),
            Step::CloseIdle { owner } => {
                if !self.owners[owner].windows.is_replaying() {
                    self.owners[owner].windows.close_idle();
                }
            }
            Step::Crash { owner } => self.owners[owner] = self.start_owner(),
            Step::ChangeDecoder => self.change_decoder(),
        }
    }

    fn read(&mut self, owner: usize, count: usize) {
        let reader = &mut self.owners[owner];
        let mut batch = RawBatch::at(0, reader.position);
        for (offset, record) in self.records.iter().enumerate().skip(reader.position as usize).take(count) {
            batch.push(offset as i64, None, value(record).as_bytes());
        }
        if batch.is_empty() {
            return;
        }
        reader.position = batch.next_offset;
        for piece in reader.preparer.prepare(batch, 0) {
            if piece.to_gold {
                reader.windows.apply(&piece.decoded).unwrap();
                reader.last = last_seen(&piece.decoded).or(reader.last);
            }
            if let Some(write) = piece.write {
                reader.range.get_or_insert_default().extend(&write);
                reader.events.extend(offsets(&write.events));
                reader.invalid.extend(offsets(&write.invalid));
            }
        }
    }

    /// Commits as the committer does: a lost answer is asked for again with the same id.
    fn commit(&mut self, table: usize, owner: usize, entry: PartitionLedger, answer_lost: bool) -> bool {
        self.tables.commits += 1;
        let commit_id = format!("commit {}", self.tables.commits);
        let advance = Advance { topic: TOPIC.into(), partition: 0, built_on_seq: entry.seq, entry };
        let advances = [advance];
        match decide(self.tables.ledgers[table].as_ref(), &commit_id, &advances) {
            Decision::Fenced(_) => return false,
            Decision::AlreadyThere => panic!("a new commit can't be there already"),
            Decision::Commit => {}
        }
        let after = apply_advances(
            self.tables.ledgers[table].as_ref(),
            "c",
            &self.owners[owner].fingerprint,
            &commit_id,
            &advances,
        );
        self.tables.ledgers[table] = Some(after);
        if answer_lost {
            assert_eq!(
                decide(self.tables.ledgers[table].as_ref(), &commit_id, &advances),
                Decision::AlreadyThere
            );
        }
        true
    }

    fn flush_bronze(&mut self, owner: usize, answer_lost: bool, crash_between: bool) {
        let Some(range) = self.owners[owner].range.take() else { return };
        let heads = self.owners[owner].heads.clone();
        let bronze = bronze_entry(&heads.bronze, &range, 1);
        let quarantine = quarantine_entry(&heads.quarantine, &bronze, &range);
        let (events, invalid) =
            (std::mem::take(&mut self.owners[owner].events), std::mem::take(&mut self.owners[owner].invalid));
        if range.quarantine_rows > 0 {
            if !self.commit(QUARANTINE, owner, quarantine.clone(), answer_lost) {
                self.owners[owner] = self.start_owner();
                return;
            }
            self.tables.quarantine.extend(invalid);
            self.owners[owner].heads.quarantine = PartitionLedger { seq: quarantine.seq + 1, ..quarantine };
        }
        if crash_between || !self.commit(BRONZE, owner, bronze.clone(), answer_lost) {
            self.owners[owner] = self.start_owner();
            return;
        }
        self.tables.bronze.extend(events);
        self.owners[owner].heads.bronze = PartitionLedger { seq: bronze.seq + 1, ..bronze };
    }

    fn flush_gold(&mut self, owner: usize, answer_lost: bool) {
        let writer = &mut self.owners[owner];
        let Some(flush) = writer.windows.flush() else { return };
        let position = flush.position;
        let taken = TakenFlush { flush, last: writer.last };
        let entry = gold_entry(&writer.gold, &taken, 1);
        if !self.commit(GOLD, owner, entry.clone(), answer_lost) {
            self.owners[owner] = self.start_owner();
            return;
        }
        let revision = |row: &GoldRow| if row.is_correction { entry.seq + 1 } else { 0 };
        self.tables.gold.extend(taken.flush.rows.iter().map(|row| (row.clone(), revision(row))));
        self.owners[owner].gold = PartitionLedger { seq: entry.seq + 1, ..entry };
        let in_gold: i64 = self.tables.gold.iter().map(|(row, _)| row.counters.events()).sum();
        let explained =
            position.quarantined + position.duplicates + position.dropped + position.open + in_gold as u64;
        assert_eq!(position.records, explained, "the audit's equation at {position:?}");
    }

    /// One owner reads everything, closes every window and commits.
    fn finish(&mut self) {
        self.owners[0] = self.start_owner();
        self.read(0, self.records.len());
        self.owners[0].windows.close_idle();
        self.flush_bronze(0, false, false);
        self.flush_gold(0, false);
    }

    fn check(&self) {
        let everywhere: Vec<i64> =
            [self.tables.bronze.as_slice(), self.tables.quarantine.as_slice()].concat();
        assert_eq!(
            sorted(&everywhere),
            (0..self.records.len() as i64).collect::<Vec<_>>(),
            "each record once"
        );
        let is_rejected_by_all = |offset: &i64| self.records[*offset as usize].event_id.is_none();
        assert!(!self.tables.bronze.iter().any(is_rejected_by_all));
        let is_taken_by_all =
            |offset: &i64| !is_rejected_by_all(offset) && !self.records[*offset as usize].is_long;
        assert!(!self.tables.quarantine.iter().any(is_taken_by_all));
        let mut recount: BTreeMap<(u8, i64), i64> = BTreeMap::new();
        let mut seen = HashSet::new();
        for offset in sorted(&self.tables.bronze) {
            let record = &self.records[offset as usize];
            if self.deduplicates && !seen.insert(record.event_id) {
                continue;
            }
            *recount.entry((record.video, record.minute)).or_default() += 1;
        }
        let mut gold: BTreeMap<(u8, i64), WindowCounters> = BTreeMap::new();
        let mut grain: HashMap<(String, i64, i64), usize> = HashMap::new();
        for (row, revision) in &self.tables.gold {
            let minute = (row.window_start_us / 1_000_000 - 1_770_000_000) / 60;
            let video = row.video_id[1..].parse().unwrap();
            gold.entry((video, minute)).or_default().merge(&row.counters);
            *grain.entry((row.video_id.clone(), row.window_start_us, *revision)).or_default() += 1;
        }
        let sums: BTreeMap<(u8, i64), i64> =
            gold.iter().map(|(key, counters)| (*key, counters.events())).collect();
        assert_eq!(sums, recount, "gold");
        assert!(gold.values().all(|counters| counters.watch_time_sum_ms == 7 * counters.events()));
        assert!(grain.values().all(|rows| *rows == 1), "a revision of a window twice: {grain:?}");
        let bronze = self.tables.ledgers[BRONZE].as_ref().and_then(|ledger| ledger.partition(TOPIC, 0));
        let counts = bronze.map(|entry| (entry.next, entry.counts.records, entry.counts.quarantined));
        let expected =
            (self.records.len() as i64, self.records.len() as u64, self.tables.quarantine.len() as u64);
        assert_eq!(counts, (!self.records.is_empty()).then_some(expected), "bronze's ledger");
    }
}

fn sorted(offsets: &[i64]) -> Vec<i64> {
    let mut all = offsets.to_vec();
    all.sort_unstable();
    all
}

fn offsets(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("source_offset").unwrap();
    column.as_primitive::<Int64Type>().values().to_vec()
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = (prop::option::weighted(0.85, 0u8..200), prop::bool::weighted(0.2), 0i64..6, 0i64..60, 0u8..3);
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let record =
            |(event_id, is_long, minute, second, video)| Record { event_id, is_long, minute, second, video };
        all.into_iter().map(record).collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..2, 1usize..12).prop_map(|(owner, records)| Step::Read { owner, records }),
        3 => (0usize..2, any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(owner, answer_lost, crash_between)| Step::FlushBronze { owner, answer_lost, crash_between }),
        3 => (0usize..2, any::<bool>()).prop_map(|(owner, answer_lost)| Step::FlushGold { owner, answer_lost }),
        1 => (0usize..2).prop_map(|owner| Step::CloseIdle { owner }),
        1 => (0usize..2).prop_map(|owner| Step::Crash { owner }),
        1 => Just(Step::ChangeDecoder),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn two_owners_lose_and_double_nothing(records in records(), steps in steps(), deduplicates in any::<bool>()) {
        let mut world = World::new(records, deduplicates);
        for step in &steps {
            world.run(step);
        }
        world.finish();
        world.check();
    }
}
