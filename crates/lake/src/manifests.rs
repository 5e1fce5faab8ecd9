//! Keeps the number of manifests small: nobody else merges them, and every commit copies the whole list.

use iceberg::Result;
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestWriterBuilder};
use iceberg::table::Table;

use crate::CommitLimits;
use crate::snapshot::Attempt;

/// A manifest of this size is not merged any more, bytes.
const FULL_MANIFEST_BYTES: i64 = 8 << 20;

/// The base's manifests, without those that name no live file, and with the small ones of the current partition spec
/// merged into one when there are enough of them. Files keep their order and their sequence numbers.
pub(crate) async fn merge_small_manifests(
    attempt: &mut Attempt<'_>,
    base: &Table,
    snapshot_id: i64,
    inherited: Vec<ManifestFile>,
    limits: &CommitLimits,
) -> Result<Vec<ManifestFile>> {
    let metadata = base.metadata();
    let live =
        inherited.into_iter().filter(|manifest| manifest.has_added_files() || manifest.has_existing_files());
    let (small, mut kept): (Vec<_>, Vec<_>) = live.partition(|manifest| {
        manifest.content == ManifestContentType::Data
            && manifest.partition_spec_id == metadata.default_partition_spec_id()
            && manifest.manifest_length < FULL_MANIFEST_BYTES
    });
    if small.len() < limits.manifests_to_merge.max(2) {
        kept.extend(small);
        return Ok(kept);
    }
    let output = base.file_io().new_output(attempt.next_manifest())?;
    let spec = metadata.default_partition_spec().as_ref().clone();
    let mut writer =
        ManifestWriterBuilder::new(output, Some(snapshot_id), metadata.current_schema().clone(), spec)
            .build_v2_data();
    let mut merged_bytes = 0;
    let mut rest = small.into_iter();
    for manifest in rest.by_ref() {
        let (entries, _) = manifest.load_manifest(base.file_io()).await?.into_parts();
        for entry in entries.iter().filter(|entry| entry.is_alive()) {
            writer.add_existing_file(
                entry.data_file().clone(),
                entry.snapshot_id().unwrap_or(manifest.added_snapshot_id),
                entry.sequence_number().unwrap_or(manifest.sequence_number),
                entry.file_sequence_number,
            )?;
        }
        merged_bytes += manifest.manifest_length;
        if merged_bytes >= FULL_MANIFEST_BYTES {
            break;
        }
    }
    kept.push(writer.write_manifest_file().await?);
    kept.extend(rest);
    Ok(kept)
}
