//! Every order of flush, idle close, lost commit and crash around six records, with at most two crashes.

use pulselake_window::WindowSettings;

use crate::harness::Run;
use crate::log::{Content, Log};
use crate::oracle::{Sums, recount, without_revisions};

const MAX_CRASHES: usize = 2;

/// What is done after a record, before the next one is read.
#[derive(Clone, Copy)]
struct Between {
    idle: bool,
    flush: Flush,
    crash: Option<Reread>,
}

#[derive(Clone, Copy, PartialEq)]
enum Flush {
    No,
    Committed,
    Lost,
}

/// How the records are read again after a crash.
#[derive(Clone, Copy)]
enum Reread {
    InOneBatch,
    OneByOne,
}

fn all_between() -> Vec<Between> {
    let mut all = Vec::new();
    for idle in [false, true] {
        for flush in [Flush::No, Flush::Committed, Flush::Lost] {
            for crash in [None, Some(Reread::InOneBatch), Some(Reread::OneByOne)] {
                // A lost flush leaves a state that has to go, and nothing else: one way of rereading is enough.
                let lost = flush == Flush::Lost;
                let pointless_loss = lost && (idle || !matches!(crash, Some(Reread::InOneBatch)));
                // An idle close that no commit follows leaves no trace after a crash.
                let pointless_idle = idle && flush == Flush::No && crash.is_some();
                if !pointless_loss && !pointless_idle {
                    all.push(Between { idle, flush, crash });
                }
            }
        }
    }
    all
}

fn perform(run: &mut Run<'_>, between: Between) {
    let reached = run.windows.next_offset();
    if between.idle {
        run.idle();
    }
    match between.flush {
        Flush::No => {}
        Flush::Committed => {
            run.flush();
        }
        Flush::Lost => {
            run.take_flush();
        }
    }
    match between.crash {
        None => {}
        Some(Reread::InOneBatch) => {
            run.crash().read_to(reached);
        }
        Some(Reread::OneByOne) => {
            run.crash();
            while run.windows.next_offset() < reached {
                // Neither may do anything while a replay runs, and both are harmless after it.
                if run.windows.is_replaying() {
                    run.idle().flush();
                }
                run.read_to(run.windows.next_offset() + 1);
            }
        }
    }
}

/// Gives the number of histories tried.
fn explore(run: &Run<'_>, options: &[Between], crashes: usize, expected: &Sums) -> usize {
    let next = run.windows.next_offset();
    if next == run.log.end {
        let mut end = run.clone();
        end.finish();
        assert_eq!(&without_revisions(&end.sums()), expected);
        return 1;
    }
    let mut after_read = run.clone();
    after_read.read_to(next + 1);
    let mut histories = 0;
    for between in options {
        let crashes = crashes + usize::from(between.crash.is_some());
        if crashes > MAX_CRASHES {
            continue;
        }
        let mut branch = after_read.clone();
        perform(&mut branch, *between);
        histories += explore(&branch, options, crashes, expected);
    }
    histories
}

fn explore_all(log: &Log, settings: WindowSettings) {
    let expected = without_revisions(&recount(log, &settings, log.end).sums);
    assert!(!expected.is_empty());
    let histories = explore(&Run::new(log, settings), &all_between(), 0, &expected);
    assert!(histories > 100_000, "only {histories} histories");
}

fn short_horizon() -> WindowSettings {
    WindowSettings { dedup_horizon_ms: 70_000, ..WindowSettings::default() }
}

#[test]
fn late_events_and_a_retry() {
    let mut log = Log::new(0);
    log.view(1, "v_1", 10).view(2, "v_1", 75).view(1, "v_1", 10).view(3, "v_1", 140).view(4, "v_1", 20);
    log.view(2, "v_1", 75);
    explore_all(&log, short_horizon());
}

#[test]
fn an_id_taken_again_in_a_window_of_its_own() {
    // Id 1 counts in the first window; its second sighting lies in a window that no counted event opens.
    let mut log = Log::new(100);
    log.view(1, "v_1", 0).view(2, "v_2", 40).skewed(1, "v_1", 190, 60).view(3, "v_1", 72);
    log.view(4, "v_1", 131).skewed(1, "v_1", 195, 132);
    explore_all(&log, short_horizon());
}

#[test]
fn a_jump_of_time_and_a_rejected_record() {
    let mut log = Log::new(-3);
    log.view(1, "v_1", 0).view(2, "v_2", 3_600).push(Content::Rejected);
    log.view(1, "v_1", 0).view(2, "v_2", 3_600).view(3, "v_1", 3_665);
    explore_all(&log, short_horizon());
}
