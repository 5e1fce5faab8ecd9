//! One Parquet file being encoded, and the [`DataFile`] that describes it to Iceberg.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use bytes::Bytes;
use iceberg::spec::{DataFile, DataFileBuilder, DataFileFormat, Struct};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;

use crate::LakeError;
use crate::writer::bounds::column_bounds;
use crate::writer::layout::{FileLayout, field_id};
use crate::writer::properties::bounds_without_statistics;
use crate::writer::text_bounds::TextBounds;

/// A file being encoded in memory. Its bytes are taken out from time to time.
pub(crate) struct ParquetFile {
    /// Where it will be.
    pub location: String,
    partition: Struct,
    layout: Arc<FileLayout>,
    encoder: ArrowWriter<Vec<u8>>,
    null_counts: Vec<u64>,
    /// By column; `None` where Parquet's statistics give the bounds, or nothing does.
    text_bounds: Vec<Option<TextBounds>>,
    rows: u64,
}

impl ParquetFile {
    pub(crate) fn new(
        layout: Arc<FileLayout>,
        location: String,
        partition: Struct,
        properties: WriterProperties,
    ) -> Result<Self, LakeError> {
        let options = ArrowWriterOptions::new().with_properties(properties);
        let encoder = ArrowWriter::try_new_with_options(Vec::new(), layout.schema.clone(), options)
            .map_err(|source| LakeError::Parquet { path: location.clone(), source })?;
        let null_counts = vec![0; layout.schema.fields().len()];
        let text_bounds = layout
            .schema
            .fields()
            .iter()
            .map(|field| bounds_without_statistics(layout.table, field).then(TextBounds::default))
            .collect();
        Ok(Self { location, partition, layout, encoder, null_counts, text_bounds, rows: 0 })
    }

    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        for (count, column) in self.null_counts.iter_mut().zip(batch.columns()) {
            *count += column.null_count() as u64;
        }
        for (bounds, column) in self.text_bounds.iter_mut().zip(batch.columns()) {
            if let (Some(bounds), Some(values)) = (bounds, column.as_any().downcast_ref::<StringArray>()) {
                bounds.add(values);
            }
        }
        self.rows += batch.num_rows() as u64;
        self.encoder.write(batch).map_err(|source| LakeError::Parquet { path: self.location.clone(), source })
    }

    /// Ends the current row group.
    pub(crate) fn end_row_group(&mut self) -> Result<(), LakeError> {
        self.encoder.flush().map_err(|source| LakeError::Parquet { path: self.location.clone(), source })
    }

    /// What it holds in memory, bytes: the row group in progress, and what was not taken out yet.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.encoder.memory_size() + self.encoder.inner().len()
    }

    /// How large it would be if it ended now, bytes.
    pub(crate) fn size(&self) -> usize {
        self.encoder.bytes_written() + self.encoder.in_progress_size()
    }

    /// The encoded bytes that are ready, if there are at least `at_least`.
    pub(crate) fn take_bytes(&mut self, at_least: usize) -> Result<Option<Bytes>, LakeError> {
        self.encoder.sync().map_err(|error| LakeError::Parquet {
            path: self.location.clone(),
            source: parquet::errors::ParquetError::External(Box::new(error)),
        })?;
        if self.encoder.inner().len() < at_least.max(1) {
            return Ok(None);
        }
        Ok(Some(Bytes::from(std::mem::take(self.encoder.inner_mut()))))
    }

    /// Writes the footer: the bytes not taken yet, and the file's description.
    pub(crate) fn finish(mut self, spec_id: i32) -> Result<(Bytes, DataFile), LakeError> {
        let failed = |source| LakeError::Parquet { path: self.location.clone(), source };
        let metadata = self.encoder.finish().map_err(failed)?;
        let file_bytes = self.encoder.bytes_written() as u64;
        let rest = Bytes::from(std::mem::take(self.encoder.inner_mut()));
        let data_file = self.describe(&metadata, file_bytes, spec_id)?;
        Ok((rest, data_file))
    }

    fn describe(
        &self,
        metadata: &ParquetMetaData,
        file_bytes: u64,
        spec_id: i32,
    ) -> Result<DataFile, LakeError> {
        let (mut sizes, mut values, mut nulls) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (mut lower_bounds, mut upper_bounds) = (HashMap::new(), HashMap::new());
        let descriptors = metadata.file_metadata().schema_descr();
        for (leaf, descriptor) in descriptors.columns().iter().enumerate() {
            let info = descriptor.self_type().get_basic_info();
            if !info.has_id() {
                continue;
            }
            let id = info.id();
            let chunks =
                || metadata.row_groups().iter().filter_map(move |row_group| row_group.columns().get(leaf));
            sizes.insert(id, chunks().map(|chunk| chunk.compressed_size().max(0) as u64).sum());
            values.insert(id, chunks().map(|chunk| chunk.num_values().max(0) as u64).sum());
            let column = descriptors.get_column_root_idx(leaf);
            let field = self.layout.schema.field(column);
            // What is inside a list or a structure is not counted by rows, and prunes nothing.
            if field_id(field) != Some(id) {
                continue;
            }
            nulls.insert(id, self.null_counts[column]);
            let bounds = match self.text_bounds[column] {
                Some(own) => own.bounds(),
                None => column_bounds(metadata, leaf, field.data_type()),
            };
            if let Some((lower, upper)) = bounds {
                lower_bounds.insert(id, lower);
                upper_bounds.insert(id, upper);
            }
        }
        let offsets = metadata.row_groups().iter().filter_map(|row_group| row_group.file_offset()).collect();
        DataFileBuilder::default()
            .content(self.layout.content)
            .file_path(self.location.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(self.partition.clone())
            .partition_spec_id(spec_id)
            .record_count(self.rows)
            .file_size_in_bytes(file_bytes)
            .column_sizes(sizes)
            .value_counts(values)
            .null_value_counts(nulls)
            .lower_bounds(lower_bounds)
            .upper_bounds(upper_bounds)
            .split_offsets(Some(offsets))
            .equality_ids(self.layout.equality_ids.clone())
            .build()
            .map_err(|error| LakeError::Parquet {
                path: self.location.clone(),
                source: parquet::errors::ParquetError::External(Box::new(error)),
            })
    }
}
