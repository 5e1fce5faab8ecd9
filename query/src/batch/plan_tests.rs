//! The planner on a made-up world: whatever happens to it, what is due is made once, and nothing else is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use proptest::prelude::*;
use pulselake_model::Entity;

use super::fingerprint::Fingerprint;
use super::inputs::Facts;
use super::job::{Input, JOBS, Job, SILVER, find_job};
use super::plan::{Planner, Reason, Verdict, shifted, steps};
use super::run_log::{Run, RunLog, RunStatus, tests as runs};

fn day(number: i64) -> NaiveDate {
    shifted(NaiveDate::from_ymd_opt(2026, 2, 1).unwrap(), number).unwrap()
}

/// Bronze, dimensions and gold, as far as a planner can see them.
#[derive(Clone, Debug, Default)]
struct World {
    bronze_rows: BTreeMap<NaiveDate, u64>,
    /// How often an event just before the day's end has changed its open sessions.
    late_evenings: BTreeMap<NaiveDate, u64>,
    /// The days on which versions began.
    versions: Vec<(Entity, NaiveDate)>,
    real_time: BTreeMap<NaiveDate, u64>,
    /// The evening that silver was made with.
    silver_evenings: BTreeMap<NaiveDate, u64>,
    log: RunLog,
}

impl World {
    fn with_days(count: i64) -> Self {
        let bronze_rows = (0..count).map(|number| (day(number), 10)).collect();
        Self { bronze_rows, ..Self::default() }
    }

    /// What a run would gather for the step at that moment.
    fn facts(&self, date: NaiveDate) -> Facts {
        let mut facts = Facts { bronze_rows: self.bronze_rows.clone(), ..Facts::default() };
        for entity in Entity::ALL {
            let count = self.versions.iter().filter(|(of, began)| *of == entity && *began <= date).count();
            facts.versions.insert((entity, date), count as u64);
        }
        facts.real_time.insert(date, self.real_time.get(&date).copied().unwrap_or_default().to_string());
        let before = shifted(date, -1).unwrap();
        let open = match self.silver_evenings.get(&before) {
            Some(evening) => format!("evening {evening}"),
            None => format!("{} rows", self.bronze_rows.get(&before).copied().unwrap_or_default()),
        };
        facts.open_sessions.insert(date, open);
        facts
    }

    fn verdicts(&self, first: i64, last: i64) -> Vec<(&'static str, NaiveDate, Verdict)> {
        let hashes = hashes(1);
        steps(&all(), day(first), day(last))
            .into_iter()
            .map(|step| {
                let facts = self.facts(step.date);
                let planner = Planner { facts: &facts, log: &self.log, hashes: &hashes, force: false };
                (step.job.name, step.date, planner.judge(step))
            })
            .collect()
    }

    /// Makes what is due, in order; what was made.
    fn run(&mut self, first: i64, last: i64) -> Vec<(&'static str, NaiveDate)> {
        self.run_as(first, last, 1, false)
    }

    fn run_as(&mut self, first: i64, last: i64, version: u32, force: bool) -> Vec<(&'static str, NaiveDate)> {
        let hashes = hashes(version);
        let mut made = Vec::new();
        for step in steps(&all(), day(first), day(last)) {
            let facts = self.facts(step.date);
            let planner = Planner { facts: &facts, log: &self.log, hashes: &hashes, force };
            if let Verdict::Due(_) = planner.judge(step) {
                made.push((step.job.name, step.date));
                let fingerprint = Fingerprint::of(step.job, step.date, &facts, &self.log).to_string();
                let run = runs::run(step.job.name, step.date, RunStatus::Done);
                self.log.record(Run {
                    input_fingerprint: fingerprint,
                    sql_hash: hashes[step.job.name].clone(),
                    ..run
                });
                if step.job.name == SILVER {
                    let evening = self.late_evenings.get(&step.date).copied().unwrap_or_default();
                    self.silver_evenings.insert(step.date, evening);
                }
            }
        }
        made
    }
}

fn all() -> Vec<&'static Job> {
    JOBS.iter().collect()
}

fn hashes(version: u32) -> HashMap<&'static str, String> {
    JOBS.iter().map(|job| (job.name, version.to_string())).collect()
}

impl World {
    /// All that hangs on something that was made anew, within the days that a run looks at.
    fn chain(
        &self,
        changed: &[(&'static str, NaiveDate)],
        first: i64,
        last: i64,
    ) -> BTreeSet<(&'static str, NaiveDate)> {
        let mut found: BTreeSet<_> = changed.iter().copied().collect();
        for step in steps(&all(), day(first), day(last)) {
            let made = |job: &'static str, shift: i64| (job, shifted(step.date, shift).unwrap());
            let inputs = step.job.inputs.iter().filter_map(|input| match input {
                Input::Made { job, shift } => Some((made(job, *shift), *shift)),
                _ => None,
            });
            let inputs: Vec<_> = inputs.collect();
            let can_be =
                inputs.iter().all(|((job, date), shift)| *shift != 0 || self.log.made(job, *date).is_some());
            if can_be && inputs.iter().any(|(input, _)| found.contains(input)) {
                found.insert((step.job.name, step.date));
            }
        }
        found
    }
}

fn set(made: Vec<(&'static str, NaiveDate)>) -> BTreeSet<(&'static str, NaiveDate)> {
    made.into_iter().collect()
}

#[test]
fn days_are_made_in_order_and_video_days_once_more() {
    let mut world = World::with_days(2);
    let made = world.run(0, 1);
    let begin = [
        ("payload_fields", day(0)),
        ("payload_fields", day(1)),
        (SILVER, day(0)),
        ("batch_video_daily", day(0)),
    ];
    assert_eq!(made[..4], begin);
    let video_days: Vec<_> =
        made.iter().filter(|(job, _)| *job == "batch_video_daily").map(|(_, date)| *date).collect();
    assert_eq!(video_days, [day(0), day(0), day(1)]);
    assert!(world.run(0, 1).is_empty());
}

#[test]
fn an_event_in_the_evening_makes_the_next_day_due_as_well() {
    let mut world = World::with_days(3);
    world.run(0, 2);
    *world.bronze_rows.get_mut(&day(0)).unwrap() += 1;
    world.late_evenings.insert(day(0), 1);
    let made = set(world.run(0, 2));
    assert_eq!(made, world.chain(&[("payload_fields", day(0)), (SILVER, day(0)), (SILVER, day(1))], 0, 2));
}

#[test]
fn fewer_rows_leave_the_day_as_it_is() {
    let mut world = World::with_days(2);
    world.run(0, 1);
    world.bronze_rows.insert(day(0), 4);
    assert!(world.run(0, 1).is_empty());
    let kept = Verdict::Kept { rows_then: 10, rows_now: 4 };
    assert!(world.verdicts(0, 0).contains(&(SILVER, day(0), kept)));
    world.bronze_rows.remove(&day(0));
    assert!(world.run(0, 1).is_empty(), "nor do no rows at all");
    assert!(
        world.run_as(0, 0, 1, true).contains(&(SILVER, day(0))),
        "whoever forces it has it made of what is left"
    );
}

#[test]
fn other_sql_makes_every_day_due() {
    let mut world = World::with_days(2);
    let first = set(world.run(0, 1));
    assert_eq!(set(world.run_as(0, 1, 2, false)), first);
    assert!(world.run_as(0, 1, 2, false).is_empty());
}

#[test]
fn without_silver_its_readers_wait_and_without_events_there_is_nothing() {
    let mut world = World::with_days(1);
    let verdicts = world.verdicts(0, 1);
    let of = |job: &str, number: i64| {
        verdicts.iter().find(|(name, date, _)| *name == job && *date == day(number)).unwrap().2.clone()
    };
    assert_eq!(of("batch_quality_daily", 0), Verdict::Waits { for_job: SILVER });
    assert_eq!(of("batch_quality_daily", 1), Verdict::NoEvents);
    assert_eq!(of(SILVER, 1), Verdict::NoEvents);
    let failed = Run { reason: "no room".to_owned(), ..runs::run(SILVER, day(0), RunStatus::Failed) };
    world.log.record(failed);
    let reason = Reason::NeverMade { last_error: Some("no room".to_owned()) };
    assert!(world.verdicts(0, 0).contains(&(SILVER, day(0), Verdict::Due(reason))));
}

#[test]
fn a_reason_names_what_has_changed() {
    let mut world = World::with_days(1);
    world.run(0, 0);
    world.bronze_rows.insert(day(0), 12);
    world.versions.push((Entity::Videos, day(0)));
    let verdicts = world.verdicts(0, 0);
    let silver = &verdicts.iter().find(|(job, ..)| *job == SILVER).unwrap().2;
    assert_eq!(silver.to_string(), "bronze_rows: 10 before, 12 now; videos_versions: 0 before, 1 now");
}

/// What may happen to the world between two runs.
#[derive(Clone, Debug)]
enum Change {
    Rows(i64, u64),
    FewerRows(i64),
    Evening(i64),
    Version(Entity, i64),
    RealTime(i64),
    Run(i64, i64),
}

fn change() -> impl Strategy<Value = Change> {
    let number = -1..6_i64;
    prop_oneof![
        (number.clone(), 1..5_u64).prop_map(|(number, rows)| Change::Rows(number, rows)),
        number.clone().prop_map(Change::FewerRows),
        number.clone().prop_map(Change::Evening),
        (prop_oneof![Just(Entity::Videos), Just(Entity::Users)], number.clone())
            .prop_map(|(entity, number)| Change::Version(entity, number)),
        number.clone().prop_map(Change::RealTime),
        (number, 0..3_i64).prop_map(|(first, more)| Change::Run(first, first + more)),
    ]
}

impl World {
    fn change(&mut self, change: &Change) {
        match *change {
            Change::Rows(number, rows) => *self.bronze_rows.entry(day(number)).or_default() += rows,
            Change::FewerRows(number) => {
                self.bronze_rows.entry(day(number)).and_modify(|rows| *rows /= 2);
            }
            Change::Evening(number) => {
                *self.bronze_rows.entry(day(number)).or_default() += 1;
                *self.late_evenings.entry(day(number)).or_default() += 1;
            }
            Change::Version(entity, number) => self.versions.push((entity, day(number))),
            Change::RealTime(number) => *self.real_time.entry(day(number)).or_default() += 1,
            Change::Run(first, last) => {
                self.run(first, last);
            }
        }
    }
}

proptest! {
    #[test]
    fn running_what_is_due_leaves_nothing_due(changes in prop::collection::vec(change(), 0..25)) {
        let mut world = World::with_days(4);
        changes.iter().for_each(|change| world.change(change));
        world.run(-1, 6);
        for (job, date, verdict) in world.verdicts(-1, 6) {
            prop_assert!(!matches!(verdict, Verdict::Due(_)), "{} of {}: {}", job, date, verdict);
        }
        prop_assert!(world.run(-1, 6).is_empty());
    }

    #[test]
    fn a_late_row_makes_exactly_its_days_chain_due(
        changes in prop::collection::vec(change(), 0..15),
        number in 0..4_i64,
    ) {
        let mut world = World::with_days(4);
        changes.iter().filter(|change| !matches!(change, Change::FewerRows(_))).for_each(|change| world.change(change));
        world.run(-1, 6);
        *world.bronze_rows.get_mut(&day(number)).unwrap() += 1;
        // Nothing about the evening: the next day's sessions are what they were.
        let expected = world.chain(&[("payload_fields", day(number)), (SILVER, day(number))], -1, 6);
        prop_assert_eq!(set(world.run(-1, 6)), expected);
    }

    #[test]
    fn a_late_version_makes_its_day_and_all_later_ones_due(number in 0..4_i64) {
        let mut world = World::with_days(4);
        world.run(0, 3);
        world.versions.push((Entity::Users, day(number)));
        let made = world.run(0, 3);
        let silver: Vec<NaiveDate> = made.iter().filter(|(job, _)| *job == SILVER).map(|(_, date)| *date).collect();
        prop_assert_eq!(silver, (number..4).map(day).collect::<Vec<_>>());
    }

    #[test]
    fn fewer_rows_make_nothing_due(number in 0..4_i64, left in 0..10_u64) {
        let mut world = World::with_days(4);
        world.run(0, 3);
        world.bronze_rows.insert(day(number), left);
        prop_assert!(world.run(0, 3).is_empty());
    }
}

#[test]
fn every_input_is_made_by_a_job() {
    for job in JOBS {
        for input in job.inputs {
            if let Input::Made { job: other, .. } = input {
                assert!(find_job(other).is_some(), "{} reads {other}", job.name);
            }
        }
    }
}
