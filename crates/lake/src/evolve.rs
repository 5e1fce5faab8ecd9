//! How tables follow their source's columns: dimensions the database's, silver the fields of the events' payloads.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::Type;
use pulselake_commit::{ChangeKind, SchemaChange, TableChange, commit};
use pulselake_model::ColumnChange;
use pulselake_model::tables::LakeTable;

use crate::shape_guard::ShapeGuard;
use crate::{CommitError, Lake, LakeError, tables};

impl Lake {
    /// Adds optional columns to a table that may have more than it was created with
    /// ([`LakeTable::may_gain_columns`]), and widens types, in one commit without a snapshot.
    ///
    /// What the table has already, or has wider, is left as it is; so the same changes may be made again, and by many at
    /// once. A column that contradicts the table's is a [`LakeError::Conflict`] inside [`CommitError::Failed`], and nothing
    /// is changed; so is one that differs from another in case alone. Base columns can't be changed, nor other tables:
    /// [`LakeError::FixedColumn`].
    pub async fn evolve(&self, table: LakeTable, changes: &[ColumnChange]) -> Result<(), CommitError> {
        let name = || table.full_name().to_string();
        let failed = |source| CommitError::Failed { table: name(), source, files_may_be_deleted: false };
        let changes = schema_changes(table, changes).map_err(failed)?;
        if changes.is_empty() {
            return Ok(());
        }
        let change = TableChange {
            commit_id: uuid::Uuid::now_v7().to_string(),
            kind: ChangeKind::EvolveSchema { changes },
        };
        let (ident, guard) = (tables::ident(table), ShapeGuard { table });
        match commit(self.catalog().as_ref(), &ident, &change, &guard, self.limits()).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(CommitError::of_failure(table, failure, |source, files_may_be_deleted| {
                CommitError::Stopped { source, files_may_be_deleted }
            })),
        }
    }

    /// The table's columns as the catalog has them now, in table order, with types as the model's: without field ids.
    pub async fn table_schema(&self, table: LakeTable) -> Result<SchemaRef, LakeError> {
        let loaded = self.load(table).await?;
        schema_to_arrow_schema(loaded.metadata().current_schema())
            .map(|schema| {
                Arc::new(ArrowSchema::new(schema.fields().iter().map(without_ids).collect::<Vec<_>>()))
            })
            .map_err(LakeError::iceberg("read the schema of", table.full_name()))
    }
}

/// A column as the model's are. (The iceberg crate can't strip a schema of its ids where that holds lists.)
fn without_ids(field: &FieldRef) -> Field {
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(Arc::new(without_ids(element))),
        DataType::Map(entries, is_sorted) => DataType::Map(Arc::new(without_ids(entries)), *is_sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(without_ids).collect()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// The changes in Iceberg's words, without those that a base column fulfils.
fn schema_changes(table: LakeTable, changes: &[ColumnChange]) -> Result<Vec<SchemaChange>, LakeError> {
    let base = tables::model_schema(table);
    let fixed = |column: &str| LakeError::FixedColumn {
        table: table.full_name().to_string(),
        column: column.to_string(),
    };
    let mut result = Vec::with_capacity(changes.len());
    for change in changes {
        let (name, data_type) = (change.name(), change.data_type());
        match base.field_with_name(name) {
            Ok(known) if known.data_type() == data_type => continue,
            Ok(_) => return Err(fixed(name)),
            Err(_) if !table.may_gain_columns() => return Err(fixed(name)),
            Err(_) => {}
        }
        let field_type = iceberg_type(table, name, change)?;
        result.push(match (change, field_type) {
            (ColumnChange::Promote { .. }, Type::Primitive(to)) => {
                SchemaChange::PromoteColumn { name: name.to_string(), to }
            }
            (_, field_type) => SchemaChange::AddColumn { name: name.to_string(), field_type },
        });
    }
    Ok(result)
}

fn iceberg_type(table: LakeTable, name: &str, change: &ColumnChange) -> Result<Type, LakeError> {
    let column = Field::new(name, change.data_type().clone(), true);
    let schema = arrow_schema_to_schema_auto_assign_ids(&ArrowSchema::new(vec![column]))
        .map_err(LakeError::iceberg("add a column to", table.full_name()))?;
    // A schema of one field has one.
    let found = schema.as_struct().fields().first().map(|field| field.field_type.as_ref().clone());
    found.ok_or_else(|| LakeError::BadBatch {
        table: table.full_name().to_string(),
        reason: format!("column {name} has no type"),
    })
}
