//! One table at one moment: its rows and its ledger out of the same metadata.
//!
//! For whoever compares the two. [`Lake::ledger`] and [`Lake::scan`] each load the table anew, and the engine may have
//! committed in between.

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::expr::Predicate;
use iceberg::table::Table;
use pulselake_ledger::{Ledger, Restated};
use pulselake_model::tables::LakeTable;
use pulselake_read::{BytesRead, RowFilter, read_rows};

use crate::lake::trusted_ledger;
use crate::restate::restated_of;
use crate::{Lake, LakeError};

/// Rows as a scan gives them.
pub type BatchStream = BoxStream<'static, Result<RecordBatch, LakeError>>;

/// A table as it was when it was loaded.
#[derive(Clone, Debug)]
pub struct TableView {
    table: LakeTable,
    loaded: Table,
}

impl Lake {
    /// Loads the table; what comes later does not change the view.
    pub async fn view(&self, table: LakeTable) -> Result<TableView, LakeError> {
        Ok(TableView { table, loaded: self.load(table).await? })
    }
}

impl TableView {
    /// Which table.
    pub fn table(&self) -> LakeTable {
        self.table
    }

    /// The table as the iceberg crate has it.
    pub fn loaded(&self) -> &Table {
        &self.loaded
    }

    /// The snapshot that is read; `None` for a table without a commit.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.loaded.metadata().current_snapshot_id()
    }

    /// A table property.
    pub fn property(&self, key: &str) -> Option<&str> {
        self.loaded.metadata().properties().get(key).map(String::as_str)
    }

    /// What the table had consumed; as [`Lake::ledger`].
    pub fn ledger(&self) -> Result<Option<Ledger>, LakeError> {
        trusted_ledger(self.table, self.loaded.metadata())
    }

    /// What restatements have added to the table, so far as this state has it.
    ///
    /// # Errors
    /// Where the property can't be read.
    pub fn restated(&self) -> Result<Restated, LakeError> {
        restated_of(self.loaded.metadata())
    }

    /// As [`Lake::read`], of this state of the table.
    pub async fn read(&self, columns: &[&str]) -> Result<BatchStream, LakeError> {
        let wanted = (!columns.is_empty()).then_some(columns);
        let batches = pulselake_read::read_table(&self.loaded, None, wanted).await?;
        Ok(batches.map_err(LakeError::from).boxed())
    }

    /// The same of the rows alone that `filter` wants. Manifests, files, row groups and pages that can't have any are left out.
    pub async fn read_where(&self, columns: &[&str], filter: &RowFilter) -> Result<BatchStream, LakeError> {
        let wanted = (!columns.is_empty()).then_some(columns);
        let batches = read_rows(&self.loaded, None, wanted, filter, BytesRead::default()).await?;
        Ok(batches.map_err(LakeError::from).boxed())
    }

    /// Reads `columns` (all, where empty) in no particular order, in batches of at most `batch_rows` rows where that is
    /// given. Binary columns come as `LargeBinary`; columns in the order in which they were asked for.
    pub async fn scan(
        &self,
        columns: &[&str],
        filter: Option<Predicate>,
        batch_rows: Option<usize>,
    ) -> Result<BatchStream, LakeError> {
        let name = self.table.full_name();
        let mut scan = self.loaded.scan().with_batch_size(batch_rows);
        scan = match columns {
            [] => scan.select_all(),
            wanted => scan.select(self.in_table_order(wanted)),
        };
        if let Some(predicate) = filter {
            scan = scan.with_filter(predicate);
        }
        let plan = scan.build().map_err(LakeError::iceberg("plan a scan of", name))?;
        let batches = plan.to_arrow().await.map_err(LakeError::iceberg("scan", name))?;
        let batches = batches.map_err(move |error| LakeError::iceberg("scan", name)(error));
        let wanted: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        Ok(batches.map(move |batch| arranged(batch?, &wanted, name)).boxed())
    }

    /// The crate's scan (iceberg 0.10.1) compares the file's columns with the wanted ones place by place, and where their
    /// types agree, it only renames them: asked for in another order, columns come under each other's names.
    fn in_table_order<'a>(&self, columns: &[&'a str]) -> Vec<&'a str> {
        let fields = self.loaded.metadata().current_schema().as_struct().fields();
        let mut ordered = columns.to_vec();
        ordered.sort_by_key(|column| fields.iter().position(|field| field.name == *column));
        ordered
    }
}

/// The batch with its columns in the order of `wanted`; as it is, where that is empty.
fn arranged(batch: RecordBatch, wanted: &[String], table: &'static str) -> Result<RecordBatch, LakeError> {
    if wanted.is_empty() {
        return Ok(batch);
    }
    let schema = batch.schema();
    let places: Result<Vec<usize>, _> = wanted.iter().map(|column| schema.index_of(column)).collect();
    places
        .and_then(|places| batch.project(&places))
        .map_err(|error| LakeError::BadBatch { table: table.to_string(), reason: error.to_string() })
}
