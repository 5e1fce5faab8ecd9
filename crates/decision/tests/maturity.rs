//! A REVIEW waits while the plays that would make it a BOOST may still be running: from counts per minute to actions, by
//! the public functions alone.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use pulselake_decision::{
    DecisionType, MINUTE_US, Rules, Thresholds, VideoFacts, VideoMinutes, actions_of_video, decide_minute,
};
use pulselake_model::{EventType, WindowCounters};

use DecisionType::{Boost, NoAction, Review};

const VIDEO: VideoFacts<'static> = VideoFacts {
    category: Some("music"),
    region: Some("de"),
    upload_time_us: Some(-24 * 60 * MINUTE_US),
    status: Some("active"),
    duration_ms: Some(60_000),
};

/// The rules before there was maturity.
fn at_their_word() -> Rules {
    Rules { max_running_share: 1.0, ..Rules::default() }
}

/// By minute, plays that started, were finished and were skipped; impressions and likes are those of a candidate.
fn minutes_of(plays: impl IntoIterator<Item = (i64, i64, i64)>) -> VideoMinutes {
    let counters = |(started, finished, skipped): (i64, i64, i64)| {
        let mut counted = WindowCounters::default();
        counted.by_type[EventType::Impression as usize] = started * 6 / 5;
        counted.by_type[EventType::PlayStart as usize] = started;
        counted.by_type[EventType::PlayFinish as usize] = finished;
        counted.by_type[EventType::Like as usize] = started / 2;
        counted.by_type[EventType::Skip as usize] = skipped;
        counted
    };
    (0..).zip(plays).map(|(minute, played)| (minute * MINUTE_US, counters(played))).collect()
}

/// Minute and decision of each action.
fn actions(rules: &Rules, video: &VideoFacts<'_>, minutes: &VideoMinutes) -> Vec<(i64, DecisionType)> {
    let found = actions_of_video(rules, &Thresholds::SEED, "v_1", Some(video), minutes, 0);
    found.iter().map(|action| (action.window_start_us / MINUTE_US, action.decision)).collect()
}

/// A minute-long video, shown from minute 0 on at a steady pace: of 100 plays a minute so many are finished a minute after
/// their start, and so many skipped, half of them in the minute of their start.
fn spike(finished: i64, skipped: i64) -> VideoMinutes {
    let first = (100, 0, skipped / 2);
    minutes_of(std::iter::once(first).chain(std::iter::repeat_n((100, finished, skipped), 40)))
}

#[test]
fn a_good_video_is_boosted_when_its_plays_have_ended() {
    let good = spike(74, 20);
    assert_eq!(actions(&Rules::default(), &VIDEO, &good), [(3, Boost)], "3 of 4 minutes' plays: 0.555");
    assert_eq!(actions(&at_their_word(), &VIDEO, &good), [(0, Review)], "what maturity is there for");
}

#[test]
fn clickbait_is_reviewed_as_soon_as_its_skips_show_it() {
    assert_eq!(
        actions(&Rules::default(), &VIDEO, &spike(18, 72)),
        [(0, Review)],
        "36 of 100 skipped at once"
    );
    assert_eq!(actions(&Rules::default(), &VIDEO, &spike(18, 68)), [(1, Review)], "34, then 102 of 200");
}

#[test]
fn viewers_who_leave_without_a_word_are_noticed_when_their_plays_are_too_old_to_run() {
    // 40 finish, 10 skip, 50 close the player: two minutes of ten are a fifth.
    let left = spike(40, 10);
    assert_eq!(actions(&Rules::default(), &VIDEO, &left), [(9, Review)]);
    let unknown = VideoFacts { duration_ms: None, ..VIDEO };
    assert_eq!(actions(&Rules::default(), &unknown, &left), [(24, Review)], "five minutes of 25");
}

#[test]
fn a_video_that_falls_silent_is_decided_about_with_its_last_event() {
    // 100 plays in minute 0, and a late finish in minute 2: no play of a minute-long video is running any more.
    let silent = minutes_of([(100, 10, 10), (0, 0, 0), (0, 1, 0)]);
    assert_eq!(actions(&Rules::default(), &VIDEO, &silent), [(2, Review)]);
}

#[test]
fn waiting_is_told_and_begins_no_pause() {
    let good = spike(74, 20);
    let at = |minute: i64| {
        let (_, verdict) =
            decide_minute(&Rules::default(), &Thresholds::SEED, Some(&VIDEO), &good, minute * MINUTE_US);
        (verdict.decision, verdict.reasons.len(), verdict.waits_for_plays)
    };
    assert_eq!([0, 2, 3].map(at), [(NoAction, 0, true), (NoAction, 0, true), (Boost, 2, false)]);
    let banned = VideoFacts { status: Some("banned"), ..VIDEO };
    let (_, verdict) = decide_minute(&Rules::default(), &Thresholds::SEED, Some(&banned), &good, 0);
    assert!(!verdict.waits_for_plays);
}

fn any_minutes() -> impl Strategy<Value = VideoMinutes> {
    let played = (0_i64..120, 0_i64..90, 0_i64..50);
    proptest::collection::vec(played, 1..70).prop_map(minutes_of)
}

proptest! {
    /// Maturity takes REVIEWs away and changes nothing else.
    #[test]
    fn only_a_review_waits(minutes in any_minutes(), duration_ms in proptest::option::of(-1_i64..400_000)) {
        let video = VideoFacts { duration_ms, ..VIDEO };
        for &minute_us in minutes.keys() {
            let at = |rules: &Rules| decide_minute(rules, &Thresholds::SEED, Some(&video), &minutes, minute_us);
            let ((metrics, verdict), (same_metrics, at_its_word)) = (at(&Rules::default()), at(&at_their_word()));
            prop_assert_eq!(metrics, same_metrics);
            prop_assert!(!at_its_word.waits_for_plays);
            if verdict.waits_for_plays {
                prop_assert_eq!(verdict.decision, NoAction);
                prop_assert_eq!(at_its_word.decision, Review);
                prop_assert!(metrics.skip_rate <= 0.35 && metrics.play_start >= 30);
            } else {
                prop_assert_eq!(verdict, at_its_word);
            }
        }
    }

    /// At a steady pace nothing waits, whatever becomes of the plays and however long they last.
    #[test]
    fn a_steady_pace_is_mature(
        played in (30_i64..200, 0_i64..200, 0_i64..200),
        duration_ms in proptest::option::of(1_i64..4_000_000),
        minute in 29_i64..60,
    ) {
        let minutes = minutes_of(std::iter::repeat_n(played, 60));
        let video = VideoFacts { duration_ms, ..VIDEO };
        let (_, verdict) =
            decide_minute(&Rules::default(), &Thresholds::SEED, Some(&video), &minutes, minute * MINUTE_US);
        prop_assert!(!verdict.waits_for_plays);
    }

    /// Once no play has begun for five minutes, nothing waits.
    #[test]
    fn silence_is_mature(mut plays in proptest::collection::vec((0_i64..120, 0_i64..90, 0_i64..50), 1..40)) {
        plays.extend([(0, 0, 0); 5]);
        let last = plays.len() as i64 - 1;
        let minutes = minutes_of(plays);
        let (_, verdict) =
            decide_minute(&Rules::default(), &Thresholds::SEED, Some(&VIDEO), &minutes, last * MINUTE_US);
        prop_assert!(!verdict.waits_for_plays);
    }
}
