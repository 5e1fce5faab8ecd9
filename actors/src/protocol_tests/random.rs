//! Long random walks of two owners over up to forty records, with lost answers, crashes and changes of the decoder.

use proptest::prelude::*;
use pulselake_window::WindowSettings;

use super::owner::{After, BronzeWay, Owner};
use super::stream::{Record, Stream};
use super::table::{Delivery, Table};
use super::truth;
use super::{BRONZE, GOLD, QUARANTINE};

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

struct World {
    is_strict: bool,
    stream: Stream,
    tables: [Table; 3],
    owners: Vec<Owner>,
    commits: u32,
}

impl World {
    fn new(stream: Stream) -> Self {
        let tables = Default::default();
        let mut world = Self { is_strict: true, stream, tables, owners: Vec::new(), commits: 0 };
        world.owners = vec![world.start_owner(), world.start_owner()];
        world
    }

    fn start_owner(&self) -> Owner {
        Owner::start(&self.stream, self.tables.each_ref(), 0, self.is_strict).unwrap()
    }

    fn change_decoder(&mut self) {
        let start = || Owner::start(&self.stream, self.tables.each_ref(), 0, !self.is_strict);
        if let (Ok(first), Ok(second)) = (start(), start()) {
            self.is_strict = !self.is_strict;
            self.owners = vec![first, second];
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Read { owner, records } => self.owners[owner].read(&self.stream, records),
            Step::FlushBronze { owner, answer_lost, crash_between } => {
                self.flush_bronze(owner, answer_lost, crash_between);
            }
            Step::FlushGold { owner, answer_lost } => self.flush_gold(owner, answer_lost),
            Step::CloseIdle { owner } => {
                self.owners[owner].close_idle();
            }
            Step::Crash { owner } => self.owners[owner] = self.start_owner(),
            Step::ChangeDecoder => self.change_decoder(),
        }
    }

    fn new_id(&mut self) -> u32 {
        self.commits += 1;
        self.commits
    }

    fn flush_bronze(&mut self, owner: usize, answer_lost: bool, crash_between: bool) {
        let (quarantine_id, bronze_id) = (self.new_id(), self.new_id());
        if !self.owners[owner].begin_bronze(quarantine_id, bronze_id) {
            return;
        }
        let (_, way) = ways(answer_lost);
        let way = BronzeWay { quarantine: way, crash_between, bronze: way };
        let [quarantine, bronze, _] = &mut self.tables;
        let mut after = After::GoesOn(None);
        // A lost answer is asked for again with the same id; a flush has two of them.
        for _ in 0..3 {
            after = self.owners[owner].commit_bronze(quarantine, bronze, way);
            if after == After::Restarts {
                break;
            }
        }
        self.restart_after(owner, after);
    }

    fn flush_gold(&mut self, owner: usize, answer_lost: bool) {
        let id = self.new_id();
        if !self.owners[owner].begin_gold(id) {
            return;
        }
        let (times, way) = ways(answer_lost);
        let mut after = After::GoesOn(None);
        for _ in 0..times {
            after = self.owners[owner].commit_gold(&mut self.tables[GOLD], way);
        }
        self.restart_after(owner, after);
    }

    fn restart_after(&mut self, owner: usize, after: After) {
        assert!(after != After::Stops, "nobody has rolled anything back");
        if after == After::Restarts {
            self.owners[owner] = self.start_owner();
        }
        for table in [QUARANTINE, BRONZE, GOLD] {
            assert!(!self.owners[owner].waits_for(table), "the outcome is known by now");
        }
    }

    /// One owner reads everything, closes every window and commits.
    fn finish(&mut self) {
        self.owners[0] = self.start_owner();
        self.owners[0].read(&self.stream, self.stream.records.len());
        self.owners[0].close_idle();
        self.flush_bronze(0, false, false);
        self.flush_gold(0, false);
    }
}

/// How often a commit is tried, and how it travels.
fn ways(answer_lost: bool) -> (usize, Delivery) {
    if answer_lost { (2, Delivery::AnswerLost) } else { (1, Delivery::Answered) }
}

fn streams() -> impl Strategy<Value = Stream> {
    let one = (prop::option::weighted(0.85, 0u8..200), prop::bool::weighted(0.2), 0i64..360, 0u8..3);
    let horizons = prop_oneof![Just(0), Just(20_000), Just(86_400_000)];
    let lateness = prop_oneof![Just(60_000), Just(86_400_000)];
    (prop::collection::vec(one, 0..40), horizons, lateness).prop_map(|(all, horizon_ms, lateness_ms)| {
        let record = |(event_id, is_long, at_s, video)| Record { event_id, is_long, at_s, video };
        let windows = WindowSettings {
            watermark_delay_ms: 10_000,
            allowed_lateness_ms: lateness_ms,
            dedup_horizon_ms: horizon_ms,
            dedup_max_ids: 1_000,
        };
        Stream::new(all.into_iter().map(record).collect(), windows)
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
    fn two_owners_lose_and_double_nothing(stream in streams(), steps in steps()) {
        let mut world = World::new(stream);
        for step in &steps {
            world.run(step);
            truth::check(&world.stream, world.tables.each_ref());
        }
        world.finish();
        truth::check_complete(&world.stream, world.tables.each_ref());
    }
}
