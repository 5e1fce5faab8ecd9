//! The scan of some files of a table: one stream of batches per partition, file by file.
//!
//! What is read ahead of a query is in its memory's account: the open window of each file, and the deletes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, Metric, MetricBuilder, MetricValue, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::TryStreamExt;
use iceberg::table::Table;
use pulselake_read::{BoundFilter, BytesRead, Deletes, FileScan, PlannedFile, ReadError, ScanOptions};

use super::balance::balance;

/// How all files of a scan are read.
#[derive(Debug)]
pub(super) struct Reading {
    pub table: Table,
    /// The wanted columns, with field ids.
    pub read_as: SchemaRef,
    /// The same without.
    pub shown_as: SchemaRef,
    pub filter: Option<BoundFilter>,
    /// The filter in SQL, for EXPLAIN.
    pub shown_filter: String,
    /// Rows that are wanted at most.
    pub limit: Option<usize>,
}

/// A scan of a table.
#[derive(Debug)]
pub struct LakeScan {
    reading: Arc<Reading>,
    /// The files of each partition.
    partitions: Vec<Vec<PlannedFile>>,
    deletes: Deletes,
    statistics: Statistics,
    properties: Arc<PlanProperties>,
    bytes_read: BytesRead,
    metrics: ExecutionPlanMetricsSet,
}

impl LakeScan {
    pub(super) fn try_new(
        reading: Reading,
        files: &[PlannedFile],
        most_partitions: usize,
        statistics: Statistics,
    ) -> Result<Self> {
        let bytes_read = BytesRead::default();
        let deletes = Deletes::new(&reading.table, files, bytes_read.clone()).map_err(external)?;
        let sizes: Vec<u64> = files.iter().map(|file| file.data.file().file_size_in_bytes()).collect();
        let partitions: Vec<Vec<PlannedFile>> = balance(&sizes, most_partitions)
            .into_iter()
            .map(|places| places.into_iter().map(|place| files[place].clone()).collect())
            .collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(reading.shown_as.clone()),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            reading: Arc::new(reading),
            partitions,
            deletes,
            statistics,
            properties: Arc::new(properties),
            bytes_read,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for LakeScan {
    fn fmt_as(&self, format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.partitions.iter().map(Vec::len).sum();
        let with_deletes = self.partitions.iter().flatten().filter(|file| !file.deletes.is_empty()).count();
        let table = self.reading.table.identifier();
        let snapshot = self.reading.table.metadata().current_snapshot_id();
        if matches!(format, DisplayFormatType::Default | DisplayFormatType::Verbose) {
            write!(formatter, "LakeScan: ")?;
        }
        write!(formatter, "table={table}, files={files}, with_deletes={with_deletes}")?;
        if let Some(id) = snapshot {
            write!(formatter, ", snapshot={id}")?;
        }
        if !self.reading.shown_filter.is_empty() {
            write!(formatter, ", filter=[{}]", self.reading.shown_filter)?;
        }
        match self.reading.limit {
            Some(rows) => write!(formatter, ", limit={rows}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LakeScan {
    fn name(&self) -> &'static str {
        "LakeScan"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Internal("a scan of a table has no children".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = self
            .partitions
            .get(partition)
            .ok_or_else(|| DataFusionError::Internal(format!("the scan has no partition {partition}")))?;
        let reader = PartitionReader {
            reading: self.reading.clone(),
            files: files.clone().into_iter(),
            current: None,
            deletes: self.deletes.clone(),
            partitions: self.partitions.len(),
            rows_left: self.reading.limit,
            batch_rows: context.session_config().batch_size(),
            bytes_read: self.bytes_read.clone(),
            memory: MemoryConsumer::new(format!("LakeScan[{partition}]")).register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            files_read: MetricBuilder::new(&self.metrics).counter("files_read", partition),
        };
        let stream = futures::stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next().await?;
            Ok(batch.map(|found| (found, reader)))
        });
        let schema = self.reading.shown_as.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.into_stream())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        let count = Count::new();
        count.add(usize::try_from(self.bytes_read.get()).unwrap_or(usize::MAX));
        let value = MetricValue::Count { name: "bytes_read".into(), count };
        metrics.push(Arc::new(Metric::new(value, None)));
        Some(metrics)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        match partition {
            None => Ok(self.statistics.clone()),
            Some(_) => Ok(Statistics::new_unknown(&self.reading.shown_as)),
        }
    }
}

/// Reads the files of one partition, one after the other.
struct PartitionReader {
    reading: Arc<Reading>,
    files: std::vec::IntoIter<PlannedFile>,
    current: Option<FileScan>,
    deletes: Deletes,
    /// Of the whole scan: each accounts for its part of the deletes, which all share.
    partitions: usize,
    rows_left: Option<usize>,
    /// Of a batch at most.
    batch_rows: usize,
    bytes_read: BytesRead,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    files_read: Count,
}

impl PartitionReader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.rows_left == Some(0) {
                return Ok(None);
            }
            let Some(scan) = &mut self.current else {
                let Some(file) = self.files.next() else { return Ok(None) };
                let most_rows = self.batch_rows.min(self.rows_left.unwrap_or(usize::MAX));
                let opening = open(&self.reading, file, &self.deletes, most_rows, self.bytes_read.clone());
                self.current = Some(opening.await?);
                self.files_read.add(1);
                self.account()?;
                continue;
            };
            let Some(batch) = scan.next().await.map_err(external)? else {
                self.current = None;
                continue;
            };
            self.account()?;
            let shown = self.shown(&batch)?;
            self.metrics.record_output(shown.num_rows());
            return Ok(Some(shown));
        }
    }

    fn account(&self) -> Result<()> {
        let window = self.current.as_ref().map_or(0, FileScan::buffered_bytes);
        self.memory.try_resize(window + self.deletes.memory_bytes() / self.partitions)
    }

    /// The batch with the columns' plain names, and no more rows than are still wanted.
    fn shown(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = self.rows_left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
        if let Some(left) = &mut self.rows_left {
            *left -= rows;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let shown = RecordBatch::try_new_with_options(self.reading.shown_as.clone(), columns, &options)?;
        Ok(shown.slice(0, rows))
    }
}

/// Opens one file, to be read in batches of at most so many rows.
async fn open(
    reading: &Reading,
    file: PlannedFile,
    deletes: &Deletes,
    most_rows: usize,
    counter: BytesRead,
) -> Result<FileScan> {
    let (schema, filter) = (reading.read_as.clone(), reading.filter.clone());
    let mut options = ScanOptions::default();
    options.batch_rows = options.batch_rows.min(most_rows);
    FileScan::open_where(&reading.table, &file, schema, deletes, filter, options, counter)
        .await
        .map_err(external)
}

fn external(error: ReadError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
