//! Which partitions a reader wants.

use iceberg::spec::{
    Datum, ManifestFile, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema, Struct, Type,
};

/// A conjunction of conditions on partition fields. It keeps too much rather than too little: what it can't judge
/// passes.
#[derive(Clone, Debug, Default)]
pub struct PartitionPredicate {
    conditions: Vec<FieldCondition>,
}

#[derive(Clone, Debug)]
struct FieldCondition {
    field: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    /// Without an end where that is `None`.
    Between(Option<Datum>, Option<Datum>),
    OneOf(Vec<Datum>),
}

impl Wanted {
    /// Whether a wanted value may lie between the two.
    fn may_be_between(&self, lowest: Option<&Datum>, highest: Option<&Datum>) -> bool {
        let overlaps = |lower: Option<&Datum>, upper: Option<&Datum>| {
            let all_below = highest.zip(lower).is_some_and(|(known, end)| known < end);
            let all_above = lowest.zip(upper).is_some_and(|(known, end)| known > end);
            !all_below && !all_above
        };
        match self {
            Self::Between(lower, upper) => overlaps(lower.as_ref(), upper.as_ref()),
            Self::OneOf(values) => values.iter().any(|value| overlaps(Some(value), Some(value))),
        }
    }

    /// Whether this is a wanted value; also where it is of another kind than those.
    fn may_be(&self, literal: &PrimitiveLiteral) -> bool {
        let is_other =
            |bound: &Datum| std::mem::discriminant(bound.literal()) != std::mem::discriminant(literal);
        match self {
            Self::Between(lower, upper) => {
                let is_at_least = |end: &Datum| is_other(end) || literal >= end.literal();
                let is_at_most = |end: &Datum| is_other(end) || literal <= end.literal();
                lower.as_ref().is_none_or(is_at_least) && upper.as_ref().is_none_or(is_at_most)
            }
            Self::OneOf(values) => values.iter().any(|value| is_other(value) || value.literal() == literal),
        }
    }
}

impl PartitionPredicate {
    /// Lets all partitions pass.
    pub fn all() -> Self {
        Self::default()
    }

    /// Also asks that the partition field `field` (its name in the spec, such as `window_start_day`) lies between
    /// `lower` and `upper`, both included.
    pub fn between(self, field: &str, lower: Datum, upper: Datum) -> Self {
        self.between_known(field, Some(lower), Some(upper))
    }

    /// The same for a range that may be open at its ends.
    pub(crate) fn between_known(mut self, field: &str, lower: Option<Datum>, upper: Option<Datum>) -> Self {
        let wanted = Wanted::Between(lower, upper);
        self.conditions.push(FieldCondition { field: field.to_string(), wanted });
        self
    }

    /// Also asks that the partition field `field` (such as `video_id_bucket`) has one of `values`.
    pub fn one_of(mut self, field: &str, values: Vec<Datum>) -> Self {
        let wanted = Wanted::OneOf(values);
        self.conditions.push(FieldCondition { field: field.to_string(), wanted });
        self
    }

    /// Whether a manifest may hold files of a wanted partition.
    pub(crate) fn may_be_in(&self, manifest: &ManifestFile, spec: &PartitionSpec, schema: &Schema) -> bool {
        let Some(summaries) = &manifest.partitions else { return true };
        self.conditions.iter().all(|condition| {
            let Some((index, primitive)) = position(spec, schema, &condition.field) else { return true };
            let Some(summary) = summaries.get(index) else { return true };
            let bound = |bytes: Option<&[u8]>| {
                bytes.and_then(|raw| Datum::try_from_bytes(raw, primitive.clone()).ok())
            };
            let lowest = bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice()));
            let highest = bound(summary.upper_bound.as_ref().map(|bytes| bytes.as_slice()));
            condition.wanted.may_be_between(lowest.as_ref(), highest.as_ref())
        })
    }

    /// Whether files of `partition` are wanted.
    pub(crate) fn contains(&self, partition: &Struct, spec: &PartitionSpec, schema: &Schema) -> bool {
        self.conditions.iter().all(|condition| {
            let Some((index, _)) = position(spec, schema, &condition.field) else { return true };
            let Some(value) = partition.fields().get(index) else { return true };
            // NULL is in no range.
            let Some(value) = value else { return false };
            value.as_primitive_literal().is_none_or(|literal| condition.wanted.may_be(&literal))
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
