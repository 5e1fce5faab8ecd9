//! What Iceberg says of a file's columns, from Parquet's own statistics.
//!
//! Built here because the iceberg crate skips row groups whose minimum or maximum was cut, and would give bounds that
//! don't hold for them: a reader would prune rows that match. A cut minimum is still below, and a cut and incremented
//! maximum still above all values, so both serve.

use std::cmp::Ordering;
use std::collections::HashMap;

use iceberg::spec::{Datum, PrimitiveType, Schema, Type};
use parquet::file::metadata::ParquetMetaData;

/// Numbers by field id.
#[derive(Debug, Default)]
pub(crate) struct ColumnFacts {
    pub sizes: HashMap<i32, u64>,
    pub values: HashMap<i32, u64>,
    /// Filled by the writer, which counts them whether or not Parquet does.
    pub nulls: HashMap<i32, u64>,
    pub lower: HashMap<i32, Datum>,
    pub upper: HashMap<i32, Datum>,
}

/// The facts of a file's leaf columns; no bounds for the columns named in `without_bounds`, nor inside lists and maps.
pub(crate) fn column_facts(
    metadata: &ParquetMetaData,
    schema: &Schema,
    without_bounds: &[String],
) -> ColumnFacts {
    let mut facts = ColumnFacts::default();
    let descriptors = metadata.file_metadata().schema_descr();
    for (leaf, descriptor) in descriptors.columns().iter().enumerate() {
        let basic = descriptor.self_type().get_basic_info();
        if !basic.has_id() {
            continue;
        }
        let id = basic.id();
        let chunks =
            || metadata.row_groups().iter().filter_map(move |row_group| row_group.columns().get(leaf));
        facts.sizes.insert(id, chunks().map(|chunk| chunk.compressed_size().max(0) as u64).sum());
        facts.values.insert(id, chunks().map(|chunk| chunk.num_values().max(0) as u64).sum());
        let is_named = without_bounds.iter().any(|name| schema.field_id_by_name(name) == Some(id));
        if is_named || descriptor.max_rep_level() > 0 {
            continue;
        }
        let Some(Type::Primitive(primitive)) = schema.field_by_id(id).map(|field| field.field_type.as_ref())
        else {
            continue;
        };
        if let Some((lower, upper)) = bounds(metadata, leaf, primitive) {
            facts.lower.insert(id, lower);
            facts.upper.insert(id, upper);
        }
    }
    facts
}

/// Bounds over all row groups; `None` where a row group has no statistics, or all values are NULL.
fn bounds(metadata: &ParquetMetaData, leaf: usize, primitive: &PrimitiveType) -> Option<(Datum, Datum)> {
    // Its bytes are in another order than Iceberg's.
    if matches!(primitive, PrimitiveType::Decimal { .. }) {
        return None;
    }
    let mut found: Option<(Datum, Datum)> = None;
    for row_group in metadata.row_groups() {
        let chunk = row_group.columns().get(leaf)?;
        let statistics = chunk.statistics()?;
        if statistics.null_count_opt() == Some(chunk.num_values() as u64) {
            continue;
        }
        let lower = Datum::try_from_bytes(statistics.min_bytes_opt()?, primitive.clone()).ok()?;
        let upper = Datum::try_from_bytes(statistics.max_bytes_opt()?, primitive.clone()).ok()?;
        found = Some(match found {
            None => (lower, upper),
            Some((lowest, highest)) => (
                if lower.partial_cmp(&lowest)? == Ordering::Less { lower } else { lowest },
                if upper.partial_cmp(&highest)? == Ordering::Greater { upper } else { highest },
            ),
        });
    }
    found
}
