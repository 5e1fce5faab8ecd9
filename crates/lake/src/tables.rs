//! The engine's tables as Iceberg sees them: schema, partitioning, properties; and whether an existing table is one of
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use iceberg::arrow::arrow_schema_to_schema_auto_assign_ids;
use iceberg::spec::{
    FormatVersion, NullOrder, Schema, SortDirection, SortField, SortOrder, TableMetadata, Transform,
    UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{Error, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, cold, decisions, qa, schema};

use crate::LakeError;

/// Table property that says which version of the engine's layout the table has.
pub const FORMAT_PROPERTY: &str = "pulselake.format";
/// The layout that this build reads and writes.
pub const FORMAT_VERSION: &str = "1";

/// Buckets of `video_id` and `user_id`.
pub(crate) const KEY_BUCKETS: u32 = 16;

/// The table's columns as it is created, which are those that the decoder and the aggregator make.
pub(crate) fn model_schema(table: LakeTable) -> ArrowSchemaRef {
    match table {
        LakeTable::InvalidEventsContent | LakeTable::InvalidChanges(_) => schema::invalid_events(),
        LakeTable::DimensionHistory(entity) => schema::dimension_history(entity),
        LakeTable::Dimension(entity) => schema::dimension(entity),
        LakeTable::RawEvents => schema::bronze_events(),
        LakeTable::VideoStats1Min => schema::gold_video_stats(),
        LakeTable::ExpectedActions => qa::expected_actions(),
        LakeTable::RunManifest => qa::run_manifest(),
        LakeTable::ActionQueue => decisions::action_queue(),
        LakeTable::RuleBaselines => decisions::rule_baselines(),
        LakeTable::PayloadFields => cold::payload_fields(),
        LakeTable::EngagementFacts => cold::engagement_facts(),
        LakeTable::BatchVideoDaily => cold::batch_video_daily(),
        LakeTable::BatchQualityDaily => cold::batch_quality_daily(),
        LakeTable::SessionHealthDaily => cold::session_health_daily(),
        LakeTable::CreatorRetentionWeekly => cold::creator_retention_weekly(),
        LakeTable::BatchReconciliation => cold::batch_reconciliation(),
        LakeTable::BatchRuns => cold::batch_runs(),
    }
}

/// Partition fields: source column, field name, transform.
pub(crate) fn partition_fields(table: LakeTable) -> &'static [(&'static str, &'static str, Transform)] {
    match table {
        LakeTable::InvalidEventsContent | LakeTable::InvalidChanges(_) => {
            &[("ingested_at", "ingested_at_day", Transform::Day)]
        }
        LakeTable::RawEvents => &[("event_timestamp", "event_timestamp_hour", Transform::Hour)],
        LakeTable::VideoStats1Min => &[
            ("window_start", "window_start_day", Transform::Day),
            ("video_id", "video_id_bucket", Transform::Bucket(KEY_BUCKETS)),
        ],
        LakeTable::DimensionHistory(Entity::Videos) | LakeTable::Dimension(Entity::Videos) => {
            &[("video_id", "video_id_bucket", Transform::Bucket(KEY_BUCKETS))]
        }
        LakeTable::DimensionHistory(Entity::Users) | LakeTable::Dimension(Entity::Users) => {
            &[("user_id", "user_id_bucket", Transform::Bucket(KEY_BUCKETS))]
        }
        LakeTable::EngagementFacts => &[("event_timestamp", "event_timestamp_day", Transform::Day)],
        LakeTable::BatchVideoDaily
        | LakeTable::BatchQualityDaily
        | LakeTable::SessionHealthDaily
        | LakeTable::CreatorRetentionWeekly
        | LakeTable::BatchReconciliation => &[("date", "date", Transform::Identity)],
        // A few rows a run, a minute, or a day.
        LakeTable::ExpectedActions
        | LakeTable::RunManifest
        | LakeTable::ActionQueue
        | LakeTable::RuleBaselines
        | LakeTable::PayloadFields
        | LakeTable::BatchRuns => &[],
    }
}

/// The entity whose dimension, or its history, the table is.
pub(crate) fn dimension_of(table: LakeTable) -> Option<Entity> {
    match table {
        LakeTable::DimensionHistory(entity) | LakeTable::Dimension(entity) => Some(entity),
        _ => None,
    }
}

/// Whether batches are fitted to the columns that the table has by their names: where it may have more than it was
/// created with, or has lists, whose elements carry field ids too. Batches of the stream of events are the table's.
pub(crate) fn is_fitted_by_name(table: LakeTable) -> bool {
    table.may_gain_columns() || !table.has_ledger()
}

/// Columns whose minimum and maximum prune nothing and cost time and space: high entropy, or payload.
pub(crate) fn without_bounds(column: &str) -> bool {
    matches!(
        column,
        "event_id"
            | "payload_json"
            | "header_extra_json"
            | "raw_value"
            | "error_reason"
            | "invalid_event_id"
            | "version_hash"
            | "session_id"
            | "sample"
            | "input_fingerprint"
    )
}

pub(crate) fn namespace(table: LakeTable) -> NamespaceIdent {
    NamespaceIdent::new(table.namespace().to_string())
}

/// The table's name in the catalog.
pub fn ident(table: LakeTable) -> TableIdent {
    TableIdent::new(namespace(table), table.name().to_string())
}

/// The Iceberg schema: field ids are 1, 2, … in column order, then those of list elements, as a catalog gives them out
/// that assigns them itself. The key of a table that is upserted is its identifier.
pub fn iceberg_schema(table: LakeTable) -> iceberg::Result<Schema> {
    let schema = arrow_schema_to_schema_auto_assign_ids(&model_schema(table))?;
    let Some(key_column) = table.key_column() else { return Ok(schema) };
    let key = schema.field_id_by_name(key_column);
    schema.into_builder().with_identifier_field_ids(key).build()
}

/// The model's Arrow schema with the Iceberg field ids that Parquet files must carry; for tables of flat columns that
/// stay as they were created.
pub(crate) fn arrow_write_schema(table: LakeTable) -> ArrowSchemaRef {
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

/// How rows are ordered in the files that compaction makes, so that a look-up of one key prunes. Streamed files are
/// not sorted, and do not say that they are.
fn sort_order(table: LakeTable, schema: &Schema) -> iceberg::Result<Option<SortOrder>> {
    let columns: &[&str] = match table {
        LakeTable::VideoStats1Min => &["video_id", "window_start"],
        LakeTable::DimensionHistory(entity) => {
            &[entity.key_column(), "source_position", "source_position_minor", "source_ts_ms"]
        }
        LakeTable::Dimension(entity) => &[entity.key_column()],
        LakeTable::ActionQueue => &["action_id"],
        LakeTable::InvalidEventsContent
        | LakeTable::RawEvents
        | LakeTable::InvalidChanges(_)
        | LakeTable::ExpectedActions
        | LakeTable::RunManifest
        | LakeTable::RuleBaselines => return Ok(None),
        // A day's rows come in the order of its query, in files that are full: sorting them would be writing all of it twice.
        LakeTable::PayloadFields
        | LakeTable::EngagementFacts
        | LakeTable::BatchVideoDaily
        | LakeTable::BatchQualityDaily
        | LakeTable::SessionHealthDaily
        | LakeTable::CreatorRetentionWeekly
        | LakeTable::BatchReconciliation
        | LakeTable::BatchRuns => return Ok(None),
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
    table: LakeTable,
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
pub(crate) fn verify(table: LakeTable, metadata: &TableMetadata) -> Result<(), LakeError> {
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
    if let Some(difference) = schema_difference(&expected, current, table.may_gain_columns()) {
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

/// Where a schema is not as it was expected, for people. `may_have_more`: whether further optional columns are no
/// difference.
fn schema_difference(expected: &Schema, found: &Schema, may_have_more: bool) -> Option<String> {
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
    let mut further = have.iter().filter(|field| wanted.iter().all(|known| known.id != field.id));
    match may_have_more {
        false => further.next().map(|extra| format!("column {} is unknown to this build", extra.name)),
        true => further
            .find(|extra| extra.required)
            .map(|extra| format!("column {} is required, the engine can't fill it", extra.name)),
    }
}
