//! One data file as a stream of batches in the table's schema, with its deletes applied.
//!
//! Memory is bounded by a window (see [`crate::windows`]); batches have fewer rows where rows are long. With a filter only
//! the row groups and pages are read that may hold wanted rows, and of these the wanted rows are returned. Positions are
//! the rows' own places in the file, whatever was skipped before them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::and;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::FileIO;
use iceberg::spec::{DataFile, DataFileFormat};
use iceberg::table::Table;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use crate::ReadError;
use crate::adapt::{DefaultColumn, adapt_batch, field_id, initial_defaults};
use crate::deletes::{Deletes, FileDeletes};
use crate::file_access::{Access, BytesRead, ParquetSource};
use crate::plan::PlannedFile;
use crate::prune::FilePruner;
use crate::row_filter::BoundFilter;
use crate::windows::{Window, take_positions, windows};

/// Bounds of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Decoded bytes of a batch, about; batches of long rows have fewer rows.
    pub batch_bytes: usize,
    /// Compressed bytes of a file that are in memory at once, about.
    pub window_bytes: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { batch_rows: 8_192, batch_bytes: 8 << 20, window_bytes: 16 << 20 }
    }
}

/// Rows that a scan has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Read from the file.
    pub read: u64,
    /// Of these, deleted.
    pub deleted: u64,
    /// Of these, not deleted and not wanted by the filter.
    pub unwanted: u64,
}

/// A scan of one data file.
pub struct FileScan {
    path: String,
    source: ParquetSource,
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
    schema: SchemaRef,
    defaults: Arc<HashMap<i32, DefaultColumn>>,
    deletes: FileDeletes,
    filter: Option<BoundFilter>,
    windows: VecDeque<Window>,
    current: Option<ParquetRecordBatchStream<ParquetSource>>,
    current_bytes: usize,
    /// Positions of the rows of the current window that are still to come.
    positions: VecDeque<Range<u64>>,
    counts: RowCounts,
}

impl FileScan {
    /// Opens `file`, whose deletes are among `deletes`, to be read as `schema`: columns of the table, each with its field
    /// id in the metadata, as `iceberg::arrow::schema_to_arrow_schema` makes them. Reads the footer, and the deletes
    /// where they are not loaded yet.
    pub async fn open(
        table: &Table,
        file: &PlannedFile,
        schema: SchemaRef,
        deletes: &Deletes,
        options: ScanOptions,
        counter: BytesRead,
    ) -> Result<Self, ReadError> {
        Self::open_where(table, file, schema, deletes, None, options, counter).await
    }

    /// The same, for the rows that `filter` wants; all without one. Its columns need not be in `schema`.
    pub async fn open_where(
        table: &Table,
        file: &PlannedFile,
        schema: SchemaRef,
        deletes: &Deletes,
        filter: Option<BoundFilter>,
        options: ScanOptions,
        counter: BytesRead,
    ) -> Result<Self, ReadError> {
        let path = file.data.file().file_path().to_string();
        let filter = filter.filter(|bound| !bound.conditions().is_empty());
        let defaults =
            initial_defaults(table.metadata().current_schema()).map_err(ReadError::arrow(&path))?;
        let file_deletes = deletes.of_file(file).await?;
        let ids: HashSet<i32> = schema
            .fields()
            .iter()
            .filter_map(|field| field_id(field))
            .chain(file_deletes.key_ids())
            .chain(filter.iter().flat_map(BoundFilter::conditions).map(|condition| condition.field_id))
            .collect();
        let access = if filter.is_some() { Access::Pruned } else { Access::Whole };
        let opened = open_projected(table.file_io(), file.data.file(), &ids, access, counter).await?;
        let rows_of = |row_group: usize| opened.metadata.metadata().row_group(row_group).num_rows() as usize;
        let found: u64 =
            (0..opened.metadata.metadata().num_row_groups()).map(|group| rows_of(group) as u64).sum();
        if found != file.data.file().record_count() {
            let what = format!("it has {found} rows, its manifest says {}", file.data.file().record_count());
            return Err(ReadError::Damaged { path, what });
        }
        let pruner = filter.as_ref().map(|bound| FilePruner::new(bound, &opened.metadata, &defaults));
        let windows = windows(&opened.metadata, &opened.projection, options, |row_group| match &pruner {
            None => std::iter::once(0..rows_of(row_group)).collect(),
            Some(known) => known.rows(row_group),
        });
        drop(pruner);
        Ok(Self {
            path,
            source: opened.source,
            metadata: opened.metadata,
            projection: opened.projection,
            schema,
            defaults: Arc::new(defaults),
            deletes: file_deletes,
            filter,
            windows,
            current: None,
            current_bytes: 0,
            positions: VecDeque::new(),
            counts: RowCounts::default(),
        })
    }

    /// The next batch with wanted rows that are not deleted; `None` at the end of the file.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            let Some(stream) = &mut self.current else {
                let Some(window) = self.windows.pop_front() else { return Ok(None) };
                self.positions = window.positions();
                self.current_bytes = window.compressed_bytes;
                self.current = Some(self.open_window(&window)?);
                continue;
            };
            let Some(read) = stream.next().await else {
                if let Some(missing) = self.positions.front() {
                    let what = format!("it ends before its row {}", missing.start);
                    return Err(ReadError::Damaged { path: self.path.clone(), what });
                }
                self.current = None;
                self.current_bytes = 0;
                continue;
            };
            let batch = read.map_err(ReadError::parquet(&self.path))?;
            if let Some(result) = self.chosen(&batch)? {
                return Ok(Some(result));
            }
        }
    }

    /// The rows of `batch`, the next in the file, that stay, in the table's schema; `None` where none does.
    fn chosen(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>, ReadError> {
        let rows = batch.num_rows() as u64;
        let positions = take_positions(&mut self.positions, rows);
        let kept = self.deletes.kept(batch, &positions, &self.defaults, &self.path)?;
        let deleted = kept.as_ref().map_or(0, |mask| rows - mask.true_count() as u64);
        let mask = self.with_filter(batch, kept)?;
        let chosen = mask.as_ref().map_or(rows, |mask| mask.true_count() as u64);
        self.counts.read += rows;
        self.counts.deleted += deleted;
        self.counts.unwanted += rows - deleted - chosen;
        if chosen == 0 {
            return Ok(None);
        }
        let adapted =
            adapt_batch(batch, &self.schema, &self.defaults).map_err(ReadError::arrow(&self.path))?;
        match mask {
            None => Ok(Some(adapted)),
            Some(mask) => {
                filter_record_batch(&adapted, &mask).map(Some).map_err(ReadError::arrow(&self.path))
            }
        }
    }

    fn with_filter(
        &self,
        batch: &RecordBatch,
        kept: Option<BooleanArray>,
    ) -> Result<Option<BooleanArray>, ReadError> {
        let Some(filter) = &self.filter else { return Ok(kept) };
        let columns =
            adapt_batch(batch, filter.schema(), &self.defaults).map_err(ReadError::arrow(&self.path))?;
        let wanted = filter.matching(&columns);
        match kept {
            None => Ok(Some(wanted)),
            Some(mask) => and(&mask, &wanted).map(Some).map_err(ReadError::arrow(&self.path)),
        }
    }

    /// Rows passed so far.
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Compressed bytes of the file that are in memory now.
    pub fn buffered_bytes(&self) -> usize {
        self.current_bytes
    }

    /// The scan as a stream.
    pub fn into_stream(self) -> BoxStream<'static, Result<RecordBatch, ReadError>> {
        futures::stream::try_unfold(self, |mut scan| async move {
            let batch = scan.next().await?;
            Ok(batch.map(|found| (found, scan)))
        })
        .boxed()
    }

    fn open_window(&self, window: &Window) -> Result<ParquetRecordBatchStream<ParquetSource>, ReadError> {
        let mut builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(self.source.clone(), self.metadata.clone())
                .with_projection(self.projection.clone())
                .with_row_groups(vec![window.row_group])
                .with_batch_size(window.batch_rows);
        let all = self.metadata.metadata().row_group(window.row_group).num_rows() as usize;
        if let Some(selection) = window.selection(all) {
            builder = builder.with_row_selection(selection);
        }
        builder.build().map_err(ReadError::parquet(&self.path))
    }
}

struct Opened {
    source: ParquetSource,
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
    /// Field ids that the file has among those wanted.
    found: HashSet<i32>,
}

async fn open_projected(
    file_io: &FileIO,
    file: &DataFile,
    ids: &HashSet<i32>,
    access: Access,
    counter: BytesRead,
) -> Result<Opened, ReadError> {
    let path = file.file_path();
    if file.file_format() != DataFileFormat::Parquet {
        let what = format!("it is a file in {}", file.file_format());
        return Err(ReadError::Unsupported { path: path.to_string(), what });
    }
    let mut source = ParquetSource::open(file_io, path, file.file_size_in_bytes(), access, counter).await?;
    // The table's schema decides types; what an Arrow writer noted in the footer does not.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::load_async(&mut source, options).await.map_err(ReadError::parquet(path))?;
    let fields = metadata.schema().fields();
    if !fields.is_empty() && fields.iter().all(|field| field_id(field).is_none()) {
        let what = "its columns carry no field ids".to_string();
        return Err(ReadError::Unsupported { path: path.to_string(), what });
    }
    let (mut roots, mut found) = (Vec::new(), HashSet::new());
    for (index, field) in fields.iter().enumerate() {
        if let Some(id) = field_id(field).filter(|id| ids.contains(id)) {
            roots.push(index);
            found.insert(id);
        }
    }
    let projection = ProjectionMask::roots(metadata.parquet_schema(), roots);
    Ok(Opened { source, metadata, projection, found })
}

/// Reads some columns of a delete file, all of which it must have, batch by batch.
pub(crate) async fn read_small_columns(
    file_io: &FileIO,
    file: &DataFile,
    schema: &SchemaRef,
    counter: &BytesRead,
    mut use_batch: impl FnMut(&RecordBatch) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let path = file.file_path();
    let ids: HashSet<i32> = schema.fields().iter().filter_map(|field| field_id(field)).collect();
    let opened = open_projected(file_io, file, &ids, Access::Whole, counter.clone()).await?;
    if let Some(missing) = ids.iter().find(|id| !opened.found.contains(id)) {
        let what = format!("the delete file has no column with field id {missing}");
        return Err(ReadError::Damaged { path: path.to_string(), what });
    }
    let mut stream = ParquetRecordBatchStreamBuilder::new_with_metadata(opened.source, opened.metadata)
        .with_projection(opened.projection)
        .build()
        .map_err(ReadError::parquet(path))?;
    let mut rows = 0;
    while let Some(read) = stream.next().await {
        let batch = read.map_err(ReadError::parquet(path))?;
        rows += batch.num_rows() as u64;
        use_batch(&adapt_batch(&batch, schema, &HashMap::new()).map_err(ReadError::arrow(path))?)?;
    }
    if rows != file.record_count() {
        let what = format!("it has {rows} rows, its manifest says {}", file.record_count());
        return Err(ReadError::Damaged { path: path.to_string(), what });
    }
    Ok(())
}
