//! Keeps the number of manifests small: nobody else merges them, and every commit copies the whole list.

use std::collections::HashSet;

use iceberg::Result;
use iceberg::spec::{ManifestContentType, ManifestFile};
use iceberg::table::Table;

use super::{Workshop, add_existing};

/// A manifest of this size is not merged any more, bytes.
const FULL_MANIFEST_BYTES: i64 = 8 << 20;

impl Workshop {
    /// `inherited` with the small manifests of the current partition spec merged into one, for data and for deletes
    /// each, when there are at least `manifests_to_merge` of them. Files keep their order and their sequence numbers.
    pub(crate) async fn merge_small(
        &mut self,
        base: &Table,
        inherited: Vec<ManifestFile>,
        manifests_to_merge: usize,
    ) -> Result<Vec<ManifestFile>> {
        let mut result = inherited;
        for content in [ManifestContentType::Data, ManifestContentType::Deletes] {
            result = self.merge_content(base, result, content, manifests_to_merge).await?;
        }
        Ok(result)
    }

    async fn merge_content(
        &mut self,
        base: &Table,
        manifests: Vec<ManifestFile>,
        content: ManifestContentType,
        manifests_to_merge: usize,
    ) -> Result<Vec<ManifestFile>> {
        let spec_id = base.metadata().default_partition_spec_id();
        let (small, mut kept): (Vec<_>, Vec<_>) = manifests.into_iter().partition(|manifest| {
            manifest.content == content
                && manifest.partition_spec_id == spec_id
                && manifest.manifest_length < FULL_MANIFEST_BYTES
                // One that this snapshot has just filtered says what it removed.
                && manifest.added_snapshot_id != self.snapshot_id
        });
        if small.len() < manifests_to_merge.max(2) {
            kept.extend(small);
            return Ok(kept);
        }
        let mut merged_bytes = 0;
        let count = small
            .iter()
            .take_while(|manifest| {
                let fits = merged_bytes < FULL_MANIFEST_BYTES;
                merged_bytes += manifest.manifest_length;
                fits
            })
            .count();
        let (inputs, rest) = small.split_at(count);
        kept.push(self.merge(base, content, inputs).await?);
        kept.extend_from_slice(rest);
        Ok(kept)
    }

    async fn merge(
        &mut self,
        base: &Table,
        content: ManifestContentType,
        inputs: &[ManifestFile],
    ) -> Result<ManifestFile> {
        let key: Vec<String> = inputs.iter().map(|manifest| manifest.manifest_path.clone()).collect();
        if let Some(known) = self.merged.get(&key) {
            return Ok(known.clone());
        }
        let metadata = base.metadata();
        let spec = metadata.default_partition_spec().as_ref().clone();
        let mut writer = self.writer(base, content, metadata.current_schema().clone(), spec)?;
        for manifest in inputs {
            let read = self.read(base, manifest).await?;
            add_existing(&mut writer, &read, &HashSet::new())?;
        }
        let merged = writer.write_manifest_file().await?;
        self.merged.insert(key, merged.clone());
        Ok(merged)
    }
}
