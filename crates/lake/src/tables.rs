//! The hot tables as Iceberg sees them: schema, partitioning, properties; and whether an existing table is one of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef, TimeUnit};
use iceberg::spec::{
    FormatVersion, NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder,
    TableMetadata, Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{Error, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use pulselake_model::schema;
use pulselake_model::tables::HotTable;

use crate::LakeError;

/// Table property that says which version of the engine's layout the table has.
pub const FORMAT_PROPERTY: &str = "pulselake.format";
/// The layout that this build reads and writes.
pub const FORMAT_VERSION: &str = "1";

/// Buckets of `video_id`.
pub(crate) const VIDEO_BUCKETS: u32 = 16;

/// The table's columns as the decoder and the aggregator make them.
pub(crate) fn model_schema(table: HotTable) -> ArrowSchemaRef {
    match table {
        HotTable::InvalidEventsContent => schema::invalid_events(),
        HotTable::RawEvents => schema::bronze_events(),
        HotTable::VideoStats1Min => schema::gold_video_stats(),
    }
}

/// Partition fields: source column, field name, transform.
pub(crate) fn partition_fields(table: HotTable) -> &'static [(&'static str, &'static str, Transform)] {
    match table {
        HotTable::InvalidEventsContent => &[("ingested_at", "ingested_at_day", Transform::Day)],
        HotTable::RawEvents => &[("event_timestamp", "event_timestamp_hour", Transform::Hour)],
        HotTable::VideoStats1Min => &[
            ("window_start", "window_start_day", Transform::Day),
            ("video_id", "video_id_bucket", Transform::Bucket(VIDEO_BUCKETS)),
        ],
    }
}

/// Columns whose minimum and maximum prune nothing and cost time and space: high entropy, or payload.
pub(crate) fn without_bounds(column: &str) -> bool {
    matches!(
        column,
        "event_id" | "payload_json" | "header_extra_json" | "raw_value" | "error_reason" | "invalid_event_id"
    )
}

pub(crate) fn namespace(table: HotTable) -> NamespaceIdent {
    NamespaceIdent::new(table.namespace().to_string())
}

/// The table's name in the catalog.
pub fn ident(table: HotTable) -> TableIdent {
    TableIdent::new(namespace(table), table.name().to_string())
}

fn primitive(data_type: &DataType) -> Option<PrimitiveType> {
    Some(match data_type {
        DataType::Utf8 => PrimitiveType::String,
        DataType::Binary => PrimitiveType::Binary,
        DataType::Int32 => PrimitiveType::Int,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => PrimitiveType::Timestamptz,
        _ => return None,
    })
}

/// The Iceberg schema: field ids are 1, 2, … in column order.
pub(crate) fn iceberg_schema(table: HotTable) -> iceberg::Result<Schema> {
    let fields = model_schema(table)
        .fields()
        .iter()
        .zip(1..)
        .map(|(field, id)| {
            let primitive = primitive(field.data_type()).ok_or_else(|| {
                Error::new(
                    ErrorKind::FeatureUnsupported,
                    format!("column {} has no Iceberg type: {}", field.name(), field.data_type()),
                )
            })?;
            Ok(NestedField::new(id, field.name(), Type::Primitive(primitive), !field.is_nullable()).into())
        })
        .collect::<iceberg::Result<Vec<_>>>()?;
    Schema::builder().with_schema_id(0).with_fields(fields).build()
}

/// The model's Arrow schema with the Iceberg field ids that Parquet files must carry.
pub(crate) fn arrow_write_schema(table: HotTable) -> ArrowSchemaRef {
    let fields: Vec<Field> = model_schema(table)
        .fields()
        .iter()
        .zip(1..)
        .map(|(field, id)| {
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), i32::to_string(&id))]);
            field.as_ref().clone().with_metadata(metadata)
        })
        .collect();
    Arc::new(ArrowSchema::new(fields))
}

/// How rows are ordered in the files that compaction makes, so that a look-up of one video prunes. Streamed files are
/// not sorted, and do not say that they are.
fn sort_order(table: HotTable, schema: &Schema) -> iceberg::Result<Option<SortOrder>> {
    let columns: &[&str] = match table {
        HotTable::VideoStats1Min => &["video_id", "window_start"],
        HotTable::InvalidEventsContent | HotTable::RawEvents => return Ok(None),
    };
    let fields = columns.iter().filter_map(|column| schema.field_by_name(column)).map(|field| SortField {
        source_id: field.id,
        transform: Transform::Identity,
        direction: SortDirection::Ascending,
        null_order: NullOrder::First,
    });
    SortOrder::builder().with_order_id(1).with_fields(fields.collect()).build(schema).map(Some)
}

/// Everything that creates the table at `location`; without one, the catalog chooses.
pub(crate) fn creation(
    table: HotTable,
    location: Option<String>,
    format_version: FormatVersion,
) -> iceberg::Result<TableCreation> {
    let schema = iceberg_schema(table)?;
    let mut fields = Vec::new();
    for (source, name, transform) in partition_fields(table) {
        let source_id = schema.field_by_name(source).map(|field| field.id).ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                format!("partition source column {source} is not in the schema"),
            )
        })?;
        let field_id = 1000 + fields.len() as i32;
        fields.push(UnboundPartitionField {
            source_id,
            field_id: Some(field_id),
            name: (*name).to_string(),
            transform: *transform,
        });
    }
    let spec = UnboundPartitionSpec::builder().with_spec_id(0).add_partition_fields(fields)?.build();
    Ok(TableCreation::builder()
        .sort_order_opt(sort_order(table, &schema)?)
        .name(table.name().to_string())
        .location_opt(location)
        .schema(schema)
        .partition_spec(spec)
        .format_version(format_version)
        .properties(properties())
        .build())
}

fn properties() -> Vec<(String, String)> {
    [
        (FORMAT_PROPERTY, FORMAT_VERSION),
        ("write.format.default", "parquet"),
        ("write.parquet.compression-codec", "zstd"),
        ("write.parquet.compression-level", "1"),
        ("write.metadata.previous-versions-max", "20"),
        ("write.metadata.delete-after-commit.enabled", "true"),
    ]
    .map(|(key, value)| (key.to_string(), value.to_string()))
    .to_vec()
}

/// Refuses a table that this build would not have created.
pub(crate) fn verify(table: HotTable, metadata: &TableMetadata) -> Result<(), LakeError> {
    let name = table.full_name();
    let found = metadata.properties().get(FORMAT_PROPERTY);
    if found.map(String::as_str) != Some(FORMAT_VERSION) {
        return Err(LakeError::OtherFormat {
            table: name.to_string(),
            found: found.cloned().unwrap_or_else(|| "none".to_string()),
            expected: FORMAT_VERSION,
        });
    }
    let other = |what: &'static str, detail: String| {
        Err(LakeError::OtherShape { table: name.to_string(), what, detail })
    };
    if metadata.format_version() == FormatVersion::V1 {
        return other("format version", format!("expected v2 or v3, found {}", metadata.format_version()));
    }
    let expected = iceberg_schema(table).map_err(LakeError::iceberg("describe", name))?;
    let current = metadata.current_schema();
    if let Some(difference) = schema_difference(&expected, current) {
        return other("schema", difference);
    }
    let found_spec: Vec<(String, String, Transform)> = metadata
        .default_partition_spec()
        .fields()
        .iter()
        .map(|field| {
            let source = current.name_by_field_id(field.source_id).unwrap_or("?").to_string();
            (source, field.name.clone(), field.transform)
        })
        .collect();
    let expected_spec: Vec<(String, String, Transform)> = partition_fields(table)
        .iter()
        .map(|(source, field, transform)| ((*source).to_string(), (*field).to_string(), *transform))
        .collect();
    if found_spec != expected_spec {
        return other("partition spec", format!("expected {expected_spec:?}, found {found_spec:?}"));
    }
    Ok(())
}

fn schema_difference(expected: &Schema, found: &Schema) -> Option<String> {
    let (wanted, have) = (expected.as_struct().fields(), found.as_struct().fields());
    for field in wanted {
        let Some(other) = have.iter().find(|candidate| candidate.id == field.id) else {
            return Some(format!("column {} with id {} is missing", field.name, field.id));
        };
        if (&other.name, &other.field_type, other.required)
            != (&field.name, &field.field_type, field.required)
        {
            return Some(format!("expected column {field}, found {other}"));
        }
    }
    let extra = have.iter().find(|field| wanted.iter().all(|known| known.id != field.id))?;
    Some(format!("column {} is unknown to this build", extra.name))
}
