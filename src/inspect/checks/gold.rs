//! Gold of one partition number, by itself and against bronze counted again.

use pulselake_ledger::Counts;

use crate::inspect::evidence::{Evidence, GoldEvidence};
use crate::inspect::ledgers::{Ledgers, SourcePartition, entry, replay_duplicates, replayed, signed};
use crate::inspect::marks::Marks;
use crate::inspect::report::{Check, Checks, time_text};

/// What the ledgers say about a partition of gold, over all topics that have it.
#[derive(Default)]
struct Expectation {
    counts: Counts,
    replayed: i64,
    replay_duplicates: i64,
    /// Replayed in bronze, not in gold.
    awaiting: u64,
    /// Replayed in gold, not in bronze.
    unknown_to_bronze: u64,
    /// Where bronze stands behind gold: what gold has counted can't all be seen there.
    behind: Option<String>,
}

impl Expectation {
    fn of(ledgers: &Ledgers, sources: &[&SourcePartition]) -> Self {
        let mut all = Self::default();
        for &source in sources {
            let gold = entry(ledgers.gold.as_ref(), source);
            let bronze = entry(ledgers.bronze.as_ref(), source);
            let (mine, counts) = (&mut all.counts, &gold.counts);
            mine.records += counts.records;
            mine.quarantined += counts.quarantined;
            mine.duplicates += counts.duplicates;
            mine.late += counts.late;
            mine.dropped += counts.dropped;
            mine.open += counts.open;
            let in_gold = replayed(ledgers.gold.as_ref(), source);
            let in_bronze = replayed(ledgers.bronze.as_ref(), source);
            all.replayed += signed(in_gold.len());
            all.replay_duplicates += signed(replay_duplicates(ledgers.gold.as_ref(), source));
            all.awaiting += in_bronze.iter().filter(|&offset| !in_gold.contains(offset)).count() as u64;
            all.unknown_to_bronze +=
                in_gold.iter().filter(|&offset| !in_bronze.contains(offset)).count() as u64;
            if bronze.next < gold.next {
                let text = format!("{source}: bronze stands at {}, gold at {}", bronze.next, gold.next);
                all.behind.get_or_insert(text);
            }
        }
        all
    }

    fn replay_events(&self) -> i64 {
        self.replayed - self.replay_duplicates
    }
}

/// The checks that compare gold with bronze.
const RECOUNTS: [&str; 8] = [
    "recount.records",
    "recount.quarantined",
    "recount.within_bronze",
    "recount.differences",
    "recount.explained",
    "recount.watch_time",
    "recount.duplicates",
    "recount.open",
];

/// Its checks.
pub(super) fn checks(
    ledgers: &Ledgers,
    evidence: &Evidence,
    marks: &Marks,
    partition: i32,
    sources: &[&SourcePartition],
) -> Vec<Check> {
    let expectation = Expectation::of(ledgers, sources);
    let mut checks = Checks::of(match sources {
        [only] => only.to_string(),
        _ => format!("partition {partition}"),
    });
    own_checks(&mut checks, &expectation, evidence, marks, partition);
    let closed =
        sources.iter().filter_map(|source| entry(ledgers.gold.as_ref(), source).closed_through).max();
    window_check(&mut checks, evidence, partition, closed);
    replay_check(&mut checks, &expectation);
    let erased: u64 = sources.iter().map(|&source| marks.erased(source).any()).sum();
    let incomparable = match &expectation.behind {
        Some(behind) => Some(format!("{behind}; run the engine or audit again")),
        None if marks.is_gold_erased => Some("rows of a video were erased from gold".to_owned()),
        None if erased > 0 => Some(format!("{erased} rows were erased on request, gold has counted them")),
        None => None,
    };
    match incomparable {
        Some(found) => {
            for name in RECOUNTS {
                checks.note(name, "bronze to have what gold has counted", found.clone());
            }
        }
        None => recount_checks(&mut checks, ledgers, &expectation, evidence, partition, sources),
    }
    checks.into_list()
}

fn own_checks(
    checks: &mut Checks,
    expectation: &Expectation,
    evidence: &Evidence,
    marks: &Marks,
    partition: i32,
) {
    let found = evidence.gold.get(&partition).cloned().unwrap_or_default();
    let counts = &expectation.counts;
    let events = signed(counts.records)
        - signed(counts.quarantined)
        - signed(counts.duplicates)
        - signed(counts.dropped)
        - signed(counts.open)
        + expectation.replay_events();
    let least = if marks.is_gold_erased { 0 } else { events };
    checks.between(
        "gold.events",
        least..=events,
        &format!(
            "events: {} records - {} quarantined - {} duplicates - {} dropped - {} open + {} replayed - {} replayed duplicates",
            counts.records,
            counts.quarantined,
            counts.duplicates,
            counts.dropped,
            counts.open,
            expectation.replayed,
            expectation.replay_duplicates
        ),
        found.events,
    );
    revision_checks(checks, expectation, &found, marks);
    checks.none(
        "gold.grain_distinct",
        "no video, window, partition and revision twice",
        found.repeated_grains,
        found.repeated_example,
    );
}

/// Late and replayed events are told by their rows' revisions, as long as nothing was folded: a folded row has the
/// highest of its revisions, so that late ones can only gain, replayed ones only lose.
fn revision_checks(checks: &mut Checks, expectation: &Expectation, found: &GoldEvidence, marks: &Marks) {
    let (late, replayed) = (signed(expectation.counts.late), expectation.replay_events());
    let late_range = match (marks.is_gold_folded, marks.is_gold_erased) {
        (false, false) => late..=late,
        (true, false) => late..=i64::MAX,
        (false, true) => 0..=late,
        (true, true) => 0..=i64::MAX,
    };
    let least_replayed = if marks.is_gold_folded || marks.is_gold_erased { 0 } else { replayed };
    let folded = if marks.is_gold_folded { ", or more: revisions were folded" } else { "" };
    if marks.is_gold_folded {
        let holds = late_range.contains(&found.late_events);
        let expected = format!("{} events: late by the ledger{folded}", late_range.start());
        checks.holds("gold.late_events", holds, &expected, found.late_events.to_string());
    } else {
        checks.between("gold.late_events", late_range, "events: late by the ledger", found.late_events);
    }
    checks.between(
        "gold.replayed_events",
        least_replayed..=replayed,
        &format!(
            "events: {} replayed - {} replayed duplicates",
            expectation.replayed, expectation.replay_duplicates
        ),
        found.replayed_events,
    );
}

fn window_check(checks: &mut Checks, evidence: &Evidence, partition: i32, closed: Option<i64>) {
    let beyond = closed.map_or_else(String::new, |through_us| format!(" beyond {}", time_text(through_us)));
    let found = evidence.gold.get(&partition).cloned().unwrap_or_default();
    checks.none(
        "gold.windows_closed",
        &format!("no row of an open window{beyond}"),
        found.unclosed_rows,
        found.unclosed_example,
    );
}

fn replay_check(checks: &mut Checks, expectation: &Expectation) {
    let name = "gold.replay_complete";
    if expectation.unknown_to_bronze > 0 || expectation.awaiting == 0 {
        checks.none(
            name,
            "no record replayed into gold that bronze does not have by replay",
            expectation.unknown_to_bronze,
            None,
        );
        return;
    }
    let found = format!(
        "{} records are in bronze and not yet in gold: run `pulselake quarantine replay` once more",
        expectation.awaiting
    );
    checks.note(name, "gold to have every replayed record", found);
}

/// Rows of the quarantine whose offset gold has passed.
fn rejected_before_gold(ledgers: &Ledgers, evidence: &Evidence, source: &SourcePartition) -> u64 {
    let next = entry(ledgers.gold.as_ref(), source).next;
    evidence.quarantine.get(source).map_or(0, |found| found.within(0, next))
}

fn recount_checks(
    checks: &mut Checks,
    ledgers: &Ledgers,
    expectation: &Expectation,
    evidence: &Evidence,
    partition: i32,
    sources: &[&SourcePartition],
) {
    let counts = &expectation.counts;
    let streamed = sources.iter().filter_map(|&source| evidence.bronze.get(source));
    let repeated_ids: u64 = streamed.clone().map(|found| found.repeated_ids).sum();
    checks.equal(
        "recount.records",
        signed(counts.records) - signed(counts.quarantined),
        &format!(
            "bronze rows that gold has read: {} records - {} quarantined",
            counts.records, counts.quarantined
        ),
        signed(streamed.map(|found| found.rows_streamed_to_gold).sum()),
    );
    checks.equal(
        "recount.quarantined",
        signed(counts.quarantined),
        "rejected records that gold has read: quarantined by its ledger",
        signed(sources.iter().map(|&source| rejected_before_gold(ledgers, evidence, source)).sum()),
    );
    let found = evidence.recount.get(&partition).cloned().unwrap_or_default();
    checks.none(
        "recount.within_bronze",
        &format!("none of {} windows with more events than bronze", found.windows),
        found.exceeding,
        found.exceeding_example,
    );
    checks.equal(
        "recount.differences",
        signed(counts.duplicates)
            + signed(counts.dropped)
            + signed(counts.open)
            + expectation.replay_duplicates,
        &format!(
            "events in bronze and not in gold: {} duplicates + {} dropped + {} open + {} replayed duplicates",
            counts.duplicates, counts.dropped, counts.open, expectation.replay_duplicates
        ),
        found.missing_events,
    );
    let example = found.unexplained_example.map_or_else(String::new, |one| format!(", such as {one}"));
    checks.holds(
        "recount.explained",
        found.unexplained_events <= signed(counts.dropped),
        &format!(
            "at most {} dropped events missing from closed windows, beside repeated event_ids",
            counts.dropped
        ),
        format!("{}{example}", found.unexplained_events),
    );
    checks.none(
        "recount.watch_time",
        &format!("none of {} windows with a watch time that bronze does not explain", found.windows),
        found.wrong_watch_time,
        found.watch_time_example,
    );
    checks.holds(
        "recount.duplicates",
        counts.duplicates <= repeated_ids,
        &format!(
            "at least {} bronze rows with an event_id that another has: duplicates by the ledger",
            counts.duplicates
        ),
        repeated_ids.to_string(),
    );
    // What bronze has of open windows is open, or a duplicate.
    let surplus = found.open_events - signed(counts.open);
    checks.holds(
        "recount.open",
        (0..=signed(counts.duplicates) + expectation.replay_duplicates).contains(&surplus),
        &format!(
            "{} open events, and at most all duplicates, in windows that gold has not closed",
            counts.open
        ),
        found.open_events.to_string(),
    );
}
