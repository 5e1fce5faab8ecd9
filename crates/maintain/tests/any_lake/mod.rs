//! Tables on any catalog and store, with Parquet files written here: rows, equality and position deletes.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, NestedField, PrimitiveType, Schema, Struct,
    Transform, Type, UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent, TableUpdate};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use pulselake_commit::catalog::{CatalogSettings, Secret, SwapBounds, open};
use pulselake_commit::{
    Catalog, ChangeKind, CommitFailure, CommitLimits, Guard, Landing, Swap, TableChange, Unguarded, commit,
};
use pulselake_store::{StoreSettings, Warehouse};
use tempfile::TempDir;
use uuid::Uuid;

/// Ids that the Iceberg spec reserves for the columns of position deletes.
const FILE_PATH_ID: i32 = 2_147_483_546;
const POSITION_ID: i32 = 2_147_483_545;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A SQLite catalog and local files.
    Sqlite,
    /// The REST catalog that everybody may use, and local files.
    Rest,
    /// The REST catalog that wants a credential, and tables in S3 with the keys that it hands out.
    RestOnS3,
}

/// A variable that `with-services.sh` sets.
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run through make test"))
}

/// Whether the long forms of the tests are wanted.
pub fn is_soak() -> bool {
    std::env::var_os("PULSELAKE_SOAK").is_some_and(|value| !value.is_empty())
}

pub struct AnyLake {
    pub directory: TempDir,
    pub catalog: Arc<dyn Catalog>,
    pub warehouse: Warehouse,
    pub limits: CommitLimits,
    pub namespace: NamespaceIdent,
    settings: CatalogSettings,
    /// Whether the catalog decides where tables lie.
    catalog_places_tables: bool,
}

impl AnyLake {
    pub async fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = format!("file://{}/warehouse", directory.path().display());
        let uri = match kind {
            Kind::Sqlite => format!("sqlite://{}/catalog.db", directory.path().display()),
            Kind::Rest => service("PULSELAKE_TEST_REST"),
            Kind::RestOnS3 => service("PULSELAKE_TEST_REST_OAUTH"),
        };
        let mut settings = CatalogSettings::new(uri, &location);
        settings.fsync = false;
        if kind == Kind::RestOnS3 {
            settings.rest.credential = Some(Secret::new(service("PULSELAKE_TEST_REST_CREDENTIAL")));
            settings.rest.warehouse = Some(service("PULSELAKE_TEST_REST_WAREHOUSE"));
        }
        let store = StoreSettings { fsync: false, ..StoreSettings::default() };
        let warehouse = Warehouse::parse(&location, store).unwrap();
        let files = Arc::new(warehouse.clone());
        let catalog = open(&settings, true, files, Runtime::current()).await.unwrap();
        let namespace = NamespaceIdent::new(format!("n{}", Uuid::now_v7().simple()));
        catalog.create_namespace(&namespace).await.unwrap();
        let catalog_places_tables = kind == Kind::RestOnS3;
        let limits = CommitLimits::default();
        Self { directory, catalog, warehouse, limits, namespace, settings, catalog_places_tables }
    }

    /// Another process's handle to the catalog.
    pub async fn another_handle(&self) -> Arc<dyn Catalog> {
        open(&self.settings, false, Arc::new(self.warehouse.clone()), Runtime::current()).await.unwrap()
    }

    /// A table partitioned by the identity of a column.
    pub async fn create(&self, name: &str, schema: Schema, partition_by: &str) -> TableIdent {
        let source = schema.field_id_by_name(partition_by).unwrap();
        let spec = UnboundPartitionSpec::builder()
            .with_spec_id(0)
            .add_partition_field(source, partition_by, Transform::Identity)
            .unwrap()
            .build();
        let location = format!("{}/{name}", self.warehouse.location());
        let creation = TableCreation::builder()
            .name(name.to_string())
            .location_opt((!self.catalog_places_tables).then_some(location))
            .schema(schema)
            .partition_spec(spec)
            .build();
        assert!(self.catalog.create_table(&self.namespace, creation).await.unwrap());
        TableIdent::new(self.namespace.clone(), name.to_string())
    }

    pub async fn load(&self, table: &TableIdent) -> Table {
        self.catalog.load_existing(table).await.unwrap()
    }

    pub async fn try_land<G: Guard>(
        &self,
        table: &TableIdent,
        change: &TableChange,
        guard: &G,
    ) -> Result<Landing, CommitFailure<G::Refusal>> {
        commit(self.catalog.as_ref(), table, change, guard, &self.limits).await
    }

    pub async fn land(&self, table: &TableIdent, kind: ChangeKind) -> Table {
        self.try_land(table, &change(kind), &Unguarded).await.unwrap().table
    }

    /// Makes `schema` the current one.
    pub async fn evolve(&self, table: &TableIdent, schema: Schema) {
        let updates =
            vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }];
        let answer_timeout = Duration::from_secs(30);
        let bounds = SwapBounds { deadline: Instant::now() + answer_timeout, answer_timeout };
        let swap = self.catalog.swap(&self.load(table).await, Vec::new(), updates, bounds).await;
        assert!(matches!(swap, Swap::Done(_)), "{swap:?}");
    }
}

pub fn change(kind: ChangeKind) -> TableChange {
    TableChange { commit_id: Uuid::now_v7().to_string(), kind }
}

/// `(name, type, required)`; ids from 1 in this order.
pub fn schema(columns: &[(&str, PrimitiveType, bool)]) -> Schema {
    let fields = columns.iter().zip(1..).map(|((name, primitive, required), id)| {
        Arc::new(NestedField::new(id, *name, Type::Primitive(primitive.clone()), *required))
    });
    Schema::builder().with_fields(fields).build().unwrap()
}

/// Writes columns, in the order of the table's current schema, as a data file of a partition.
pub async fn data(table: &Table, partition: Struct, columns: Vec<ArrayRef>) -> DataFile {
    let arrow = schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    let batch = RecordBatch::try_new(Arc::new(arrow), columns).unwrap();
    write(table, DataContentType::Data, &batch, partition).await.build().unwrap()
}

/// Writes deletes of all rows that have one of these values in the column with this field id.
pub async fn equality_deletes(table: &Table, partition: Struct, field_id: i32, values: ArrayRef) -> DataFile {
    let schema = table.metadata().current_schema();
    let name = schema.field_by_id(field_id).unwrap().name.clone();
    let batch = with_ids(&[(field_id, &name, values)]);
    let mut file = write(table, DataContentType::EqualityDeletes, &batch, partition).await;
    file.equality_ids(Some(vec![field_id])).build().unwrap()
}

/// Writes deletes of rows of one data file.
pub async fn position_deletes(
    table: &Table,
    partition: Struct,
    target: &str,
    positions: Vec<i64>,
) -> DataFile {
    let paths: ArrayRef = Arc::new(StringArray::from(vec![target; positions.len()]));
    let rows: ArrayRef = Arc::new(Int64Array::from(positions));
    let batch = with_ids(&[(FILE_PATH_ID, "file_path", paths), (POSITION_ID, "pos", rows)]);
    let mut file = write(table, DataContentType::PositionDeletes, &batch, partition).await;
    file.referenced_data_file(Some(target.to_string())).build().unwrap()
}

fn with_ids(columns: &[(i32, &str, ArrayRef)]) -> RecordBatch {
    let field = |(id, name, column): &(i32, &str, ArrayRef)| {
        let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
        Field::new(*name, column.data_type().clone(), column.null_count() > 0).with_metadata(metadata)
    };
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let arrays = columns.iter().map(|(_, _, column)| column.clone()).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

async fn write(
    table: &Table,
    content: DataContentType,
    batch: &RecordBatch,
    partition: Struct,
) -> DataFileBuilder {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let size = bytes.len() as u64;
    let path = format!("{}/data/{}.parquet", table.metadata().location(), Uuid::now_v7());
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
