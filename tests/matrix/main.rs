//! Every failpoint of the code, met by every fault there is, under load: the process panics, is killed, hangs, or waits
//! for an answer that never comes. Each time the fault has to be noticed, the engine has to go on by itself or end
//! saying why, and nothing is lost, nothing doubled.
//!
//! The points are collected from the source, so a new one takes part by itself. A seed (`PULSELAKE_TEST_SEED`, else the
//! clock: each run of the CI is another one) chooses the events, how often a point is passed before the fault, and, in the
//! short form, which half of the cases is run.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod cases;
mod lane;
mod member;
mod points;
mod recovery;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use cases::cases_of;
use common::{scaled, seed};
use lane::Lane;
use points::{Passed, all_points};

/// Scenes that are worked on at the same time: most of a case is waiting.
const LANES: u64 = 4;

#[test]
fn it_is_known_how_each_point_is_passed() {
    let points = all_points();
    assert!(points.len() >= 30, "only {} points were found in the source: {points:?}", points.len());
    for kind in ["consumer", "aggregator", "writer", "gold", "committer", "recovery", "supervisor", "lake"] {
        assert!(
            points.iter().any(|point| point.name.starts_with(&format!("{kind}::"))),
            "no point of {kind}"
        );
    }
    for point in &points {
        // Panics where nobody knows.
        let _: Passed = point.passed();
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn every_failpoint_and_every_fault() {
    let base_seed = seed();
    let started = Instant::now();
    let seeds: Vec<u64> = (0..scaled(1, 3)).map(|round| base_seed.wrapping_add(round)).collect();
    let cases: VecDeque<_> = seeds.iter().flat_map(|&seed| cases_of(seed)).collect();
    let count = cases.len();
    let queue = Mutex::new(cases);
    std::thread::scope(|scope| {
        for number in 0..LANES {
            let queue = &queue;
            scope.spawn(move || {
                let mut lane = Lane::new(base_seed.wrapping_mul(LANES).wrapping_add(number));
                loop {
                    let Some(case) = queue.lock().unwrap().pop_front() else { break };
                    lane.run(&case);
                }
                lane.finish();
            });
        }
    });
    println!("{count} cases, {} seeds, {} s", seeds.len(), started.elapsed().as_secs());
}
