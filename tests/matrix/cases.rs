//! The cases of the matrix: a point, a fault, and the moment.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::common::scaled;
use crate::points::{Passed, Point, all_points};

/// Names a part of "Fault point", such as `Hang lake::`: only these cases are run.
const ONLY: &str = "PULSELAKE_TEST_CASES";

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The thread panics.
    Panic,
    /// The process ends at once, without a destructor or a flush, as by kill -9.
    Kill,
    /// The thread stands still for longer than anybody waits.
    Hang,
    /// The thread goes on, and the answer of a store never comes.
    Stall,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where.
    pub point: Point,
    /// What.
    pub fault: Fault,
    /// How often the point is passed before it.
    pub passes: u32,
    /// Another choice, where a point is passed in several ways.
    pub by_failure: bool,
}

impl Case {
    /// The failure as the variable FAILPOINTS takes it.
    pub fn failpoint(&self) -> String {
        let action = match self.fault {
            Fault::Panic => format!("panic({})", self.panic_message()),
            Fault::Kill => "return(abort)".to_owned(),
            Fault::Hang => "sleep(3600000)".to_owned(),
            Fault::Stall => self.point.stall.unwrap().to_owned(),
        };
        format!("{}={}*off->1*{action}->off", self.point.name, self.passes)
    }

    /// What a panic says.
    pub fn panic_message(&self) -> String {
        format!("on purpose at {}", self.point.name)
    }
}

/// The cases that a seed gives, in its order; those that take longest come first. In the long form these are all there are,
/// in the short form every second one: each point, and about half of its faults.
pub fn cases_of(seed: u64) -> Vec<Case> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cases = Vec::new();
    for (number, point) in (seed..).zip(all_points()) {
        let stall = point.stall.map(|_| Fault::Stall);
        let faults = [Fault::Panic, Fault::Kill, Fault::Hang].into_iter().chain(stall);
        for (turn, fault) in (number..).zip(faults) {
            let passes = match point.passed() {
                Passed::WithEachBatch => 0..=scaled(30, 200),
                Passed::WithEachCommit => 0..=scaled(3, 10),
                // The tables are opened before, and the ledgers read.
                Passed::WithEachCatalogRead => 15..=scaled(20, 40),
                Passed::AtStart => 0..=5,
                Passed::AtTheLastWindows | Passed::AtRefill => 0..=1,
                _ => 0..=0,
            };
            let (passes, by_failure) = (random.random_range(passes), random.random());
            if turn.is_multiple_of(scaled(2, 1)) || std::env::var_os(ONLY).is_some() {
                cases.push(Case { point: point.clone(), fault, passes, by_failure });
            }
        }
    }
    if let Ok(part) = std::env::var(ONLY) {
        cases.retain(|case| format!("{:?} {}", case.fault, case.point.name).contains(&part));
    }
    cases.shuffle(&mut random);
    cases.sort_by_key(|case| (case.fault != Fault::Stall, case.point.passed() != Passed::OnRevoke));
    cases
}
