//! The exactly-once protocol as a model: owners that each believe that one partition is theirs, three tables in memory
//! with snapshots and ledgers, and the real functions in between: recovery plan, routing, decoder, windows, ledger
//! entries, decision, judgement of the ancestry.
//!
//! Two tests drive it. [`random`] takes long walks over many records; [`exhaustive`] takes six records and goes
//! through every order of steps up to a depth. Both hold every state against a naive recount ([`truth`]). What is
//! modelled, and which faults planted on purpose each test finds, is in `docs/adr/0009-model-test.md`.

mod digest;
mod exhaustive;
mod explorer;
mod machine;
mod owner;
mod random;
mod state;
mod stream;
mod table;
mod truth;

/// The topic of the modelled partition, number 0.
const TOPIC: &str = "t";
/// Identity of the modelled source.
const CLUSTER: &str = "c";

/// The three tables, by the order in which a flush commits to them.
const QUARANTINE: usize = 0;
const BRONZE: usize = 1;
const GOLD: usize = 2;
