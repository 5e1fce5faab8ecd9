//! Whether a change is in a table already: after a lost answer, and where the same is asked again.

use iceberg::spec::TableMetadata;
use pulselake_commit::COMMIT_ID;

/// The snapshot that carries this commit id; `None` also where it has left the metadata.
pub(crate) fn snapshot_of(metadata: &TableMetadata, commit_id: &str) -> Option<i64> {
    let carries_it = |summary: &iceberg::spec::Summary| {
        summary.additional_properties.get(COMMIT_ID).is_some_and(|found| found == commit_id)
    };
    metadata
        .snapshots()
        .find(|snapshot| carries_it(snapshot.summary()))
        .map(|snapshot| snapshot.snapshot_id())
}
