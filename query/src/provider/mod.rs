//! One table of the lake at one moment, as DataFusion reads it: over `pulselake_read`, deletes applied.
//!
//! What it promises:
//! - All scans of one provider read the same snapshot.
//! - A filter is taken over where the reader can judge it exactly on every row ([`filters`]); it then also decides which
//!   partitions, files, row groups and pages are read. The others are DataFusion's.
//! - The row count is exact where nothing is filtered and no file has deletes, and an estimate from above otherwise.

mod balance;
mod exec;
mod filters;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use iceberg::table::Table;
use pulselake_read::{BoundFilter, PartitionPredicate, TablePlan, plan_rows, plan_table_without_statistics};

pub use exec::LakeScan;

use exec::Reading;

/// A table as it was when it was loaded.
#[derive(Debug)]
pub struct LakeTableProvider {
    table: Table,
    /// The columns with their field ids, as the reader wants them.
    read_as: SchemaRef,
    /// The same columns as queries see them.
    shown_as: SchemaRef,
}

impl LakeTableProvider {
    /// The provider of `table`'s current snapshot.
    ///
    /// # Errors
    /// Where a column's type has no counterpart in Arrow.
    pub fn try_new(table: Table) -> Result<Self> {
        let read_as = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema())
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let shown_as = Arc::new(without_ids(&read_as));
        Ok(Self { table, read_as: Arc::new(read_as), shown_as })
    }

    async fn plan(&self, filter: Option<&BoundFilter>) -> Result<TablePlan> {
        let plan = match filter {
            Some(bound) => plan_rows(&self.table, None, bound).await,
            None => plan_table_without_statistics(&self.table, None, &PartitionPredicate::all()).await,
        };
        plan.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

#[async_trait]
impl TableProvider for LakeTableProvider {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> SchemaRef {
        self.shown_as.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let of_one = |filter: &&Expr| match filters::condition(filter, &self.shown_as) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(of_one).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (read_as, shown_as) = match projection {
            None => (self.read_as.clone(), self.shown_as.clone()),
            Some(columns) => {
                (Arc::new(self.read_as.project(columns)?), Arc::new(self.shown_as.project(columns)?))
            }
        };
        let filter = filters::bind(filters, &self.shown_as, self.table.metadata().current_schema())?;
        let mut plan = self.plan(filter.as_ref()).await?;
        let statistics = statistics(&plan, filter.is_some(), &shown_as);
        if let Some(rows) = limit
            && filter.is_none()
        {
            keep_enough_files(&mut plan, rows);
        }
        let shown_filter = filters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" AND ");
        let reading = Reading { table: self.table.clone(), read_as, shown_as, filter, shown_filter, limit };
        let partitions = state.config().target_partitions();
        let scan = LakeScan::try_new(reading, &plan.files, partitions, statistics)?;
        Ok(Arc::new(scan))
    }
}

/// The columns without the ids of the outermost fields: they say nothing to a query, and where columns of two tables meet
/// they would differ.
pub(crate) fn without_ids(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), field.is_nullable());
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}

/// What is known of the rows before one is read.
fn statistics(plan: &TablePlan, is_filtered: bool, shown_as: &SchemaRef) -> Statistics {
    let rows = plan.files.iter().map(|file| file.data.file().record_count()).sum::<u64>();
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let has_deletes = plan.files.iter().any(|file| !file.deletes.is_empty());
    let mut statistics = Statistics::new_unknown(shown_as);
    statistics.num_rows = match is_filtered || has_deletes {
        true => Precision::Inexact(rows),
        false => Precision::Exact(rows),
    };
    statistics
}

/// Drops files that are not needed for so many rows. Those with deletes may have fewer than they say: they don't count.
fn keep_enough_files(plan: &mut TablePlan, rows: usize) {
    let mut found = 0;
    let is_enough = plan.files.iter().position(|file| {
        if file.deletes.is_empty() {
            found += file.data.file().record_count();
        }
        found >= rows as u64
    });
    if let Some(last) = is_enough {
        plan.files.truncate(last + 1);
    }
}
