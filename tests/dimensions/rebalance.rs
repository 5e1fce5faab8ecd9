//! Members of the entities' groups come, are killed and leave while changes flow.

use pulselake_model::Entity;

use crate::common::engine::{Engine, free_address, http_get};
use crate::common::group::QUICK_GROUP;
use crate::common::log::Log;
use crate::common::{PATIENCE, poll, seed};
use crate::feed::Size;
use crate::place::{PARTITIONS, Place, wait_for_commits};

/// A member of all groups, and where it tells its share.
struct Member {
    engine: Engine,
    address: String,
}

impl Member {
    fn join(place: &Place) -> Self {
        let address = free_address();
        let bind = format!("http.bind={address}");
        let settings = [&QUICK_GROUP[..], &[bind.as_str()]].concat();
        Self { engine: place.start(&settings, ""), address }
    }

    /// Partitions of an entity's topic that the member has now.
    fn share(&self, entity: Entity) -> i32 {
        let name = format!(r#"pulselake_change_partitions{{entity="{}"}} "#, entity.as_str());
        let exposition = http_get(&self.address, "/metrics").map(|(_, body)| body).unwrap_or_default();
        let value = exposition.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
        value.unwrap_or_default() as i32
    }

    /// Waits until the member has a share of each topic, and commits of both.
    fn wait_for_shares(&mut self, who: &str, is_share: impl Fn(i32) -> bool) {
        let mut shares = Vec::new();
        let reached = poll(PATIENCE, || {
            self.engine.assert_alive();
            shares = Entity::ALL.map(|entity| self.share(entity)).to_vec();
            shares.iter().all(|&share| is_share(share)).then_some(())
        });
        assert!(reached.is_some(), "{who} has {shares:?} partitions:\n{}", self.engine.log().tail());
        wait_for_commits(&mut self.engine, 1);
    }
}

fn everything(share: i32) -> bool {
    share == PARTITIONS
}

fn a_part(share: i32) -> bool {
    0 < share && share < PARTITIONS
}

/// Whatever was refused because another member owns the partition by now, cost nothing.
fn assert_nothing_was_spent(log: &Log) {
    assert!(!log.has("restart_budget_spent"), "{}", log.tail());
    for killed in log.events("generation_killed") {
        assert_eq!(killed["restarts_left"], 10, "a restart was spent: {killed}");
    }
    assert!(!log.has("heartbeat_missed"), "{}", log.tail());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn rebalance() {
    let place = Place::new("dims-rebalance");
    let feed = place.feed(Size::SMALL, seed()).in_background(1);
    let mut first = Member::join(&place);
    first.wait_for_shares("the first", everything);
    let mut second = Member::join(&place);
    second.wait_for_shares("the second", a_part);
    first.wait_for_shares("the first, beside the second,", a_part);
    second.engine.kill();
    first.wait_for_shares("the first, after the second has died,", everything);

    let mut third = Member::join(&place);
    third.wait_for_shares("the third", a_part);
    first.engine.terminate();
    third.wait_for_shares("the third, after the first has left,", everything);
    third.engine.terminate();
    for member in [&first, &second, &third] {
        assert_nothing_was_spent(&member.engine.log());
    }

    let feed = feed.stop();
    place.run_to_end();
    place.verify(&feed);
}
