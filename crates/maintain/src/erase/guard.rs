//! The guard of an erasure's commits: under the lease, with the ledger, and with what was erased.

use std::sync::atomic::{AtomicBool, Ordering};

use iceberg::spec::TableMetadata;
use pulselake_commit::{Guard, Judgement};
use serde_json::json;

use super::counts::{ERASED_PROPERTY, ErasedCounts, add_counts, erased_so_far};
use super::subject::Subject;
use crate::janitor::{Refusal, UnderLease};

/// Snapshot summary key of the audit record: JSON with the kind and hash of whose rows were erased, and how many.
pub const ERASURE_SUMMARY: &str = "pulselake.erasure";

/// Adds the audit record and the counts to each base.
pub(super) struct EraseGuard<'a> {
    pub lease: UnderLease,
    pub subject: &'a Subject,
    pub rows: u64,
    pub counts: &'a ErasedCounts,
    /// Set where the base's counts can't be read and were begun anew.
    pub counts_lost: AtomicBool,
}

impl Guard for EraseGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        let mut riders = self.lease.riders(base)?;
        let record = json!({
            "subject": self.subject.kind(), "hash": self.subject.hash(), "rows": self.rows, "erased": self.counts,
        });
        riders.summary.insert(ERASURE_SUMMARY.to_string(), record.to_string());
        if !self.counts.is_empty() {
            let mut total = erased_so_far(base).unwrap_or_else(|_| {
                self.counts_lost.store(true, Ordering::Relaxed);
                ErasedCounts::new()
            });
            add_counts(&mut total, self.counts);
            riders.properties.insert(ERASED_PROPERTY.to_string(), json!(total).to_string());
        }
        Ok(Judgement::Commit(riders))
    }
}
