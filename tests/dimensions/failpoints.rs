//! Every failpoint of the streams of changes: the process ends there, the thread panics, the store's answer never comes.
//! Each time the engine or its successor goes on from the ledgers, and at the end everything agrees.

use std::time::{Duration, Instant};

use pulselake_model::Entity;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::common::engine::{Engine, SIGABRT};
use crate::common::{PATIENCE, poll, scaled, seed};
use crate::feed::{BackgroundFeed, Size};
use crate::place::{Place, wait_for_commits};
use crate::points::{Passed, Point, all_points};

const LEAVES_HISTORY_AHEAD: &str = "upserter::between_history_and_dimension";

/// Hangs are found soon, restarts cost nothing, and so few keys are in memory that changes are looked up all the time.
const IMPATIENT: [&str; 6] = [
    "kafka.group_mode=assign",
    "supervision.heartbeat_interval_ms=200",
    "supervision.heartbeat_timeout_ms=4000",
    "supervision.restart_budget=1000",
    "supervision.backoff_max_ms=200",
    "cdc.max_index_keys=150",
];

#[test]
fn it_is_known_how_each_point_is_passed() {
    let points = all_points();
    assert!(points.len() >= 14, "only {} points were found in the source: {points:?}", points.len());
    for point in &points {
        // Panics where nobody knows.
        let _: Passed = point.passed();
    }
    assert!(points.iter().any(|point| point.name == LEAVES_HISTORY_AHEAD && !point.asks_a_store));
    assert!(points.iter().filter(|point| point.asks_a_store).count() >= 5, "{points:?}");
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn failpoints() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let place = Place::new("dims-failpoints");
    let mut lane = Lane { feed: Some(place.feed(Size::SMALL, seed).in_background(1)), place, columns: 0 };
    // The first run makes the tables, and the history that the others look up.
    let mut first = lane.start("");
    wait_for_commits(&mut first, 2);
    first.terminate();
    for round in 0..scaled(1, 20) {
        let mut points = all_points();
        points.shuffle(&mut random);
        // What a point's case leaves behind is what the next one starts from.
        for point in &points {
            lane.end_at(point, passes(point, &mut random));
        }
        lane.panic_at(&points, &mut random);
        lane.stall_at(&points, &mut random);

        if round + 1 == scaled(1, 20) || round % 5 == 4 {
            lane.verify();
        }
    }
}

/// How often a point is passed before the fault.
fn passes(point: &Point, random: &mut StdRng) -> u32 {
    match point.passed() {
        Passed::WithEachBatch => random.random_range(0..=15),
        Passed::WithEachCommit => random.random_range(0..=3),
        // Two entities: the first to start, or the second.
        Passed::AtStart | Passed::WithNewColumn => random.random_range(0..=1),
        Passed::WithHistoryAhead => 0,
    }
}

struct Lane {
    place: Place,
    feed: Option<BackgroundFeed>,
    /// Columns that the videos have gained.
    columns: usize,
}

impl Lane {
    fn start(&self, failpoints: &str) -> Engine {
        self.place.start(&IMPATIENT, failpoints)
    }

    /// The source gains a column, where it takes that to pass the point.
    fn prepare(&mut self, point: &Point) {
        if point.passed() == Passed::WithNewColumn {
            self.columns += 1;
            let field = format!(r#""further_{}":{}"#, self.columns, self.columns);
            self.feed.as_ref().unwrap().make_by_hand(Entity::Videos, &field);
        }
    }

    /// The process ends at the point, as by a kill.
    fn end_at(&mut self, point: &Point, passes: u32) {
        let started = Instant::now();
        println!("end at {} after {passes} passes …", point.name);
        if point.passed() == Passed::WithHistoryAhead {
            self.start(&format!("{LEAVES_HISTORY_AHEAD}=return(abort)"))
                .wait_for_death_by(SIGABRT, LEAVES_HISTORY_AHEAD);
        }
        self.prepare(point);
        let failpoint = format!("{}={passes}*off->return(abort)", point.name);
        self.start(&failpoint).wait_for_death_by(SIGABRT, &failpoint);
        println!("end at {}: {:.1} s", point.name, started.elapsed().as_secs_f32());
    }

    /// One life in which a thread panics at every point.
    fn panic_at(&mut self, points: &[Point], random: &mut StdRng) {
        let action = |point: &Point| format!("panic(on purpose at {})", point.name);
        let said = |point: &Point| format!("on purpose at {}", point.name);
        let log = self.live_through(points, random, action, said);
        assert!(log.count("generation_killed") >= 5, "{}", log.tail());
    }

    /// One life in which no answer comes at every point where a store is asked.
    fn stall_at(&mut self, points: &[Point], random: &mut StdRng) {
        let of_stores: Vec<Point> = points.iter().filter(|point| point.asks_a_store).cloned().collect();
        let said = |point: &Point| format!("{}: no answer ever comes", point.name);
        self.live_through(&of_stores, random, |_| "return(stall)".to_owned(), said);
    }

    /// A life with one fault at each point, which goes on until all of them were met, and commits again after them.
    fn live_through(
        &mut self,
        points: &[Point],
        random: &mut StdRng,
        action: impl Fn(&Point) -> String,
        said: impl Fn(&Point) -> String,
    ) -> crate::common::log::Log {
        let armed: Vec<String> = points
            .iter()
            .map(|point| format!("{}={}*off->1*{}->off", point.name, passes(point, random), action(point)))
            .collect();
        let mut engine = self.start(&armed.join(";"));
        let started = Instant::now();
        for point in points {
            let said = said(point);

            let met = poll(PATIENCE, || {
                engine.assert_alive();
                if engine.log().text.contains(&said) {
                    return Some(());
                }
                self.prepare(point);
                // A run that has had its fault starts, which takes longer than a look.
                std::thread::sleep(Duration::from_millis(200));
                None
            });
            println!("{said}: met after {:.1} s", started.elapsed().as_secs_f32());
            assert!(met.is_some(), "{said} was never met:\n{}", engine.log().tail());
        }
        wait_for_commits(&mut engine, 2);
        engine.terminate();
        engine.log()
    }

    /// Everything against the topics; then the changes go on.
    fn verify(&mut self) {
        let feed = self.feed.take().unwrap().stop();
        self.place.run_to_end();
        self.place.verify(&feed);
        self.feed = Some(feed.in_background(1));
    }
}
