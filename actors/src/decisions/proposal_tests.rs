//! Named cases of the way from the board to actions.

use pulselake_board::{BoardSettings, VideoDelta};
use pulselake_decision::{ActionState, Thresholds, VideoMinutes, decide_minute};
use pulselake_model::{EventType, WindowCounters};

use super::*;

const PARTITION: i32 = 3;
const GENERATION: u64 = 1;
/// The minute that is decided about.
const NOW: i64 = 1_000;

fn counters(by_type: [i64; EventType::COUNT]) -> WindowCounters {
    WindowCounters { by_type, watch_time_sum_ms: 0 }
}

/// Impressions, plays, finished, likes, shares, skips of each minute: those of a video that rises and is good.
const VIRAL: [i64; 6] = [200, 170, 130, 30, 12, 40];
/// Rises, and viewers go on.
const CLICKBAIT: [i64; 6] = [200, 170, 30, 30, 12, 140];
/// Good, and hardly seen.
const HIDDEN: [i64; 6] = [4, 3, 3, 0, 0, 0];
/// Neither.
const NORMAL: [i64; 6] = [30, 26, 14, 2, 0, 9];

/// A board with 30 minutes of these videos.
fn board(videos: &[(&str, [i64; 6])]) -> LiveBoard {
    let board = LiveBoard::new(BoardSettings::default());
    board.begin(PARTITION, GENERATION, Some(0));
    let deltas: Vec<VideoDelta> = videos
        .iter()
        .flat_map(|(video_id, each)| {
            (NOW - 29..=NOW).map(|minute| VideoDelta {
                video_id: (*video_id).into(),
                minute_start_us: minute * MINUTE_US,
                counters: counters(*each),
            })
        })
        .collect();
    board.add(PARTITION, GENERATION, &deltas);
    board
}

fn row(status: &str, age_minutes: i64) -> VideoRow {
    VideoRow {
        category: Some("music".to_owned()),
        region: Some("de".to_owned()),
        status: Some(status.to_owned()),
        upload_time_us: Some((NOW + 1 - age_minutes) * MINUTE_US),
        duration_ms: Some(30_000),
    }
}

fn due() -> [Due; 1] {
    [Due { partition: PARTITION, minutes: vec![NOW * MINUTE_US] }]
}

/// All three steps; (video, decision), and what was held back.
fn decided(
    videos: &[(&str, [i64; 6])],
    rows: &[(&str, VideoRow)],
    freshness: Freshness,
) -> (Vec<(String, DecisionType)>, Suppressed) {
    let (board, rules, baseline) = (board(videos), Rules::default(), Baseline::seed());
    let measures = Measures { rules: &rules, baseline: &baseline };
    let rows: HashMap<String, VideoRow> =
        rows.iter().map(|(video_id, row)| ((*video_id).to_owned(), row.clone())).collect();
    // The cache knows nobody: what it does not know is assumed to speak for the video.
    let looked = look(&board, &DimensionCache::new(10), measures, &due());
    assert_eq!((looked.videos, looked.left_out), (videos.len() as u64, 0));
    let judged = judge(&board, looked.seen, &rows, measures, freshness);
    let (actions, cooling) = choose(&QueueView::default(), &judged.wanted, &rules, (NOW + 1) * MINUTE_US);
    assert_eq!(cooling, 0);
    let mut found: Vec<_> = actions.into_iter().map(|action| (action.video_id, action.decision)).collect();
    found.sort_unstable();
    (found, judged.suppressed)
}

#[test]
fn each_kind_of_video_gets_its_decision() {
    let videos = [("boost", VIRAL), ("review", CLICKBAIT), ("rescue", HIDDEN), ("nothing", NORMAL)];
    let rows = videos.map(|(video_id, _)| (video_id, row("active", 40)));
    let (found, suppressed) = decided(&videos, &rows, Freshness::Fresh);
    let expected =
        [("boost", DecisionType::Boost), ("rescue", DecisionType::Rescue), ("review", DecisionType::Review)];
    assert_eq!(found, expected.map(|(video_id, decision)| (video_id.to_owned(), decision)));
    assert_eq!(suppressed, Suppressed::new());
}

#[test]
fn unknown_banned_and_incomplete_videos_are_left_alone() {
    let videos = [("unknown", VIRAL), ("banned", VIRAL), ("incomplete", VIRAL), ("old", HIDDEN)];
    let incomplete = VideoRow { region: None, ..row("active", 40) };
    let rows = [("banned", row("banned", 40)), ("incomplete", incomplete), ("old", row("active", 62))];
    let (found, suppressed) = decided(&videos, &rows, Freshness::Fresh);
    assert_eq!(found, []);
    assert_eq!(
        suppressed,
        Suppressed::from([("unknown_video", 1), ("not_active", 1), ("incomplete_video", 1)])
    );
}

#[test]
fn on_old_gold_only_reviews_are_decided_and_on_stale_gold_nothing() {
    let videos = [("boost", VIRAL), ("review", CLICKBAIT), ("rescue", HIDDEN)];
    let rows = videos.map(|(video_id, _)| (video_id, row("active", 40)));
    let (found, suppressed) = decided(&videos, &rows, Freshness::Degraded);
    assert_eq!(found, [("review".to_owned(), DecisionType::Review)]);
    assert_eq!(suppressed, Suppressed::from([("degraded", 2)]));
    assert_eq!(decided(&videos, &rows, Freshness::Stale).0, []);
}

#[test]
fn what_the_first_step_leaves_out_is_never_decided() {
    // Every combination of few and many: whatever the rules decide of it, the first step must let pass.
    let (rules, baseline) = (Rules::default(), Baseline::seed());
    let measures = Measures { rules: &rules, baseline: &baseline };
    let facts_row = row("active", 10);
    let facts = facts_row.facts();
    for impressions in [0, 1, 3, 4, 30, 200] {
        for plays in [0, 1, 3, 170] {
            for (finished, likes, skips) in [(0, 0, 0), (1, 1, 0), (3, 40, 1), (130, 9, 40), (20, 40, 140)] {
                let each = [impressions, plays, finished, likes, 0, skips];
                let minutes: VideoMinutes =
                    (NOW - 29..=NOW).map(|minute| (minute * MINUTE_US, counters(each))).collect();
                let (_, verdict) =
                    decide_minute(&rules, &Thresholds::SEED, Some(&facts), &minutes, NOW * MINUTE_US);
                let matters = verdict.decision != DecisionType::NoAction || verdict.waits_for_plays;
                let looked = look(&board(&[("v", each)]), &DimensionCache::new(1), measures, &due());
                assert!(!matters || looked.seen.len() == 1, "{each:?}");
            }
        }
    }
}

#[test]
fn the_pause_holds_against_the_queue_and_within_a_round() {
    let rules = Rules::default();
    let wanted = |minute: i64| Wanted {
        seen: Seen {
            video_id: "v".to_owned(),
            minute_us: minute * MINUTE_US,
            metrics: Metrics30m::default(),
        },
        verdict: Verdict { decision: DecisionType::Boost, reasons: Vec::new(), waits_for_plays: false },
    };
    let (actions, cooling) = choose(&QueueView::default(), &[wanted(10), wanted(11), wanted(70)], &rules, 0);
    let minutes: Vec<i64> = actions.iter().map(|action| action.window_start_us / MINUTE_US).collect();
    assert_eq!((minutes, cooling), (vec![10, 70], 1));
    let known = pulselake_actions::QueuedAction {
        state: ActionState::Done,
        ..pulselake_actions::QueuedAction::pending(&actions[1], 0)
    };
    let view = QueueView::new(None, vec![known], i64::MAX);
    let (actions, cooling) = choose(&view, &[wanted(11), wanted(129), wanted(130)], &rules, 0);
    assert_eq!((actions.len(), cooling), (1, 2));
}
