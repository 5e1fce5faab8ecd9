//! kill -9 at random moments while changes flow.

use std::time::{Duration, Instant};

use pulselake_model::Entity;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::verify::fact;
use crate::common::{scaled, seed};
use crate::feed::Size;
use crate::place::{Place, dimension};

#[test]
#[ignore = "needs a broker: run through make test"]
fn kill_loop() {
    let kills = scaled(6, 200);
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let place = Place::new("dims-kill-loop");
    let feed = place.feed(Size::LARGE, seed).in_background(2);
    for kill in 0..kills {
        // The dead member must not hold its successor up: a static one takes its place at once. Every other life knows a
        // part of the keys alone, so that late changes are looked up.
        let keys = if kill % 2 == 0 { "cdc.max_index_keys=700" } else { "cdc.max_index_keys=1000000" };
        let mut engine = place.start(&["kafka.group_instance_id=only", keys], "");
        // Every third one dies at some moment of its start, the others while they work.
        if kill % 3 != 1 {
            engine.wait_until("a dimension has a commit", |log| log.commits(dimension(Entity::Videos)) >= 1);
        }
        let moment = Instant::now() + Duration::from_millis(random.random_range(100..2_000));
        std::thread::sleep(moment - Instant::now());
        engine.assert_alive();
        engine.kill();
    }
    let feed = feed.stop();
    place.run_to_end();
    let facts = place.verify(&feed);
    assert!(fact(&facts, "videos snapshots") > 900, "a snapshot was taken again: {facts}");
}
