//! A snapshot as one stream, several files at a time: all of it, or the rows that a filter wants.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::SchemaRef as IcebergSchemaRef;
use iceberg::table::Table;
use tokio::sync::mpsc;

use crate::ReadError;
use crate::deletes::Deletes;
use crate::file_access::BytesRead;
use crate::partition::PartitionPredicate;
use crate::plan::{PlannedFile, plan_rows, plan_table_without_statistics};
use crate::row_filter::{BoundFilter, RowFilter};
use crate::scan::{FileScan, ScanOptions};

/// Files read at the same time.
const CONCURRENT_FILES: usize = 4;
/// Batches that a file's task is ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// Reads a snapshot, the current one where `snapshot_id` is `None`, in the schema of that snapshot (the table's current
/// one for the current snapshot): all columns, or those named, in that order. Rows come in no particular order.
pub async fn read_table(
    table: &Table,
    snapshot_id: Option<i64>,
    columns: Option<&[&str]>,
) -> Result<BoxStream<'static, Result<RecordBatch, ReadError>>, ReadError> {
    let plan = plan_table_without_statistics(table, snapshot_id, &PartitionPredicate::all()).await?;
    let schema = output_schema(table, snapshot_id, columns)?;
    read_files(table, plan.files, schema, ScanOptions::default(), BytesRead::default())
}

/// The rows of a snapshot (as [`read_table`] takes it) that `filter` wants; its columns need not be among `columns`. What a
/// manifest, a row group or a page says of the filter's columns decides whether it is read; `counter` counts the bytes of
/// Parquet files, footers and deletes included, that were.
pub async fn read_rows(
    table: &Table,
    snapshot_id: Option<i64>,
    columns: Option<&[&str]>,
    filter: &RowFilter,
    counter: BytesRead,
) -> Result<BoxStream<'static, Result<RecordBatch, ReadError>>, ReadError> {
    let bound = filter.bind(schema_of(table, snapshot_id)?.as_ref())?;
    let plan = plan_rows(table, snapshot_id, &bound).await?;
    let schema = output_schema(table, snapshot_id, columns)?;
    read_files_where(table, plan.files, schema, Some(bound), ScanOptions::default(), counter)
}

/// Reads some files of a plan as `schema` (see [`FileScan::open`]); rows come in no particular order. Each file is read
/// by a task of its own.
pub fn read_files(
    table: &Table,
    files: Vec<PlannedFile>,
    schema: SchemaRef,
    options: ScanOptions,
    counter: BytesRead,
) -> Result<BoxStream<'static, Result<RecordBatch, ReadError>>, ReadError> {
    read_files_where(table, files, schema, None, options, counter)
}

/// The same for the rows that `filter` wants; all without one.
pub fn read_files_where(
    table: &Table,
    files: Vec<PlannedFile>,
    schema: SchemaRef,
    filter: Option<BoundFilter>,
    options: ScanOptions,
    counter: BytesRead,
) -> Result<BoxStream<'static, Result<RecordBatch, ReadError>>, ReadError> {
    let deletes = Deletes::new(table, &files, counter.clone())?;
    let reading = Arc::new(Reading { table: table.clone(), schema, deletes, filter, options, counter });
    let of_file = move |file: PlannedFile| {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let path = file.data.file().file_path().to_string();
        let of_task = reading.clone();
        tokio::spawn(async move {
            let end = of_task.send_all(&file, &sender).await;
            // Without a receiver nobody wants to know.
            let _ = sender.send(end.map(|()| None)).await;
        });
        until_its_end(receiver, path)
    };
    Ok(futures::stream::iter(files).map(of_file).flatten_unordered(CONCURRENT_FILES).boxed())
}

/// A batch of a file, or its end. A file without an end was not read to it.
type Message = Result<Option<RecordBatch>, ReadError>;

fn until_its_end(
    receiver: mpsc::Receiver<Message>,
    path: String,
) -> BoxStream<'static, Result<RecordBatch, ReadError>> {
    futures::stream::try_unfold(receiver, move |mut open| {
        let file = path.clone();
        async move {
            match open.recv().await {
                Some(message) => Ok(message?.map(|batch| (batch, open))),
                None => Err(ReadError::Stopped {
                    path: file,
                    reason: "its task ended before the file".to_string(),
                }),
            }
        }
    })
    .boxed()
}

/// How all files of a stream are read.
struct Reading {
    table: Table,
    schema: SchemaRef,
    deletes: Deletes,
    filter: Option<BoundFilter>,
    options: ScanOptions,
    counter: BytesRead,
}

impl Reading {
    async fn send_all(&self, file: &PlannedFile, sender: &mpsc::Sender<Message>) -> Result<(), ReadError> {
        let (schema, filter, counter) = (self.schema.clone(), self.filter.clone(), self.counter.clone());
        let open =
            FileScan::open_where(&self.table, file, schema, &self.deletes, filter, self.options, counter);
        let mut scan = open.await?;
        while let Some(batch) = scan.next().await? {
            if sender.send(Ok(Some(batch))).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The schema that a snapshot reads as.
fn schema_of(table: &Table, snapshot_id: Option<i64>) -> Result<IcebergSchemaRef, ReadError> {
    let metadata = table.metadata();
    match snapshot_id {
        None => Ok(metadata.current_schema().clone()),
        Some(id) => {
            let snapshot = metadata.snapshot_by_id(id).ok_or(ReadError::NoSnapshot { snapshot_id: id })?;
            let name = table.identifier().to_string();
            snapshot.schema(metadata).map_err(ReadError::iceberg("read the schema of", &name))
        }
    }
}

fn output_schema(
    table: &Table,
    snapshot_id: Option<i64>,
    columns: Option<&[&str]>,
) -> Result<SchemaRef, ReadError> {
    let name = table.identifier().to_string();
    let whole = iceberg::arrow::schema_to_arrow_schema(schema_of(table, snapshot_id)?.as_ref())
        .map_err(ReadError::iceberg("read the schema of", &name))?;
    let Some(wanted) = columns else { return Ok(Arc::new(whole)) };
    let fields = wanted
        .iter()
        .map(|column| {
            whole.field_with_name(column).cloned().map_err(|_| ReadError::NoColumn {
                column: (*column).to_string(),
                known: whole
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}
