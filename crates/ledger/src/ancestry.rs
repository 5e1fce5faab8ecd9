//! Whether the head of the ledger belongs to the table's present state: rule 2.
//!
//! Somebody who rolls a table back changes the current snapshot and leaves the properties alone. Committing on top
//! would then skip the records of the snapshots that were taken away. So every decision compares the property with
//! the nearest ledger in the ancestry of the snapshot that the commit would be based on.

use crate::{Ledger, LedgerError};

/// What the property and the ancestry say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AncestryVerdict {
    /// No ledger anywhere: the table has never been committed to by the engine.
    Fresh,
    /// Property and nearest ledger are the same.
    Consistent(Ledger),
    /// The property stands alone: a foreign snapshot on top, and ours have expired. Go on with it, and log it.
    TrustProperty(Ledger),
    /// The table was rolled back (or forward): stop; `pulselake ledger rewind` makes the snapshot's ledger the truth.
    RolledBack {
        /// The ledger that belongs to the present snapshot.
        snapshot: Ledger,
    },
    /// The property was removed while the snapshots still have ledgers: stop, likewise.
    PropertyMissing {
        /// The ledger that belongs to the present snapshot.
        snapshot: Ledger,
    },
}

/// Judges `property` (the table property's text) against `nearest` (the ledger text of the nearest ancestor of the
/// current snapshot that has one).
pub fn judge_ancestry(property: Option<&str>, nearest: Option<&str>) -> Result<AncestryVerdict, LedgerError> {
    let head = property.map(Ledger::parse).transpose()?;
    let snapshot = nearest.map(Ledger::parse).transpose()?;
    Ok(match (head, snapshot) {
        (None, None) => AncestryVerdict::Fresh,
        (Some(ledger), None) => AncestryVerdict::TrustProperty(ledger),
        (None, Some(ledger)) => AncestryVerdict::PropertyMissing { snapshot: ledger },
        (Some(ledger), Some(found)) if ledger == found => AncestryVerdict::Consistent(ledger),
        (Some(_), Some(found)) => AncestryVerdict::RolledBack { snapshot: found },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fingerprint: &str) -> String {
        Ledger::new("c", fingerprint).to_json()
    }

    #[test]
    fn named_cases() {
        let (old, new) = (text("old"), text("new"));
        assert_eq!(judge_ancestry(None, None).unwrap(), AncestryVerdict::Fresh);
        assert!(matches!(judge_ancestry(Some(&new), Some(&new)).unwrap(), AncestryVerdict::Consistent(_)));
        assert!(matches!(judge_ancestry(Some(&new), None).unwrap(), AncestryVerdict::TrustProperty(_)));
        assert!(matches!(
            judge_ancestry(Some(&new), Some(&old)).unwrap(),
            AncestryVerdict::RolledBack { snapshot } if snapshot.fingerprint == "old"
        ));
        assert!(matches!(judge_ancestry(None, Some(&old)).unwrap(), AncestryVerdict::PropertyMissing { .. }));
    }

    #[test]
    fn a_newer_format_and_garbage_are_told_apart() {
        let newer = text("f").replace("\"version\":1", "\"version\":9");
        assert!(matches!(judge_ancestry(Some(&newer), None), Err(LedgerError::NewerVersion { found: 9 })));
        assert!(matches!(judge_ancestry(Some("{"), None), Err(LedgerError::Unreadable { .. })));
    }
}
