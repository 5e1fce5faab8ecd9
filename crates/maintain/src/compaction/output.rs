//! Writes the files of one group: Parquet, cut near the target size, each with its description for Iceberg.
//!
//! Encoded bytes go out as they are ready; what an open file holds in memory is bounded by ending its row group early.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use iceberg::io::{FileIO, FileWrite};
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Schema, Struct};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::bounds::column_facts;
use super::budget::{MemoryMeter, MemorySlot};
use super::error::CompactionError;
use super::policy::TablePolicy;

/// Encoded bytes go out in pieces of at least this size.
const PIECE_BYTES: usize = 1 << 20;
/// Size at which a page ends, bytes before compression.
const PAGE_BYTES: usize = 128 << 10;
/// From this part of the target size on a file is full.
const FULL_RATIO: f64 = 0.9;
/// A row group has at least so many rows, however little memory there is.
const LEAST_ROW_GROUP_ROWS: usize = 1_024;

/// What the files of a group have in common.
#[derive(Clone, Debug)]
pub(crate) struct OutputShape {
    /// Directory of the files.
    pub directory: String,
    /// The table's schema.
    pub schema: std::sync::Arc<Schema>,
    /// The same for Arrow, with field ids.
    pub arrow_schema: SchemaRef,
    /// Partition of all rows.
    pub partition: Struct,
    /// Its spec.
    pub spec_id: i32,
    /// Id of the sort order that the rows have.
    pub sort_order_id: Option<i32>,
    /// How to write.
    pub policy: std::sync::Arc<TablePolicy>,
    /// What an open file may hold in memory, bytes.
    pub row_group_bytes: usize,
}

/// Parquet settings of a table's compacted files: data pages of version 2 with the encodings PLAIN and dictionary, which
/// every reader in use understands.
fn writer_properties(policy: &TablePolicy, schema: &SchemaRef) -> WriterProperties {
    let level = ZstdLevel::try_new(policy.zstd_level).unwrap_or_default();
    // Where rows are not sorted, the minima of pages prune next to nothing, and cost a comparison a value.
    let statistics = match policy.changes_order() {
        true => EnabledStatistics::Page,
        false => EnabledStatistics::Chunk,
    };
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_encoding(Encoding::PLAIN)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(policy.row_group_rows.max(1)))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(policy.page_rows.max(1))
        .set_write_batch_size(policy.page_rows.clamp(1, 4_096))
        .set_statistics_enabled(statistics)
        .set_created_by(concat!("pulselake ", env!("CARGO_PKG_VERSION")).to_string());
    for column in &policy.without_dictionary {
        let is_number = schema.field_with_name(column).is_ok_and(|field| {
            matches!(field.data_type(), DataType::Int32 | DataType::Int64 | DataType::Timestamp(..))
        });
        let encoding = if is_number { Encoding::DELTA_BINARY_PACKED } else { Encoding::PLAIN };
        let path = ColumnPath::from(column.as_str());
        properties =
            properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    for column in &policy.without_bounds {
        let path = ColumnPath::from(column.as_str());
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for column in &policy.bloom_filters {
        let path = ColumnPath::from(column.as_str());
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_ndv(path, (policy.row_group_rows as u64 / 4).max(64));
    }
    properties.build()
}

struct OpenFile {
    location: String,
    encoder: ArrowWriter<Vec<u8>>,
    sink: Box<dyn FileWrite>,
    /// NULLs by top-level column.
    nulls: Vec<u64>,
}

/// The files of one group.
pub(crate) struct Output {
    shape: OutputShape,
    properties: WriterProperties,
    file_io: FileIO,
    id: uuid::Uuid,
    open: Option<OpenFile>,
    /// Locations of all files that were begun.
    begun: Vec<String>,
    done: Vec<DataFile>,
    memory: MemorySlot,
}

impl Output {
    pub(crate) fn new(shape: OutputShape, file_io: FileIO, meter: &MemoryMeter) -> Self {
        Self {
            properties: writer_properties(&shape.policy, &shape.arrow_schema),
            shape,
            file_io,
            id: uuid::Uuid::now_v7(),
            open: None,
            begun: Vec::new(),
            done: Vec::new(),
            memory: meter.slot(),
        }
    }

    /// Adds rows.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactionError> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin().await?,
        };
        file.encoder.write(batch).map_err(encode_error(&file.location))?;
        for (count, column) in file.nulls.iter_mut().zip(batch.columns()) {
            *count += column.null_count() as u64;
        }
        let is_over = file.encoder.memory_size() > self.shape.row_group_bytes;
        if is_over && file.encoder.in_progress_rows() >= LEAST_ROW_GROUP_ROWS {
            file.encoder.flush().map_err(encode_error(&file.location))?;
        }
        let is_full = self.is_full(&mut file)?;
        send_ready(&mut file, PIECE_BYTES).await?;
        self.memory.set(file.encoder.memory_size() + file.encoder.inner().len());
        match is_full {
            true => self.finish_file(file).await,
            false => {
                self.open = Some(file);
                Ok(())
            }
        }
    }

    /// Whether the file has its size. What is not compressed yet is only estimated, from above: a file that seems full
    /// ends its row group, and goes on if it turns out not to be. Else it could be a small file to the planner again.
    fn is_full(&self, file: &mut OpenFile) -> Result<bool, CompactionError> {
        let target = self.shape.policy.target_file_bytes;
        let estimate = file.encoder.bytes_written() + file.encoder.in_progress_size();
        if (estimate as u64) < target {
            return Ok(false);
        }
        file.encoder.flush().map_err(encode_error(&file.location))?;
        let enough = (target as f64 * FULL_RATIO.max(self.shape.policy.small_file_ratio)) as u64;
        Ok(file.encoder.bytes_written() as u64 >= enough)
    }

    /// Finishes the last file; returns all.
    pub(crate) async fn finish(&mut self) -> Result<Vec<DataFile>, CompactionError> {
        if let Some(file) = self.open.take() {
            self.finish_file(file).await?;
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// Removes what was written. What fails is the janitor's.
    pub(crate) async fn abort(&mut self) {
        // Dropping an unfinished file removes its temporary one.
        self.open = None;
        delete_quietly(&self.file_io, self.begun.iter().map(String::as_str)).await;
    }

    async fn begin(&mut self) -> Result<OpenFile, CompactionError> {
        let location = format!("{}/{}-{}.parquet", self.shape.directory, self.id, self.begun.len());
        let failed = || CompactionError::store("write", &location);
        let output = self.file_io.new_output(&location).map_err(failed())?;
        let sink = output.writer().await.map_err(failed())?;
        self.begun.push(location.clone());
        let options = ArrowWriterOptions::new().with_properties(self.properties.clone());
        let encoder = ArrowWriter::try_new_with_options(Vec::new(), self.shape.arrow_schema.clone(), options)
            .map_err(encode_error(&location))?;
        let nulls = vec![0; self.shape.arrow_schema.fields().len()];
        Ok(OpenFile { location, encoder, sink, nulls })
    }

    async fn finish_file(&mut self, mut file: OpenFile) -> Result<(), CompactionError> {
        let metadata = file.encoder.finish().map_err(encode_error(&file.location))?;
        send_ready(&mut file, 1).await?;
        file.sink.close().await.map_err(CompactionError::store("write", &file.location))?;
        self.memory.set(0);
        let described = self.describe(&file, &metadata)?;
        self.done.push(described);
        Ok(())
    }

    fn describe(&self, file: &OpenFile, metadata: &ParquetMetaData) -> Result<DataFile, CompactionError> {
        let mut facts = column_facts(metadata, &self.shape.schema, &self.shape.policy.without_bounds);
        for (column, &count) in self.shape.schema.as_struct().fields().iter().zip(&file.nulls) {
            if column.field_type.is_primitive() {
                facts.nulls.insert(column.id, count);
            }
        }
        let offsets = metadata.row_groups().iter().filter_map(|row_group| row_group.file_offset()).collect();
        let mut builder = DataFileBuilder::default();
        if let Some(order) = self.shape.sort_order_id {
            builder.sort_order_id(order);
        }
        builder
            .content(DataContentType::Data)
            .file_path(file.location.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(self.shape.partition.clone())
            .partition_spec_id(self.shape.spec_id)
            // From the footer, not from what was handed over: it is compared with that.
            .record_count(metadata.file_metadata().num_rows().max(0) as u64)
            .file_size_in_bytes(file.encoder.bytes_written() as u64)
            .column_sizes(facts.sizes)
            .value_counts(facts.values)
            .null_value_counts(facts.nulls)
            .lower_bounds(facts.lower)
            .upper_bounds(facts.upper)
            .split_offsets(Some(offsets))
            .build()
            .map_err(|error| encode_error(&file.location)(ParquetError::External(Box::new(error))))
    }
}

/// Sends the encoded bytes, if there are at least `at_least`.
async fn send_ready(file: &mut OpenFile, at_least: usize) -> Result<(), CompactionError> {
    let failed = |error| encode_error(&file.location)(ParquetError::External(Box::new(error)));
    file.encoder.sync().map_err(failed)?;
    if file.encoder.inner().len() < at_least {
        return Ok(());
    }
    let bytes = Bytes::from(std::mem::take(file.encoder.inner_mut()));
    file.sink.write(bytes).await.map_err(CompactionError::store("write", &file.location))
}

fn encode_error(path: &str) -> impl FnOnce(ParquetError) -> CompactionError {
    let path = path.to_string();
    move |source| CompactionError::Parquet { path, source }
}

/// Deletes files that nothing refers to.
pub(crate) async fn delete_quietly(file_io: &FileIO, locations: impl Iterator<Item = &str>) {
    for location in locations {
        if let Err(error) = file_io.delete(location).await {
            tracing::warn!(location, %error, "could not delete a file of a compaction that was not committed");
        }
    }
}
