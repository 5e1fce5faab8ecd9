//! Named cases of restarting: where reading begins, what is refilled, what is not counted again.

use pulselake_model::GoldPosition;
use pulselake_window::{PartitionWindows, ReplayDifference, WindowSettings};

use crate::harness::Run;
use crate::log::{Content, Log, SECOND};
use crate::oracle::{recount, without_revisions};

/// One view a second, ids never repeated.
fn steady(records: i64) -> Log {
    let mut log = Log::new(0);
    for second in 0..records {
        log.view(second as u128, "v_1", second);
    }
    log
}

fn committed_after(log: &Log, settings: WindowSettings, offset: i64) -> GoldPosition {
    let mut run = Run::new(log, settings);
    run.read_to(offset).flush();
    run.committed.unwrap()
}

#[test]
fn a_restart_reads_one_horizon_before_the_oldest_open_window() {
    let log = steady(1_000);
    // At 999 s the watermark is 989 s: window 960–1020 is open, its first record is 960, one horizon before is 840.
    let position = committed_after(&log, WindowSettings::default(), 1_000);
    assert_eq!((position.closed_through_us, position.open), (Some(960 * SECOND), 40));
    assert!((839..=840).contains(&position.replay_from), "{position:?}");
    assert_eq!(position.replay_stream_time_us, Some((position.replay_from - 1) * SECOND));
}

#[test]
fn without_an_open_window_the_dedup_set_still_has_to_be_refilled() {
    let log = steady(1_000);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_all().idle().flush();
    let position = run.committed.unwrap();
    assert_eq!(position.open, 0);
    assert!((879..=880).contains(&position.replay_from), "{position:?}");
    run.crash().read_all();
    let mut fresh = Run::new(&log, WindowSettings::default());
    fresh.read_all();
    assert_eq!(run.windows.dedup_len(), fresh.windows.dedup_len());
}

#[test]
fn the_oldest_window_need_not_hold_the_smallest_offset() {
    // Offset 100 lies in a window that opens early and stays open long after the windows around it.
    let mut log = steady(100);
    log.skewed(5_000, "ahead", 460, 100);
    for second in 101..440 {
        log.view(second as u128, "v_1", second);
    }
    let settings = WindowSettings { dedup_horizon_ms: 20_000, ..WindowSettings::default() };
    let position = committed_after(&log, settings, log.end);
    assert_eq!(position.closed_through_us, Some(420 * SECOND));
    assert!((78..=80).contains(&position.replay_from), "{position:?}");
}

#[test]
fn without_deduplication_a_restart_begins_at_the_first_record_of_the_open_windows() {
    let settings = WindowSettings { dedup_horizon_ms: 0, ..WindowSettings::default() };
    let log = steady(100);
    let position = committed_after(&log, settings, 100);
    assert_eq!((position.replay_from, position.replay_stream_time_us), (60, Some(59 * SECOND)));
}

#[test]
fn a_replay_emits_closes_and_counts_nothing() {
    let log = steady(200);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_all().flush();
    let position = run.committed.unwrap();
    run.crash();
    assert!(run.windows.is_replaying());
    assert_eq!(run.windows.next_offset(), position.replay_from);
    run.read_to(199);
    assert!(run.windows.is_replaying());
    assert!(!run.windows.close_idle());
    assert_eq!(run.windows.flush(), None);
    assert!(!run.windows.has_unflushed_progress());
    run.read_to(200);
    assert!(!run.windows.is_replaying());
    assert!(!run.windows.has_unflushed_progress());
    assert_eq!(run.windows.pending_rows(), 0);
    assert_eq!(run.windows.watermark_us(), position.watermark_us);
    let again = run.windows.flush().unwrap();
    assert_eq!((again.rows.len(), again.position), (0, position));
}

#[test]
fn a_batch_may_straddle_the_committed_position() {
    let mut log = steady(50);
    log.gap(2).push(Content::Rejected).gap(1).push(Content::Rejected);
    for second in 50..200 {
        log.view(second as u128, "v_1", second);
    }
    for committed_at in 45..60 {
        let mut run = Run::new(&log, WindowSettings::default());
        run.read_to(committed_at).flush().crash().finish();
        let position = run.committed.unwrap();
        assert_eq!((position.records, position.quarantined, position.gaps), (202, 2, 3));
    }
}

#[test]
fn duplicates_of_records_from_before_the_crash_are_still_known() {
    let mut log = steady(130);
    log.view(20, "v_1", 20).view(129, "v_1", 129);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_to(130).flush().crash().read_all().flush();
    assert_eq!(run.committed.unwrap().duplicates, 2);
}

#[test]
fn a_duplicate_alone_in_its_window_is_not_refilled_as_an_event() {
    // Id 1 was counted in window 0. Its second sighting lies in window 3, which nothing else opens; a restart that
    // read from one horizon before `next` would not see the first sighting and count the second.
    let mut log = Log::new(0);
    log.view(1, "v_1", 0).view(2, "v_1", 50).skewed(1, "v_1", 190, 100);
    log.view(3, "v_1", 150).skewed(4, "v_1", 150, 171);
    let settings = WindowSettings { dedup_horizon_ms: 120_000, ..WindowSettings::default() };
    let mut run = Run::new(&log, settings);
    run.read_to(4).flush();
    assert_eq!((run.committed.unwrap().duplicates, run.committed.unwrap().replay_from), (1, 0));
    run.crash().finish();
    let expected = recount(&log, &settings, log.end);
    assert_eq!(without_revisions(&run.sums()), without_revisions(&expected.sums));
}

#[test]
fn an_idle_close_is_not_undone_by_a_restart() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 6);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_to(1).idle().flush().crash().read_all().flush();
    assert_eq!(run.windows.closed_through_us(), Some(60 * SECOND));
    assert_eq!(run.committed.unwrap().late, 1);
    assert_eq!(run.rows.iter().map(|row| row.counters.events()).sum::<i64>(), 2);
}

#[test]
fn a_crash_before_the_first_commit_starts_from_the_first_offset() {
    let log = steady(30);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_all().crash();
    assert_eq!(run.windows.next_offset(), 0);
    assert!(!run.windows.is_replaying());
    run.finish();
    assert_eq!(run.committed.unwrap().records, 30);
}

/// A position of settings that knew duplicates, taken up by settings that know none, and the other way round.
#[test]
fn changed_settings_move_the_difference_to_the_duplicates() {
    let with = WindowSettings::default();
    let without = WindowSettings { dedup_horizon_ms: 0, ..with };
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(1, "v_1", 5).view(1, "v_1", 5).view(2, "v_1", 6);
    for (before, after, committed_open, refilled_open) in [(with, without, 2, 4), (without, with, 4, 2)] {
        let position = committed_after(&log, before, 4);
        let mut resumed = PartitionWindows::new(after, Some(GoldPosition { replay_from: 0, ..position }), 0);
        resumed.apply(&log.batch(0, 4)).unwrap();
        assert_eq!(resumed.replay_difference(), Some(ReplayDifference { committed_open, refilled_open }));
        let position = resumed.flush().unwrap().position;
        assert_eq!((position.open, position.duplicates), (refilled_open, 4 - refilled_open));
        assert_eq!(position.records, 4);
    }
}

#[test]
fn a_shorter_delay_closes_at_the_end_of_the_replay_what_it_would_have_closed() {
    let log = steady(65);
    let position = committed_after(&log, WindowSettings::default(), 65);
    assert_eq!(position.closed_through_us, Some(0));
    let settings = WindowSettings { watermark_delay_ms: 1_000, ..WindowSettings::default() };
    let mut resumed = PartitionWindows::new(settings, Some(position), 0);
    resumed.apply(&log.batch(position.replay_from, 65)).unwrap();
    let flush = resumed.flush().unwrap();
    assert_eq!(flush.position.closed_through_us, Some(60 * SECOND));
    assert_eq!(flush.rows.iter().map(|row| row.counters.events()).sum::<i64>(), 60);
    assert_eq!(flush.position.open, 5);
    assert_eq!(resumed.replay_difference(), None);
}

#[test]
fn records_gone_from_the_source_are_explained_as_far_as_they_were_counted() {
    // Retention passed the committed position: the reader reports the hole as an empty batch.
    let log = steady(100);
    let position = committed_after(&log, WindowSettings::default(), 100);
    let mut resumed = PartitionWindows::new(WindowSettings::default(), Some(position), 0);
    let mut hole = Log::new(position.replay_from);
    hole.gap(500 - position.replay_from);
    resumed.apply(&hole.batch(position.replay_from, 500)).unwrap();
    assert_eq!(resumed.replay_difference(), Some(ReplayDifference { committed_open: 40, refilled_open: 0 }));
    let after = resumed.flush().unwrap().position;
    assert_eq!((after.records, after.open, after.duplicates, after.gaps), (100, 0, 40, 400));
}
