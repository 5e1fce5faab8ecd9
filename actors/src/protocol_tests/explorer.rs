//! Goes through every order of steps up to a depth, breadth first, each state once, and checks every state.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Instant;

use pulselake_ledger::RecoveryStop;

use super::digest::QuickMap;
use super::machine::Machine;
use super::owner::{BronzeWay, Owner, Stop};
use super::state::{Budget, State, Step};
use super::stream::Stream;
use super::table::{Delivery, Table};
use super::{BRONZE, GOLD, truth};

const DELIVERIES: [Delivery; 3] = [Delivery::Answered, Delivery::AnswerLost, Delivery::OnItsWay];

/// One search.
pub struct Search {
    /// For the figures.
    pub name: &'static str,
    pub stream: Stream,
    /// One, or two that both believe that the partition is theirs.
    pub owners: usize,
    /// Steps that come first, from empty tables.
    pub prefix: Vec<Step>,
    /// Steps after them, in every order.
    pub depth: usize,
    pub budget: Budget,
}

/// What a search has gone through.
#[derive(Debug, Default)]
pub struct Figures {
    pub states: usize,
    pub transitions: usize,
    /// States of the tables from which a fresh owner was started and brought to the end.
    pub recoveries: usize,
    /// Of these, refused with a reason that nobody can mend without losing records.
    pub refused: usize,
    /// Of these, where bronze had to follow a quarantine that was rolled back.
    pub rolled_further: usize,
}

/// All orders of steps that a search asks for.
pub struct Explorer {
    machine: Machine,
    checked: QuickMap<[u32; 3], ()>,
    recovered: QuickMap<([u32; 3], u8, bool), ()>,
    owners: usize,
    figures: Figures,
}

impl Explorer {
    /// Runs a search and prints its figures.
    pub fn run(search: &Search) -> Figures {
        let begun = Instant::now();
        let keeps_history = search.budget.rollbacks > 0;
        let mut explorer = Self {
            machine: Machine::new(search.stream.clone(), keeps_history),
            checked: QuickMap::default(),
            recovered: QuickMap::default(),
            owners: search.owners,
            figures: Figures::default(),
        };
        let owner = explorer.machine.start([0; 3], 0, true);
        let first = State {
            tables: [0; 3],
            owners: if search.owners == 1 { [0, owner] } else { [owner; 2] },
            on_its_way: [0; 2],
            low: 0,
            is_strict: true,
            budget: search.budget,
        };
        let first = search.prefix.iter().fold(first, |state, step| explorer.take(&state, *step).unwrap());
        let mut seen: QuickMap<State, ()> = QuickMap::from_iter([(first, ())]);
        let mut states = vec![(first, 0, None)];
        let mut from = 0;
        for _ in 0..search.depth {
            let until = states.len();
            for at in from..until {
                let state = states[at].0;
                for step in explorer.steps(&state) {
                    let next = catch_unwind(AssertUnwindSafe(|| explorer.take(&state, step)));
                    match next {
                        Ok(None) => {}
                        Ok(Some(next)) => {
                            explorer.figures.transitions += 1;
                            if seen.insert(next, ()).is_none() {
                                states.push((next, at, Some(step)));
                            }
                        }
                        Err(panic) => {
                            eprintln!("{}: after\n{}{step:?}", search.name, path(&states, at));
                            resume_unwind(panic);
                        }
                    }
                }
            }
            from = until;
        }
        explorer.figures.states = states.len();
        let sizes = explorer.machine.sizes();
        println!(
            "{}: depth {}, {:?}, {sizes:?} tables, owners, requests, {:.1} s",
            search.name,
            search.depth,
            explorer.figures,
            begun.elapsed().as_secs_f64()
        );
        explorer.figures
    }

    /// One step and the checks of where it leads.
    fn take(&mut self, state: &State, step: Step) -> Option<State> {
        let next = self.machine.step(state, step)?;
        if self.checked.insert(next.tables, ()).is_none() {
            let tables = self.machine.tables(next.tables);
            truth::check(&self.machine.stream, tables.each_ref().map(Rc::as_ref));
        }
        if self.recovered.insert((next.tables, next.low, next.is_strict), ()).is_none() {
            self.figures.recoveries += 1;
            self.figures.refused += usize::from(!self.recovers(&next));
        }
        Some(next)
    }

    /// Everything that may happen next, possible or not.
    fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        // Two owners that hold the same are one choice; one alone stands behind nobody.
        let is_one_choice = self.owners == 1 || state.owners[0] == state.owners[1];
        for owner in usize::from(is_one_choice)..2 {
            steps.push(Step::Start { owner });
            if state.owners[owner] != 0 {
                self.steps_of(state, owner, &mut steps);
            }
        }
        steps.extend((0..2).filter(|index| state.on_its_way[*index] != 0).map(|index| Step::Land { index }));
        for (table, found) in self.machine.tables(state.tables).iter().enumerate() {
            if state.budget.rollbacks > 0 {
                let targets = found.snapshots_to_roll_to();
                steps.extend(targets.map(|snapshot| Step::RollTo { table, snapshot }));
            }
            if state.budget.strangers > 0 && !found.rows().is_empty() {
                steps.push(Step::Stranger { table });
            }
            if found.needs_rewind() {
                steps.push(Step::Rewind { table });
            }
        }
        if state.budget.retentions > 0 {
            let committed = self.machine.tables(state.tables)[BRONZE].entry_of_rows().next as u8;
            steps.extend((state.low + 1..=committed).map(|low| Step::Retain { low }));
        }
        // The former decoder's last commits have landed, or never will.
        if state.budget.decoders > 0 && state.on_its_way == [0; 2] {
            steps.push(Step::ChangeDecoder);
        }
        steps
    }

    fn steps_of(&self, state: &State, owner: usize, steps: &mut Vec<Step>) {
        let reader = self.machine.owner(state.owners[owner]);
        let left = self.machine.stream.records.len() as u8 - reader.position;
        let may_be_unknown = state.budget.unknown > 0;
        let deliveries = if may_be_unknown { &DELIVERIES[..] } else { &DELIVERIES[..1] };
        for records in 0..=left {
            if state.budget.retentions > 0 && records > 0 {
                // What was read before retention moves on is not read again: the order matters.
                steps.push(Step::Read { owner, records });
            }
            steps.push(Step::CloseIdle { owner, records });
            if records == 0 || reader.waits_for[GOLD] == 0 {
                let flushes = deliveries.iter().map(|&delivery| Step::FlushGold { owner, records, delivery });
                steps.extend(flushes);
            }
            if records == 0 || reader.waits_for[BRONZE] == 0 {
                let ways = bronze_ways(may_be_unknown);
                steps.extend(ways.map(|way| Step::FlushBronze { owner, records, way }));
            }
        }
    }

    /// Whether an operator and a fresh owner bring these tables to the truth; false where it is refused for good.
    fn recovers(&mut self, state: &State) -> bool {
        let mut tables: [Table; 3] = self.machine.tables(state.tables).map(|table| table.as_ref().clone());
        for table in &mut tables {
            if table.needs_rewind() {
                table.rewind();
            }
        }
        let mut is_strict = state.is_strict;
        let mut owner = loop {
            let stop = match self.fresh(&tables, state.low, is_strict) {
                Ok(owner) => break owner,
                Err(Stop::Plan(stop)) => stop,
                Err(Stop::Ledger(verdict)) => panic!("rewound and still refused: {verdict:?}"),
            };
            match stop {
                RecoveryStop::QuarantineBehind { found, .. } => {
                    assert!(state_was_rolled_back(&tables), "quarantine behind for no reason: {stop}");
                    if !tables[BRONZE].roll_back_to(|entry| entry.counts.quarantined <= found) {
                        return false;
                    }
                    tables[BRONZE].rewind();
                    self.figures.rolled_further += 1;
                }
                RecoveryStop::DataLost { next, low, .. } => {
                    assert!(state_was_rolled_back(&tables) && next < low, "lost for no reason: {stop}");
                    return false;
                }
                // The text says: run once with the former settings.
                RecoveryStop::UndecidedRange { .. } if is_strict == state.is_strict => is_strict = !is_strict,
                stop => panic!("refused: {stop}"),
            }
        };
        let all = self.machine.stream.records.len();
        owner.read(&self.machine.stream, all);
        owner.close_idle();
        let way =
            BronzeWay { quarantine: Delivery::Answered, crash_between: false, bronze: Delivery::Answered };
        let [quarantine, bronze, gold] = &mut tables;
        let fresh_id = u32::MAX;
        if owner.begin_bronze(fresh_id, fresh_id) {
            owner.commit_bronze(quarantine, bronze, way);
        }
        if owner.begin_gold(fresh_id) {
            owner.commit_gold(gold, Delivery::Answered);
        }
        truth::check_complete(&self.machine.stream, tables.each_ref());
        true
    }

    fn fresh(&self, tables: &[Table; 3], low: u8, is_strict: bool) -> Result<Owner, Stop> {
        Owner::start(&self.machine.stream, tables.each_ref(), i64::from(low), is_strict)
    }
}

fn state_was_rolled_back(tables: &[Table; 3]) -> bool {
    tables.iter().any(Table::was_rolled_back)
}

fn bronze_ways(may_be_unknown: bool) -> impl Iterator<Item = BronzeWay> {
    let way = |quarantine, crash_between, bronze| BronzeWay { quarantine, crash_between, bronze };
    let answered = Delivery::Answered;
    let unknown = [
        way(answered, false, Delivery::AnswerLost),
        way(answered, false, Delivery::OnItsWay),
        way(answered, true, answered),
        way(Delivery::AnswerLost, false, answered),
        way(Delivery::OnItsWay, false, answered),
    ];
    let rare = unknown.into_iter().filter(move |_| may_be_unknown);
    std::iter::once(way(answered, false, answered)).chain(rare)
}

/// The steps that led to a state, one a line.
fn path(states: &[(State, usize, Option<Step>)], mut at: usize) -> String {
    let mut steps = Vec::new();
    while let (_, before, Some(step)) = states[at] {
        steps.push(step);
        at = before;
    }
    steps.iter().rev().fold(String::new(), |mut text, step| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{step:?}");
        text
    })
}
