//! Small Parquet files: rows, equality deletes, position deletes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::arrow::{arrow_schema_to_schema, schema_to_arrow_schema};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, PartitionKey, SchemaRef, Struct,
};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::base_writer::equality_delete_writer::{
    EqualityDeleteFileWriterBuilder, EqualityDeleteWriterConfig,
};
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::properties::WriterProperties;
use uuid::Uuid;

const FILE_PATH_ID: &str = "2147483546";
const POSITION_ID: &str = "2147483545";

pub fn partition(category: &str) -> Struct {
    Struct::from_iter([Some(Literal::string(category))])
}

fn partition_key(table: &Table, category: &str) -> PartitionKey {
    let metadata = table.metadata();
    PartitionKey::new(
        metadata.default_partition_spec().as_ref().clone(),
        metadata.current_schema().clone(),
        partition(category),
    )
}

fn rows(table: &Table, category: &str, ids: &[i64]) -> RecordBatch {
    let schema = Arc::new(schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let numbers: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let mut columns: Vec<ArrayRef> =
        vec![numbers.clone(), Arc::new(StringArray::from(vec![category; ids.len()]))];
    // Columns that came later hold the id too, each in its type.
    columns.extend(schema.fields().iter().skip(2).map(|field| cast(&numbers, field.data_type()).unwrap()));
    RecordBatch::try_new(schema, columns).unwrap()
}

type Rolling =
    RollingFileWriterBuilder<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;

fn rolling(table: &Table, schema: SchemaRef) -> Rolling {
    RollingFileWriterBuilder::new_with_default_file_size(
        ParquetWriterBuilder::new(WriterProperties::builder().build(), schema),
        table.file_io().clone(),
        DefaultLocationGenerator::new(table.metadata()).unwrap(),
        DefaultFileNameGenerator::new(Uuid::now_v7().to_string(), None, DataFileFormat::Parquet),
    )
}

/// Rows of one category.
pub async fn data(table: &Table, category: &str, ids: &[i64]) -> DataFile {
    let builder = DataFileWriterBuilder::new(rolling(table, table.metadata().current_schema().clone()));
    let mut writer = builder.build(Some(partition_key(table, category))).await.unwrap();
    writer.write(rows(table, category, ids)).await.unwrap();
    writer.close().await.unwrap().remove(0)
}

/// Deletes rows of one category by their ids.
pub async fn equality_delete(table: &Table, category: &str, ids: &[i64]) -> DataFile {
    let config = EqualityDeleteWriterConfig::new(vec![1], table.metadata().current_schema().clone()).unwrap();
    let schema = Arc::new(arrow_schema_to_schema(config.projected_arrow_schema_ref()).unwrap());
    let builder = EqualityDeleteFileWriterBuilder::new(rolling(table, schema), config);
    let mut writer = builder.build(Some(partition_key(table, category))).await.unwrap();
    writer.write(rows(table, category, ids)).await.unwrap();
    writer.close().await.unwrap().remove(0)
}

/// Deletes one row of one file; `names_it`: whether the entry says which file it is about.
pub async fn position_delete(
    table: &Table,
    category: &str,
    file: &str,
    position: i64,
    names_it: bool,
) -> DataFile {
    let field = |name: &str, kind, id: &str| {
        let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
        Field::new(name, kind, false).with_metadata(metadata)
    };
    let schema = Arc::new(ArrowSchema::new(vec![
        field("file_path", DataType::Utf8, FILE_PATH_ID),
        field("pos", DataType::Int64, POSITION_ID),
    ]));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec![file])), Arc::new(Int64Array::from(vec![position]))];
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), None).unwrap();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    writer.close().unwrap();
    let path = format!("{}/data/{}-deletes.parquet", table.metadata().location(), Uuid::now_v7());
    let length = bytes.len() as u64;
    table.file_io().new_output(&path).unwrap().write(bytes.into()).await.unwrap();
    DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(partition(category))
        .partition_spec_id(table.metadata().default_partition_spec_id())
        .record_count(1)
        .file_size_in_bytes(length)
        .referenced_data_file(names_it.then(|| file.to_string()))
        .build()
        .unwrap()
}
