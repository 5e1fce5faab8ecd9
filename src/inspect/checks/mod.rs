//! The equations of the audit: ledgers and evidence in, named checks out. Pure.
//!
//! | check | holds when |
//! |---|---|
//! | `ledger.trusted` | the table property is the ledger of the current snapshot's ancestry |
//! | `ledger.same_source`, `ledger.same_decoder` | the tables were filled from one source, by one decoder |
//! | `quarantine.rows` | rows = its ledger's quarantined |
//! | `quarantine.offsets_distinct`, `bronze.offsets_distinct` | no source offset twice |
//! | `quarantine.offsets_consumed`, `bronze.offsets_consumed` | every offset in [first, next) |
//! | `quarantine.rows_behind_bronze` | different offsets below bronze's next = bronze's quarantined |
//! | `bronze.rows` | rows = records − quarantined + replayed |
//! | `bronze.offsets_complete` | offsets of [first, next) in neither table = gaps + lost |
//! | `bronze.gaps` | no offset without a record (a note where the source may have some; the generator has none in its blocks) |
//! | `bronze.apart_from_quarantine` | no offset in both tables, but for the replayed ones |
//! | `bronze.replayed_in_both` | every replayed offset in both |
//! | `gold.events` | Σ six counts = records − quarantined − duplicates − dropped − open + replayed − replayed duplicates |
//! | `gold.late_events`, `gold.replayed_events` | Σ over rows with positive, negative revisions = late, replayed − duplicates |
//! | `gold.grain_distinct` | (video_id, window_start, source_partition, revision) distinct |
//! | `gold.windows_closed` | no row of a window beyond `closed_through`, but for replays |
//! | `gold.restated` | Σ over rows of restatements, by column = what they say that they added |
//! | `gold.restated_revisions` | their revisions are 1 to the number of restatements |
//! | `gold.as_streamed` | a note where there are any: the other equations leave them out |
//! | `gold.replay_complete` | gold has what bronze has by replay |
//! | `recount.records` | bronze rows that gold has read = records − quarantined |
//! | `recount.quarantined` | rejected records that gold has read = quarantined |
//! | `recount.within_bronze` | in no window more events of a kind than bronze has |
//! | `recount.differences` | Σ differences = duplicates + dropped + open + replayed duplicates |
//! | `recount.explained` | Σ over closed windows of events missing beyond what repeated event_ids in them explain ≤ dropped |
//! | `recount.duplicates` | duplicates ≤ bronze rows whose event_id another row has |
//! | `recount.open` | open ≤ events of bronze in windows not closed ≤ open + duplicates |
//! | `recount.watch_time` | in no window more watch time, the same where the counts agree, and what repeated ids explain where they don't |
//!
//! Folded revisions and erased rows ([`super::marks`]) turn some of these into bounds or notes.

mod gold;
mod ledger;
mod restated;
mod stream;

use std::collections::BTreeSet;

pub(crate) use ledger::{ledger_checks, untrusted};

use super::evidence::Evidence;
use super::ledgers::{Ledgers, SourcePartition};
use super::marks::Marks;
use super::report::Check;

/// Every check that can be made with trusted ledgers.
pub(crate) fn all_checks(ledgers: &Ledgers, evidence: &Evidence, marks: &Marks) -> Vec<Check> {
    let mut checks = ledger_checks(ledgers);
    let mut sources = ledgers.partitions();
    sources.extend(evidence.bronze.keys().cloned());
    sources.extend(evidence.quarantine.keys().cloned());
    for source in &sources {
        checks.extend(stream::checks(ledgers, evidence, marks, source));
    }
    let mut partitions: BTreeSet<i32> = sources.iter().map(|source| source.partition).collect();
    partitions.extend(evidence.gold.keys());
    for partition in partitions {
        let of_it: Vec<&SourcePartition> =
            sources.iter().filter(|source| source.partition == partition).collect();
        checks.extend(gold::checks(ledgers, evidence, marks, partition, &of_it));
    }
    checks.extend(restated::checks(evidence, marks));
    checks
}

#[cfg(test)]
mod tests;
