//! A run of a scenario, from its services to its outcome.
//!
//! # Layout
//! [`setup`] makes everything ready; [`course`] lets the run happen: [`feed`] sends (of [`seconds`] of generated logs) and
//! keeps the [`account`] (of records [`sent`] and their [`content`]), [`changes`] does the same for changes, [`fleet`] holds the engines, [`observer`] looks at
//! all of it, [`search`] finds the highest rate. [`place`] is where the tables lie. Afterwards [`audit`] compares them with
//! the truth, [`latencies`], [`recovery`] and [`figures`] say what was measured, [`enough`] and [`promises`] whether what was
//! sent is what the scenario says, and [`conclude`] puts the outcome together.

mod account;
pub(crate) mod audit;
pub(crate) mod changes;
mod conclude;
mod content;
mod course;
mod enough;
pub(crate) mod feed;
mod figures;
pub(crate) mod fleet;
mod latencies;
mod observer;
mod place;
mod promises;
mod recovery;
mod search;
mod seconds;
pub(crate) mod sent;
mod setup;

pub use setup::RunOptions;

use super::outcome::RunOutcome;
use super::scenario::Scenario;
use crate::proc_fs;

/// Runs a scenario. The tables are compared with the truth whatever went wrong before.
///
/// # Errors
/// When the run could not begin, or so much went wrong that there is nothing to tell.
pub fn run(scenario: &Scenario, is_short: bool, options: &RunOptions) -> anyhow::Result<RunOutcome> {
    let before = conclude::MachineBefore { load: proc_fs::load_average(), cpu_s: proc_fs::machine_cpu_s() };
    let setup = setup::Setup::of(scenario, options)?;
    setup.feed.account().lock().promises = promises::Promises::of(&scenario.load, setup.start_ms);
    let course = course::Course::of(scenario, setup)?;
    conclude::conclude(scenario, is_short, course, &before)
}
