//! The process is killed while it recovers from a kill, several times in a row, at each step of a recovery.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::engine::SIGABRT;
use crate::common::{scaled, seed};
use crate::lane::{BRONZE, Lane};
use crate::points::{Passed, all_points};

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_recovery_that_is_killed_again_and_again() {
    let base_seed = seed();
    let mut random = StdRng::seed_from_u64(base_seed);
    let mut lane = Lane::new(base_seed.wrapping_add(1_000));
    for _ in 0..scaled(1, 5) {
        for point in all_points() {
            match point.passed() {
                Passed::AtStart => {
                    let mut engine = lane.start("");
                    engine.wait_until("it commits", |log| log.commits(BRONZE) >= 1);
                    engine.kill();
                }
                // Gold must not be ahead of bronze when the decoder changes.
                Passed::AtRefill => {
                    lane.drain();
                    lane.change_decoder();
                }
                Passed::WithQuarantineAhead => lane.get_quarantine_ahead(),
                _ => continue,
            }
            for _ in 0..scaled(3, 6) {
                // The first of two shards, or the second, when the first one runs again already.
                let passes = match point.passed() {
                    Passed::WithQuarantineAhead => 0,
                    _ => random.random_range(0..=1),
                };
                let failpoint = format!("{}={passes}*off->return(abort)", point.name);
                lane.start(&failpoint).wait_for_death_by(SIGABRT, &failpoint);
            }
            lane.audit();
        }
    }
    lane.finish();
}
