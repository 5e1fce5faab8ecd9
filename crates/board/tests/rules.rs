//! The board's rules, one by one.

#![allow(clippy::unwrap_used)]

mod common;

use common::{at, best, counts, delta, impressions, time};
use pulselake_board::{BoardSettings, LiveBoard, RollingVisit, TopOrder, TopQuery};
use pulselake_decision::Metrics30m;
use pulselake_model::EventType;

fn board() -> LiveBoard {
    let board = LiveBoard::default();
    board.begin(0, 1, None);
    board
}

/// Impressions of a video in the last 30 minutes.
fn seen(board: &LiveBoard, video_id: &str) -> Option<i64> {
    board.video(video_id).map(|video| video.metrics.impressions)
}

#[test]
fn the_current_minute_and_29_before_it_count() {
    let board = board();
    board.add(
        0,
        1,
        &[delta("a", 0, impressions(1)), delta("a", 1, impressions(10)), delta("a", 29, impressions(100))],
    );
    assert_eq!((board.now_minute_us(), seen(&board, "a")), (Some(at(29)), Some(111)));
    board.add(0, 1, &[delta("b", 30, impressions(5))]);
    assert_eq!((board.now_minute_us(), seen(&board, "a")), (Some(at(30)), Some(110)));
    board.add(0, 1, &[delta("b", 58, impressions(5))]);
    assert_eq!((seen(&board, "a"), seen(&board, "b")), (Some(100), Some(10)));
    board.add(0, 1, &[delta("b", 59, impressions(5))]);
    assert_eq!(seen(&board, "a"), None, "it is quiet");
}

#[test]
fn a_video_shows_its_rates_sums_and_minutes() {
    let board = board();
    board.add(0, 1, &[delta("a", 3, counts([200, 40, 22, 10, 2, 14])), delta("a", 5, impressions(1))]);
    let video = board.video("a").unwrap();
    assert_eq!(video.sums, counts([201, 40, 22, 10, 2, 14]));
    assert_eq!(video.metrics, Metrics30m::of(&video.sums));
    assert_eq!((video.first_minute_us, video.newest_minute_us, video.is_whole), (at(3), at(5), true));
    let minutes = board.minutes_of("a");
    assert_eq!(
        minutes.into_iter().collect::<Vec<_>>(),
        [(at(3), counts([200, 40, 22, 10, 2, 14])), (at(5), impressions(1))]
    );
    assert!(board.minutes_of("b").is_empty());
    assert_eq!(board.video("b"), None);
}

#[test]
fn a_later_generation_takes_over_and_older_ones_are_not_heard() {
    let board = board();
    board.add(0, 1, &[delta("a", 0, impressions(50)), delta("b", 0, impressions(50))]);
    board.begin(0, 2, None);
    assert_eq!(seen(&board, "a"), None);
    board.add(0, 2, &[delta("a", 0, impressions(50))]);
    board.add(0, 1, &[delta("a", 0, impressions(50))]);
    board.advance(0, 1, time(20));
    board.cover(0, 1, at(0));
    assert_eq!((seen(&board, "a"), seen(&board, "b")), (Some(50), None));
    assert_eq!(board.coverage().partitions[0].covered_from_us, None);
    assert!(board.is_current(0, 2) && !board.is_current(0, 1));
}

#[test]
fn a_partition_that_went_takes_its_counts_along_and_is_not_heard() {
    let board = board();
    board.begin(1, 1, None);
    board.add(0, 1, &[delta("a", 0, impressions(1))]);
    board.add(1, 1, &[delta("a", 0, impressions(10)), delta("b", 0, impressions(1))]);
    assert_eq!(seen(&board, "a"), Some(11));
    board.remove(1);
    board.add(1, 1, &[delta("a", 0, impressions(10))]);
    assert_eq!((seen(&board, "a"), seen(&board, "b")), (Some(1), None));
    assert_eq!(board.coverage().partitions.len(), 1);
    assert_eq!(board.stats().videos, 1);
}

#[test]
fn a_partition_that_never_began_is_not_heard() {
    let board = LiveBoard::default();
    board.add(0, 1, &[delta("a", 0, impressions(1))]);
    board.advance(0, 1, time(0));
    assert_eq!((board.now_minute_us(), board.coverage().partitions.len()), (None, 0));
}

#[test]
fn a_board_without_room_is_off() {
    let board = LiveBoard::new(BoardSettings { max_videos: 0, ..BoardSettings::default() });
    board.begin(0, 1, None);
    board.add(0, 1, &[delta("a", 0, impressions(1))]);
    assert!(!board.is_enabled());
    assert_eq!((board.stats().videos, board.now_minute_us()), (0, None));
    assert!(best(&board, 10).is_empty());
}

#[test]
fn a_clients_clock_that_runs_ahead_does_not_move_the_boards_minute() {
    let board = board();
    board.add(
        0,
        1,
        &[delta("a", 10, impressions(1)), delta("a", 14, impressions(10)), delta("c", 14, impressions(1))],
    );
    board.advance(0, 1, time(10));
    assert_eq!((board.now_minute_us(), seen(&board, "a")), (Some(at(10)), Some(1)));
    assert_eq!(best(&board, 10), ["a"], "c has no event yet");
    assert_eq!(board.video("a").unwrap().newest_minute_us, at(14));
    board.add(0, 1, &[delta("b", 14, impressions(1))]);
    board.advance(0, 1, time(14));
    assert_eq!((board.now_minute_us(), seen(&board, "a")), (Some(at(14)), Some(11)));
}

#[test]
fn late_events_count_in_their_minute_while_it_is_kept() {
    let board = board();
    board.add(0, 1, &[delta("a", 40, impressions(1))]);
    board.advance(0, 1, time(40));
    board.add(
        0,
        1,
        &[
            delta("a", 11, impressions(10)),
            delta("a", 10, impressions(100)),
            delta("a", 5, impressions(1_000)),
        ],
    );
    assert_eq!(seen(&board, "a"), Some(11));
    assert_eq!(
        board.minutes_of("a").keys().copied().collect::<Vec<_>>(),
        [at(10), at(11), at(40)],
        "35 minutes are kept"
    );
    assert_eq!(board.video("a").unwrap().first_minute_us, at(11), "of the 30");
}

#[test]
fn top_goes_by_the_order_that_is_asked_for_and_ties_go_by_id() {
    let board = board();
    let history =
        |id: &str, reactions: i64, shown: i64| delta(id, 20, counts([shown, 10, 0, reactions, 0, 0]));
    board.add(
        0,
        1,
        &[history("lucky", 40, 60), history("big", 500, 5_000), history("b", 10, 100), history("a", 10, 100)],
    );
    board.add(
        0,
        1,
        &[
            delta("rising", 10, counts([10, 1, 0, 0, 0, 0])),
            delta("rising", 20, counts([90, 80, 0, 2, 0, 0])),
        ],
    );
    board.add(0, 1, &[delta("clock", 21, impressions(1))]);
    let ids = |order| {
        let videos = board.top(&TopQuery { limit: 10, order, keep: None });
        assert!(videos.is_sorted_by(|one, other| order.score(one) >= order.score(other)));
        videos.into_iter().map(|video| video.video_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(TopOrder::Velocity), ["lucky", "a", "b", "big", "rising", "clock"]);
    assert_eq!(ids(TopOrder::Impressions)[..2], ["big", "a"]);
    assert_eq!(ids(TopOrder::Surprise)[0], "rising");
    assert_eq!(ids(TopOrder::Shrunken)[0], "lucky");
    let shrunk = board.top(&TopQuery { limit: 1, order: TopOrder::Shrunken, keep: None })[0].velocity_shrunk;
    let catalogue = 562.0 / 5_361.0;
    assert!((shrunk - (40.0 + 100.0 * catalogue) / 160.0).abs() < 1e-12, "{shrunk}");
}

#[test]
fn top_asks_whom_to_keep_and_never_gives_more_than_wanted() {
    let board = board();
    let many: Vec<_> = (0..500)
        .map(|number| delta(&format!("v{number:03}"), 0, counts([100, 0, 0, number, 0, 0])))
        .collect();
    board.add(0, 1, &many);
    let even = |id: &str| id.ends_with(['0', '2', '4', '6', '8']);
    let query = TopQuery { limit: 3, keep: Some(&even), ..TopQuery::default() };
    let found: Vec<_> = board.top(&query).into_iter().map(|video| video.video_id).collect();
    assert_eq!(found, ["v498", "v496", "v494"]);
    assert!(board.top(&TopQuery { limit: 0, ..TopQuery::default() }).is_empty());
    assert_eq!(best(&board, 1_000).len(), 500);
}

#[test]
fn a_video_in_several_partitions_is_one_video() {
    let board = board();
    board.begin(1, 7, None);
    board.add(
        0,
        1,
        &[delta("a", 0, counts([60, 0, 0, 6, 0, 0])), delta("b", 0, counts([100, 0, 0, 11, 0, 0]))],
    );
    board.add(1, 7, &[delta("a", 0, counts([60, 0, 0, 9, 0, 0])), delta("a", 1, impressions(80))]);
    assert_eq!(best(&board, 10), ["b", "a"], "15 likes of 200 impressions");
    assert_eq!(seen(&board, "a"), Some(200));
    let mut visited = Vec::new();
    board.visit_all(&mut |id, sums| {
        visited.push((id.to_owned(), sums.by_type[EventType::Impression as usize]));
    });
    visited.sort_unstable();
    assert_eq!(visited, [("a".to_owned(), 200), ("b".to_owned(), 100)]);
    board.add(1, 7, &[delta("a", 1, counts([0, 0, 0, 10, 0, 0]))]);
    assert_eq!(best(&board, 1), ["a"]);
    board.remove(1);
    assert_eq!(best(&board, 10), ["b", "a"], "6 likes of 60 impressions");
}

#[test]
fn a_minute_is_visited_with_its_30_minutes_and_nothing_later() {
    let board = board();
    board.begin(1, 1, None);
    board.add(
        0,
        1,
        &[delta("a", 0, impressions(1)), delta("a", 29, impressions(10)), delta("a", 30, impressions(100))],
    );
    board.add(0, 1, &[delta("b", 28, impressions(1)), delta("b", 30, impressions(1))]);
    board.add(1, 1, &[delta("c", 29, impressions(1))]);
    let at_minute = |partition, minute| {
        let mut found = Vec::new();
        let visit = board
            .rolling_at(partition, at(minute), &mut |id, sums| found.push((id.to_owned(), sums.events())));
        found.sort_unstable();
        assert_eq!(visit, RollingVisit { visited: found.len(), left_out: 0 });
        found
    };
    assert_eq!(at_minute(0, 29), [("a".to_owned(), 11)]);
    assert_eq!(at_minute(0, 30), [("a".to_owned(), 110), ("b".to_owned(), 2)]);
    assert_eq!(at_minute(1, 29), [("c".to_owned(), 1)]);
    assert_eq!(at_minute(1, 30), []);
    assert_eq!(at_minute(5, 30), []);
}

#[test]
fn whoever_is_visited_may_ask_the_board() {
    let board = board();
    board.add(0, 1, &[delta("a", 0, impressions(3)), delta("b", 0, impressions(4))]);
    let mut sums = 0;
    board.rolling_at(0, at(0), &mut |id, _| sums += seen(&board, id).unwrap());
    board.visit_all(&mut |id, _| sums += seen(&board, id).unwrap());
    let keep = |id: &str| seen(&board, id) == Some(4);
    assert_eq!(board.top(&TopQuery { limit: 5, keep: Some(&keep), ..TopQuery::default() }).len(), 1);
    assert_eq!(sums, 14);
}

#[test]
fn totals_are_over_all_videos_and_end_at_the_boards_minute() {
    let board = board();
    board.begin(1, 1, None);
    board.add(0, 1, &[delta("a", 2, counts([10, 0, 0, 0, 0, 3])), delta("b", 2, counts([5, 0, 0, 0, 0, 1]))]);
    board.add(
        1,
        1,
        &[delta("a", 2, impressions(1)), delta("a", 4, impressions(2)), delta("a", 9, impressions(4))],
    );
    board.advance(0, 1, time(4));
    board.advance(1, 1, time(4));
    assert_eq!(board.totals_by_minute(), [(at(2), counts([16, 0, 0, 0, 0, 4])), (at(4), impressions(2))]);
}

#[test]
fn quiet_videos_leave_and_give_their_memory_back() {
    let board = board();
    let quiet: Vec<_> =
        (0..5_000).map(|number| delta(&format!("quiet {number}"), 0, impressions(1))).collect();
    board.add(0, 1, &quiet);
    board.add(0, 1, &[delta("loud", 0, impressions(1))]);
    let full = board.stats();
    for minute in 1..=35 {
        board.add(0, 1, &[delta("loud", minute, impressions(1))]);
        board.advance(0, 1, time(minute));
    }
    let left = board.stats();
    assert_eq!((full.videos, left.videos, left.evicted), (5_001, 1, 0));
    assert!(
        left.memory_bytes < full.memory_bytes / 20,
        "{} of {} bytes",
        left.memory_bytes,
        full.memory_bytes
    );
    assert_eq!(seen(&board, "loud"), Some(30));
    assert_eq!(board.coverage().partitions[0].videos, 1);
}

#[test]
fn an_idle_partitions_videos_leave_with_the_others() {
    let board = board();
    board.begin(1, 1, Some(at(-100)));
    board.begin(2, 1, Some(at(-100)));
    board.add(1, 1, &[delta("of an idle one", 0, impressions(1))]);
    board.add(2, 1, &[delta("of a slow one", 0, impressions(1))]);
    board.advance(1, 1, pulselake_board::PartitionTime { is_idle: true, ..time(0) });
    board.advance(2, 1, time(0));
    board.add(0, 1, &[delta("a", 60, impressions(1))]);
    board.advance(0, 1, time(60));
    assert!(board.minutes_of("of an idle one").is_empty());
    assert_eq!(board.minutes_of("of a slow one").len(), 1, "it has yet to come here");
    let covered: Vec<_> =
        board.coverage().partitions.iter().map(|partition| partition.covered_from_us).collect();
    assert_eq!(covered, [None, Some(at(26)), Some(at(-34))], "what was put out is not covered");
}

#[test]
fn a_full_board_puts_the_quietest_out_and_says_so() {
    let board = LiveBoard::new(BoardSettings { max_videos: 32, ..BoardSettings::default() });
    board.begin(0, 1, Some(at(-40)));
    for number in 0..32 {
        board.add(
            0,
            1,
            &[delta(&format!("v{number:02}"), i64::from(number / 8), impressions(1 + i64::from(number)))],
        );
    }
    assert_eq!(board.stats().evicted, 0);
    board.add(0, 1, &[delta("new", 4, impressions(1))]);
    let stats = board.stats();
    assert_eq!((stats.videos, stats.evicted), (31, 2));
    assert_eq!((seen(&board, "v00"), seen(&board, "v01"), seen(&board, "v02")), (None, None, Some(3)));
    assert_eq!(seen(&board, "new"), Some(1));
}

#[test]
fn a_video_that_came_back_to_a_full_board_is_not_decided_about_until_it_is_whole_again() {
    let board = LiveBoard::new(BoardSettings { max_videos: 32, ..BoardSettings::default() });
    board.begin(0, 1, Some(at(-40)));
    for number in 0..33 {
        let minute = i64::from(number.min(31) / 8);
        board.add(0, 1, &[delta(&format!("v{number:02}"), minute, impressions(100))]);
    }
    assert_eq!(board.stats().evicted, 2);
    board.add(0, 1, &[delta("v00", 10, impressions(7)), delta("v20", 10, impressions(7))]);
    let mut found = Vec::new();
    let visit = board.rolling_at(0, at(10), &mut |id, sums| found.push((id.to_owned(), sums.events())));
    assert_eq!(visit, RollingVisit { visited: 1, left_out: 1 });
    assert_eq!(found, [("v20".to_owned(), 107)]);
    assert!(!board.video("v00").unwrap().is_whole && board.video("v20").unwrap().is_whole);
    board.add(0, 1, &[delta("v00", 30, impressions(7))]);
    let later = board.rolling_at(0, at(30), &mut |_, _| {});
    assert_eq!(
        later,
        RollingVisit { visited: 1, left_out: 0 },
        "what was put out lies before its 30 minutes"
    );
}

#[test]
fn coverage_follows_the_partition() {
    let board = board();
    assert_eq!(board.coverage().covered_minutes(), 0);
    board.add(0, 1, &[delta("a", 0, impressions(1))]);
    board.advance(0, 1, time(0));
    board.cover(0, 1, at(0));
    assert_eq!(board.coverage().covered_minutes(), 1);
    board.cover(0, 1, at(-50));
    let coverage = board.coverage();
    assert!(coverage.is_complete());
    assert_eq!(coverage.partitions[0].covered_from_us, Some(at(-34)), "older minutes are not kept");
    board.advance(0, 1, pulselake_board::PartitionTime { is_replaying: true, ..time(0) });
    assert!(!board.coverage().is_complete());
    board.begin(1, 1, None);
    board.advance(0, 1, time(0));
    assert_eq!(board.coverage().covered_minutes(), 0, "the other partition");
    board.advance(1, 1, pulselake_board::PartitionTime { is_idle: true, ..Default::default() });
    assert!(board.coverage().is_complete(), "nothing ever was in the other partition");
}

#[test]
fn everything_can_be_moved_to_another_board() {
    let (from, to) = (board(), board());
    from.begin(3, 1, None);
    from.add(
        0,
        1,
        &[delta("a", 0, impressions(1)), delta("a", 3, impressions(2)), delta("b", 1, impressions(3))],
    );
    from.add(3, 1, &[delta("a", 2, impressions(4))]);
    to.begin(3, 1, None);
    for part in 0..from.parts() {
        from.visit_minutes(part, &mut |partition, id, minute_us, counters| {
            to.add_counts(partition, 1, [(id, minute_us, *counters)]);
        });
    }
    assert_eq!(to.minutes_of("a"), from.minutes_of("a"));
    assert_eq!(to.totals_by_minute(), from.totals_by_minute());
    from.visit_minutes(from.parts(), &mut |_, _, _, _| panic!("no such part"));
}
