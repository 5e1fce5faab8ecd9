//! Real tables for tests: a SQLite catalog and local files in a temporary directory, commits through the commit layer,
//! Parquet written here.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use iceberg::io::FileIOBuilder;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, NestedField, NullOrder,
    PrimitiveType, Schema, SortDirection, SortField, SortOrder, Struct, Transform, Type,
    UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent, TableUpdate};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::properties::WriterProperties;
use pulselake_commit::catalog::SwapBounds;
use pulselake_commit::catalog::sql::SqlCatalog;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, RowDelta, Swap, TableChange, Unguarded, commit};
use pulselake_store::LocalStorageFactory;

pub struct Lake {
    pub directory: tempfile::TempDir,
    pub catalog: Arc<SqlCatalog>,
}

/// `(name, type, required)`; ids from 1 in this order.
pub fn schema(columns: &[(&str, PrimitiveType, bool)]) -> Schema {
    let fields = columns.iter().zip(1..).map(|((name, primitive, required), id)| {
        Arc::new(NestedField::new(id, *name, Type::Primitive(primitive.clone()), *required))
    });
    Schema::builder().with_fields(fields).build().unwrap()
}

impl Lake {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file_io = FileIOBuilder::new(Arc::new(LocalStorageFactory { fsync: false })).build();
        let path = directory.path().join("catalog.db");
        let catalog = SqlCatalog::open_sqlite(path, true, false, "pulselake", file_io, Runtime::current())
            .await
            .unwrap();
        let lake = Self { directory, catalog: Arc::new(catalog) };
        lake.catalog.create_namespace(&NamespaceIdent::new("t".to_string())).await.unwrap();
        lake
    }

    /// `partition`: source column, field name, transform. `sort_by`: the table's sort order.
    pub async fn create(
        &self,
        name: &str,
        version: FormatVersion,
        schema: Schema,
        partition: &[(&str, &str, Transform)],
        sort_by: &[&str],
    ) -> TableIdent {
        let mut spec = UnboundPartitionSpec::builder().with_spec_id(0);
        for (source, field, transform) in partition {
            let id = schema.field_id_by_name(source).unwrap();
            spec = spec.add_partition_field(id, field.to_string(), *transform).unwrap();
        }
        let mut order = SortOrder::builder();
        order.with_order_id(i64::from(!sort_by.is_empty()));
        for column in sort_by {
            order.with_sort_field(
                SortField::builder()
                    .source_id(schema.field_id_by_name(column).unwrap())
                    .transform(Transform::Identity)
                    .direction(SortDirection::Ascending)
                    .null_order(NullOrder::First)
                    .build(),
            );
        }
        let creation = TableCreation::builder()
            .name(name.to_string())
            .location(format!("file://{}/{name}", self.directory.path().display()))
            .schema(schema)
            .partition_spec(spec.build())
            .sort_order(order.build_unbound().unwrap())
            .format_version(version)
            .build();
        let namespace = NamespaceIdent::new("t".to_string());
        assert!(self.catalog.create_table(&namespace, creation).await.unwrap());
        TableIdent::new(namespace, name.to_string())
    }

    pub async fn table(&self, ident: &TableIdent) -> Table {
        self.catalog.load_existing(ident).await.unwrap()
    }

    pub async fn commit(&self, ident: &TableIdent, kind: ChangeKind) -> Table {
        let change = TableChange { commit_id: uuid::Uuid::now_v7().to_string(), kind };
        let limits = CommitLimits::default();
        commit(self.catalog.as_ref(), ident, &change, &Unguarded, &limits).await.unwrap().table
    }

    pub async fn append(&self, ident: &TableIdent, files: Vec<DataFile>) -> Table {
        self.commit(ident, ChangeKind::Append { files }).await
    }

    pub async fn delete(&self, ident: &TableIdent, deletes: Vec<DataFile>) -> Table {
        self.commit(ident, ChangeKind::RowDelta(RowDelta { deletes, ..RowDelta::default() })).await
    }

    /// Makes `schema` the current one.
    pub async fn evolve(&self, ident: &TableIdent, schema: Schema) -> Table {
        let updates =
            vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }];
        self.update(ident, updates).await
    }

    /// Makes `spec` the current partition spec.
    pub async fn partition_by(&self, ident: &TableIdent, spec: UnboundPartitionSpec) -> Table {
        let updates = vec![TableUpdate::AddSpec { spec }, TableUpdate::SetDefaultSpec { spec_id: -1 }];
        self.update(ident, updates).await
    }

    async fn update(&self, ident: &TableIdent, updates: Vec<TableUpdate>) -> Table {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let bounds = SwapBounds { deadline, answer_timeout: std::time::Duration::from_secs(10) };
        match self.catalog.swap(&self.table(ident).await, Vec::new(), updates, bounds).await {
            Swap::Done(table) => *table,
            other => panic!("{other:?}"),
        }
    }

    /// Writes columns, in the order of the table's current schema, as a data file.
    pub async fn write(&self, ident: &TableIdent, partition: Struct, columns: Vec<ArrayRef>) -> DataFile {
        let table = self.table(ident).await;
        let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
        let batch = RecordBatch::try_new(Arc::new(arrow), columns).unwrap();
        self.write_file(ident, DataContentType::Data, &batch, partition).await.build().unwrap()
    }

    /// Writes an equality delete file of `columns`: field id, values.
    pub async fn equality_deletes(
        &self,
        ident: &TableIdent,
        partition: Struct,
        columns: Vec<(i32, ArrayRef)>,
    ) -> DataFile {
        let batch = with_ids(&columns);
        let ids = columns.iter().map(|(id, _)| *id).collect();
        let mut file = self.write_file(ident, DataContentType::EqualityDeletes, &batch, partition).await;
        file.equality_ids(Some(ids)).build().unwrap()
    }

    pub async fn position_deletes(
        &self,
        ident: &TableIdent,
        partition: Struct,
        target: &str,
        positions: &[i64],
        names_its_target: bool,
    ) -> DataFile {
        let paths: ArrayRef = Arc::new(StringArray::from(vec![target; positions.len()]));
        let rows: ArrayRef = Arc::new(Int64Array::from(positions.to_vec()));
        let batch = with_ids(&[(2_147_483_546, paths), (2_147_483_545, rows)]);
        let mut file = self.write_file(ident, DataContentType::PositionDeletes, &batch, partition).await;
        file.referenced_data_file(names_its_target.then(|| target.to_string())).build().unwrap()
    }

    pub async fn write_file(
        &self,
        ident: &TableIdent,
        content: DataContentType,
        batch: &RecordBatch,
        partition: Struct,
    ) -> DataFileBuilder {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(5_000))
            .set_data_page_row_count_limit(500)
            .build();
        self.write_as(ident, content, batch, partition, properties).await
    }

    pub async fn write_as(
        &self,
        ident: &TableIdent,
        content: DataContentType,
        batch: &RecordBatch,
        partition: Struct,
        properties: WriterProperties,
    ) -> DataFileBuilder {
        let table = self.table(ident).await;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        let size = bytes.len() as u64;
        let path = format!("{}/data/{}.parquet", table.metadata().location(), uuid::Uuid::now_v7());
        table.file_io().new_output(&path).unwrap().write(bytes.into()).await.unwrap();
        let mut file = DataFileBuilder::default();
        file.content(content)
            .file_path(path)
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .partition_spec_id(table.metadata().default_partition_spec_id())
            .record_count(batch.num_rows() as u64)
            .file_size_in_bytes(size);
        file
    }

    /// All rows of the current snapshot as text, sorted.
    pub async fn rows(&self, ident: &TableIdent) -> Vec<String> {
        rows_of(&self.table(ident).await, None, None).await
    }
}

fn with_ids(columns: &[(i32, ArrayRef)]) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(id, column)| {
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
            Field::new(format!("c{id}"), column.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    let arrays = columns.iter().map(|(_, column)| column.clone()).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

pub async fn rows_of(table: &Table, snapshot_id: Option<i64>, columns: Option<&[&str]>) -> Vec<String> {
    let stream = pulselake_read::read_table(table, snapshot_id, columns).await.unwrap();
    texts(&stream.try_collect::<Vec<_>>().await.unwrap())
}

pub fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
            );
        }
    }
    rows.sort();
    rows
}

pub fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub fn nullable_longs(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}
