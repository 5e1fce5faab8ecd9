//! Properties over random logs and random histories of flushes, idle closes, crashes and batch cuts.

use proptest::collection::vec;
use proptest::prelude::*;
use pulselake_model::EventType;
use pulselake_window::WindowSettings;

use crate::harness::Run;
use crate::log::{Content, Event, Log, SECOND};
use crate::oracle::{recount, without_revisions};

const VIDEOS: [&str; 3] = ["v_1", "v_2", "a video with a much longer name"];

/// What happens between two reads.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Read(i64),
    Flush,
    /// The rows are taken, but the commit never happens.
    LoseFlush,
    Idle,
    Crash,
}

pub(crate) fn steps(with_idle: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_i64..9).prop_map(Step::Read),
        3 => Just(Step::Flush),
        1 => Just(Step::LoseFlush),
        u32::from(with_idle) => Just(Step::Idle),
        1 => Just(Step::Crash),
    ];
    vec(step, 0..60)
}

/// A record as drawn: how the broker's clock moves, how the client's differs from it, and whose id it repeats.
pub(crate) type Draw = (i64, i64, u8, usize, usize);

/// The clock mostly creeps and now and then jumps; clients lie both ways; ids repeat, with the same event or another.
pub(crate) fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let clock = prop_oneof![5 => 0_i64..8, 2 => 8_i64..70, 1 => 70_i64..400];
    let skew = prop_oneof![6 => -5_i64..1, 2 => -90_i64..1, 1 => -600_i64..1, 1 => 0_i64..300];
    vec((clock, skew, 0_u8..12, 0_usize..1_000, 0_usize..1_000), 0..70)
}

pub(crate) fn log_of(first: i64, draws: &[Draw]) -> Log {
    let mut log = Log::new(first);
    let mut clock_s = -200;
    let mut events: Vec<Event> = Vec::new();
    for (number, (advance_s, skew_s, form, pick, other)) in draws.iter().enumerate() {
        clock_s += advance_s;
        let fresh = Event {
            id: number as u128 | (number as u128) << 64,
            video: VIDEOS[pick % VIDEOS.len()],
            event_us: (clock_s + skew_s) * SECOND,
            record_us: clock_s * SECOND,
            kind: EventType::ALL[other % EventType::COUNT],
            watch_ms: (other % 7) as i64,
        };
        let earlier = events.get(events.len().wrapping_sub(1 + pick % 10)).cloned();
        let event = match (form, earlier) {
            (0, _) => {
                log.push(Content::Rejected);
                continue;
            }
            (1, _) => {
                log.gap(1 + (pick % 3) as i64);
                fresh
            }
            (2 | 3, Some(retried)) => Event { record_us: clock_s * SECOND, ..retried },
            (4, Some(taken)) => Event { id: taken.id, ..fresh },
            _ => fresh,
        };
        events.push(event.clone());
        log.push(Content::Valid(event));
    }
    log
}

/// Settings small enough for every rule to bite within seventy records.
pub(crate) fn settings(
    allowed_lateness_ms: impl Strategy<Value = i64>,
) -> impl Strategy<Value = WindowSettings> {
    let horizon = prop_oneof![Just(0_i64), Just(1_i64), Just(5_000), Just(120_000), Just(900_000)];
    let cap = prop_oneof![3 => Just(1_000_usize), 1 => 0_usize..8];
    (0_i64..90_000, allowed_lateness_ms, horizon, cap).prop_map(
        |(watermark_delay_ms, allowed_lateness_ms, dedup_horizon_ms, dedup_max_ids)| WindowSettings {
            watermark_delay_ms,
            allowed_lateness_ms,
            dedup_horizon_ms,
            dedup_max_ids,
        },
    )
}

fn drive<'a>(log: &'a Log, settings: WindowSettings, steps: &[Step]) -> Run<'a> {
    let mut run = Run::new(log, settings);
    for step in steps {
        match step {
            Step::Read(offsets) => {
                run.read_to((run.windows.next_offset() + offsets).min(log.end));
            }
            Step::Flush => {
                run.flush();
            }
            Step::LoseFlush => {
                run.take_flush();
                run.crash();
            }
            Step::Idle => {
                run.idle();
            }
            Step::Crash => {
                run.crash();
            }
        }
    }
    run.finish();
    run
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// With an allowed lateness that nothing exceeds, no history changes the sum per video and window.
    #[test]
    fn no_history_changes_the_sums(
        draws in draws(),
        first in -5_i64..1_000,
        settings in settings(Just(i64::MAX / 4_000)),
        steps in steps(true),
    ) {
        let log = log_of(first, &draws);
        let run = drive(&log, settings, &steps);
        let expected = recount(&log, &settings, log.end);
        prop_assert_eq!(without_revisions(&run.sums()), without_revisions(&expected.sums));
        let position = run.committed.unwrap();
        prop_assert_eq!(position.duplicates, expected.duplicates);
        prop_assert_eq!(position.quarantined, expected.quarantined);
        prop_assert_eq!(position.gaps, expected.gaps);
        prop_assert_eq!(position.records, expected.records);
    }

    /// Without idle closes every single judgement is fixed: on time, late, dropped.
    #[test]
    fn without_idle_closes_every_judgement_is_fixed(
        draws in draws(),
        first in -5_i64..1_000,
        settings in settings(0_i64..400_000),
        steps in steps(false),
    ) {
        let log = log_of(first, &draws);
        let run = drive(&log, settings, &steps);
        let expected = recount(&log, &settings, log.end);
        prop_assert_eq!(run.sums(), expected.sums);
        let position = run.committed.unwrap();
        prop_assert_eq!(position.duplicates, expected.duplicates);
        prop_assert_eq!(position.late, expected.late);
        prop_assert_eq!(position.dropped, expected.dropped);
    }

    /// How the log was cut into batches shows nowhere.
    #[test]
    fn batch_cuts_do_not_matter(
        draws in draws(),
        settings in settings(0_i64..400_000),
        cuts in vec(1_i64..9, 0..80),
    ) {
        let log = log_of(0, &draws);
        let mut whole = Run::new(&log, settings);
        whole.read_all().flush();
        let mut cut = Run::new(&log, settings);
        for offsets in cuts {
            cut.read_to((cut.windows.next_offset() + offsets).min(log.end));
        }
        cut.read_all().flush();
        prop_assert_eq!(cut.committed, whole.committed);
        prop_assert_eq!(cut.sums(), whole.sums());
    }
}
