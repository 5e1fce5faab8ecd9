//! An owner of the partition: what a shard's generation holds between two commits, moved by the functions that the
//! actors call.

use std::collections::BTreeSet;
use std::fmt;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use pulselake_decode::EventDecoder;
use pulselake_ledger::{
    Advance, AncestryVerdict, LastSeen, LedgerHeads, PartitionLedger, PartitionPlan, RecoveryStop,
    SourceBounds, SourceFacts, plan_partition,
};
use pulselake_model::{DecodedBatch, GoldRow, RawBatch};
use pulselake_window::PartitionWindows;

use super::digest::digest;
use super::stream::{START_MS, Stream, decoder};
use super::table::{Attempted, Delivery, Request, Row, Table};
use super::{BRONZE, GOLD, QUARANTINE, TOPIC};
use crate::bronze_open::FlushedRange;
use crate::bronze_writer::{BronzeHeads, bronze_entry, quarantine_entry};
use crate::gold_writer::gold_entry;
use crate::messages::TakenFlush;
use crate::prepare::{Piece, Preparer, last_seen};
use crate::recovery::gold_position;
use crate::refill::decoded;
use crate::route::Routing;
use crate::same_topic::verify;

/// Why nobody can own the partition now.
#[derive(Debug)]
pub enum Stop {
    /// A table's property and ancestry disagree.
    Ledger(AncestryVerdict),
    /// The plan says so.
    Plan(RecoveryStop),
}

/// Windows with the hash of what they print: states that print alike behave alike.
#[derive(Clone)]
struct Windows {
    state: PartitionWindows,
    hash: u128,
}

impl fmt::Debug for Windows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.hash)
    }
}

impl Windows {
    fn new(state: PartitionWindows) -> Self {
        let hash = digest(&format!("{state:?}"));
        Self { state, hash }
    }

    fn change<T>(&mut self, with: impl FnOnce(&mut PartitionWindows) -> T) -> T {
        let result = with(&mut self.state);
        self.hash = digest(&format!("{:?}", self.state));
        result
    }
}

/// A bronze flush between its start and the last answer.
#[derive(Clone, Debug)]
struct BronzeFlush {
    /// `None` when it is in the table, or has nothing to write.
    quarantine: Option<Request>,
    bronze: Request,
    heads_after: BronzeHeads,
}

#[derive(Clone, Debug)]
struct GoldFlush {
    request: Request,
    head_after: PartitionLedger,
}

/// How the two commits of a bronze flush go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BronzeWay {
    pub quarantine: Delivery,
    /// The process dies when quarantine has answered.
    pub crash_between: bool,
    pub bronze: Delivery,
}

/// What an owner is after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// It goes on; the table, if any, is the one whose request is on its way.
    GoesOn(Option<usize>),
    /// It was fenced or has died: it starts again from the tables.
    Restarts,
    /// It has seen a table that was rolled back.
    Stops,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Owner {
    is_strict: bool,
    plan: PartitionPlan,
    quarantined: BTreeSet<i64>,
    to_verify: Vec<LastSeen>,
    position: i64,
    windows: Windows,
    last: Option<LastSeen>,
    heads: BronzeHeads,
    gold: PartitionLedger,
    range: Option<FlushedRange>,
    events: Vec<Row>,
    invalid: Vec<Row>,
    bronze_flush: Option<BronzeFlush>,
    gold_flush: Option<GoldFlush>,
}

impl Owner {
    /// A fresh owner, from what the tables say and what the source still has (from `low` on).
    pub fn start(stream: &Stream, tables: [&Table; 3], low: i64, is_strict: bool) -> Result<Self, Stop> {
        let mut ledgers = [None, None, None];
        for (ledger, table) in ledgers.iter_mut().zip(tables) {
            *ledger = table.trusted().map_err(Stop::Ledger)?;
        }
        let entry = |table: usize| ledgers[table].as_ref().and_then(|ledger| ledger.partition(TOPIC, 0));
        let heads = LedgerHeads { quarantine: entry(QUARANTINE), bronze: entry(BRONZE), gold: entry(GOLD) };
        let fingerprint = decoder(is_strict).fingerprint();
        let facts = SourceFacts {
            bounds: SourceBounds { low, high: stream.end() },
            fingerprint: &fingerprint,
            continue_on_data_loss: false,
        };
        let plan = plan_partition(0, heads, facts).map_err(Stop::Plan)?;
        let decides = plan.bronze_next..plan.quarantined_decides_to.unwrap_or(plan.bronze_next);
        let quarantined =
            tables[QUARANTINE].offsets().into_iter().filter(|offset| decides.contains(offset)).collect();
        let mut windows =
            PartitionWindows::new(stream.windows, heads.gold.map(gold_position), plan.gold_from);
        if let Some(to) = plan.refill_to {
            windows.apply(&refill(stream, tables, plan.gold_from, to)).unwrap();
        }
        // Who committed is of no use to whoever goes on.
        let known = |head: Option<&PartitionLedger>| PartitionLedger {
            commit_id: String::new(),
            ..head.cloned().unwrap_or_default()
        };
        Ok(Self {
            is_strict,
            quarantined,
            to_verify: plan.verify.clone(),
            position: plan.read_from,
            windows: Windows::new(windows),
            last: heads.gold.and_then(|entry| entry.last),
            heads: BronzeHeads {
                bronze: PartitionLedger { fingerprint_from: plan.fingerprint_from, ..known(heads.bronze) },
                quarantine: known(heads.quarantine),
            },
            gold: known(heads.gold),
            plan,
            range: None,
            events: Vec::new(),
            invalid: Vec::new(),
            bronze_flush: None,
            gold_flush: None,
        })
    }

    /// The next offset to read.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Whether a commit of this table has an unknown outcome.
    pub fn waits_for(&self, table: usize) -> bool {
        self.waiting_for(table).is_some()
    }

    /// The commit of this table whose outcome is unknown.
    pub fn waiting_for(&self, table: usize) -> Option<&Request> {
        let flush = self.bronze_flush.as_ref();
        match table {
            QUARANTINE => flush.and_then(|flush| flush.quarantine.as_ref()),
            BRONZE => flush.map(|flush| &flush.bronze),
            _ => self.gold_flush.as_ref().map(|flush| &flush.request),
        }
    }

    /// Reads the next `count` records.
    pub fn read(&mut self, stream: &Stream, count: usize) {
        if let Some(batch) = self.poll(stream, count) {
            let pieces = self.prepare(batch);
            self.take(&pieces);
        }
    }

    /// What the source gives; it still is the topic that the ledger knows.
    pub fn poll(&mut self, stream: &Stream, count: usize) -> Option<RawBatch> {
        let mut batch = RawBatch::at(0, self.position);
        for (offset, value) in stream.values.iter().enumerate().skip(self.position as usize).take(count) {
            batch.push(offset as i64, None, value.as_bytes());
        }
        verify(&mut self.to_verify, &batch).unwrap();
        self.position = batch.next_offset;
        (!batch.is_empty()).then_some(batch)
    }

    /// What decides how a batch is prepared, beside the batch.
    pub fn preparation(&self) -> String {
        format!("{} {:?} {:?}", self.is_strict, Routing::new(&self.plan), self.quarantined)
    }

    /// The batch for each sink.
    pub fn prepare(&self, batch: RawBatch) -> Vec<Piece> {
        let quarantined = self.quarantined.iter().copied().collect();
        let decoder = EventDecoder::new(decoder(self.is_strict));
        Preparer::new(decoder, Routing::new(&self.plan), quarantined).prepare(batch, 0)
    }

    /// Gives the sinks what was prepared.
    pub fn take(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            if piece.to_gold {
                self.windows.change(|windows| windows.apply(&piece.decoded).unwrap());
                self.last = last_seen(&piece.decoded).or(self.last);
            }
            if let Some(write) = &piece.write {
                self.range.get_or_insert_default().extend(write);
                self.events.extend(records_of(&write.events));
                self.invalid.extend(records_of(&write.invalid));
            }
        }
    }

    /// Closes the windows seen so far; false when there was none.
    pub fn close_idle(&mut self) -> bool {
        !self.windows.state.is_replaying() && self.windows.change(PartitionWindows::close_idle)
    }

    /// Takes what waits for bronze, unless a flush is under way; false when there is nothing to do.
    pub fn begin_bronze(&mut self, quarantine_id: u32, bronze_id: u32) -> bool {
        if self.bronze_flush.is_some() {
            return true;
        }
        let Some(range) = self.range.take() else { return false };
        let bronze = bronze_entry(&self.heads.bronze, &range, 1);
        let quarantine = quarantine_entry(&self.heads.quarantine, &bronze, &range);
        let mut heads_after =
            BronzeHeads { bronze: bronze.clone(), quarantine: self.heads.quarantine.clone() };
        heads_after.bronze.seq += 1;
        let (events, invalid) = (std::mem::take(&mut self.events), std::mem::take(&mut self.invalid));
        let quarantine = (range.quarantine_rows > 0).then(|| {
            heads_after.quarantine = quarantine.clone();
            heads_after.quarantine.seq += 1;
            self.request(QUARANTINE, quarantine_id, quarantine, invalid)
        });
        let bronze = self.request(BRONZE, bronze_id, bronze, events);
        self.bronze_flush = Some(BronzeFlush { quarantine, bronze, heads_after });
        true
    }

    /// Goes on with the bronze flush under way.
    pub fn commit_bronze(&mut self, quarantine: &mut Table, bronze: &mut Table, way: BronzeWay) -> After {
        let Some(flush) = &mut self.bronze_flush else { return After::GoesOn(None) };
        if let Some(request) = &flush.quarantine {
            match quarantine.attempt(request, way.quarantine) {
                Attempted::Done => flush.quarantine = None,
                other => return after(other, QUARANTINE, way.quarantine),
            }
            if way.crash_between {
                return After::Restarts;
            }
        }
        let attempted = bronze.attempt(&flush.bronze, way.bronze);
        if attempted == Attempted::Done {
            self.heads = flush.heads_after.clone();
            self.bronze_flush = None;
        }
        after(attempted, BRONZE, way.bronze)
    }

    /// Takes what waits for gold, unless a flush is under way; false when there is nothing to do.
    pub fn begin_gold(&mut self, id: u32) -> bool {
        if self.gold_flush.is_some() {
            return true;
        }
        let windows = &self.windows.state;
        let has_news = windows.pending_rows() > 0 || windows.has_unflushed_progress();
        let Some(flush) = has_news.then(|| self.windows.change(PartitionWindows::flush)).flatten() else {
            return false;
        };
        let taken = TakenFlush { flush, last: self.last, lost: 0 };
        let entry = gold_entry(&self.gold, &taken, 1);
        let revision = |row: &GoldRow| if row.is_correction { entry.seq + 1 } else { 0 };
        let rows = taken.flush.rows.iter().map(|row| gold_row(row, revision(row))).collect();
        let head_after = PartitionLedger { seq: entry.seq + 1, ..entry.clone() };
        self.gold_flush = Some(GoldFlush { request: self.request(GOLD, id, entry, rows), head_after });
        true
    }

    /// Goes on with the gold flush under way.
    pub fn commit_gold(&mut self, gold: &mut Table, delivery: Delivery) -> After {
        let Some(flush) = &self.gold_flush else { return After::GoesOn(None) };
        let attempted = gold.attempt(&flush.request, delivery);
        if attempted == Attempted::Done {
            self.gold = flush.head_after.clone();
            self.gold_flush = None;
        }
        after(attempted, GOLD, delivery)
    }

    /// Forgets what no later step asks for, so that states that behave alike look alike.
    pub fn forget_plan(&mut self) {
        let plan = &self.plan;
        let sinks = [plan.bronze_next, plan.quarantine_next, plan.gold_from, plan.refill_to.unwrap_or(0)];
        if sinks.into_iter().chain(plan.quarantined_decides_to).all(|offset| offset <= self.position) {
            self.plan = PartitionPlan::default();
            self.quarantined.clear();
        }
    }

    fn request(&self, table: usize, commit_id: u32, entry: PartitionLedger, rows: Vec<Row>) -> Request {
        let advance = Advance { topic: TOPIC.into(), partition: 0, built_on_seq: entry.seq, entry };
        Request { table, commit_id, fingerprint: decoder(self.is_strict).fingerprint(), advance, rows }
    }
}

fn after(attempted: Attempted, table: usize, delivery: Delivery) -> After {
    match attempted {
        Attempted::Done => After::GoesOn(None),
        Attempted::Unknown => After::GoesOn((delivery == Delivery::OnItsWay).then_some(table)),
        Attempted::Fenced => After::Restarts,
        Attempted::Stopped => After::Stops,
    }
}

/// What bronze and quarantine have of `[from, to)`.
fn refill(stream: &Stream, tables: [&Table; 3], from: i64, to: i64) -> DecodedBatch {
    let within = |offset: &i64| (from..to).contains(offset);
    let mut raw = RawBatch::at(0, from);
    for offset in tables[BRONZE].offsets().into_iter().filter(within) {
        raw.push(offset, None, stream.values[offset as usize].as_bytes());
    }
    let events = EventDecoder::new(decoder(false)).decode(&raw, 0).events;
    let rejected: Vec<i64> = tables[QUARANTINE].offsets().into_iter().filter(within).collect();
    decoded(0, from, to, events, &rejected)
}

fn gold_row(row: &GoldRow, revision: i64) -> Row {
    let minute = (row.window_start_us / 1_000 - START_MS) / 60_000;
    Row::window(row.video_id[1..].parse().unwrap(), minute, revision, &row.counters)
}

fn records_of(batch: &RecordBatch) -> impl Iterator<Item = Row> + '_ {
    let column = batch.column_by_name("source_offset").unwrap();
    column.as_primitive::<Int64Type>().values().iter().map(|offset| Row::Record(*offset))
}
