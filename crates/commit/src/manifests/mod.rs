//! The manifests of a snapshot under construction: read, filtered, merged, written; each at most once per commit call.
//!
//! Manifests never change, and all attempts of a call make the same snapshot. So what an attempt has read or written is
//! used again by the next one: after a conflict only the manifest list and the metadata are made anew.

mod cluster;
mod filter;
mod merge;
mod row_ids;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use iceberg::Result;
use iceberg::spec::{
    DataFile, FormatVersion, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestWriter,
    ManifestWriterBuilder, PartitionSpec, SchemaRef,
};
use iceberg::table::Table;
use uuid::Uuid;

use crate::change::ChangeKind;
use crate::rules::LiveFile;

pub(crate) use filter::Filtered;

/// A manifest that was read.
pub(crate) struct ReadManifest {
    pub file: ManifestFile,
    pub entries: Vec<ManifestEntryRef>,
    pub schema: SchemaRef,
}

impl ReadManifest {
    /// Its live files.
    pub(crate) fn live(&self) -> impl Iterator<Item = LiveFile<'_>> {
        self.entries.iter().filter(|entry| entry.is_alive()).map(|entry| LiveFile {
            file: entry.data_file(),
            spec_id: self.file.partition_spec_id,
            sequence_number: entry.sequence_number().unwrap_or(self.file.sequence_number),
        })
    }
}

/// Reads and writes the manifests of one commit call.
pub(crate) struct Workshop {
    /// Names the files of this call.
    id: Uuid,
    snapshot_id: i64,
    names: usize,
    read: HashMap<String, Arc<ReadManifest>>,
    filtered: HashMap<String, Arc<Filtered>>,
    merged: HashMap<Vec<String>, ManifestFile>,
    added: HashMap<(i32, i32), Vec<ManifestFile>>,
    /// Locations of all manifests and lists that were written and not deleted again.
    written: HashSet<String>,
}

impl Workshop {
    pub(crate) fn new(snapshot_id: i64) -> Self {
        Self {
            id: Uuid::now_v7(),
            snapshot_id,
            names: 0,
            read: HashMap::new(),
            filtered: HashMap::new(),
            merged: HashMap::new(),
            added: HashMap::new(),
            written: HashSet::new(),
        }
    }

    pub(crate) fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// A location for the next manifest list, noted as written.
    pub(crate) fn next_list(&mut self, base: &Table) -> String {
        let name = format!("snap-{}-{}-{}.avro", self.snapshot_id, self.names, self.id);
        self.note(base, &name)
    }

    fn next_manifest(&mut self, base: &Table) -> String {
        let name = format!("{}-m{}.avro", self.id, self.names);
        self.note(base, &name)
    }

    fn note(&mut self, base: &Table, name: &str) -> String {
        self.names += 1;
        let location = format!("{}/metadata/{name}", base.metadata().location());
        self.written.insert(location.clone());
        location
    }

    /// Forgets one location, which the caller deletes.
    pub(crate) fn forget(&mut self, location: &str) {
        self.written.remove(location);
    }

    /// All that was written, but for what `used` names.
    pub(crate) fn written_beside(&self, used: &HashSet<&str>) -> Vec<String> {
        self.written.iter().filter(|location| !used.contains(location.as_str())).cloned().collect()
    }

    /// Reads a manifest, or remembers it.
    pub(crate) async fn read(&mut self, base: &Table, manifest: &ManifestFile) -> Result<Arc<ReadManifest>> {
        if let Some(known) = self.read.get(&manifest.manifest_path) {
            return Ok(known.clone());
        }
        let (entries, metadata) = manifest.load_manifest(base.file_io()).await?.into_parts();
        let read =
            Arc::new(ReadManifest { file: manifest.clone(), entries, schema: metadata.schema().clone() });
        self.read.insert(manifest.manifest_path.clone(), read.clone());
        Ok(read)
    }

    /// The manifests of what `kind` adds; written once for a schema and a partition spec.
    pub(crate) async fn write_added(&mut self, base: &Table, kind: &ChangeKind) -> Result<Vec<ManifestFile>> {
        let metadata = base.metadata();
        let (data, sequence_number) = kind.added_data();
        let deletes = kind.added_deletes();
        let key = (metadata.current_schema_id(), metadata.default_partition_spec_id());
        if let Some(known) = self.added.get(&key) {
            return Ok(known.clone());
        }
        let mut manifests = Vec::new();
        for (content, files, kept_sequence) in [
            (ManifestContentType::Data, data, sequence_number),
            (ManifestContentType::Deletes, deletes, None),
        ] {
            if !files.is_empty() {
                manifests.push(self.write_files(base, content, files, kept_sequence).await?);
            }
        }
        self.added.insert(key, manifests.clone());
        Ok(manifests)
    }

    async fn write_files(
        &mut self,
        base: &Table,
        content: ManifestContentType,
        files: &[DataFile],
        sequence_number: Option<i64>,
    ) -> Result<ManifestFile> {
        let metadata = base.metadata();
        let spec = metadata.default_partition_spec().as_ref().clone();
        let mut writer = self.writer(base, content, metadata.current_schema().clone(), spec)?;
        for file in files {
            // Negative: the sequence number is inherited from the snapshot.
            writer.add_file(file.clone(), sequence_number.unwrap_or(-1))?;
        }
        writer.write_manifest_file().await
    }

    fn writer(
        &mut self,
        base: &Table,
        content: ManifestContentType,
        schema: SchemaRef,
        spec: PartitionSpec,
    ) -> Result<ManifestWriter> {
        let output = base.file_io().new_output(self.next_manifest(base))?;
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec);
        Ok(match (base.metadata().format_version(), content) {
            (FormatVersion::V1, _) => builder.build_v1(),
            (FormatVersion::V2, ManifestContentType::Data) => builder.build_v2_data(),
            (FormatVersion::V2, ManifestContentType::Deletes) => builder.build_v2_deletes(),
            (FormatVersion::V3, ManifestContentType::Data) => builder.build_v3_data(),
            (FormatVersion::V3, ManifestContentType::Deletes) => builder.build_v3_deletes(),
        })
    }
}

/// Adds the live entries of `read` to `writer` as files that were there before, except those that `leave_out` names.
fn add_existing(writer: &mut ManifestWriter, read: &ReadManifest, leave_out: &HashSet<String>) -> Result<()> {
    for (entry, file) in row_ids::with_inherited_row_ids(read)? {
        if !entry.is_alive() || leave_out.contains(entry.file_path()) {
            continue;
        }
        writer.add_existing_file(
            file,
            entry.snapshot_id().unwrap_or(read.file.added_snapshot_id),
            entry.sequence_number().unwrap_or(read.file.sequence_number),
            entry.file_sequence_number.or(Some(read.file.sequence_number)),
        )?;
    }
    Ok(())
}
