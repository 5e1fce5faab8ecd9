//! A lake in a temporary directory: SQLite catalog, local warehouse, tables with real Parquet files.

#![allow(dead_code, clippy::unwrap_used)]

pub mod cells;
pub mod numbers;
pub mod people;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, NestedField, PartitionKey, PrimitiveType, Schema, SchemaRef,
    SnapshotRef, Struct, Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::writer::file_writer::location_generator::{DefaultLocationGenerator, LocationGenerator};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent, TableUpdate};
use parquet::file::properties::WriterProperties;
use pulselake_commit::catalog::SwapBounds;
use pulselake_commit::catalog::sql::SqlCatalog;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, RowDelta, Swap, TableChange, Unguarded, commit};
use pulselake_maintain::janitor::{Progress, Reachable, Step, Tools, canonical, only_reachable_from};
use pulselake_read::read_table;
use pulselake_store::{StoreSettings, Warehouse};
use tempfile::TempDir;
use uuid::Uuid;

pub fn silent() -> Progress<'static> {
    const SILENT: &(dyn Fn(Step) + Send + Sync) = &|_| {};
    SILENT
}

pub struct SmallLake {
    directory: TempDir,
    pub catalog: SqlCatalog,
    pub warehouse: Warehouse,
    pub limits: CommitLimits,
    namespace: NamespaceIdent,
}

impl SmallLake {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = format!("file://{}/warehouse", directory.path().display());
        let settings = StoreSettings { fsync: false, ..StoreSettings::default() };
        let warehouse = Warehouse::parse(&uri, settings).unwrap();
        let catalog = open_catalog(directory.path(), &warehouse).await;
        let namespace = NamespaceIdent::new("small".to_string());
        catalog.create_namespace(&namespace).await.unwrap();
        Self { directory, catalog, warehouse, limits: CommitLimits::default(), namespace }
    }

    /// Another process's handle to the catalog.
    pub async fn second_catalog(&self) -> SqlCatalog {
        open_catalog(self.directory.path(), &self.warehouse).await
    }

    pub fn tools(&self) -> Tools<'_> {
        Tools { catalog: &self.catalog, store: &self.warehouse, limits: &self.limits }
    }

    /// A table of optional columns with ids 1, 2, …
    pub async fn create(
        &self,
        name: &str,
        columns: &[(&str, PrimitiveType)],
        partition: &[(i32, &str, Transform)],
    ) -> TableIdent {
        let fields = columns.iter().zip(1..).map(|((column, primitive), id)| {
            NestedField::optional(id, *column, Type::Primitive(primitive.clone())).into()
        });
        let schema = Schema::builder().with_fields(fields).build().unwrap();
        let parts =
            partition.iter().zip(1000..).map(|((source_id, field, transform), id)| UnboundPartitionField {
                source_id: *source_id,
                field_id: Some(id),
                name: (*field).to_string(),
                transform: *transform,
            });
        let spec = UnboundPartitionSpec::builder()
            .with_spec_id(0)
            .add_partition_fields(parts.collect::<Vec<_>>())
            .unwrap()
            .build();
        let creation = TableCreation::builder()
            .name(name.to_string())
            .location(format!("{}/small/{name}", self.warehouse.location()))
            .schema(schema)
            .partition_spec(spec)
            .format_version(FormatVersion::V2)
            .properties([
                ("write.metadata.previous-versions-max".to_string(), "5".to_string()),
                ("write.metadata.delete-after-commit.enabled".to_string(), "true".to_string()),
            ])
            .build();
        assert!(self.catalog.create_table(&self.namespace, creation).await.unwrap());
        TableIdent::new(self.namespace.clone(), name.to_string())
    }

    pub async fn load(&self, table: &TableIdent) -> Table {
        self.catalog.load_existing(table).await.unwrap()
    }

    /// Writes a data file of these columns into a partition.
    pub async fn write(&self, table: &TableIdent, partition: Struct, columns: Vec<ArrayRef>) -> DataFile {
        let loaded = self.load(table).await;
        write_data(&loaded, partition, columns).await
    }

    pub async fn append(&self, table: &TableIdent, partition: Struct, columns: Vec<ArrayRef>) -> DataFile {
        let file = self.write(table, partition, columns).await;
        self.land(table, ChangeKind::Append { files: vec![file.clone()] }).await;
        file
    }

    /// Adds an equality delete by one key column, in the same commit as some rows.
    pub async fn upsert(
        &self,
        table: &TableIdent,
        partition: Struct,
        key: (i32, ArrayRef),
        columns: Vec<ArrayRef>,
    ) {
        let loaded = self.load(table).await;
        let current = loaded.metadata().current_schema();
        let field = current.field_by_id(key.0).unwrap().clone();
        let key_schema = Arc::new(Schema::builder().with_fields([field]).build().unwrap());
        let mut delete = write_parquet(&loaded, key_schema, partition.clone(), vec![key.1]).await;
        delete.content(DataContentType::EqualityDeletes).equality_ids(Some(vec![key.0]));
        let data = write_data(&loaded, partition, columns).await;
        let delta =
            RowDelta { data: vec![data], deletes: vec![delete.build().unwrap()], must_exist: HashSet::new() };
        self.land(table, ChangeKind::RowDelta(delta)).await;
    }

    /// Deletes rows of a file by position.
    pub async fn delete_positions(&self, table: &TableIdent, file: &DataFile, positions: Vec<i64>) {
        let loaded = self.load(table).await;
        let field =
            |id, name: &str, primitive| NestedField::required(id, name, Type::Primitive(primitive)).into();
        // Ids that the Iceberg spec reserves for them.
        let fields = [
            field(2_147_483_546, "file_path", PrimitiveType::String),
            field(2_147_483_545, "pos", PrimitiveType::Long),
        ];
        let schema = Arc::new(Schema::builder().with_fields(fields).build().unwrap());
        let paths: ArrayRef = Arc::new(StringArray::from(vec![file.file_path(); positions.len()]));
        let columns = vec![paths, Arc::new(Int64Array::from(positions)) as ArrayRef];
        let mut delete = write_parquet(&loaded, schema, file.partition().clone(), columns).await;
        delete.content(DataContentType::PositionDeletes);
        let must_exist = HashSet::from([file.file_path().to_string()]);
        let delta = RowDelta { data: Vec::new(), deletes: vec![delete.build().unwrap()], must_exist };
        self.land(table, ChangeKind::RowDelta(delta)).await;
    }

    pub async fn land(&self, table: &TableIdent, kind: ChangeKind) {
        commit(&self.catalog, table, &change(kind), &Unguarded, &self.limits).await.unwrap();
    }

    /// Changes the metadata without a snapshot, as another engine may.
    pub async fn update(&self, table: &TableIdent, updates: Vec<TableUpdate>) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let bounds = SwapBounds { deadline, answer_timeout: Duration::from_secs(30) };
        let swap = self.catalog.swap(&self.load(table).await, Vec::new(), updates, bounds).await;
        assert!(matches!(swap, Swap::Done(_)), "{swap:?}");
    }

    /// The table's directory.
    pub fn place(&self, table: &TableIdent) -> PathBuf {
        self.directory.path().join("warehouse/small").join(table.name())
    }

    /// All files below the table's directory, spelled as [`canonical`] does.
    pub fn on_disk(&self, table: &TableIdent) -> BTreeSet<String> {
        files_below(&self.place(table)).iter().map(|path| canonical(&path.display().to_string())).collect()
    }

    /// Makes all files look as old as `age`.
    pub fn grow_old(&self, table: &TableIdent, age: Duration) {
        for path in files_below(&self.place(table)) {
            set_age(&path, age);
        }
    }

    /// Puts a file there that nothing refers to.
    pub fn plant(&self, table: &TableIdent, name: &str, age: Duration) -> String {
        let path = self.place(table).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"left behind").unwrap();
        set_age(&path, age);
        canonical(&path.display().to_string())
    }

    /// All rows of a snapshot.
    pub async fn rows(&self, table: &Table, snapshot_id: Option<i64>) -> u64 {
        let batches = read_table(table, snapshot_id, None).await.unwrap();
        let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

async fn open_catalog(directory: &Path, warehouse: &Warehouse) -> SqlCatalog {
    let path = directory.join("catalog.db");
    let file_io = warehouse.files().file_io();
    SqlCatalog::open_sqlite(path, true, false, "test", file_io, Runtime::current()).await.unwrap()
}

pub fn change(kind: ChangeKind) -> TableChange {
    TableChange { commit_id: Uuid::now_v7().to_string(), kind }
}

pub async fn write_data(table: &Table, partition: Struct, columns: Vec<ArrayRef>) -> DataFile {
    let schema = table.metadata().current_schema().clone();
    let mut file = write_parquet(table, schema, partition, columns).await;
    file.content(DataContentType::Data).build().unwrap()
}

async fn write_parquet(
    table: &Table,
    schema: SchemaRef,
    partition: Struct,
    columns: Vec<ArrayRef>,
) -> iceberg::spec::DataFileBuilder {
    let metadata = table.metadata();
    let batch = RecordBatch::try_new(Arc::new(schema_to_arrow_schema(&schema).unwrap()), columns).unwrap();
    let spec = metadata.default_partition_spec().as_ref().clone();
    let key = PartitionKey::new(spec, metadata.current_schema().clone(), partition.clone());
    let name = format!("{}.parquet", Uuid::now_v7());
    let location = DefaultLocationGenerator::new(metadata).unwrap().generate_location(Some(&key), &name);
    let output = table.file_io().new_output(location).unwrap();
    let builder = ParquetWriterBuilder::new(WriterProperties::default(), schema);
    let mut writer = builder.build(output).await.unwrap();
    writer.write(&batch).await.unwrap();
    let mut file = writer.close().await.unwrap().remove(0);
    file.partition(partition).partition_spec_id(metadata.default_partition_spec_id());
    file
}

pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

pub fn set_age(path: &Path, age: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// Lists, manifests and live files of all snapshots, found without the janitor's sets.
pub async fn needed_by_snapshots(table: &Table) -> BTreeSet<String> {
    let snapshots: Vec<SnapshotRef> = table.metadata().snapshots().cloned().collect();
    let mut needed = BTreeSet::new();
    for snapshot in snapshots {
        needed.insert(canonical(snapshot.manifest_list()));
        for manifest in table.manifest_list_reader(&snapshot).load().await.unwrap().entries() {
            needed.insert(canonical(&manifest.manifest_path));
            let loaded = manifest.load_manifest(table.file_io()).await.unwrap();
            let live = loaded.entries().iter().filter(|entry| entry.is_alive());
            needed.extend(live.map(|entry| canonical(entry.file_path())));
        }
    }
    needed
}

/// All that the table leads to: what its snapshots need, and the metadata files.
pub async fn expected_on_disk(table: &Table) -> BTreeSet<String> {
    let mut expected = needed_by_snapshots(table).await;
    expected.extend(table.metadata_location().map(canonical));
    expected.extend(table.metadata().metadata_log().iter().map(|log| canonical(&log.metadata_file)));
    expected
}

/// Whether the janitor's own view agrees with the plain one.
pub async fn assert_views_agree(table: &Table) {
    let snapshots: Vec<SnapshotRef> = table.metadata().snapshots().cloned().collect();
    let found = only_reachable_from(table, &snapshots, &Reachable::default()).await.unwrap();
    let found: BTreeSet<String> = found.iter().map(|file| canonical(file)).collect();
    assert_eq!(found, needed_by_snapshots(table).await);
}
