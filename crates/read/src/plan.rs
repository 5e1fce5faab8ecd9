//! The live files of a snapshot, and the delete files that apply to each.
//!
//! Manifests are read by spawned tasks, several at a time, and skipped where the partition predicate rules them out; so
//! are files, and by what manifests say of columns where a row filter is given.
//! Which delete applies to which file is said by [`pulselake_commit::rules::applies`] alone: what a reader applies and
//! what a commit judges by can't come apart.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, ManifestContentType, ManifestEntryRef, ManifestFile,
    PartitionSpec, Schema, SchemaRef, Struct,
};
use iceberg::table::Table;
use pulselake_commit::LiveFile;
use pulselake_commit::rules::applies;

use crate::ReadError;
use crate::partition::PartitionPredicate;
use crate::prune;
use crate::row_filter::BoundFilter;

/// Manifests read at the same time, at most: a manifest of 8 MiB is many times that while it is decoded.
const MOST_CONCURRENT_MANIFESTS: usize = 16;
const LEAST_CONCURRENT_MANIFESTS: usize = 4;

/// Whether a plan keeps what manifests say of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnStatistics {
    Keep,
    Drop,
}

/// A file that is live in a snapshot.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    held: Held,
    /// Id of the partition spec it was written with.
    pub spec_id: i32,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The manifest that names it.
    pub manifest: Arc<str>,
}

#[derive(Clone, Debug)]
enum Held {
    Entry(ManifestEntryRef),
    WithoutStatistics(Arc<DataFile>),
}

impl LiveEntry {
    /// The file.
    pub fn file(&self) -> &DataFile {
        match &self.held {
            Held::Entry(entry) => entry.data_file(),
            Held::WithoutStatistics(file) => file,
        }
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
    plan_with(table, snapshot_id, Wanted::partitions(wanted), ColumnStatistics::Keep).await
}

/// Plans the files that may hold rows that `filter` wants, by partition and by what manifests say of columns; without the
/// latter in the plan. Equality deletes on the filter's columns that can't hit wanted rows are left out.
pub async fn plan_rows(
    table: &Table,
    snapshot_id: Option<i64>,
    filter: &BoundFilter,
) -> Result<TablePlan, ReadError> {
    let wanted = Wanted {
        partitions: PartitionPredicate::all(),
        of_spec: prune::of_partitions(filter, table.metadata()),
        filter: Some(filter.clone()),
    };
    plan_with(table, snapshot_id, wanted, ColumnStatistics::Drop).await
}

/// The same without what manifests say of columns (sizes, counts, bounds), for those who read whole files: a plan of
/// 100,000 files takes a tenth of the memory.
pub async fn plan_table_without_statistics(
    table: &Table,
    snapshot_id: Option<i64>,
    wanted: &PartitionPredicate,
) -> Result<TablePlan, ReadError> {
    plan_with(table, snapshot_id, Wanted::partitions(wanted), ColumnStatistics::Drop).await
}

/// Which manifests and files are of interest.
struct Wanted {
    partitions: PartitionPredicate,
    /// Beside `partitions`, by partition spec.
    of_spec: HashMap<i32, PartitionPredicate>,
    filter: Option<BoundFilter>,
}

impl Wanted {
    fn partitions(predicate: &PartitionPredicate) -> Self {
        Self { partitions: predicate.clone(), of_spec: HashMap::new(), filter: None }
    }

    fn predicates(&self, spec_id: i32) -> impl Iterator<Item = &PartitionPredicate> {
        std::iter::once(&self.partitions).chain(self.of_spec.get(&spec_id))
    }

    fn manifest(&self, manifest: &ManifestFile, spec: &PartitionSpec, schema: &Schema) -> bool {
        let mut predicates = self.predicates(manifest.partition_spec_id);
        predicates.all(|predicate| predicate.may_be_in(manifest, spec, schema))
    }

    fn file(&self, file: &DataFile, spec: &PartitionSpec, schema: &Schema) -> bool {
        let mut predicates = self.predicates(spec.spec_id());
        predicates.all(|predicate| predicate.contains(file.partition(), spec, schema))
            && self.filter.as_ref().is_none_or(|filter| prune::file_may_match(filter, file))
    }
}

async fn plan_with(
    table: &Table,
    snapshot_id: Option<i64>,
    wanted: Wanted,
    statistics: ColumnStatistics,
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
    let schema = metadata.current_schema().clone();
    let loader = Arc::new(Loader { table: table.clone(), wanted, schema, statistics });
    let of_interest = manifests.into_iter().filter(|manifest| {
        metadata
            .partition_spec_by_id(manifest.partition_spec_id)
            .is_none_or(|spec| loader.wanted.manifest(manifest, spec, &loader.schema))
    });
    let loading = of_interest.map(|manifest| load_in_a_task(loader.clone(), manifest));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = (2 * cores).clamp(LEAST_CONCURRENT_MANIFESTS, MOST_CONCURRENT_MANIFESTS);
    let mut loaded = futures::stream::iter(loading).buffered(at_once);
    let (mut data, mut deletes) = (Vec::new(), Vec::new());
    while let Some(entries) = loaded.next().await {
        for entry in entries? {
            match entry.file().content_type() {
                DataContentType::Data => data.push(entry),
                DataContentType::EqualityDeletes | DataContentType::PositionDeletes => {
                    deletes.push(Arc::new(entry));
                }
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

/// What all manifests of a plan are read with.
struct Loader {
    table: Table,
    wanted: Wanted,
    schema: SchemaRef,
    statistics: ColumnStatistics,
}

async fn load_in_a_task(loader: Arc<Loader>, manifest: ManifestFile) -> Result<Vec<LiveEntry>, ReadError> {
    let path = manifest.manifest_path.clone();
    let task = tokio::spawn(async move { loader.load(&manifest).await });
    task.await.map_err(|error| ReadError::Stopped { path, reason: error.to_string() })?
}

impl Loader {
    async fn load(&self, manifest: &ManifestFile) -> Result<Vec<LiveEntry>, ReadError> {
        let path: Arc<str> = Arc::from(manifest.manifest_path.as_str());
        let file_io = self.table.file_io();
        let read = manifest.load_manifest(file_io).await.map_err(ReadError::iceberg("read", &path))?;
        let (entries, _) = read.into_parts();
        let spec = self.table.metadata().partition_spec_by_id(manifest.partition_spec_id);
        let mut live = Vec::with_capacity(entries.len());
        for entry in entries {
            let file = entry.data_file();
            let is_wanted = spec.is_none_or(|known| self.wanted.file(file, known, &self.schema));
            if !entry.is_alive() || !is_wanted {
                continue;
            }
            live.push(LiveEntry {
                sequence_number: entry.sequence_number().unwrap_or(manifest.sequence_number),
                spec_id: manifest.partition_spec_id,
                manifest: path.clone(),
                held: match self.statistics {
                    ColumnStatistics::Keep => Held::Entry(entry),
                    ColumnStatistics::Drop => Held::WithoutStatistics(without_statistics(&entry, manifest)?),
                },
            });
        }
        Ok(live)
    }
}

fn without_statistics(entry: &ManifestEntryRef, manifest: &ManifestFile) -> Result<Arc<DataFile>, ReadError> {
    let file = entry.data_file();
    let mut builder = DataFileBuilder::default();
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    let slim = builder
        .content(file.content_type())
        .file_path(file.file_path().to_string())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .partition_spec_id(manifest.partition_spec_id)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(file.first_row_id())
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes())
        .build();
    let damaged = |error: iceberg::spec::DataFileBuilderError| ReadError::Damaged {
        path: manifest.manifest_path.clone(),
        what: error.to_string(),
    };
    Ok(Arc::new(slim.map_err(damaged)?))
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
