//! Named cases of the rules that need no restart: closing, lateness, idleness, deduplication, counting, bad batches.

use pulselake_model::{DecodedBatch, EventType, GoldRow};
use pulselake_window::{ApplyError, PartitionWindows, WindowSettings};

use crate::harness::Run;
use crate::log::{Content, Event, Log, SECOND};

const MINUTE: i64 = 60 * SECOND;

/// Applies the whole log at once, with default settings.
fn read(log: &Log) -> Run<'_> {
    let mut run = Run::new(log, WindowSettings::default());
    run.read_all();
    run
}

/// Rows as (video, window in minutes, correction, events), sorted.
fn brief(rows: &[GoldRow]) -> Vec<(&str, i64, bool, i64)> {
    let mut brief: Vec<_> = rows
        .iter()
        .map(|row| {
            let minute = row.window_start_us / MINUTE;
            (row.video_id.as_str(), minute, row.is_correction, row.counters.events())
        })
        .collect();
    brief.sort_unstable();
    brief
}

#[test]
fn a_window_closes_when_the_watermark_reaches_its_end_and_not_before() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 69).view(3, "v_1", 70);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_to(2);
    assert_eq!((run.windows.open_windows(), run.windows.pending_rows()), (2, 0));
    run.read_to(3);
    assert!(run.windows.has_pending_windows() && !run.windows.has_pending_corrections());
    assert_eq!(run.windows.closed_through_us(), Some(MINUTE));
    assert_eq!(run.windows.watermark_us(), Some(MINUTE));
    run.flush();
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 1)]);
    assert_eq!(run.committed.unwrap().open, 2);
}

#[test]
fn every_field_is_summed_per_video() {
    let mut log = Log::new(0);
    for (number, kind) in EventType::ALL.into_iter().enumerate() {
        for copy in 0..=number {
            log.push(Content::Valid(Event {
                id: (number * 100 + copy) as u128,
                video: if copy == 0 { "first" } else { "others" },
                event_us: 59 * SECOND,
                record_us: 59 * SECOND,
                kind,
                watch_ms: 10,
            }));
        }
    }
    let mut run = read(&log);
    run.idle().flush();
    let of = |video: &str| run.rows.iter().find(|row| row.video_id == video).unwrap().counters;
    assert_eq!(of("first").by_type, [1; 6]);
    assert_eq!(of("others").by_type, [0, 1, 2, 3, 4, 5]);
    assert_eq!((of("first").watch_time_sum_ms, of("others").watch_time_sum_ms), (60, 150));
    assert_eq!(run.rows.len(), 2);
}

#[test]
fn windows_before_the_epoch_are_floored() {
    let mut log = Log::new(0);
    log.view(1, "v_1", -61).view(2, "v_1", -60).view(3, "v_1", -1).view(4, "v_1", 0);
    let mut run = read(&log);
    run.idle().flush();
    assert_eq!(brief(&run.rows), [("v_1", -2, false, 1), ("v_1", -1, false, 2), ("v_1", 0, false, 1)]);
}

#[test]
fn a_late_event_becomes_one_correction_row_per_video_and_window() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 100);
    for (id, video) in [(10, "v_1"), (11, "v_1"), (12, "v_2")] {
        log.view(id, video, 30);
    }
    let mut run = read(&log);
    assert!(run.windows.has_pending_corrections());
    run.flush();
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 1), ("v_1", 0, true, 2), ("v_2", 0, true, 1)]);
    assert_eq!(run.committed.unwrap().late, 3);
}

#[test]
fn a_record_does_not_make_itself_late() {
    // The jump closes window 0 behind it, and the record right after it is late; the record that jumps never is,
    // not even one whose stream time claims more than its own event time.
    let mut log = Log::new(0);
    log.view(1, "v_1", 5);
    let mut boasting = DecodedBatch::clone(&log.batch(0, 1));
    boasting.columns.stream_time_us[0] = 100 * SECOND;
    let mut windows = PartitionWindows::new(WindowSettings::default(), None, 0);
    windows.apply(&boasting).unwrap();
    let flush = windows.flush().unwrap();
    assert_eq!(brief(&flush.rows), [("v_1", 0, false, 1)]);
    assert_eq!(flush.position.late, 0);
}

#[test]
fn lateness_is_allowed_up_to_and_including_the_limit() {
    let settings = WindowSettings { allowed_lateness_ms: 100_000, ..WindowSettings::default() };
    let mut log = Log::new(0);
    // Watermark 990: the oldest event time allowed is 890.
    log.view(1, "v_1", 1_000).view(2, "v_1", 890).view(3, "v_1", 889);
    let mut run = Run::new(&log, settings);
    run.read_all().flush();
    let position = run.committed.unwrap();
    assert_eq!((position.late, position.dropped), (1, 1));
    assert_eq!(brief(&run.rows), [("v_1", 14, true, 1)]);
}

#[test]
fn a_client_ahead_of_the_broker_does_not_move_the_watermark() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 30).skewed(2, "v_1", 320, 31).view(3, "v_1", 32);
    let mut run = read(&log);
    assert_eq!(run.windows.watermark_us(), Some(22 * SECOND));
    run.flush();
    assert_eq!((run.rows.len(), run.committed.unwrap().late), (0, 0));
    run.idle().flush();
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 2), ("v_1", 5, false, 1)]);
}

#[test]
fn idleness_closes_through_the_newest_window_and_no_further() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 65).view(3, "v_1", 119).view(4, "v_1", 121);
    let mut run = Run::new(&log, WindowSettings::default());
    assert!(!run.windows.close_idle(), "nothing was seen yet");
    run.read_to(2);
    assert!(run.windows.close_idle());
    assert_eq!(run.windows.closed_through_us(), Some(2 * MINUTE));
    assert!(!run.windows.close_idle(), "nothing is left to close");
    run.read_to(4).flush();
    // 119 s came after its window was closed; 121 s is on time.
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 1), ("v_1", 1, false, 1), ("v_1", 1, true, 1)]);
    assert_eq!((run.committed.unwrap().late, run.committed.unwrap().open), (1, 1));
}

#[test]
fn a_duplicate_counts_as_such_and_nowhere_else() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(1, "v_1", 5).view(2, "v_1", 100).view(1, "v_1", 5);
    let mut run = read(&log);
    run.flush();
    let position = run.committed.unwrap();
    assert_eq!((position.records, position.duplicates, position.late, position.open), (4, 2, 0, 1));
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 1)]);
}

#[test]
fn late_and_dropped_records_are_remembered_as_well() {
    let settings = WindowSettings { allowed_lateness_ms: 60_000, ..WindowSettings::default() };
    let mut log = Log::new(0);
    log.view(1, "v_1", 1_000).view(2, "v_1", 940).view(2, "v_1", 940).view(3, "v_1", 0).view(3, "v_1", 0);
    let mut run = Run::new(&log, settings);
    run.read_all().flush();
    let position = run.committed.unwrap();
    assert_eq!((position.late, position.dropped, position.duplicates), (1, 1, 2));
    assert_eq!(run.windows.dedup_len(), 3);
}

#[test]
fn an_id_is_free_again_one_horizon_after_its_last_sighting() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 0).view(1, "v_1", 119).view(1, "v_1", 238).view(1, "v_1", 358);
    let mut run = read(&log);
    run.flush();
    assert_eq!(run.committed.unwrap().duplicates, 2);
}

#[test]
fn what_the_cap_evicts_is_counted() {
    let settings = WindowSettings { dedup_max_ids: 2, ..WindowSettings::default() };
    let mut log = Log::new(0);
    log.view(1, "v_1", 0).view(2, "v_1", 0).view(3, "v_1", 0).view(1, "v_1", 0);
    let mut run = Run::new(&log, settings);
    run.read_all().flush();
    assert_eq!((run.windows.dedup_len(), run.windows.dedup_cap_evictions()), (2, 2));
    assert_eq!(run.committed.unwrap().duplicates, 0);
}

#[test]
fn deduplication_can_be_turned_off() {
    let settings = WindowSettings { dedup_horizon_ms: 0, ..WindowSettings::default() };
    let mut log = Log::new(0);
    log.view(1, "v_1", 0).view(1, "v_1", 0);
    let mut run = Run::new(&log, settings);
    run.read_all().idle().flush();
    assert_eq!(brief(&run.rows), [("v_1", 0, false, 2)]);
    assert_eq!(run.windows.dedup_len(), 0);
}

#[test]
fn rejected_records_and_gaps_are_counted() {
    let mut log = Log::new(7);
    log.gap(2).view(1, "v_1", 0).push(Content::Rejected).gap(1).push(Content::Rejected).gap(3);
    let mut run = read(&log);
    run.flush();
    let position = run.committed.unwrap();
    assert_eq!((position.records, position.quarantined, position.gaps, position.next), (3, 2, 6, 16));
}

#[test]
fn a_batch_without_records_moves_the_position_alone() {
    let mut log = Log::new(0);
    log.gap(4);
    let mut run = Run::new(&log, WindowSettings::default());
    assert!(!run.windows.has_unflushed_progress());
    run.read_all();
    assert!(run.windows.has_unflushed_progress());
    run.flush();
    let position = run.committed.unwrap();
    assert_eq!((position.next, position.gaps, position.records), (4, 4, 0));
    assert_eq!((position.watermark_us, position.closed_through_us), (None, None));
}

#[test]
fn a_flush_leaves_nothing_for_the_next_one() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 100).view(3, "v_1", 6);
    let mut run = read(&log);
    run.flush();
    assert_eq!(run.rows.len(), 2);
    run.flush();
    assert_eq!(run.rows.len(), 2);
    assert!(!run.windows.has_pending_windows() && !run.windows.has_pending_corrections());
}

#[test]
fn a_batch_out_of_order_is_refused_and_changes_nothing() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 6).view(3, "v_1", 7);
    let mut run = Run::new(&log, WindowSettings::default());
    run.read_to(1);
    for from in [0, 2] {
        let error = run.windows.apply(&log.batch(from, 3)).unwrap_err();
        assert_eq!(error, ApplyError::OutOfOrder { partition: 0, expected: 1, found: from });
        assert!(error.to_string().contains(&format!("at offset {from} but the windows stand at 1")));
    }
    assert_eq!((run.windows.next_offset(), run.windows.open_events()), (1, 1));
    run.read_all();
    assert_eq!(run.windows.open_events(), 3);
}

#[test]
fn a_batch_that_contradicts_itself_is_refused_and_changes_nothing() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 5).view(2, "v_1", 6).push(Content::Rejected);
    type Spoil = fn(&mut DecodedBatch);
    let defects: [(&str, Spoil); 8] = [
        ("record_count", |batch| batch.record_count += 1),
        ("watch_time_ms", |batch| batch.columns.watch_time_ms.clear()),
        ("do not rise", |batch| batch.columns.offset.swap(0, 1)),
        ("is not in", |batch| batch.columns.offset[1] = 3),
        ("do not fit", |batch| batch.next_offset = 1),
        ("values of events", |batch| batch.events = batch.events.slice(0, 1)),
        ("video_id is missing", |batch| batch.events = batch.events.project(&[]).unwrap()),
        ("source_offset is Utf8", |batch| {
            let names = batch.events.slice(0, 1).column(0).clone();
            batch.invalid = arrow::array::RecordBatch::try_from_iter([("source_offset", names)]).unwrap();
        }),
    ];
    for (problem, spoil) in defects {
        let mut windows = PartitionWindows::new(WindowSettings::default(), None, 0);
        let mut batch = DecodedBatch::clone(&log.batch(0, 3));
        spoil(&mut batch);
        let error = windows.apply(&batch).unwrap_err().to_string();
        assert!(error.contains(problem), "expected {problem:?} in {error:?}");
        assert_eq!((windows.next_offset(), windows.open_events()), (0, 0));
    }
}

#[test]
fn extreme_times_and_settings_do_not_panic() {
    let extremes = [i64::MIN, -1, 0, i64::MAX];
    for value in extremes {
        let settings = WindowSettings {
            watermark_delay_ms: value,
            allowed_lateness_ms: value,
            dedup_horizon_ms: value,
            dedup_max_ids: usize::MAX,
        };
        let mut log = Log::new(0);
        for (number, event_us) in extremes.into_iter().chain(extremes).enumerate() {
            let record_us = extremes[number % 3];
            log.push(Content::Valid(Event {
                id: number as u128 % 3,
                video: "v_1",
                event_us,
                record_us,
                kind: EventType::Like,
                watch_ms: i64::MAX,
            }));
        }
        let mut windows = PartitionWindows::new(settings, None, 0);
        windows.apply(&log.batch(0, log.end)).unwrap();
        windows.close_idle();
        let flush = windows.flush().unwrap();
        let events: i64 = flush.rows.iter().map(|row| row.counters.events()).sum();
        let position = flush.position;
        assert_eq!(position.records, position.duplicates + position.dropped + position.open + events as u64);
    }
}

#[test]
fn two_weeks_in_one_run_keep_memory_bounded() {
    const HOURS: i64 = 14 * 24;
    let mut windows = PartitionWindows::new(WindowSettings::default(), None, 0);
    let mut minutes_flushed = 0;
    let mut next = 0;
    for hour in 0..HOURS {
        let mut log = Log::new(next);
        for tick in 0..720 {
            log.view((hour * 720 + tick) as u128, "v_1", hour * 3_600 + tick * 5);
        }
        windows.apply(&log.batch(next, log.end)).unwrap();
        next = log.end;
        assert!(windows.open_windows() <= 2);
        assert!(windows.dedup_len() <= 25);
        let flush = windows.flush().unwrap();
        minutes_flushed += flush.rows.len() as i64;
        assert!(flush.position.next - flush.position.replay_from <= 40, "{:?}", flush.position);
    }
    assert_eq!(minutes_flushed, HOURS * 60 - 1);
}
