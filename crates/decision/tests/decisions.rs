//! Every row of the tables of decisions and reasons, at and beside each boundary, by the public functions alone.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use pulselake_decision::{
    Action, DecisionType, MINUTE_US, Metrics30m, ReasonCode, Rules, Thresholds, Verdict, VideoFacts,
    VideoMinutes, actions_of_video, decide, is_cooled_down, resolve_collisions,
};
use pulselake_model::{EventType, WindowCounters};

use DecisionType::{Boost, NoAction, Rescue, Review};
use ReasonCode::{GatePass, HighSkip, HighVelocityP90, LowCompletion, NewUploadLt60m, UnderExposedP40};

const THRESHOLDS: Thresholds = Thresholds { velocity_p90: 0.25, impressions_p40: 150.0, ..Thresholds::SEED };
const NOW_US: i64 = 1_770_458_460_000_000;

/// Rises, and passes the gate, each by exactly as much as it takes.
const AT_THE_BOUNDS: Metrics30m = Metrics30m {
    impressions: 100,
    play_start: 30,
    unended_plays: 0,
    velocity: 0.25,
    completion_rate: 0.55,
    skip_rate: 0.35,
};

fn uploaded(age_us: i64) -> VideoFacts<'static> {
    VideoFacts {
        category: Some("music"),
        region: Some("de"),
        upload_time_us: Some(NOW_US - age_us),
        status: Some("active"),
        duration_ms: None,
    }
}

fn verdict_of(metrics: &Metrics30m, video: &VideoFacts<'_>) -> Verdict {
    decide(&Rules::default(), &THRESHOLDS, metrics, Some(video), NOW_US, |_| metrics.play_start)
}

fn verdict(decision: DecisionType, reasons: &[ReasonCode]) -> Verdict {
    Verdict { decision, reasons: reasons.to_vec(), waits_for_plays: false }
}

#[test]
fn an_unknown_incomplete_or_inactive_video_is_left_alone() {
    let known = uploaded(0);
    assert_eq!(verdict_of(&AT_THE_BOUNDS, &known).decision, Boost);
    let rules = Rules::default();
    assert_eq!(decide(&rules, &THRESHOLDS, &AT_THE_BOUNDS, None, NOW_US, |_| 0), verdict(NoAction, &[]));
    for video in [
        VideoFacts { category: None, ..known },
        VideoFacts { category: Some(""), ..known },
        VideoFacts { region: None, ..known },
        VideoFacts { region: Some(""), ..known },
        VideoFacts { upload_time_us: None, ..known },
        VideoFacts { status: None, ..known },
        VideoFacts { status: Some("banned"), ..known },
        VideoFacts { status: Some("ACTIVE"), ..known },
    ] {
        assert_eq!(verdict_of(&AT_THE_BOUNDS, &video), verdict(NoAction, &[]), "{video:?}");
    }
}

#[test]
fn a_candidate_that_passes_the_gate_is_boosted() {
    let day_old = uploaded(24 * 60 * MINUTE_US);
    assert_eq!(verdict_of(&AT_THE_BOUNDS, &day_old), verdict(Boost, &[HighVelocityP90, GatePass]));
}

#[test]
fn a_candidate_that_fails_the_gate_is_reviewed_with_what_failed() {
    let day_old = uploaded(24 * 60 * MINUTE_US);
    for (metrics, reasons) in [
        (Metrics30m { completion_rate: 0.549, ..AT_THE_BOUNDS }, &[HighVelocityP90, LowCompletion][..]),
        (Metrics30m { skip_rate: 0.351, ..AT_THE_BOUNDS }, &[HighVelocityP90, HighSkip]),
        (
            Metrics30m { completion_rate: 0.2, skip_rate: 0.7, ..AT_THE_BOUNDS },
            &[HighVelocityP90, LowCompletion, HighSkip],
        ),
        (Metrics30m { play_start: 29, ..AT_THE_BOUNDS }, &[HighVelocityP90]),
    ] {
        assert_eq!(verdict_of(&metrics, &day_old), verdict(Review, reasons), "{metrics:?}");
    }
}

#[test]
fn a_candidate_has_velocity_and_impressions_at_its_bounds() {
    let day_old = uploaded(24 * 60 * MINUTE_US);
    for metrics in
        [Metrics30m { velocity: 0.249_999, ..AT_THE_BOUNDS }, Metrics30m { impressions: 99, ..AT_THE_BOUNDS }]
    {
        assert_eq!(verdict_of(&metrics, &day_old), verdict(NoAction, &[]), "{metrics:?}");
    }
}

#[test]
fn a_new_good_video_that_few_see_is_rescued() {
    let quiet = Metrics30m { velocity: 0.1, impressions: 150, ..AT_THE_BOUNDS };
    let rescue = verdict(Rescue, &[GatePass, NewUploadLt60m, UnderExposedP40]);
    assert_eq!(verdict_of(&quiet, &uploaded(60 * MINUTE_US)), rescue, "60 minutes old, at p40");
    // Too few impressions for a candidate, whatever the velocity.
    assert_eq!(verdict_of(&Metrics30m { impressions: 99, ..AT_THE_BOUNDS }, &uploaded(0)), rescue);
    // A clock that is ahead does not make a video old.
    assert_eq!(verdict_of(&quiet, &uploaded(-5 * MINUTE_US)), rescue);

    for (metrics, age_us, why) in [
        (quiet, 60 * MINUTE_US + 1, "too old"),
        (Metrics30m { impressions: 151, ..quiet }, 0, "not under-exposed"),
        (Metrics30m { completion_rate: 0.54, ..quiet }, 0, "fails the gate by completion"),
        (Metrics30m { skip_rate: 0.36, ..quiet }, 0, "fails the gate by skips"),
        (Metrics30m { play_start: 29, ..quiet }, 0, "fails the gate by plays"),
    ] {
        assert_eq!(verdict_of(&metrics, &uploaded(age_us)), verdict(NoAction, &[]), "{why}");
    }
}

#[test]
fn boost_comes_before_rescue() {
    let both = Metrics30m { impressions: 120, ..AT_THE_BOUNDS };
    assert_eq!(verdict_of(&both, &uploaded(0)).decision, Boost);
}

#[test]
fn names_are_the_contracts() {
    assert_eq!(DecisionType::ALL.map(DecisionType::as_str), ["NO_ACTION", "BOOST", "REVIEW", "RESCUE"]);
    assert_eq!(
        ReasonCode::ALL.map(ReasonCode::as_str),
        [
            "HIGH_VELOCITY_P90",
            "GATE_PASS",
            "LOW_COMPLETION",
            "HIGH_SKIP",
            "NEW_UPLOAD_LT_60M",
            "UNDER_EXPOSED_P40"
        ]
    );
}

fn action(video_id: &str, minute: i64, decision: DecisionType, decided_at_us: i64) -> Action {
    let verdict = verdict(decision, &[]);
    Action::new(
        &Rules::default(),
        video_id,
        minute * MINUTE_US,
        Metrics30m::default(),
        verdict,
        decided_at_us,
    )
    .unwrap()
}

#[test]
fn on_collision_rescue_beats_review_beats_boost_then_the_latest() {
    let winner = |actions: [Action; 2]| {
        let standing = resolve_collisions(actions);
        assert_eq!(standing.len(), 1);
        (standing[0].decision, standing[0].decided_at_us)
    };
    for (better, worse) in [(Rescue, Review), (Review, Boost), (Rescue, Boost)] {
        assert_eq!(winner([action("v", 0, better, 1), action("v", 0, worse, 2)]), (better, 1));
        assert_eq!(winner([action("v", 0, worse, 2), action("v", 0, better, 1)]), (better, 1));
    }
    assert_eq!(winner([action("v", 0, Boost, 1), action("v", 0, Boost, 2)]), (Boost, 2));
    assert_eq!(winner([action("v", 0, Boost, 2), action("v", 0, Boost, 1)]), (Boost, 2));
}

#[test]
fn other_videos_and_other_windows_do_not_collide() {
    let all = [action("w", 0, Boost, 1), action("v", 1, Boost, 1), action("v", 0, Rescue, 1)];
    let standing = resolve_collisions(all);
    let keys: Vec<_> =
        standing.iter().map(|found| (found.video_id.as_str(), found.window_start_us / MINUTE_US)).collect();
    assert_eq!(keys, [("v", 0), ("v", 1), ("w", 0)]);
}

#[test]
fn a_video_rests_for_60_minutes() {
    let rules = Rules::default();
    assert!(is_cooled_down(&rules, None, 0));
    for (minutes, is_free) in [(0, false), (59, false), (60, true), (61, true), (-59, false), (-60, true)] {
        let at_us = NOW_US + minutes * MINUTE_US;
        assert_eq!(is_cooled_down(&rules, Some(NOW_US), at_us), is_free, "after {minutes} minutes");
    }
    assert!(!is_cooled_down(&rules, Some(NOW_US), NOW_US + 60 * MINUTE_US - 1));
}

/// `impressions`, `play_start`, … in the order of [`EventType::ALL`].
fn counters(by_type: [i64; EventType::COUNT]) -> WindowCounters {
    WindowCounters { by_type, watch_time_sum_ms: 0 }
}

#[test]
fn a_rising_video_is_boosted_once_an_hour() {
    let start_us = NOW_US;
    let busy = counters([100, 80, 60, 20, 10, 10]);
    let minutes: VideoMinutes = (0..130).map(|minute| (start_us + minute * MINUTE_US, busy)).collect();
    let video = VideoFacts { upload_time_us: Some(start_us), ..uploaded(0) };
    let actions =
        actions_of_video(&Rules::default(), &THRESHOLDS, "v_9", Some(&video), &minutes, start_us + 5);
    let at: Vec<i64> = actions.iter().map(|found| (found.window_start_us - start_us) / MINUTE_US).collect();
    assert_eq!(at, [1, 61, 121], "from the first minute that begins at or after the given one");
    for found in &actions {
        assert_eq!((found.decision, found.decided_at_us), (Boost, found.window_end_us()));
    }
    assert_eq!(
        actions[0].metrics.impressions, 200,
        "the minute before counts though it was not decided about"
    );
}

#[test]
fn a_minute_without_events_is_not_decided_about() {
    let quiet_after = [(0, counters([50, 40, 30, 20, 10, 5])), (5, counters([50, 40, 30, 20, 10, 5]))];
    let minutes: VideoMinutes =
        quiet_after.map(|(minute, counted)| (NOW_US + minute * MINUTE_US, counted)).into();
    let video = VideoFacts { upload_time_us: Some(0), ..uploaded(0) };
    let actions = actions_of_video(&Rules::default(), &THRESHOLDS, "v_9", Some(&video), &minutes, NOW_US);
    let at: Vec<i64> = actions.iter().map(|found| (found.window_start_us - NOW_US) / MINUTE_US).collect();
    assert_eq!(at, [5], "100 impressions are there in minute 5 only");
}

proptest! {
    /// The table in its own words, condition by condition.
    #[test]
    fn the_first_row_that_matches_decides(
        impressions in 90_i64..160,
        play_start in 25_i64..40,
        velocity in 0.2_f64..0.3,
        completion_rate in 0.5_f64..0.6,
        skip_rate in 0.3_f64..0.4,
        age_min in 50_i64..70,
        is_active in any::<bool>(),
    ) {
        let metrics =
            Metrics30m { impressions, play_start, unended_plays: 0, velocity, completion_rate, skip_rate };
        let status = Some(if is_active { "active" } else { "banned" });
        let video = VideoFacts { status, ..uploaded(age_min * MINUTE_US) };
        let gate = completion_rate >= 0.55 && skip_rate <= 0.35 && play_start >= 30;
        let candidate = velocity >= 0.25 && impressions >= 100;
        let under_exposed = impressions <= 150;
        let expected = match (is_active, candidate, gate) {
            (false, _, _) => NoAction,
            (true, true, true) => Boost,
            (true, true, false) => Review,
            (true, false, true) if age_min <= 60 && under_exposed => Rescue,
            _ => NoAction,
        };
        let found = verdict_of(&metrics, &video);
        prop_assert_eq!(found.decision, expected);
        prop_assert_eq!(found.reasons.is_empty(), expected == NoAction);
        prop_assert_eq!(found.reasons.contains(&GatePass), gate && expected != NoAction);
    }

    /// No two actions of a video within the pause, and nothing but what a verdict called for.
    #[test]
    fn the_pause_is_never_broken(
        by_minute in proptest::collection::btree_map(0_i64..300, (0_i64..60, 0_i64..12), 0..150),
    ) {
        let minutes: VideoMinutes = by_minute
            .iter()
            .map(|(minute, (shown, liked))| {
                (minute * MINUTE_US, counters([*shown, *shown, *shown * 2 / 3, *liked, 0, *shown / 4]))
            })
            .collect();
        let video = VideoFacts { upload_time_us: Some(0), ..uploaded(0) };
        let rules = Rules::default();
        let actions = actions_of_video(&rules, &THRESHOLDS, "v_1", Some(&video), &minutes, 0);
        for pair in actions.windows(2) {
            prop_assert!(pair[1].window_start_us - pair[0].window_start_us >= rules.cooldown_us);
        }
        for found in &actions {
            prop_assert!(minutes.contains_key(&found.window_start_us));
            prop_assert!(found.decision != NoAction);
        }
    }
}
