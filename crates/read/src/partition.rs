//! Which partitions a reader wants.

use iceberg::spec::{Datum, ManifestFile, PartitionSpec, PrimitiveType, Schema, Struct, Type};

/// A conjunction of closed ranges over partition fields. It keeps too much rather than too little: what it can't judge
/// passes.
#[derive(Clone, Debug, Default)]
pub struct PartitionPredicate {
    ranges: Vec<Range>,
}

#[derive(Clone, Debug)]
struct Range {
    field: String,
    lower: Datum,
    upper: Datum,
}

impl PartitionPredicate {
    /// Lets all partitions pass.
    pub fn all() -> Self {
        Self::default()
    }

    /// Also asks that the partition field `field` (its name in the spec, such as `window_start_day`) lies between
    /// `lower` and `upper`, both included.
    pub fn between(mut self, field: &str, lower: Datum, upper: Datum) -> Self {
        self.ranges.push(Range { field: field.to_string(), lower, upper });
        self
    }

    /// Whether a manifest may hold files of a wanted partition.
    pub(crate) fn may_be_in(&self, manifest: &ManifestFile, spec: &PartitionSpec, schema: &Schema) -> bool {
        let Some(summaries) = &manifest.partitions else { return true };
        self.ranges.iter().all(|range| {
            let Some((index, primitive)) = position(spec, schema, &range.field) else { return true };
            let Some(summary) = summaries.get(index) else { return true };
            let bound = |bytes: Option<&[u8]>| {
                bytes.and_then(|raw| Datum::try_from_bytes(raw, primitive.clone()).ok())
            };
            let lowest = bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice()));
            let highest = bound(summary.upper_bound.as_ref().map(|bytes| bytes.as_slice()));
            let all_below = highest.is_some_and(|highest| highest < range.lower);
            let all_above = lowest.is_some_and(|lowest| lowest > range.upper);
            !all_below && !all_above
        })
    }

    /// Whether files of `partition` are wanted.
    pub(crate) fn contains(&self, partition: &Struct, spec: &PartitionSpec, schema: &Schema) -> bool {
        self.ranges.iter().all(|range| {
            let Some((index, _)) = position(spec, schema, &range.field) else { return true };
            let Some(value) = partition.fields().get(index) else { return true };
            // NULL is in no range.
            let Some(value) = value else { return false };
            let Some(literal) = value.as_primitive_literal() else { return true };
            let (lower, upper) = (range.lower.literal(), range.upper.literal());
            let is_of_the_kind = |bound| std::mem::discriminant(bound) == std::mem::discriminant(&literal);
            if !is_of_the_kind(lower) || !is_of_the_kind(upper) {
                return true;
            }
            literal >= *lower && literal <= *upper
        })
    }
}

/// Where the partition field of this name is in the spec's tuple, and its type; `None` where the spec has none.
fn position(spec: &PartitionSpec, schema: &Schema, name: &str) -> Option<(usize, PrimitiveType)> {
    let index = spec.fields().iter().position(|field| field.name == name)?;
    let field = &spec.fields()[index];
    let source = schema.field_by_id(field.source_id)?;
    match field.transform.result_type(&source.field_type).ok()? {
        Type::Primitive(primitive) => Some((index, primitive)),
        _ => None,
    }
}
