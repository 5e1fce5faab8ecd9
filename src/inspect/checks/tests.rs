//! Every equation against evidence that breaks it: exactly the checks that it breaks must fail, by name.

use std::collections::BTreeMap;

use pulselake_generator::GeneratorConfig;
use pulselake_ledger::{Counts, Ledger, OffsetRanges, PartitionLedger, ReplayLedger, Restated};
use pulselake_model::{EventType, RESTATED_PARTITION, WindowCounters};

use super::*;
use crate::inspect::evidence::{BronzeRow, Collector, GoldRowSeen};
use crate::inspect::marks::Erased;
use crate::inspect::report::Status;

const MINUTE_US: i64 = 60_000_000;

/// One partition: offsets 0 to 9; 3 rejected; 4 a duplicate of 2; 5 dropped; 6 late; 7 and 8 in a window still open;
/// offset 9 a gap; 3 replayed. Windows: minute 1 (0, 1, 2, 4, 6), minute 0 (5), minute 5 (3), minute 9 (7, 8).
struct Case {
    ledgers: Ledgers,
    bronze: Vec<(i64, i64, &'static str)>,
    quarantine: Vec<i64>,
    gold: Vec<(i64, i32, WindowCounters)>,
    /// The same of restatements.
    restated: Vec<(i64, i32, WindowCounters)>,
    /// Offsets with the event_id of offset 2.
    repeated_ids: Vec<i64>,
    marks: Marks,
}

fn entry(next: i64, seq: i64, counts: Counts) -> PartitionLedger {
    PartitionLedger { next, seq, closed_through: Some(2 * MINUTE_US), counts, ..PartitionLedger::default() }
}

fn ledger(partition: PartitionLedger, replayed: Option<ReplayLedger>) -> Ledger {
    let mut ledger = Ledger::new("cluster", "decoder");
    ledger.topics.insert("t".into(), BTreeMap::from([(0, partition)]));
    ledger.replayed.extend(replayed.map(|entry| ("t".to_owned(), entry)));
    ledger
}

fn counters(impressions: i64, watch_time_sum_ms: i64) -> WindowCounters {
    let mut counters = WindowCounters { watch_time_sum_ms, ..WindowCounters::default() };
    counters.by_type[EventType::Impression as usize] = impressions;
    counters
}

impl Case {
    fn sound() -> Self {
        let counts = Counts { records: 9, quarantined: 1, gaps: 1, ..Counts::default() };
        let gold_counts = Counts { duplicates: 1, late: 1, dropped: 1, open: 2, ..counts };
        let replay = ReplayLedger {
            seq: 1,
            offsets: BTreeMap::from([(0, OffsetRanges::from_iter([3]))]),
            ..ReplayLedger::default()
        };
        let minute_1 = MINUTE_US;
        Self {
            ledgers: Ledgers {
                quarantine: Some(ledger(entry(10, 1, counts), None)),
                bronze: Some(ledger(entry(10, 3, counts), Some(replay.clone()))),
                gold: Some(ledger(entry(10, 2, gold_counts), Some(replay))),
            },
            bronze: vec![
                (0, minute_1, r#"{"watch_time_ms":10}"#),
                (1, minute_1 + 1, r#"{"watch_time_ms":10}"#),
                (2, minute_1 + 2, "{}"),
                (4, minute_1 + 3, "{}"),
                (6, minute_1 + 4, "{}"),
                (5, 0, "{}"),
                (3, 5 * MINUTE_US, "{}"),
                (7, 9 * MINUTE_US, "{}"),
                (8, 9 * MINUTE_US, "{}"),
            ],
            quarantine: vec![3],
            restated: Vec::new(),
            repeated_ids: vec![4],
            marks: Marks::default(),
            gold: vec![
                (minute_1, 0, counters(3, 20)),
                (minute_1, 2, counters(1, 0)),
                (5 * MINUTE_US, -1, counters(1, 0)),
            ],
        }
    }

    fn gold_entry(&mut self) -> &mut PartitionLedger {
        let topics = &mut self.ledgers.gold.as_mut().unwrap().topics;
        topics.get_mut("t").unwrap().get_mut(&0).unwrap()
    }

    fn checks(&self) -> Vec<Check> {
        let mut collector = Collector::new(&self.ledgers);
        let of_stream = self.gold.iter().map(|row| (0, row));
        let of_restatements = self.restated.iter().map(|row| (RESTATED_PARTITION, row));
        for (partition, &(window_start_us, revision, counters)) in of_stream.chain(of_restatements) {
            collector.gold_row(&GoldRowSeen {
                partition,
                video_id: "v",
                window_start_us,
                window_end_us: window_start_us + MINUTE_US,
                revision,
                counters,
            });
        }
        for &(offset, event_timestamp_us, payload_json) in &self.bronze {
            let event_id = format!("e{}", if self.repeated_ids.contains(&offset) { 2 } else { offset });
            collector.bronze_row(&BronzeRow {
                topic: "t",
                partition: 0,
                offset,
                event_timestamp_us,
                event_id: &event_id,
                video_id: "v",
                event_type: "impression",
                payload_json,
            });
        }
        for &offset in &self.quarantine {
            collector.quarantine_row("t", 0, offset);
        }
        all_checks(&self.ledgers, &collector.finish(), &self.marks)
    }

    fn with_status(&self, status: Status) -> Vec<&'static str> {
        names(self.checks().into_iter().filter(|check| check.status == status))
    }

    fn failed(&self) -> Vec<&'static str> {
        self.with_status(Status::Failed)
    }
}

fn names(checks: impl Iterator<Item = Check>) -> Vec<&'static str> {
    let mut names: Vec<&str> = checks.map(|check| check.name).collect();
    names.sort_unstable();
    names
}

#[test]
fn sound_tables_pass_every_check() {
    let case = Case::sound();
    let not_ok: Vec<&str> = names(case.checks().into_iter().filter(|check| check.status != Status::Ok));
    assert_eq!(not_ok, ["bronze.gaps"]);
    assert_eq!(case.with_status(Status::Note), ["bronze.gaps"]);
    assert_eq!(case.checks().len(), 5 + 11 + 14);
}

/// The generator's gaps lie behind its blocks: inside, a gap is a record that was lost before anything counted it.
#[test]
fn a_gap_fails_where_the_source_has_none() {
    let mut case = Case::sound();
    let identity = GeneratorConfig::default().identity();
    for ledger in [&mut case.ledgers.quarantine, &mut case.ledgers.bronze, &mut case.ledgers.gold] {
        ledger.as_mut().unwrap().cluster_id.clone_from(&identity);
    }
    assert_eq!(case.checks().iter().find(|check| check.status != Status::Ok), None);
    case.bronze.retain(|&(offset, _, _)| offset != 5);
    let gold = &mut case.gold_entry().counts;
    (gold.records, gold.gaps, gold.dropped) = (8, 2, 0);
    let bronze = case.ledgers.bronze.as_mut().unwrap().topics.get_mut("t").unwrap().get_mut(&0).unwrap();
    (bronze.counts.records, bronze.counts.gaps) = (8, 2);
    assert_eq!(case.failed(), ["bronze.gaps"]);
}

/// Two restatements: one window corrected twice, another once.
fn restated() -> Case {
    let mut case = Case::sound();
    case.restated = vec![
        (MINUTE_US, 1, counters(-2, 5)),
        (MINUTE_US, 2, counters(1, 0)),
        (3 * MINUTE_US, 2, counters(4, -1)),
    ];
    let sums = [("impressions", 3), ("watch_time_sum_ms", 4), ("likes", 0)];
    case.marks.restated =
        Restated { number: 2, sums: sums.map(|(column, sum)| (column.to_owned(), sum)).into() };
    case
}

#[test]
fn restatements_are_accounted_for_apart_from_the_stream() {
    let mut case = restated();
    assert_eq!(case.failed(), [] as [&str; 0]);
    assert_eq!(case.with_status(Status::Note), ["bronze.gaps", "gold.as_streamed"]);
    // Compaction folds them.
    case.restated = vec![(MINUTE_US, 2, counters(-1, 5)), (3 * MINUTE_US, 2, counters(4, -1))];
    assert_eq!(case.failed(), [] as [&str; 0]);
    // An error of the stream does not hide behind them, whatever they add up to.
    case.gold[0].2 = counters(2, 20);
    assert_eq!(case.failed(), ["gold.events", "recount.differences", "recount.explained"]);
}

#[test]
fn rows_that_no_restatement_knows_of_fail() {
    for (change, expected) in [
        (|case: &mut Case| case.restated[2].2 = counters(4, 0), &["gold.restated"][..]),
        (|case| case.restated.truncate(2), &["gold.restated"]),
        (|case| case.restated[2].1 = 3, &["gold.restated_revisions"]),
        (|case| case.restated[0].1 = 0, &["gold.restated_revisions"]),
        (|case| case.restated[0].1 = 2, &["gold.grain_distinct"]),
        (|case| case.marks.restated = Restated::default(), &["gold.restated", "gold.restated_revisions"]),
        (|case| case.restated.clear(), &["gold.restated"]),
    ] as [(fn(&mut Case), &[&str]); 7]
    {
        let mut case = restated();
        change(&mut case);
        assert_eq!(case.failed(), expected);
    }
    let mut erased = restated();
    erased.restated.truncate(2);
    erased.marks.is_gold_erased = true;
    assert_eq!(erased.failed(), [] as [&str; 0], "a video's rows are gone from restatements too");
}

#[test]
fn tables_without_a_commit_pass() {
    let checks = all_checks(&Ledgers::default(), &Evidence::default(), &Marks::default());
    assert!(checks.iter().all(|check| check.status == Status::Ok), "{checks:?}");
}

#[test]
fn a_doubled_bronze_row_fails() {
    let mut case = Case::sound();
    case.bronze.push(case.bronze[0]);
    assert_eq!(
        case.failed(),
        ["bronze.offsets_distinct", "bronze.rows", "recount.differences", "recount.records"]
    );
}

#[test]
fn a_missing_bronze_row_fails() {
    let mut case = Case::sound();
    case.bronze.remove(1);
    assert_eq!(
        case.failed(),
        [
            "bronze.offsets_complete",
            "bronze.rows",
            "recount.differences",
            "recount.records",
            "recount.watch_time"
        ]
    );
}

#[test]
fn erased_rows_are_neither_a_loss_nor_a_place_to_hide_one() {
    let mut case = Case::sound();
    case.bronze.remove(1);
    case.quarantine.clear();
    case.marks = Marks::with_erased("t", 0, Erased { bronze: 1, quarantine: 1 });
    assert_eq!(case.failed(), [] as [&str; 0]);
    assert_eq!(case.with_status(Status::Note).len(), 1 + 8, "what compares gold with bronze is a note");
    case.bronze.remove(1);
    // The offset of the erased rejection is still in bronze, by its replay: the bound of the offsets has room for one.
    assert_eq!(case.failed(), ["bronze.rows"]);
    case.bronze.remove(1);
    assert_eq!(case.failed(), ["bronze.offsets_complete", "bronze.rows"]);
}

#[test]
fn erased_rows_that_are_still_there_fail() {
    let mut case = Case::sound();
    case.marks = Marks::with_erased("t", 0, Erased { bronze: 1, quarantine: 0 });
    assert_eq!(case.failed(), ["bronze.rows"]);
}

#[test]
fn folded_revisions_keep_the_sums_and_hide_no_lost_event() {
    let mut case = Case::sound();
    case.gold[0] = (MINUTE_US, 2, counters(4, 20));
    case.gold.remove(1);
    assert_eq!(case.failed(), ["gold.late_events"], "not without the mark");
    case.marks.is_gold_folded = true;
    assert_eq!(case.failed(), [] as [&str; 0]);
    case.gold[0].2 = counters(3, 20);
    assert_eq!(case.failed(), ["gold.events", "recount.differences", "recount.explained"]);
}

#[test]
fn an_erased_video_leaves_fewer_events_never_more() {
    let mut case = Case::sound();
    case.gold.remove(1);
    case.marks.is_gold_erased = true;
    assert_eq!(case.failed(), [] as [&str; 0]);
    case.gold.push((MINUTE_US, 3, counters(9, 0)));
    assert_eq!(case.failed(), ["gold.events", "gold.late_events"]);
}

#[test]
fn a_row_beyond_the_ledger_fails() {
    let mut case = Case::sound();
    case.bronze.push((12, 9 * MINUTE_US, "{}"));
    assert_eq!(case.failed(), ["bronze.offsets_consumed", "bronze.rows"]);
}

#[test]
fn a_missing_or_doubled_quarantine_row_fails() {
    let mut case = Case::sound();
    case.quarantine.clear();
    assert_eq!(
        case.failed(),
        [
            "bronze.replayed_in_both",
            "quarantine.rows",
            "quarantine.rows_behind_bronze",
            "recount.quarantined"
        ]
    );
    case.quarantine = vec![3, 3];
    assert_eq!(case.failed(), ["quarantine.offsets_distinct", "quarantine.rows"]);
}

#[test]
fn a_record_in_both_tables_fails() {
    let mut case = Case::sound();
    case.quarantine.push(8);
    assert!(case.failed().contains(&"bronze.apart_from_quarantine"));
}

#[test]
fn a_window_emitted_twice_fails() {
    let mut case = Case::sound();
    case.gold.push(case.gold[0]);
    assert_eq!(
        case.failed(),
        [
            "gold.events",
            "gold.grain_distinct",
            "recount.differences",
            "recount.watch_time",
            "recount.within_bronze"
        ]
    );
}

#[test]
fn a_wrong_count_fails() {
    let mut case = Case::sound();
    case.gold[0].2 = counters(2, 20);
    assert_eq!(case.failed(), ["gold.events", "recount.differences", "recount.explained"]);
    // The sum is right, the window is not.
    let mut moved = Case::sound();
    moved.gold[0].2.by_type = [2, 0, 0, 1, 0, 0];
    assert_eq!(moved.failed(), ["recount.explained", "recount.within_bronze"]);
}

#[test]
fn a_wrong_ledger_count_fails() {
    let mut case = Case::sound();
    case.gold_entry().counts.duplicates += 1;
    assert_eq!(case.failed(), ["gold.events", "recount.differences", "recount.duplicates"]);
    let mut late = Case::sound();
    late.gold_entry().counts.late += 1;
    assert_eq!(late.failed(), ["gold.late_events"]);
}

/// What a restart from a wrong position does: events of open windows are missing and booked as duplicates.
#[test]
fn events_lost_in_a_replay_and_booked_as_duplicates_fail() {
    let mut case = Case::sound();
    case.gold_entry().counts.open -= 1;
    case.gold_entry().counts.duplicates += 1;
    assert_eq!(case.failed(), ["recount.duplicates"]);
    let mut invented = Case::sound();
    invented.gold_entry().counts.open += 1;
    invented.gold_entry().counts.duplicates -= 1;
    assert_eq!(invented.failed(), ["recount.open"]);
}

/// The books are right and the wrong event was left out: only where no id is repeated does it show.
#[test]
fn an_event_that_is_taken_for_a_duplicate_fails() {
    let mut case = Case::sound();
    case.gold[1].2 = counters(0, 0);
    case.gold[0].2 = counters(4, 20);
    case.gold_entry().counts.late -= 1;
    assert_eq!(case.failed(), [""; 0]);
    // Minute 0 has no repeated id, and nothing may have been dropped there any more.
    case.gold_entry().counts.dropped -= 1;
    case.gold_entry().counts.duplicates += 1;
    case.repeated_ids = vec![4, 0];
    assert_eq!(case.failed(), ["recount.explained"]);
}

#[test]
fn a_wrong_watch_time_beside_a_duplicate_fails() {
    let mut case = Case::sound();
    case.bronze.remove(5);
    case.bronze.push((5, MINUTE_US, "{}"));
    case.gold[1].2 = counters(2, 0);
    (case.gold_entry().counts.late, case.gold_entry().counts.dropped) = (2, 0);
    assert_eq!(case.failed(), [""; 0]);
    // The duplicate brought no watch time, so none may be missing.
    case.gold[0].2.watch_time_sum_ms -= 1;
    assert_eq!(case.failed(), ["recount.watch_time"]);
}

#[test]
fn a_wrong_watch_time_fails() {
    let mut case = Case::sound();
    case.gold[0].2.watch_time_sum_ms = 21;
    assert_eq!(case.failed(), ["recount.watch_time"]);
    // Less is a fault only where no event is missing.
    let mut less = Case::sound();
    less.gold[2].2.watch_time_sum_ms = -1;
    assert_eq!(less.failed(), ["recount.watch_time"]);
}

#[test]
fn a_row_of_an_open_window_fails() {
    let mut case = Case::sound();
    case.gold.push((9 * MINUTE_US, 0, counters(2, 0)));
    case.gold_entry().counts.open = 0;
    assert_eq!(case.failed(), ["gold.windows_closed"]);
}

#[test]
fn a_replay_that_gold_has_not_finished_is_noted() {
    let mut case = Case::sound();
    case.ledgers.gold.as_mut().unwrap().replayed.clear();
    case.gold.pop();
    assert_eq!(case.failed(), [""; 0]);
    assert_eq!(case.with_status(Status::Note), ["bronze.gaps", "gold.replay_complete"]);
    let mut lost = Case::sound();
    lost.ledgers.bronze.as_mut().unwrap().replayed.clear();
    assert!(lost.failed().contains(&"gold.replay_complete"));
}

#[test]
fn a_replayed_duplicate_is_explained() {
    let mut case = Case::sound();
    case.gold.pop();
    assert_eq!(case.failed(), ["gold.events", "gold.replayed_events", "recount.differences"]);
    let replayed = &mut case.ledgers.gold.as_mut().unwrap().replayed;
    replayed.get_mut("t").unwrap().duplicates.insert(0, 1);
    assert_eq!(case.failed(), [""; 0]);
}

#[test]
fn bronze_behind_gold_is_noted_and_the_rest_is_still_checked() {
    let mut case = Case::sound();
    let bronze = case.ledgers.bronze.as_mut().unwrap().topics.get_mut("t").unwrap().get_mut(&0).unwrap();
    (bronze.next, bronze.counts.records, bronze.counts.gaps) = (8, 8, 0);
    case.bronze.retain(|&(offset, _, _)| offset != 8);
    assert_eq!(case.failed(), [""; 0]);
    assert_eq!(case.with_status(Status::Note).len(), 8);
    case.gold.push(case.gold[0]);
    assert_eq!(case.failed(), ["gold.events", "gold.grain_distinct"]);
}

#[test]
fn quarantine_ahead_of_bronze_is_sound() {
    let mut case = Case::sound();
    let counts = Counts { quarantined: 2, ..Counts::default() };
    case.ledgers.quarantine = Some(ledger(entry(15, 2, counts), None));
    case.quarantine.push(14);
    assert_eq!(case.failed(), [""; 0]);
}

#[test]
fn another_source_fails_and_another_decoder_is_noted() {
    let mut case = Case::sound();
    case.ledgers.quarantine.as_mut().unwrap().fingerprint = "older".into();
    assert_eq!(
        (case.failed(), case.with_status(Status::Note)),
        (vec![], vec!["bronze.gaps", "ledger.same_decoder"])
    );
    case.ledgers.quarantine.as_mut().unwrap().cluster_id = "elsewhere".into();
    assert_eq!(case.failed(), ["ledger.same_source"]);
}

#[test]
fn rows_of_a_partition_without_a_ledger_fail() {
    let case = Case { ledgers: Ledgers::default(), ..Case::sound() };
    let failed = case.failed();
    for name in ["bronze.rows", "quarantine.rows", "gold.events", "gold.windows_closed"] {
        assert!(failed.contains(&name), "{name} in {failed:?}");
    }
}
