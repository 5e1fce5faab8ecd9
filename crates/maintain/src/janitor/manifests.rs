//! Reads manifests: small ones several at a time, big ones one by one, because a file's entry is some kilobytes in memory.

use futures::stream::{self, Stream, StreamExt};
use iceberg::spec::{Manifest, ManifestFile, SnapshotRef};
use iceberg::table::Table;

use super::error::MaintainError;

/// Lists and manifests read at the same time.
const CONCURRENT_READS: usize = 8;
/// From this size on a manifest is read alone, bytes.
const BIG_BYTES: i64 = 1 << 20;

/// Reads the manifest list of each snapshot, in no particular order.
pub(crate) fn read_lists(
    table: &Table,
    snapshots: Vec<SnapshotRef>,
) -> impl Stream<Item = Result<(SnapshotRef, Vec<ManifestFile>), MaintainError>> + Send {
    let table = table.clone();
    let read = move |snapshot: SnapshotRef| {
        let table = table.clone();
        async move {
            let list = table.manifest_list_reader(&snapshot).load().await;
            let list = list.map_err(MaintainError::files("read the manifest lists", table.identifier()))?;
            Ok((snapshot, list.consume_entries().into_iter().collect()))
        }
    };
    stream::iter(snapshots).map(read).buffer_unordered(CONCURRENT_READS)
}

/// Reads each manifest, in no particular order, and keeps what `take` makes of it.
pub(crate) fn read_manifests<T: Send>(
    table: &Table,
    manifests: Vec<ManifestFile>,
    take: fn(ManifestFile, Manifest) -> T,
) -> impl Stream<Item = Result<T, MaintainError>> + Send {
    let (big, small): (Vec<_>, Vec<_>) =
        manifests.into_iter().partition(|manifest| manifest.manifest_length >= BIG_BYTES);
    let table = table.clone();
    let read = move |manifest: ManifestFile| {
        let table = table.clone();
        async move {
            let loaded = manifest.load_manifest(table.file_io()).await;
            let loaded = loaded.map_err(MaintainError::files("read the manifests", table.identifier()))?;
            Ok(take(manifest, loaded))
        }
    };
    let together = stream::iter(small).map(read.clone()).buffer_unordered(CONCURRENT_READS);
    together.chain(stream::iter(big).then(read))
}

/// The live files that a manifest names.
pub(crate) fn live_locations(_: ManifestFile, manifest: Manifest) -> Vec<String> {
    let (entries, _) = manifest.into_parts();
    entries.iter().filter(|entry| entry.is_alive()).map(|entry| entry.file_path().to_string()).collect()
}
