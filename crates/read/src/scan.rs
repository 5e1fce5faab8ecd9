//! One data file as a stream of batches in the table's schema, with its deletes applied.
//!
//! Memory is bounded by a window: a row group is read as a whole where its columns are small, else in ranges of rows,
//! of which only the pages are fetched. A file without an offset index has to be read by whole row groups. Batches have
//! fewer rows where rows are long.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::FileIO;
use iceberg::spec::{DataFile, DataFileFormat};
use iceberg::table::Table;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use crate::ReadError;
use crate::adapt::{DefaultColumn, adapt_batch, field_id, initial_defaults};
use crate::deletes::{Deletes, FileDeletes};
use crate::file_access::{BytesRead, ParquetSource};
use crate::plan::PlannedFile;

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
}

/// Rows of one row group that are read together.
struct Window {
    row_group: usize,
    rows: Range<usize>,
    /// Position of its first row in the file.
    first_position: u64,
    compressed_bytes: usize,
    batch_rows: usize,
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
    windows: VecDeque<Window>,
    current: Option<ParquetRecordBatchStream<ParquetSource>>,
    current_bytes: usize,
    next_position: u64,
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
        let path = file.data.file().file_path().to_string();
        let defaults =
            initial_defaults(table.metadata().current_schema()).map_err(ReadError::arrow(&path))?;
        let file_deletes = deletes.of_file(file).await?;
        let ids: HashSet<i32> = schema
            .fields()
            .iter()
            .filter_map(|field| field_id(field))
            .chain(file_deletes.key_ids())
            .collect();
        let opened = open_projected(table.file_io(), file.data.file(), &ids, counter).await?;
        let windows = windows(&opened.metadata, &opened.projection, options);
        let found: u64 = windows.iter().map(|window| window.rows.len() as u64).sum();
        if found != file.data.file().record_count() {
            let what = format!("it has {found} rows, its manifest says {}", file.data.file().record_count());
            return Err(ReadError::Damaged { path, what });
        }
        Ok(Self {
            path,
            source: opened.source,
            metadata: opened.metadata,
            projection: opened.projection,
            schema,
            defaults: Arc::new(defaults),
            deletes: file_deletes,
            windows,
            current: None,
            current_bytes: 0,
            next_position: 0,
            counts: RowCounts::default(),
        })
    }

    /// The next batch with rows that are not deleted; `None` at the end of the file.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            let Some(stream) = &mut self.current else {
                let Some(window) = self.windows.pop_front() else { return Ok(None) };
                self.next_position = window.first_position;
                self.current_bytes = window.compressed_bytes;
                self.current = Some(self.open_window(&window)?);
                continue;
            };
            let Some(read) = stream.next().await else {
                self.current = None;
                self.current_bytes = 0;
                continue;
            };
            let batch = read.map_err(ReadError::parquet(&self.path))?;
            let rows = batch.num_rows() as u64;
            let kept = self.deletes.kept(&batch, self.next_position, &self.defaults, &self.path)?;
            self.next_position += rows;
            self.counts.read += rows;
            let adapted =
                adapt_batch(&batch, &self.schema, &self.defaults).map_err(ReadError::arrow(&self.path))?;
            let result = match kept {
                None => adapted,
                Some(mask) => filter_record_batch(&adapted, &mask).map_err(ReadError::arrow(&self.path))?,
            };
            self.counts.deleted += rows - result.num_rows() as u64;
            if result.num_rows() > 0 {
                return Ok(Some(result));
            }
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
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(self.source.clone(), self.metadata.clone())
                .with_projection(self.projection.clone())
                .with_row_groups(vec![window.row_group])
                .with_batch_size(window.batch_rows);
        let all = self.metadata.metadata().row_group(window.row_group).num_rows() as usize;
        let builder = match window.rows.len() == all {
            true => builder,
            false => {
                let wanted =
                    vec![RowSelector::skip(window.rows.start), RowSelector::select(window.rows.len())];
                builder.with_row_selection(RowSelection::from(wanted))
            }
        };
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
    counter: BytesRead,
) -> Result<Opened, ReadError> {
    let path = file.file_path();
    if file.file_format() != DataFileFormat::Parquet {
        let what = format!("it is a file in {}", file.file_format());
        return Err(ReadError::Unsupported { path: path.to_string(), what });
    }
    let mut source = ParquetSource::open(file_io, path, file.file_size_in_bytes(), counter).await?;
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

fn windows(
    metadata: &ArrowReaderMetadata,
    projection: &ProjectionMask,
    options: ScanOptions,
) -> VecDeque<Window> {
    let parquet = metadata.metadata();
    let mut windows = VecDeque::new();
    let mut first_position = 0;
    for (row_group, facts) in parquet.row_groups().iter().enumerate() {
        let rows = facts.num_rows() as usize;
        let projected =
            || facts.columns().iter().enumerate().filter(|(leaf, _)| projection.leaf_included(*leaf));
        let compressed: usize = projected().map(|(_, chunk)| chunk.compressed_size().max(0) as usize).sum();
        let decoded: usize = projected().map(|(_, chunk)| chunk.uncompressed_size().max(0) as usize).sum();
        let row_bytes = (decoded / rows.max(1)).max(1);
        let batch_rows = (options.batch_bytes / row_bytes).clamp(1, options.batch_rows.max(1));
        let parts = match parquet.offset_index().is_some() {
            true => compressed.div_ceil(options.window_bytes.max(1)).clamp(1, rows.max(1)),
            false => 1,
        };
        let rows_each = rows.div_ceil(parts).max(1);
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + rows_each);
            windows.push_back(Window {
                row_group,
                rows: start..end,
                first_position: first_position + start as u64,
                compressed_bytes: compressed / parts,
                batch_rows,
            });
            start = end;
        }
        first_position += rows as u64;
    }
    windows
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
    let opened = open_projected(file_io, file, &ids, counter.clone()).await?;
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
