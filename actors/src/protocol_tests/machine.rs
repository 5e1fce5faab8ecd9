//! Carries out steps on interned parts: each part is worked on once, however many states it is a part of.

use std::collections::HashMap;
use std::fmt::Debug;
use std::rc::Rc;

use super::digest::{QuickMap, digest};
use super::owner::{After, BronzeWay, Owner, Stop};
use super::state::{State, Step};
use super::stream::Stream;
use super::table::{Delivery, Request, Table};
use super::{BRONZE, GOLD, QUARANTINE};
use crate::prepare::Piece;

/// Parts by number; parts that print alike are one.
struct Interned<T, F> {
    parts: Vec<(Rc<T>, F)>,
    facts: fn(&T) -> F,
    numbers: HashMap<u128, u32>,
}

impl<T: Debug, F: Copy> Interned<T, F> {
    fn with_zero(zero: T, facts: fn(&T) -> F) -> Self {
        let mut interned = Self { parts: Vec::new(), facts, numbers: HashMap::new() };
        interned.number(zero);
        interned
    }

    fn number(&mut self, part: T) -> u32 {
        let next = self.parts.len() as u32;
        let number = *self.numbers.entry(digest(&format!("{part:?}"))).or_insert(next);
        if number == next {
            let facts = (self.facts)(&part);
            self.parts.push((Rc::new(part), facts));
        }
        number
    }

    fn get(&self, number: u32) -> Rc<T> {
        self.parts[number as usize].0.clone()
    }

    fn facts(&self, number: u32) -> F {
        self.parts[number as usize].1
    }
}

/// What every step asks of an owner.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerFacts {
    /// The next offset to read; of nobody 0.
    pub position: u8,
    /// Per table the id of the commit whose outcome is unknown; 0 is none.
    pub waits_for: [u32; 3],
}

impl OwnerFacts {
    fn of(owner: &Option<Owner>) -> Self {
        let Some(owner) = owner else { return Self::default() };
        let waits_for = [QUARANTINE, BRONZE, GOLD]
            .map(|table| owner.waiting_for(table).map_or(0, |request| request.commit_id));
        Self { position: owner.position() as u8, waits_for }
    }
}

/// An owner's number, or what becomes of it.
#[derive(Clone, Copy)]
enum Then {
    Owner(u32),
    Restarts,
    Stops,
}

/// What a flush did: the owner, the tables that it commits to, the request left on its way.
type Flushed = Option<(Then, [u32; 2], u32)>;

/// See the module.
pub struct Machine {
    pub stream: Stream,
    keeps_history: bool,
    /// With the highest commit id.
    tables: Interned<Table, u32>,
    /// 0 is nobody: an engine that has stopped.
    owners: Interned<Option<Owner>, OwnerFacts>,
    /// With table and commit id.
    requests: Interned<Option<Request>, (usize, u32)>,
    /// Prepared batches by position, length and what else decides.
    pieces: HashMap<(i64, u8, String), Rc<Vec<Piece>>>,
    starts: QuickMap<([u32; 3], u8, bool), u32>,
    reads: QuickMap<(u32, u8), u32>,
    closed: QuickMap<u32, Option<u32>>,
    bronze: QuickMap<(u32, [u32; 2], [u32; 2], BronzeWay), Flushed>,
    gold: QuickMap<(u32, u32, u32, Delivery), Flushed>,
    landed: QuickMap<(u32, u32), u32>,
}

impl Machine {
    /// `keeps_history` where tables are rolled back.
    pub fn new(stream: Stream, keeps_history: bool) -> Self {
        Self {
            stream,
            keeps_history,
            tables: Interned::with_zero(Table::default(), Table::highest_commit_id),
            owners: Interned::with_zero(None, OwnerFacts::of),
            requests: Interned::with_zero(None, |request| {
                request.as_ref().map_or((usize::MAX, 0), |request| (request.table, request.commit_id))
            }),
            pieces: HashMap::new(),
            starts: QuickMap::default(),
            reads: QuickMap::default(),
            closed: QuickMap::default(),
            bronze: QuickMap::default(),
            gold: QuickMap::default(),
            landed: QuickMap::default(),
        }
    }

    pub fn tables(&self, numbers: [u32; 3]) -> [Rc<Table>; 3] {
        numbers.map(|number| self.tables.get(number))
    }

    pub fn owner(&self, number: u32) -> OwnerFacts {
        self.owners.facts(number)
    }

    /// How many tables, owners and requests there are.
    pub fn sizes(&self) -> [usize; 3] {
        [self.tables.parts.len(), self.owners.parts.len(), self.requests.parts.len()]
    }

    /// A fresh owner from the tables; 0 where the tables forbid it.
    pub fn start(&mut self, tables: [u32; 3], low: u8, is_strict: bool) -> u32 {
        if let Some(number) = self.starts.get(&(tables, low, is_strict)) {
            return *number;
        }
        let found = self.try_start(tables, low, is_strict).ok();
        let number = self.owners.number(found);
        self.starts.insert((tables, low, is_strict), number);
        number
    }

    /// As [`Self::start`], with the reason.
    pub fn try_start(&self, tables: [u32; 3], low: u8, is_strict: bool) -> Result<Owner, Stop> {
        let tables = self.tables(tables);
        Owner::start(&self.stream, tables.each_ref().map(Rc::as_ref), i64::from(low), is_strict)
    }

    /// The state after a step; `None` where it is not possible, or the same as another one.
    pub fn step(&mut self, from: &State, step: Step) -> Option<State> {
        let mut to = *from;
        match step {
            Step::Read { owner, records } => to.owners[owner] = self.read(&to, owner, records)?,
            Step::FlushBronze { owner, records, way } => self.flush_bronze(&mut to, owner, records, way)?,
            Step::FlushGold { owner, records, delivery } => {
                self.flush_gold(&mut to, owner, records, delivery)?;
            }
            Step::CloseIdle { owner, records } => {
                let reader = self.read(&to, owner, records)?;
                to.owners[owner] = self.close_idle(reader)?;
            }
            Step::Start { owner } => {
                if to.owners[owner] != 0 {
                    to.budget.kills = to.budget.kills.checked_sub(1)?;
                }
                to.owners[owner] = self.start(to.tables, to.low, to.is_strict);
            }
            Step::Land { index } => {
                let request = std::mem::take(&mut to.on_its_way[index]);
                let (table, _) = self.requests.facts(request);
                let landed = self.land(to.tables[table], request);
                self.set_table(&mut to, table, landed);
            }
            Step::RollTo { table, snapshot } => {
                to.budget.rollbacks = to.budget.rollbacks.checked_sub(1)?;
                self.change_table(&mut to, table, |changed| changed.roll_to(snapshot));
            }
            Step::Rewind { table } => self.change_table(&mut to, table, Table::rewind),
            Step::Stranger { table } => {
                to.budget.strangers = to.budget.strangers.checked_sub(1)?;
                self.change_table(&mut to, table, Table::commit_by_a_stranger);
            }
            Step::Retain { low } => {
                to.budget.retentions = to.budget.retentions.checked_sub(1)?;
                to.low = low;
            }
            Step::ChangeDecoder => {
                to.budget.decoders = to.budget.decoders.checked_sub(1)?;
                to.is_strict = !to.is_strict;
                let fresh = self.start(to.tables, to.low, to.is_strict);
                if fresh == 0 {
                    return None;
                }
                to.owners = [fresh; 2];
            }
        }
        let to = to.sorted();
        (to != *from).then_some(to)
    }

    /// The owner after reading; one that retention has overtaken starts again.
    fn read(&mut self, state: &State, owner: usize, records: u8) -> Option<u32> {
        let number = state.owners[owner];
        if number == 0 || records == 0 {
            return (number != 0).then_some(number);
        }
        if self.owners.facts(number).position < state.low {
            return Some(self.start(state.tables, state.low, state.is_strict));
        }
        if let Some(known) = self.reads.get(&(number, records)) {
            return Some(*known);
        }
        let mut reader = self.owners.get(number).as_ref().clone()?;
        let position = reader.position();
        if let Some(batch) = reader.poll(&self.stream, usize::from(records)) {
            let key = (position, records, reader.preparation());
            let pieces = self.pieces.entry(key).or_insert_with(|| Rc::new(reader.prepare(batch)));
            reader.take(&pieces.clone());
        }
        reader.forget_plan();
        let after = self.owners.number(Some(reader));
        self.reads.insert((number, records), after);
        Some(after)
    }

    fn close_idle(&mut self, number: u32) -> Option<u32> {
        if let Some(known) = self.closed.get(&number) {
            return *known;
        }
        let mut owner = self.owners.get(number).as_ref().clone()?;
        let after = owner.close_idle().then(|| self.owners.number(Some(owner)));
        self.closed.insert(number, after);
        after
    }

    fn flush_bronze(&mut self, to: &mut State, owner: usize, records: u8, way: BronzeWay) -> Option<()> {
        let is_clean =
            way.bronze == Delivery::Answered && way.quarantine == Delivery::Answered && !way.crash_between;
        if !is_clean {
            to.budget.unknown = to.budget.unknown.checked_sub(1)?;
        }
        let number = self.read(to, owner, records)?;
        let ids = [self.new_id(to, QUARANTINE), self.new_id(to, BRONZE)];
        let tables = [to.tables[QUARANTINE], to.tables[BRONZE]];
        let key = (number, tables, ids, way);
        let flushed = match self.bronze.get(&key) {
            Some(known) => *known,
            None => {
                let flushed = self.work_bronze(number, tables, ids, way);
                self.bronze.insert(key, flushed);
                flushed
            }
        };
        let (then, [quarantine, bronze], on_its_way) = flushed?;
        self.set_table(to, QUARANTINE, quarantine);
        self.set_table(to, BRONZE, bronze);
        self.put_on_its_way(to, on_its_way)?;
        self.settle(to, owner, then);
        Some(())
    }

    fn work_bronze(&mut self, number: u32, tables: [u32; 2], ids: [u32; 2], way: BronzeWay) -> Flushed {
        let mut owner = self.owners.get(number).as_ref().clone()?;
        if !owner.begin_bronze(ids[0], ids[1]) {
            return None;
        }
        let has_quarantine = owner.waits_for(QUARANTINE);
        if !has_quarantine && (way.quarantine != Delivery::Answered || way.crash_between) {
            return None;
        }
        let requests = [QUARANTINE, BRONZE].map(|table| owner.waiting_for(table).cloned());
        let mut quarantine = self.tables.get(tables[0]).as_ref().clone();
        let mut bronze = self.tables.get(tables[1]).as_ref().clone();
        let after = owner.commit_bronze(&mut quarantine, &mut bronze, way);
        let after_tables = [self.intern_table(quarantine), self.intern_table(bronze)];
        let on_its_way = match after {
            After::GoesOn(Some(table)) => self.requests.number(requests[table].clone()),
            _ => 0,
        };
        Some((self.then(after, owner), after_tables, on_its_way))
    }

    fn flush_gold(&mut self, to: &mut State, owner: usize, records: u8, delivery: Delivery) -> Option<()> {
        if delivery != Delivery::Answered {
            to.budget.unknown = to.budget.unknown.checked_sub(1)?;
        }
        let number = self.read(to, owner, records)?;
        let id = self.new_id(to, GOLD);
        let key = (number, to.tables[GOLD], id, delivery);
        let flushed = match self.gold.get(&key) {
            Some(known) => *known,
            None => {
                let flushed = self.work_gold(number, to.tables[GOLD], id, delivery);
                self.gold.insert(key, flushed);
                flushed
            }
        };
        let (then, [gold, _], on_its_way) = flushed?;
        self.set_table(to, GOLD, gold);
        self.put_on_its_way(to, on_its_way)?;
        self.settle(to, owner, then);
        Some(())
    }

    fn work_gold(&mut self, number: u32, table: u32, id: u32, delivery: Delivery) -> Flushed {
        let mut owner = self.owners.get(number).as_ref().clone()?;
        if !owner.begin_gold(id) {
            return None;
        }
        let request = owner.waiting_for(GOLD).cloned();
        let mut gold = self.tables.get(table).as_ref().clone();
        let after = owner.commit_gold(&mut gold, delivery);
        let gold = self.intern_table(gold);
        let on_its_way = match after {
            After::GoesOn(Some(_)) => self.requests.number(request),
            _ => 0,
        };
        Some((self.then(after, owner), [gold, 0], on_its_way))
    }

    fn then(&mut self, after: After, owner: Owner) -> Then {
        match after {
            After::GoesOn(_) => Then::Owner(self.owners.number(Some(owner))),
            After::Restarts => Then::Restarts,
            After::Stops => Then::Stops,
        }
    }

    fn settle(&mut self, to: &mut State, owner: usize, then: Then) {
        to.owners[owner] = match then {
            Then::Owner(number) => number,
            Then::Restarts => self.start(to.tables, to.low, to.is_strict),
            Then::Stops => 0,
        };
    }

    fn land(&mut self, table: u32, request: u32) -> u32 {
        if let Some(known) = self.landed.get(&(table, request)) {
            return *known;
        }
        let mut changed = self.tables.get(table).as_ref().clone();
        if let Some(landing) = self.requests.get(request).as_ref() {
            changed.land(landing);
        }
        let after = self.intern_table(changed);
        self.landed.insert((table, request), after);
        after
    }

    fn change_table(&mut self, to: &mut State, table: usize, with: impl FnOnce(&mut Table)) {
        let mut changed = self.tables.get(to.tables[table]).as_ref().clone();
        with(&mut changed);
        let number = self.intern_table(changed);
        self.set_table(to, table, number);
    }

    fn intern_table(&mut self, mut table: Table) -> u32 {
        if !self.keeps_history {
            table.forget_history();
        }
        self.tables.number(table)
    }

    /// A swap names the metadata that it was built on: what is on its way to a table that has changed never lands.
    fn set_table(&self, to: &mut State, table: usize, number: u32) {
        if to.tables[table] == number {
            return;
        }
        to.tables[table] = number;
        for request in &mut to.on_its_way {
            if *request != 0 && self.requests.facts(*request).0 == table {
                *request = 0;
            }
        }
    }

    fn put_on_its_way(&self, to: &mut State, request: u32) -> Option<()> {
        if request == 0 || to.on_its_way.contains(&request) {
            return Some(());
        }
        let free = to.on_its_way.iter_mut().find(|other| **other == 0)?;
        *free = request;
        Some(())
    }

    /// A commit id that nobody can mistake for another one.
    fn new_id(&self, state: &State, table: usize) -> u32 {
        let waiting = state.owners.map(|owner| self.owners.facts(owner).waits_for[table]);
        let on_its_way = state.on_its_way.map(|request| match self.requests.facts(request) {
            (other, id) if other == table => id,
            _ => 0,
        });
        let in_table = self.tables.facts(state.tables[table]);
        waiting.into_iter().chain(on_its_way).fold(in_table, u32::max) + 1
    }
}
