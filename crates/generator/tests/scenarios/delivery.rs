//! Scenarios about delivery: late events and duplicates.

use std::collections::HashMap;

use pulselake_generator::{GeneratorConfig, RecordKind};

use crate::support::{Seen, assert_near, config, read, share};

#[test]
fn late_events_come_121_to_210_seconds_late_or_when_a_phase_ends() {
    let config = config(&["late_events:start_s=60,strength=1"]);
    let seen = read(&config, 600);
    // Steady from here on: two cycles of four minutes from second 60.
    let steady: Vec<&Seen> = seen.iter().filter(|one| one.record_s(&config) >= 300.0).collect();
    assert!(seen.iter().all(|one| one.lag_ms() <= 210_000));
    // An offline user's events wait 122 s at most, so from there on these are the single late ones.
    let late = share(steady.iter().copied(), |one| one.lag_ms() >= 122_001);
    assert_near(late, 0.1, 0.02);
    let held: Vec<f64> = steady
        .iter()
        .filter(|one| (2_001..121_000).contains(&one.lag_ms()))
        .map(|one| one.record_s(&config))
        .collect();
    // A tenth of the users, for half of the time.
    assert_near(held.len() as f64 / steady.len() as f64, 0.05, 0.02);
    for record_s in held {
        let in_cycle = (record_s - 60.0).rem_euclid(240.0);
        assert!((120.0..122.1).contains(&in_cycle), "{record_s}: all at once after the phase");
    }
}

#[test]
fn duplicates_repeat_the_same_bytes_within_30_seconds() {
    for (strength, expected) in [("1", 0.3), ("0.1", 0.03), ("9", 1.0)] {
        let scenario = format!("duplicates:strength={strength}");
        let seen = read(&config(&[&scenario]), 150);
        let mut firsts: HashMap<String, &Seen> = HashMap::new();
        let (mut events, mut retries) = (0.0, 0.0);
        for one in &seen {
            let id = one.json()["event_id"].as_str().unwrap().to_owned();
            if one.record.kind == RecordKind::Event {
                // The last ones' retries are not read.
                events += if one.record_s(&config(&[])) < 120.0 { 1.0 } else { 0.0 };
                assert!(firsts.insert(id, one).is_none());
                continue;
            }
            let first = firsts[&id];
            assert_eq!(first.value, one.value);
            assert!((50..=30_000).contains(&(one.record.record_time_ms - first.record.record_time_ms)));
            retries += if first.record_s(&config(&[])) < 120.0 { 1.0 } else { 0.0 };
        }
        assert_near(retries / events, expected, 0.02);
    }
}

#[test]
fn the_configurations_shares_and_the_scenarios_go_together() {
    let config = GeneratorConfig {
        duplicate_ratio: 0.1,
        late_ratio: 0.05,
        ..config(&["duplicates:strength=1", "late_events:strength=0.5"])
    };
    let seen = read(&config, 500);
    let steady: Vec<&Seen> = seen.iter().filter(|one| one.record_s(&config) > 280.0).collect();
    let events: Vec<&Seen> =
        steady.iter().copied().filter(|one| one.record.kind == RecordKind::Event).collect();
    // Each acts on what the other leaves.
    let retries = (steady.len() - events.len()) as f64 / events.len() as f64;
    assert_near(retries, 0.1 + 0.9 * 0.3, 0.03);
    let late = share(events.iter().copied(), |one| one.lag_ms() >= 122_001);
    assert_near(late, 0.05 + 0.95 * 0.05, 0.02);
}
