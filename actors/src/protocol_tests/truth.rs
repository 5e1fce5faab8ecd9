//! What must be in the tables, worked out without any of the engine's state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pulselake_ledger::PartitionLedger;

use super::stream::{START_MS, Stream, decoder};
use super::table::{Row, Table};
use super::{BRONZE, GOLD, QUARANTINE};

/// Counts of gold as a walk through the records gives them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Recount {
    events: BTreeMap<(u8, i64), i64>,
    duplicates: u64,
    dropped: u64,
    open: u64,
    quarantined: u64,
}

/// Every record once, and gold what its ledger says that it has consumed: holds at any moment, also in a table that
/// was rolled back, for a snapshot's rows and its ledger are one.
pub fn check(stream: &Stream, tables: [&Table; 3]) {
    let entries = tables.map(Table::entry_of_rows);
    let (quarantine, bronze) = (tables[QUARANTINE].offsets(), tables[BRONZE].offsets());
    let unique = |offsets: &[i64]| offsets.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(unique(&bronze), "an offset twice in bronze: {bronze:?}");
    assert!(unique(&quarantine), "an offset twice in quarantine: {quarantine:?}");
    let next = entries[BRONZE].next;
    let rejected_before_next = quarantine.iter().filter(|offset| **offset < next).count() as u64;
    // A quarantine that was rolled back alone lacks rows: the plan refuses that by these counts.
    if entries[QUARANTINE].counts.quarantined >= entries[BRONZE].counts.quarantined {
        let mut everywhere: Vec<i64> = [&bronze[..], &quarantine[..rejected_before_next as usize]].concat();
        everywhere.sort_unstable();
        assert_eq!(everywhere, (0..next).collect::<Vec<_>>(), "bronze and quarantine are a prefix");
        assert_eq!(rejected_before_next, entries[BRONZE].counts.quarantined, "rejected records of bronze");
    }
    assert_eq!(entries[BRONZE].counts.records, next as u64, "records of bronze");
    assert_eq!(entries[QUARANTINE].counts.quarantined, quarantine.len() as u64, "rows of the quarantine");
    assert!(
        quarantine.iter().all(|offset| *offset < entries[QUARANTINE].next),
        "quarantine beyond its ledger"
    );
    for (offset, record) in stream.records.iter().enumerate() {
        let offset = offset as i64;
        assert!(record.is_valid(false) || !bronze.contains(&offset), "record {offset} is nobody's event");
        assert!(
            !record.is_valid(true) || !quarantine.contains(&offset),
            "record {offset} is everybody's event"
        );
    }
    check_gold(stream, tables[GOLD], &entries, &bronze, &quarantine);
}

fn check_gold(
    stream: &Stream,
    table: &Table,
    entries: &[PartitionLedger; 3],
    bronze: &[i64],
    quarantine: &[i64],
) {
    let entry = &entries[GOLD];
    // Where bronze has judged, gold has judged alike; ahead of it, by its own decoder and the quarantine.
    let is_strict = entry.fingerprint == decoder(true).fingerprint();
    let is_valid = |offset: i64| {
        if offset < entries[BRONZE].next {
            return bronze.contains(&offset);
        }
        stream.records[offset as usize].is_valid(is_strict) && !quarantine.contains(&offset)
    };
    let expected = recount(stream, entry, is_valid);
    let mut events: BTreeMap<(u8, i64), i64> = BTreeMap::new();
    let mut grain = BTreeSet::new();
    for row in table.rows() {
        let Row::Window { video, minute, revision, events: counted, watch_time_sum_ms } = *row else {
            panic!("a record in gold");
        };
        *events.entry((video, minute)).or_default() += counted;
        assert_eq!(watch_time_sum_ms, 7 * counted, "watch time");
        assert!(grain.insert((video, minute, revision)), "a revision of a window twice: {:?}", table.rows());
    }
    let counts = entry.counts;
    let found = Recount {
        events,
        duplicates: counts.duplicates,
        dropped: counts.dropped,
        open: counts.open,
        quarantined: counts.quarantined,
    };
    assert_eq!(found, expected, "gold at {entry:?}");
    assert_eq!(counts.records, entry.next as u64, "records of gold");
    let in_gold: i64 = found.events.values().sum();
    let explained = counts.quarantined + counts.duplicates + counts.dropped + counts.open + in_gold as u64;
    assert_eq!(counts.records, explained, "the audit's equation");
}

/// Walks through what gold has consumed.
fn recount(stream: &Stream, entry: &PartitionLedger, is_valid: impl Fn(i64) -> bool) -> Recount {
    let settings = &stream.windows;
    let mut found = Recount::default();
    let mut stream_time_ms = i64::MIN;
    let mut last_seen_ms: HashMap<Option<u8>, i64> = HashMap::new();
    for offset in 0..entry.next {
        let record = &stream.records[offset as usize];
        if !is_valid(offset) {
            found.quarantined += 1;
            continue;
        }
        let event_ms = START_MS + record.at_s * 1_000;
        let oldest_ms = stream_time_ms
            .saturating_sub(settings.watermark_delay_ms)
            .saturating_sub(settings.allowed_lateness_ms);
        stream_time_ms = stream_time_ms.max(event_ms);
        let before_ms = last_seen_ms.insert(record.event_id, stream_time_ms);
        let window_end_us = (START_MS + (record.minute() + 1) * 60_000) * 1_000;
        if before_ms.is_some_and(|before| stream_time_ms - before < settings.dedup_horizon_ms) {
            found.duplicates += 1;
        } else if event_ms < oldest_ms {
            found.dropped += 1;
        } else if entry.closed_through < Some(window_end_us) {
            found.open += 1;
        } else {
            *found.events.entry((record.video, record.minute())).or_default() += 1;
        }
    }
    found
}

/// Every record is in, and every window has closed.
pub fn check_complete(stream: &Stream, tables: [&Table; 3]) {
    check(stream, tables);
    let entries = tables.map(Table::entry_of_rows);
    assert_eq!((entries[BRONZE].next, entries[GOLD].next), (stream.end(), stream.end()), "all is consumed");
    assert_eq!(entries[GOLD].counts.open, 0, "all is closed");
    assert_eq!(entries[QUARANTINE].counts.quarantined, entries[BRONZE].counts.quarantined, "quarantine");
}
