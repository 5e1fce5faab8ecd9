//! How a table's schema grows: optional columns are added, types are widened. Pure rules over the schema that the base
//! has; what an older reader or file knows stays valid.
//!
//! Every change is a wish for a state, not a step: a column that is as wide as wished already is no reason to fail, so
//! that many may wish the same at once.

use std::sync::Arc;

use iceberg::Result as IcebergResult;
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, TableMetadata, Type,
};

use crate::rules::Conflict;

/// One column as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// There is an optional column of this name with at least this type. One that is there with a narrower type is
    /// widened.
    AddColumn {
        /// Its name, of the top level.
        name: String,
        /// Its type; ids inside it count for nothing, new ones are given.
        field_type: Type,
    },
    /// The column of this name is at least as wide as this.
    PromoteColumn {
        /// Its name, of the top level.
        name: String,
        /// The type.
        to: PrimitiveType,
    },
}

/// Why there is no such schema.
#[derive(Debug)]
pub(crate) enum NotEvolved {
    /// It contradicts the one there is.
    Conflict(Conflict),
    /// The iceberg crate refused it.
    Iceberg(iceberg::Error),
}

impl From<Conflict> for NotEvolved {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

/// The schema of `metadata` with the changes; `None` where it has them all.
pub(crate) fn evolved_schema(
    metadata: &TableMetadata,
    changes: &[SchemaChange],
) -> Result<Option<Schema>, NotEvolved> {
    let partition_names = metadata
        .partition_specs_iter()
        .flat_map(|spec| spec.fields().iter().map(|field| field.name.clone()))
        .collect();
    let evolved =
        with_changes(metadata.current_schema(), metadata.last_column_id(), partition_names, changes)?;
    match evolved {
        None => Ok(None),
        Some(fields) => rebuilt(metadata.current_schema(), fields).map(Some).map_err(NotEvolved::Iceberg),
    }
}

fn rebuilt(current: &Schema, fields: Vec<NestedFieldRef>) -> IcebergResult<Schema> {
    Schema::builder()
        .with_schema_id(current.schema_id())
        .with_fields(fields)
        .with_identifier_field_ids(current.identifier_field_ids())
        .build()
}

/// The columns after the changes; `None` where nothing is to be done. `partition_names`: of partition fields, which no
/// new column may have.
fn with_changes(
    current: &Schema,
    last_column_id: i32,
    partition_names: Vec<String>,
    changes: &[SchemaChange],
) -> Result<Option<Vec<NestedFieldRef>>, Conflict> {
    let mut fields = current.as_struct().fields().to_vec();
    let mut taken: Vec<String> = current.field_id_to_name_map().values().cloned().collect();
    taken.extend(partition_names);
    let mut ids = Ids { last: last_column_id };
    let mut has_changed = false;
    for change in changes {
        let (name, wanted) = match change {
            SchemaChange::AddColumn { name, field_type } => (name, field_type.clone()),
            SchemaChange::PromoteColumn { name, to } => (name, Type::Primitive(to.clone())),
        };
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => {
                let Some(wider) = widened(name, &field.field_type, &wanted)? else { continue };
                let mut promoted = NestedField::clone(field);
                *promoted.field_type = Type::Primitive(wider);
                *field = Arc::new(promoted);
            }
            None if matches!(change, SchemaChange::PromoteColumn { .. }) => {
                return Err(Conflict::ColumnMissing { column: name.clone() });
            }
            None => {
                // Many engines ignore case in names: a second spelling would make the table unreadable for them.
                let lower = name.to_lowercase();
                if let Some(existing) = taken.iter().find(|existing| existing.to_lowercase() == lower) {
                    let existing = existing.clone();
                    return Err(Conflict::ColumnNameTaken { column: name.clone(), existing });
                }
                let id = ids.next();
                fields.push(Arc::new(NestedField::optional(id, name, ids.given_to(&wanted))));
                taken.push(name.clone());
            }
        }
        has_changed = true;
    }
    Ok(has_changed.then_some(fields))
}

/// The type that a column of type `found` has to get to hold `wanted` too; `None` where it does already.
fn widened(column: &str, found: &Type, wanted: &Type) -> Result<Option<PrimitiveType>, Conflict> {
    if is_same(found, wanted) {
        return Ok(None);
    }
    match (found, wanted) {
        (Type::Primitive(narrow), Type::Primitive(wide)) if is_promotion(narrow, wide) => {
            Ok(Some(wide.clone()))
        }
        (Type::Primitive(wide), Type::Primitive(narrow)) if is_promotion(narrow, wide) => Ok(None),
        _ => Err(Conflict::ColumnType {
            column: column.to_string(),
            found: found.to_string(),
            wanted: wanted.to_string(),
        }),
    }
}

/// Iceberg's type promotions of format version 2.
fn is_promotion(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType::{Decimal, Double, Float, Int, Long};
    match (from, to) {
        (Int, Long) | (Float, Double) => true,
        (Decimal { precision: from_digits, scale: from_scale }, Decimal { precision, scale }) => {
            from_scale == scale && from_digits < precision
        }
        _ => false,
    }
}

/// Whether a column of type `found` is just what is wanted, whatever its ids are.
fn is_same(found: &Type, wanted: &Type) -> bool {
    let same_field = |have: &NestedFieldRef, want: &NestedFieldRef| {
        // Inside, a required field can't hold what an optional one does.
        (want.required || !have.required) && is_same(&have.field_type, &want.field_type)
    };
    match (found, wanted) {
        (Type::Primitive(have), Type::Primitive(want)) => have == want,
        (Type::List(have), Type::List(want)) => same_field(&have.element_field, &want.element_field),
        (Type::Map(have), Type::Map(want)) => {
            same_field(&have.key_field, &want.key_field) && same_field(&have.value_field, &want.value_field)
        }
        (Type::Struct(have), Type::Struct(want)) => {
            have.fields().len() == want.fields().len()
                && have
                    .fields()
                    .iter()
                    .zip(want.fields())
                    .all(|(have, want)| have.name == want.name && same_field(have, want))
        }
        _ => false,
    }
}

/// Gives out field ids.
struct Ids {
    last: i32,
}

impl Ids {
    fn next(&mut self) -> i32 {
        self.last += 1;
        self.last
    }

    /// `wanted` with new ids inside.
    fn given_to(&mut self, wanted: &Type) -> Type {
        match wanted {
            Type::Primitive(primitive) => Type::Primitive(primitive.clone()),
            Type::List(list) => Type::List(ListType::new(self.given_to_field(&list.element_field))),
            Type::Map(map) => {
                let key = self.given_to_field(&map.key_field);
                Type::Map(MapType::new(key, self.given_to_field(&map.value_field)))
            }
            Type::Struct(fields) => Type::Struct(StructType::new(
                fields.fields().iter().map(|field| self.given_to_field(field)).collect(),
            )),
        }
    }

    fn given_to_field(&mut self, field: &NestedFieldRef) -> NestedFieldRef {
        let mut own = NestedField::clone(field);
        own.id = self.next();
        *own.field_type = self.given_to(&field.field_type);
        Arc::new(own)
    }
}

#[cfg(test)]
#[path = "schema_change_tests.rs"]
mod tests;
