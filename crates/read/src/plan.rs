//! The live files of a snapshot, and the delete files that apply to each.
//!
//! Manifests are read by spawned tasks, several at a time, and skipped where the partition predicate rules them out.
//! Which delete applies to which file is said by [`pulselake_commit::rules::applies`] alone: what a reader applies and
//! what a commit judges by can't come apart.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use iceberg::spec::{
    DataContentType, DataFile, ManifestContentType, ManifestEntryRef, ManifestFile, SchemaRef, Struct,
};
use iceberg::table::Table;
use pulselake_commit::LiveFile;
use pulselake_commit::rules::applies;

use crate::partition::PartitionPredicate;
use crate::ReadError;

/// Manifests read at the same time.
const CONCURRENT_MANIFESTS: usize = 16;

/// A file that is live in a snapshot.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    entry: ManifestEntryRef,
    /// Id of the partition spec it was written with.
    pub spec_id: i32,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The manifest that names it.
    pub manifest: Arc<str>,
}

impl LiveEntry {
    /// The file.
    pub fn file(&self) -> &DataFile {
        self.entry.data_file()
    }

    /// As the commit layer's rules want it.
    pub fn as_live_file(&self) -> LiveFile<'_> {
        LiveFile { file: self.file(), spec_id: self.spec_id, sequence_number: self.sequence_number }
    }
}

/// A data file with its deletes.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// The data file.
    pub data: LiveEntry,
    /// The delete files that apply to it.
    pub deletes: Vec<Arc<LiveEntry>>,
}

/// What a manifest weighs.
#[derive(Clone, Debug)]
pub struct ManifestFacts {
    /// Its location.
    pub path: Arc<str>,
    /// Its size, bytes.
    pub bytes: u64,
    /// Whether it names data files or delete files.
    pub content: ManifestContentType,
    /// Partition spec of its files.
    pub spec_id: i32,
}

/// The live files of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct TablePlan {
    /// The snapshot; `None` for a table without one.
    pub snapshot_id: Option<i64>,
    /// Its sequence number; 0 without a snapshot.
    pub sequence_number: i64,
    /// Data files in manifest order.
    pub files: Vec<PlannedFile>,
    /// All live delete files, whether or not they apply to anything.
    pub deletes: Vec<Arc<LiveEntry>>,
    /// The manifests of the snapshot, those that were skipped included.
    pub manifests: Vec<ManifestFacts>,
}

/// Plans a snapshot of `table`, the current one where `snapshot_id` is `None`, with the files of the partitions that
/// `wanted` lets pass.
pub async fn plan_table(
    table: &Table,
    snapshot_id: Option<i64>,
    wanted: &PartitionPredicate,
) -> Result<TablePlan, ReadError> {
    let metadata = table.metadata();
    let snapshot = match snapshot_id {
        None => match metadata.current_snapshot() {
            None => return Ok(TablePlan::default()),
            Some(current) => current,
        },
        Some(id) => metadata.snapshot_by_id(id).ok_or(ReadError::NoSnapshot { snapshot_id: id })?,
    };
    let list = table
        .manifest_list_reader(snapshot)
        .load()
        .await
        .map_err(ReadError::iceberg("read", snapshot.manifest_list()))?;
    let manifests: Vec<ManifestFile> = list
        .consume_entries()
        .into_iter()
        .filter(|manifest| manifest.has_added_files() || manifest.has_existing_files())
        .collect();
    let facts = manifests
        .iter()
        .map(|manifest| ManifestFacts {
            path: Arc::from(manifest.manifest_path.as_str()),
            bytes: manifest.manifest_length.max(0) as u64,
            content: manifest.content,
            spec_id: manifest.partition_spec_id,
        })
        .collect();
    let schema = metadata.current_schema();
    let of_interest = manifests.into_iter().filter(|manifest| {
        metadata
            .partition_spec_by_id(manifest.partition_spec_id)
            .is_none_or(|spec| wanted.may_be_in(manifest, spec, schema))
    });
    let loading = of_interest.map(|manifest| load_in_a_task(table.clone(), manifest, wanted.clone(), schema.clone()));
    let mut loaded = futures::stream::iter(loading).buffered(CONCURRENT_MANIFESTS);
    let (mut data, mut deletes) = (Vec::new(), Vec::new());
    while let Some(entries) = loaded.next().await {
        for entry in entries? {
            match entry.file().content_type() {
                DataContentType::Data => data.push(entry),
                DataContentType::EqualityDeletes | DataContentType::PositionDeletes => deletes.push(Arc::new(entry)),
            }
        }
    }
    let index = DeleteIndex::new(&deletes);
    let files = data.into_iter().map(|entry| index.with_deletes(entry)).collect();
    Ok(TablePlan {
        snapshot_id: Some(snapshot.snapshot_id()),
        sequence_number: snapshot.sequence_number(),
        files,
        deletes,
        manifests: facts,
    })
}

async fn load_in_a_task(
    table: Table,
    manifest: ManifestFile,
    wanted: PartitionPredicate,
    schema: SchemaRef,
) -> Result<Vec<LiveEntry>, ReadError> {
    let path = manifest.manifest_path.clone();
    let task = tokio::spawn(async move { load(&table, &manifest, &wanted, &schema).await });
    task.await.map_err(|error| ReadError::Stopped { path, reason: error.to_string() })?
}

async fn load(
    table: &Table,
    manifest: &ManifestFile,
    wanted: &PartitionPredicate,
    schema: &SchemaRef,
) -> Result<Vec<LiveEntry>, ReadError> {
    let path: Arc<str> = Arc::from(manifest.manifest_path.as_str());
    let read = manifest.load_manifest(table.file_io()).await.map_err(ReadError::iceberg("read", &path))?;
    let (entries, _) = read.into_parts();
    let spec = table.metadata().partition_spec_by_id(manifest.partition_spec_id);
    let is_wanted = |entry: &ManifestEntryRef| {
        entry.is_alive()
            && spec.is_none_or(|known| wanted.contains(entry.data_file().partition(), known, schema))
    };
    Ok(entries
        .into_iter()
        .filter(is_wanted)
        .map(|entry| LiveEntry {
            sequence_number: entry.sequence_number().unwrap_or(manifest.sequence_number),
            entry,
            spec_id: manifest.partition_spec_id,
            manifest: path.clone(),
        })
        .collect())
}

/// Delete files by what they may apply to: a narrowing before the rule is asked.
#[derive(Default)]
struct DeleteIndex {
    by_partition: HashMap<(i32, Struct), Vec<Arc<LiveEntry>>>,
    /// Equality deletes of unpartitioned specs.
    global: Vec<Arc<LiveEntry>>,
    by_target: HashMap<String, Vec<Arc<LiveEntry>>>,
}

impl DeleteIndex {
    fn new(deletes: &[Arc<LiveEntry>]) -> Self {
        let mut index = Self::default();
        for delete in deletes {
            let file = delete.file();
            let is_global = file.content_type() == DataContentType::EqualityDeletes
                && file.partition().fields().is_empty();
            let place = match file.referenced_data_file() {
                Some(target) => index.by_target.entry(target).or_default(),
                None if is_global => &mut index.global,
                None => index.by_partition.entry((delete.spec_id, file.partition().clone())).or_default(),
            };
            place.push(delete.clone());
        }
        index
    }

    fn with_deletes(&self, data: LiveEntry) -> PlannedFile {
        let nothing = self.by_partition.is_empty() && self.global.is_empty() && self.by_target.is_empty();
        if nothing {
            return PlannedFile { data, deletes: Vec::new() };
        }
        let key = (data.spec_id, data.file().partition().clone());
        let of_partition = self.by_partition.get(&key).into_iter().flatten();
        let of_file = self.by_target.get(data.file().file_path()).into_iter().flatten();
        let deletes = of_partition
            .chain(&self.global)
            .chain(of_file)
            .filter(|delete| applies(&delete.as_live_file(), &data.as_live_file()))
            .cloned()
            .collect();
        PlannedFile { data, deletes }
    }
}
