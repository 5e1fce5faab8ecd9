//! Writes all manifests of the current partition spec anew, ordered by partition, so that a reader of few partitions
//! opens few manifests.

use std::sync::Arc;

use iceberg::Result;
use iceberg::spec::{DataFile, ManifestContentType, ManifestFile};
use iceberg::table::Table;

use super::{ReadManifest, Workshop, row_ids};

struct Row {
    partition: String,
    file: DataFile,
    snapshot_id: i64,
    sequence_number: i64,
    file_sequence_number: Option<i64>,
}

impl Workshop {
    /// `inherited` with the manifests of the current partition spec replaced by clustered ones of about `target_bytes`.
    /// Delete manifests and those of other specs stay as they are.
    pub(crate) async fn cluster(
        &mut self,
        base: &Table,
        inherited: Vec<ManifestFile>,
        target_bytes: u64,
    ) -> Result<Vec<ManifestFile>> {
        let spec_id = base.metadata().default_partition_spec_id();
        let (inputs, mut kept): (Vec<_>, Vec<_>) = inherited.into_iter().partition(|manifest| {
            manifest.content == ManifestContentType::Data && manifest.partition_spec_id == spec_id
        });
        let mut rows = Vec::new();
        let mut bytes = 0;
        for manifest in &inputs {
            let read = self.read(base, manifest).await?;
            bytes += manifest.manifest_length.max(0) as u64;
            rows.extend(self.rows(base, &read)?);
        }
        rows.sort_by(|left, right| left.partition.cmp(&right.partition));
        let manifests = bytes.div_ceil(target_bytes.max(1)).max(1) as usize;
        let rows_each = rows.len().div_ceil(manifests).max(1);
        let metadata = base.metadata();
        let mut rest = rows.into_iter().peekable();
        while rest.peek().is_some() {
            let spec = metadata.default_partition_spec().as_ref().clone();
            let schema = metadata.current_schema().clone();
            let mut writer = self.writer(base, ManifestContentType::Data, schema, spec)?;
            for row in rest.by_ref().take(rows_each) {
                writer.add_existing_file(
                    row.file,
                    row.snapshot_id,
                    row.sequence_number,
                    row.file_sequence_number,
                )?;
            }
            kept.push(writer.write_manifest_file().await?);
        }
        Ok(kept)
    }

    fn rows(&self, base: &Table, read: &Arc<ReadManifest>) -> Result<Vec<Row>> {
        let metadata = base.metadata();
        let spec = metadata.default_partition_spec();
        let mut rows = Vec::with_capacity(read.entries.len());
        for (entry, file) in row_ids::with_inherited_row_ids(read)? {
            if !entry.is_alive() {
                continue;
            }
            rows.push(Row {
                partition: spec.partition_to_path(file.partition(), metadata.current_schema().clone()),
                snapshot_id: entry.snapshot_id().unwrap_or(read.file.added_snapshot_id),
                sequence_number: entry.sequence_number().unwrap_or(read.file.sequence_number),
                file_sequence_number: entry.file_sequence_number.or(Some(read.file.sequence_number)),
                file,
            });
        }
        Ok(rows)
    }
}
