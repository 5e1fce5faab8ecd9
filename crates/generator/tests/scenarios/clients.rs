//! Scenarios about clients: what they write.

use std::collections::{HashMap, HashSet};

use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_generator::{MalformedKind, RecordKind};
use pulselake_model::EventType;

use crate::support::{Seen, assert_near, config, read, share};

fn app_version(seen: &Seen) -> String {
    seen.json()["payload"]["app_version"].as_str().unwrap().to_owned()
}

#[test]
fn a_broken_client_has_version_15_and_never_likes() {
    for (strength, expected) in [("1", 0.3), ("2", 0.6)] {
        let scenario = format!("broken_client:strength={strength}");
        let seen = read(&config(&[&scenario]), 250);
        let (broken, good): (Vec<Seen>, Vec<Seen>) =
            seen.into_iter().partition(|one| app_version(one) == "15.0");
        let impressions =
            |seen: &[Seen]| seen.iter().filter(|one| one.is(EventType::Impression)).count() as f64;
        let broken_share = impressions(&broken) / (impressions(&broken) + impressions(&good));
        assert_near(broken_share, expected, 0.06);
        assert!(broken.iter().all(|one| !one.is(EventType::Like)));
        assert!(broken.iter().any(|one| one.is(EventType::Share)));
        let plays: Vec<Seen> = good.iter().filter(|one| one.is(EventType::PlayStart)).cloned().collect();
        let likes = good.iter().filter(|one| one.is(EventType::Like)).count();
        assert_near(likes as f64 / plays.len() as f64, 0.08, 0.015);
        let users = |seen: &[Seen]| seen.iter().map(|one| one.record.user).collect::<HashSet<u32>>();
        assert!(users(&broken).is_disjoint(&users(&good)), "a client is broken or is not");
    }
}

#[test]
fn a_burst_makes_its_share_malformed_in_every_way() {
    let seen = read(&config(&["invalid_payload_burst:start_s=70,length_s=100,strength=1"]), 250);
    let is_malformed = |one: &Seen| matches!(one.record.kind, RecordKind::Malformed(_));
    let start_ms = config(&[]).start_ms;
    let within =
        seen.iter().filter(|one| (70_000..170_000).contains(&(one.record.record_time_ms - start_ms)));
    assert_near(share(within, is_malformed), 0.3, 0.02);
    let outside =
        seen.iter().filter(|one| !(70_000..170_000).contains(&(one.record.record_time_ms - start_ms)));
    assert_eq!(share(outside, is_malformed), 0.0);

    let decoder = EventDecoder::new(DecodeSettings::default());
    let mut kinds = HashSet::new();
    for one in seen {
        let verdict = decoder.judge(&one.value, Some(one.record.record_time_ms));
        match one.record.kind {
            RecordKind::Malformed(kind) => {
                assert_eq!(verdict.unwrap_err().code, kind.error_code(), "{kind:?}");
                kinds.insert(kind);
            }
            _ => assert!(verdict.is_ok(), "nothing else is disturbed"),
        }
    }
    assert_eq!(kinds, HashSet::from(MalformedKind::SINGLE));
}

#[test]
fn drifted_schemas_are_five_forms_that_are_all_accepted_and_say_the_same() {
    let plain = read(&config(&[]), 150);
    let drifted = read(&config(&["schema_drift:strength=1"]), 150);
    assert_eq!(plain.len(), drifted.len());
    let decoder = EventDecoder::new(DecodeSettings::default());
    let mut forms: HashMap<&str, u32> = HashMap::new();
    let mut forms_of_users: HashMap<u32, &str> = HashMap::new();
    for (before, after) in plain.iter().zip(&drifted) {
        assert_eq!(before.record, after.record);
        let judge = |one: &Seen| decoder.judge(&one.value, Some(one.record.record_time_ms)).unwrap();
        let (expected, event) = (judge(before), judge(after));
        assert_eq!(
            (&event.event_id, event.event_timestamp_us, &event.video_id, &event.user_id, event.event_type),
            (
                &expected.event_id,
                expected.event_timestamp_us,
                &expected.video_id,
                &expected.user_id,
                expected.event_type
            )
        );
        assert_eq!(event.watch_time_ms, i64::from(after.record.watch_time_ms));
        let body: serde_json::Value = serde_json::from_str(&event.payload_json).unwrap();
        let text = String::from_utf8_lossy(&after.value);
        let form = if before.value == after.value {
            "usual"
        } else if text.contains("payload_json") {
            assert!(after.json()["event_timestamp"].is_i64() && event.schema_version == "1.0");
            "old producer"
        } else if event.header_extra_json.is_some() {
            "new header fields"
        } else if body.get("playback_rate").is_some() {
            "new body fields"
        } else if body.get("video_duration_ms").is_none() {
            assert!(body["duration_ms"].as_u64().unwrap() >= 3_000);
            "renamed field"
        } else {
            assert!(body["watch_time_ms"].is_f64());
            "widened type"
        };
        *forms.entry(form).or_default() += 1;
        assert_eq!(*forms_of_users.entry(after.record.user).or_insert(form), form, "a client has one form");
    }
    assert_eq!(forms.len(), 6, "{forms:?}");
    assert_near(f64::from(forms["usual"]) / plain.len() as f64, 0.5, 0.06);
}

#[test]
fn wrong_clocks_are_refused_accepted_late_or_beyond_lateness() {
    let seen = read(&config(&["clock_skew:strength=4"]), 200);
    let decoder = EventDecoder::new(DecodeSettings::default());
    let mut groups: HashMap<&str, f64> = HashMap::new();
    for one in &seen {
        let lag_ms = one.lag_ms();
        let group = match lag_ms {
            5..=2_000 => "right",
            -290_000..=-28_000 => "minutes ahead",
            -21_600_000..=-3_598_000 => "hours ahead",
            3_600_000..=72_002_000 => "hours behind",
            93_600_000..=172_802_000 => "days behind",
            _ => panic!("{one:?}"),
        };
        *groups.entry(group).or_default() += 1.0 / seen.len() as f64;
        let is_refused = group == "hours ahead";
        let kind = RecordKind::Malformed(MalformedKind::ClockAhead);
        assert_eq!(one.record.kind, if is_refused { kind } else { RecordKind::Event });
        assert_eq!(one.record.is_beyond_lateness, group == "days behind");
        let verdict = decoder.judge(&one.value, Some(one.record.record_time_ms));
        assert_eq!(verdict.is_err(), is_refused);
        if let Ok(event) = verdict {
            assert_eq!(event.event_timestamp_us, one.record.event_time_ms * 1_000);
        }
    }
    assert_near(groups["right"], 0.6, 0.06);
    for group in ["minutes ahead", "hours ahead", "hours behind", "days behind"] {
        assert_near(groups[group], 0.1, 0.04);
    }
    let truth =
        pulselake_generator::count_events(std::sync::Arc::new(config(&["clock_skew:strength=4"])), 0, 200);
    let counts = truth.unwrap();
    let in_windows: u64 = counts.by_video_minute.values().map(|window| window.events() as u64).sum();
    assert_eq!(counts.events, in_windows + counts.beyond_lateness);
    assert!(counts.beyond_lateness > 1_000);
}
