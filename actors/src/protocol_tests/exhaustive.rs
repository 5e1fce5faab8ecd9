//! Two owners, one partition, six records, and every order of steps up to a depth: see `docs/adr/0009-model-test.md`.
//!
//! In every state of the tables [`super::truth::check`] holds, and from every one an operator (rewind where it is
//! asked for) and a fresh owner reach exactly the truth, or are refused for a reason that the state explains. Depths
//! are such that all searches together take some twenty seconds of CPU without optimisation; `PULSELAKE_SOAK=1` goes
//! one or two steps deeper.

use pulselake_window::WindowSettings;

use super::explorer::{Explorer, Figures, Search};
use super::owner::BronzeWay;
use super::state::{Budget, Step};
use super::stream::{Record, Stream};
use super::table::Delivery;

const NONE: Budget = Budget { kills: 0, unknown: 0, rollbacks: 0, strangers: 0, retentions: 0, decoders: 0 };
const CLEAN: BronzeWay =
    BronzeWay { quarantine: Delivery::Answered, crash_between: false, bronze: Delivery::Answered };

/// The owner that has acted last is the second one: it has the higher number.
fn bronze(records: u8) -> Step {
    Step::FlushBronze { owner: 1, records, way: CLEAN }
}

fn gold(records: u8) -> Step {
    Step::FlushGold { owner: 1, records, delivery: Delivery::Answered }
}

/// Record `invalid` is nobody's event, `long` is one for the lenient decoder alone. 4 repeats the id of 3 and goes back in
/// time; 5 is late for a window that 1 has closed, or too late. The horizon is shorter than a window stays open.
fn stream(invalid: usize, long: Option<usize>, allowed_lateness_ms: i64) -> Stream {
    let ids_times_videos = [(0, 5, 0), (1, 70, 1), (4, 90, 1), (2, 110, 1), (2, 100, 1), (3, 20, 0)];
    let records = ids_times_videos.into_iter().enumerate().map(|(offset, (id, at_s, video))| Record {
        event_id: (offset != invalid).then_some(id),
        is_long: long == Some(offset),
        at_s,
        video,
    });
    let windows = WindowSettings {
        watermark_delay_ms: 10_000,
        allowed_lateness_ms,
        dedup_horizon_ms: 20_000,
        dedup_max_ids: 1_000,
    };
    Stream::new(records.collect(), windows)
}

/// In a soak run, deeper.
fn depth(short: usize, long: usize) -> usize {
    let is_soak = std::env::var_os("PULSELAKE_SOAK").is_some_and(|value| !value.is_empty());
    if is_soak { long } else { short }
}

/// No record is beyond reach in any search, so nobody may be refused for good.
fn assert_all_recover(figures: &Figures) {
    assert!(figures.states > 5_000 && figures.recoveries > 200, "a search that finds little: {figures:?}");
    assert_eq!(figures.refused, 0, "{figures:?}");
}

#[test]
fn two_owners_from_the_start() {
    assert_all_recover(&Explorer::run(&Search {
        name: "two owners from the start",
        stream: stream(2, None, 120_000),
        owners: 2,
        prefix: vec![],
        depth: depth(3, 4),
        budget: Budget { kills: 1, unknown: 2, ..NONE },
    }));
}

#[test]
fn two_owners_after_some_commits() {
    assert_all_recover(&Explorer::run(&Search {
        name: "two owners after some commits",
        stream: stream(2, None, 120_000),
        owners: 2,
        prefix: vec![bronze(2), gold(0), bronze(2), Step::Start { owner: 0 }],
        depth: depth(4, 5),
        budget: Budget { kills: 2, unknown: 1, ..NONE },
    }));
}

#[test]
fn one_owner_and_what_it_left_on_its_way() {
    assert_all_recover(&Explorer::run(&Search {
        name: "one owner and what it left on its way",
        stream: stream(2, None, 60_000),
        owners: 1,
        prefix: vec![],
        depth: depth(3, 5),
        budget: Budget { kills: 2, unknown: 2, ..NONE },
    }));
}

#[test]
fn tables_that_are_rolled_back() {
    let figures = Explorer::run(&Search {
        name: "tables that are rolled back",
        stream: stream(2, Some(3), 120_000),
        owners: 2,
        prefix: vec![bronze(3), gold(0), bronze(1), gold(0)],
        depth: depth(4, 5),
        budget: Budget { kills: 2, rollbacks: 2, strangers: 1, ..NONE },
    });
    assert_all_recover(&figures);
    assert!(figures.rolled_further > 100, "no quarantine was rolled back alone: {figures:?}");
}

#[test]
fn retention_that_overtakes_gold() {
    assert_all_recover(&Explorer::run(&Search {
        name: "retention that overtakes gold",
        stream: stream(2, None, 120_000),
        owners: 1,
        prefix: vec![bronze(3), gold(0), bronze(1)],
        depth: depth(4, 5),
        budget: Budget { kills: 2, unknown: 1, retentions: 2, ..NONE },
    }));
}

#[test]
fn decoders_that_change() {
    assert_all_recover(&Explorer::run(&Search {
        name: "decoders that change",
        stream: stream(5, Some(2), 120_000),
        owners: 1,
        prefix: vec![Step::ChangeDecoder, bronze(1)],
        depth: depth(4, 5),
        budget: Budget { kills: 1, unknown: 1, decoders: 3, ..NONE },
    }));
}
