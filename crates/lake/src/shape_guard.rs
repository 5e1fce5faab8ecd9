//! The guard of commits without a ledger: the table must be the one that this build knows.

use iceberg::spec::TableMetadata;
use pulselake_commit::{Guard, Judgement, Riders};
use pulselake_model::tables::LakeTable;

use crate::{LakeError, tables};

/// Lets pass what this build would have created.
pub(crate) struct ShapeGuard {
    /// Which table it is.
    pub(crate) table: LakeTable,
}

impl Guard for ShapeGuard {
    type Refusal = LakeError;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, LakeError> {
        tables::verify(self.table, base)?;
        Ok(Judgement::Commit(Riders::default()))
    }
}
