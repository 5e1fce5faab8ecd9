//! Entries that are read, and entries that are refused in words that help.

use super::*;
use crate::load::faults::plan::FaultPlan;

#[derive(Debug, Deserialize)]
struct File {
    faults: FaultPlan,
}

fn read(entry: &str) -> Result<Fault, String> {
    let file: Result<File, _> = toml::from_str(&format!("[[faults]]\n{entry}"));
    file.map(|file| file.faults.faults[0].clone()).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(entry: &str, words: &[&str]) {
    let error = read(entry).expect_err("it was taken");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn an_entry_of_every_kind_is_read() {
    let once =
        |kind, at_s, duration_s| Fault { kind, at_s, duration_s, every_s: 0.0, count: 1, jitter_s: 0.0 };
    let delay = Delay { latency_ms: 300, latency_jitter_ms: 50 };
    let brownout =
        Brownout { delay, bandwidth_bytes_per_s: Some(200_000), reset_ratio: 0.05, unavailable_ratio: 0.1 };
    let expected = [
        ("kind = \"engine_kill\"\nat_s = 20", once(FaultKind::EngineKill, 20.0, 0.0)),
        ("kind = \"engine_kill\"\nat_s = 20\nduration_s = 3", once(FaultKind::EngineKill, 20.0, 3.0)),
        ("kind = \"engine_pause\"\nat_s = 1.5\nduration_s = 2.5", once(FaultKind::EnginePause, 1.5, 2.5)),
        ("kind = \"broker_restart\"\nat_s = 0", once(FaultKind::BrokerRestart, 0.0, 0.0)),
        ("kind = \"broker_pause\"\nat_s = 1\nduration_s = 2", once(FaultKind::BrokerPause, 1.0, 2.0)),
        (
            "kind = \"catalog_outage\"\nat_s = 1\nduration_s = 2",
            once(FaultKind::CatalogOutage(Manner::Refuse), 1.0, 2.0),
        ),
        (
            "kind = \"catalog_slow\"\nat_s = 1\nduration_s = 2\nlatency_ms = 300\nlatency_jitter_ms = 50",
            once(FaultKind::CatalogSlow(delay), 1.0, 2.0),
        ),
        (
            "kind = \"store_outage\"\nat_s = 1\nduration_s = 2\nmanner = \"black_hole\"",
            once(FaultKind::StoreOutage(Manner::BlackHole), 1.0, 2.0),
        ),
        (
            "kind = \"store_brownout\"\nat_s = 1\nduration_s = 2\nlatency_ms = 300\nlatency_jitter_ms = 50\n\
             bandwidth_bytes_per_s = 200000\nreset_ratio = 0.05\nunavailable_ratio = 0.1",
            once(FaultKind::StoreBrownout(brownout), 1.0, 2.0),
        ),
        (
            "kind = \"partition_growth\"\nat_s = 1\npartitions = 8",
            once(FaultKind::PartitionGrowth { partitions: 8 }, 1.0, 0.0),
        ),
        (
            "kind = \"rebalance\"\nat_s = 1\nduration_s = 2\nleave = \"kill\"",
            once(FaultKind::Rebalance { leave: Leave::Kill }, 1.0, 2.0),
        ),
        ("kind = \"compaction\"\nat_s = 1", once(FaultKind::Compaction, 1.0, 0.0)),
    ];
    let mut kinds: Vec<&str> = expected.iter().map(|(_, fault)| fault.kind.name()).collect();
    kinds.dedup();
    assert_eq!(kinds, FaultKind::NAMES);
    for (entry, fault) in expected {
        assert_eq!(read(entry).as_ref(), Ok(&fault), "{entry}");
        // What was read can be written, and read again.
        let written = toml::to_string(&fault).unwrap();
        assert_eq!(read(&written), Ok(fault), "{written}");
    }
}

#[test]
fn faults_that_come_again_say_how_often() {
    let fault = read("kind = \"engine_kill\"\nat_s = 5\nevery_s = 10\ncount = 3\njitter_s = 4").unwrap();
    assert_eq!((fault.every_s, fault.count, fault.jitter_s), (10.0, 3, 4.0));
    let written = toml::to_string(&fault).unwrap();
    assert_eq!(read(&written), Ok(fault), "{written}");
    assert_refused("kind = \"engine_kill\"\nat_s = 5\ncount = 3", &["needs every_s", "engine_kill"]);
    assert_refused("kind = \"engine_kill\"\nat_s = 5\nevery_s = 3", &["needs count", "engine_kill"]);
    assert_refused("kind = \"engine_kill\"\nat_s = 5\ncount = 0", &["count = 0", "1 to 100000"]);
}

#[test]
fn one_fault_is_over_before_the_next_begins() {
    let entry = "kind = \"engine_pause\"\nat_s = 5\nduration_s = 3\njitter_s = 2\ncount = 2\n";
    assert!(read(&format!("{entry}every_s = 5")).is_ok());
    assert_refused(&format!("{entry}every_s = 4.9"), &["every_s = 4.9", "duration_s + jitter_s"]);
    assert_refused(
        "kind = \"engine_kill\"\nat_s = 5\ncount = 2\nevery_s = 0",
        &["every_s = 0", "more than 0"],
    );
}

#[test]
fn an_unknown_kind_is_told_what_there_is() {
    assert_refused("kind = \"meteor\"\nat_s = 5", &["\"meteor\"", "engine_kill", "compaction"]);
}

#[test]
fn what_is_missing_is_named() {
    assert_refused("kind = \"engine_kill\"", &["needs at_s", "seconds"]);
    assert_refused("kind = \"broker_pause\"\nat_s = 1", &["needs duration_s", "more than 0"]);
    assert_refused(
        "kind = \"catalog_slow\"\nat_s = 1\nduration_s = 1",
        &["needs latency_ms", "milliseconds"],
    );
    assert_refused("kind = \"partition_growth\"\nat_s = 1", &["needs partitions", "2 to 10000"]);
    let nothing_is_ill = "kind = \"store_brownout\"\nat_s = 1\nduration_s = 1\nreset_ratio = 0";
    assert_refused(nothing_is_ill, &["needs latency_ms", "reset_ratio"]);
}

#[test]
fn what_means_nothing_to_a_kind_is_refused() {
    let words = ["latency_ms means nothing", "engine_kill", "at_s, every_s, count, jitter_s, duration_s"];
    assert_refused("kind = \"engine_kill\"\nat_s = 1\nlatency_ms = 5", &words);
    assert_refused("kind = \"compaction\"\nat_s = 1\nduration_s = 5", &["duration_s means nothing"]);
    assert_refused("kind = \"compaction\"\nat_s = 1\ndurations = 5", &["unknown field `durations`"]);
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    let outage = "kind = \"store_outage\"\nat_s = 1\n";
    let brownout = "kind = \"store_brownout\"\nat_s = 1\nduration_s = 1\n";
    for (entry, words) in [
        ("kind = \"engine_kill\"\nat_s = -1".to_owned(), ["at_s = -1", "0 to 86400"]),
        ("kind = \"engine_kill\"\nat_s = nan".to_owned(), ["at_s = NaN", "0 to 86400"]),
        ("kind = \"engine_kill\"\nat_s = 1\nduration_s = -2".to_owned(), ["duration_s = -2", "0 to 86400"]),
        (format!("{outage}duration_s = 0"), ["duration_s = 0", "more than 0"]),
        (format!("{outage}duration_s = 1\nmanner = \"vanish\""), ["vanish", "black_hole"]),
        (format!("{outage}duration_s = 1\njitter_s = 1e9"), ["jitter_s = 1000000000", "0 to 86400"]),
        (format!("{brownout}latency_ms = 0"), ["latency_ms = 0", "1 to 3600000"]),
        (format!("{brownout}bandwidth_bytes_per_s = 10"), ["bandwidth_bytes_per_s = 10", "1000 to"]),
        (format!("{brownout}reset_ratio = 1.5"), ["reset_ratio = 1.5", "0 to 1"]),
        (
            format!("{brownout}reset_ratio = 0.6\nunavailable_ratio = 0.6"),
            ["unavailable_ratio = 0.6", "at most 1"],
        ),
        (
            "kind = \"partition_growth\"\nat_s = 1\npartitions = 1".to_owned(),
            ["partitions = 1", "2 to 10000"],
        ),
        (
            "kind = \"rebalance\"\nat_s = 1\nduration_s = 1\nleave = \"vanish\"".to_owned(),
            ["vanish", "terminate"],
        ),
    ] {
        assert_refused(&entry, &words);
    }
}
