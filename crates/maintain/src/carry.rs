//! The guard of maintenance: it never changes what a table has consumed.
//!
//! A maintenance snapshot repeats its base's ledger in its summary and does not send the property: a commit of the
//! stream that lands in between has moved both, and wins. What restatements have added goes with the ledger.

use std::collections::HashMap;

use iceberg::spec::TableMetadata;
use pulselake_commit::{Guard, Judgement, Riders, nearest_summary_value, value_beside};
use pulselake_ledger::{AncestryVerdict, LedgerError, PROPERTY, RESTATED_PROPERTY, judge_ancestry};

/// Table property that says that rows were folded: set once, never removed. An audit can't tell late from other events by
/// their revision any more.
pub const FOLDED_PROPERTY: &str = "pulselake.folded";

/// Lets maintenance pass on tables whose ledger is sound, and on tables without one.
#[derive(Clone, Copy, Debug)]
pub struct CarryLedger;

/// Why a table is left alone.
#[derive(Debug, thiserror::Error)]
pub enum CarryRefusal {
    /// Somebody rolled it back: its snapshots may still be wanted.
    #[error("the table was rolled back; run `pulselake ledger rewind` first, or put the table back")]
    RolledBack,
    /// The property is gone.
    #[error("the table lost its property pulselake.ledger; restore it with `pulselake ledger rewind` first")]
    PropertyMissing,
    /// It can't be read.
    #[error("{0}")]
    Unreadable(#[from] LedgerError),
}

impl Guard for CarryLedger {
    type Refusal = CarryRefusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, CarryRefusal> {
        let property = base.properties().get(PROPERTY).map(String::as_str);
        let nearest = nearest_summary_value(base, PROPERTY);
        match judge_ancestry(property, nearest)? {
            AncestryVerdict::RolledBack { .. } => return Err(CarryRefusal::RolledBack),
            AncestryVerdict::PropertyMissing { .. } => return Err(CarryRefusal::PropertyMissing),
            AncestryVerdict::Fresh | AncestryVerdict::Consistent(_) | AncestryVerdict::TrustProperty(_) => {}
        }
        // Without a ledger in the ancestry the property is the truth: from now on a snapshot says it again.
        let carried = nearest.or(property).map(|text| (PROPERTY.to_string(), text.to_string()));
        let restated = value_beside(base, PROPERTY, RESTATED_PROPERTY)
            .map(|text| (RESTATED_PROPERTY.to_string(), text.to_string()));
        let summary: HashMap<String, String> = carried.into_iter().chain(restated).collect();
        Ok(Judgement::Commit(Riders { properties: HashMap::new(), summary }))
    }
}
