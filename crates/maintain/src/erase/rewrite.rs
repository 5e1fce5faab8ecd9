//! Writes files anew without the rows that hold the id, row by row group, one file for one.
//!
//! Rows that delete files hide are left out too: the new file has a sequence number at which those do not apply to it.
//! Rows keep their order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not, nullif};
use arrow::datatypes::SchemaRef;
use iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use iceberg::spec::{DataContentType, DataFile, PartitionKey};
use iceberg::table::Table;
use iceberg::writer::file_writer::location_generator::{DefaultLocationGenerator, LocationGenerator};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriter, ParquetWriterBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use pulselake_read::{BytesRead, Deletes, FileScan, PlannedFile, ScanOptions};
use uuid::Uuid;

use super::counts::{ErasedCounts, count_rows};
use super::search::id_of;
use super::target::Target;
use crate::janitor::MaintainError;

/// Rows after which a row group ends, and encoded bytes: what a writer holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 20;
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Level of the Zstandard compression.
const ZSTD_LEVEL: i32 = 1;

/// What a group of files became.
#[derive(Default)]
pub(super) struct Rewritten {
    /// The new files.
    pub added: Vec<DataFile>,
    /// Visible rows that were left out.
    pub rows_erased: u64,
    /// The same by source partition.
    pub counts: ErasedCounts,
}

/// Writes one table's files anew.
pub(super) struct Rewriter<'a> {
    table: &'a Table,
    target: &'a Target,
    schema: SchemaRef,
    /// For each searched column its place in `schema`.
    places: Vec<Option<usize>>,
    /// The place of the column that becomes NULL instead.
    blanked: Option<usize>,
    locations: DefaultLocationGenerator,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(table: &'a Table, target: &'a Target) -> Result<Self, MaintainError> {
        let failed = || MaintainError::files("prepare to rewrite the files", table.identifier());
        let schema = Arc::new(schema_to_arrow_schema(table.metadata().current_schema()).map_err(failed())?);
        let place = |id| schema.fields().iter().position(|field| id_of(field) == Some(id));
        let places = target.columns.iter().map(|column| place(column.field_id)).collect();
        let blanked = target.blanked.and_then(place);
        let locations = DefaultLocationGenerator::new(table.metadata()).map_err(failed())?;
        Ok(Self { table, target, schema, places, blanked, locations })
    }

    /// Writes `planned` anew into `result`. On an error `result` names what was finished.
    pub(super) async fn rewrite(
        &self,
        planned: &PlannedFile,
        deletes: &Deletes,
        result: &mut Rewritten,
    ) -> Result<(), MaintainError> {
        let mut scan = FileScan::open(
            self.table,
            planned,
            self.schema.clone(),
            deletes,
            ScanOptions::default(),
            BytesRead::default(),
        )
        .await?;
        let mut sink = Sink::new(self, planned)?;
        while let Some(batch) = scan.next().await? {
            let erased = self.target.matches(&batch, &self.places);
            result.rows_erased += erased.true_count() as u64;
            count_rows(&mut result.counts, &batch, &erased);
            let kept = match self.blanked {
                Some(place) => blanked(&batch, place, &erased),
                None => without(&batch, &erased),
            };
            let kept = kept.map_err(|error| self.failed(planned, &error.to_string()))?;
            if kept.num_rows() > 0 {
                sink.write(&kept).await?;
            }
        }
        sink.close(&mut result.added).await
    }

    fn failed(&self, planned: &PlannedFile, reason: &str) -> MaintainError {
        let location = planned.data.file().file_path().to_string();
        MaintainError::Rows { action: "rewrite", location, reason: reason.to_string() }
    }
}

fn without(batch: &RecordBatch, erased: &BooleanArray) -> Result<RecordBatch, arrow::error::ArrowError> {
    if erased.true_count() == 0 {
        return Ok(batch.clone());
    }
    filter_record_batch(batch, &not(erased)?)
}

/// The batch with NULL in the column at `place`, an optional one, of the rows that `erased` marks.
fn blanked(
    batch: &RecordBatch,
    place: usize,
    erased: &BooleanArray,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut columns = batch.columns().to_vec();
    columns[place] = nullif(&columns[place], erased)?;
    RecordBatch::try_new(batch.schema(), columns)
}

/// The files that one old file becomes: one, or one for each partition where the partition spec has changed since.
struct Sink<'a> {
    rewriter: &'a Rewriter<'a>,
    planned: &'a PlannedFile,
    builder: ParquetWriterBuilder,
    splitter: Option<RecordBatchPartitionSplitter>,
    open: HashMap<String, (PartitionKey, ParquetWriter)>,
}

impl<'a> Sink<'a> {
    fn new(rewriter: &'a Rewriter<'a>, planned: &'a PlannedFile) -> Result<Self, MaintainError> {
        let metadata = rewriter.table.metadata();
        let is_current = planned.data.spec_id == metadata.default_partition_spec_id();
        let splitter = if is_current {
            None
        } else {
            let spec = metadata.default_partition_spec().clone();
            let made = RecordBatchPartitionSplitter::try_new_with_computed_values(
                metadata.current_schema().clone(),
                spec,
            );
            Some(made.map_err(|error| rewriter.failed(planned, error.message()))?)
        };
        let properties = writer_properties(&rewriter.schema, planned.data.file())
            .map_err(|error| rewriter.failed(planned, &error.to_string()))?;
        let builder = ParquetWriterBuilder::new(properties, metadata.current_schema().clone());
        Ok(Self { rewriter, planned, builder, splitter, open: HashMap::new() })
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<(), MaintainError> {
        let parts = match &self.splitter {
            Some(splitter) => splitter.split(batch).map_err(|error| self.failed(&error))?,
            None => {
                let metadata = self.rewriter.table.metadata();
                let key = PartitionKey::new(
                    metadata.default_partition_spec().as_ref().clone(),
                    metadata.current_schema().clone(),
                    self.planned.data.file().partition().clone(),
                );
                vec![(key, batch.clone())]
            }
        };
        for (key, part) in parts {
            let path = key.to_path();
            if !self.open.contains_key(&path) {
                let name = format!("{}-erase.parquet", Uuid::now_v7());
                let location = self.rewriter.locations.generate_location(Some(&key), &name);
                let output = self
                    .rewriter
                    .table
                    .file_io()
                    .new_output(location)
                    .map_err(|error| self.failed(&error))?;
                let writer = self.builder.build(output).await.map_err(|error| self.failed(&error))?;
                self.open.insert(path.clone(), (key, writer));
            }
            if let Some((_, writer)) = self.open.get_mut(&path) {
                let written = writer.write(&part).await;
                written.map_err(|error| self.failed(&error))?;
            }
        }
        Ok(())
    }

    async fn close(mut self, added: &mut Vec<DataFile>) -> Result<(), MaintainError> {
        let old = self.planned.data.file();
        for (key, writer) in std::mem::take(&mut self.open).into_values() {
            let builders = writer.close().await.map_err(|error| self.failed(&error))?;
            for mut builder in builders {
                builder
                    .content(DataContentType::Data)
                    .partition(key.data().clone())
                    .partition_spec_id(key.spec().spec_id());
                if let Some(order) = old.sort_order_id() {
                    builder.sort_order_id(order);
                }
                let file = builder
                    .build()
                    .map_err(|error| self.rewriter.failed(self.planned, &error.to_string()))?;
                added.push(file);
            }
        }
        Ok(())
    }

    fn failed(&self, error: &iceberg::Error) -> MaintainError {
        self.rewriter.failed(self.planned, error.message())
    }
}

/// As the old file was: columns without bounds get none, because they would only cost.
fn writer_properties(
    schema: &SchemaRef,
    old: &DataFile,
) -> Result<WriterProperties, parquet::errors::ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    let has_bounds = |id| old.lower_bounds().contains_key(&id) || old.upper_bounds().contains_key(&id);
    for field in schema.fields().iter().filter(|field| !field.data_type().is_nested()) {
        if id_of(field).is_some_and(|id| !has_bounds(id)) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
    }
    Ok(properties.build())
}
