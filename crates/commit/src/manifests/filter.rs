//! Takes files out of manifests.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{DataFile, ManifestFile, PartitionSpecRef};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result};

use super::{Workshop, add_existing};

/// A manifest without some files, and the files.
pub(crate) struct Filtered {
    /// What takes the place of the manifest.
    pub manifest: ManifestFile,
    /// The files that were taken out.
    pub removed: Vec<DataFile>,
    /// The spec they were written with.
    pub spec: PartitionSpecRef,
}

impl Workshop {
    /// `manifest` with the live files named by `remove` marked as deleted; `None` where it has none of them.
    pub(crate) async fn filter(
        &mut self,
        base: &Table,
        manifest: &ManifestFile,
        remove: &HashSet<String>,
    ) -> Result<Option<Arc<Filtered>>> {
        if let Some(known) = self.filtered.get(&manifest.manifest_path) {
            return Ok(Some(known.clone()));
        }
        let read = self.read(base, manifest).await?;
        let is_removed = |path: &str| remove.contains(path);
        if !read.live().any(|live| is_removed(live.file.file_path())) {
            return Ok(None);
        }
        let spec = base.metadata().partition_spec_by_id(manifest.partition_spec_id).ok_or_else(|| {
            let path = &manifest.manifest_path;
            Error::new(ErrorKind::DataInvalid, format!("{path} is of an unknown partition spec"))
        })?;
        let mut writer = self.writer(base, manifest.content, read.schema.clone(), spec.as_ref().clone())?;
        let mut removed = Vec::new();
        for entry in &read.entries {
            if entry.is_alive() && is_removed(entry.file_path()) {
                removed.push(entry.data_file().clone());
                writer.add_delete_file(
                    entry.data_file().clone(),
                    entry.sequence_number().unwrap_or(manifest.sequence_number),
                    entry.file_sequence_number.or(Some(manifest.sequence_number)),
                )?;
            }
        }
        add_existing(&mut writer, &read, remove)?;
        let filtered =
            Arc::new(Filtered { manifest: writer.write_manifest_file().await?, removed, spec: spec.clone() });
        self.filtered.insert(manifest.manifest_path.clone(), filtered.clone());
        Ok(Some(filtered))
    }
}
