//! All open files of one flush: the part of a [`crate::TableWriter`] that only computes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use iceberg::spec::{DataFile, TableMetadata};
use parquet::file::properties::WriterProperties;

use crate::LakeError;
use crate::writer::WriterOptions;
use crate::writer::layout::FileLayout;
use crate::writer::parquet_file::ParquetFile;
use crate::writer::partition::{PartitionKey, Partitioner};
use crate::writer::properties::writer_properties;

/// Encoded bytes go out in pieces of at least this size; smaller files go out whole when they are closed.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes to append to an open file.
pub(crate) struct PendingBytes {
    /// The file.
    pub location: String,
    /// What to append.
    pub bytes: Bytes,
}

/// A file whose footer is encoded.
pub(crate) struct FinishedFile {
    /// The file.
    pub location: String,
    /// Its last bytes.
    pub rest: Bytes,
    /// Its description.
    pub data_file: DataFile,
}

/// What has to be written out.
#[derive(Default)]
pub(crate) struct Pending {
    /// To open files.
    pub bytes: Vec<PendingBytes>,
    /// Files that reached their size.
    pub finished: Vec<FinishedFile>,
}

/// Encodes batches into one open file per partition.
pub(crate) struct Encoder {
    partitioner: Partitioner,
    files: BTreeMap<PartitionKey, ParquetFile>,
    layout: Arc<FileLayout>,
    spec_id: i32,
    properties: WriterProperties,
    target_file_bytes: usize,
    /// Bound on what all files hold in memory, bytes.
    pub max_buffered_bytes: usize,
    data_location: String,
    id: uuid::Uuid,
    file_number: u32,
}

impl Encoder {
    pub(crate) fn new(
        layout: FileLayout,
        metadata: &TableMetadata,
        options: WriterOptions,
        max_buffered_bytes: usize,
    ) -> Result<Self, LakeError> {
        Ok(Self {
            partitioner: Partitioner::for_schema(layout.table, &layout.schema)?,
            files: BTreeMap::new(),
            properties: writer_properties(layout.table, &layout.schema, options),
            layout: Arc::new(layout),
            spec_id: metadata.default_partition_spec_id(),
            target_file_bytes: options.target_file_bytes,
            max_buffered_bytes,
            data_location: format!("{}/data", metadata.location()),
            id: uuid::Uuid::now_v7(),
            file_number: 0,
        })
    }

    /// Adds the rows of `batch`; returns the time partitions it touched.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<i32>, LakeError> {
        let fitting = self.layout.fit(batch)?;
        let mut touched = Vec::new();
        for (key, part) in self.partitioner.split(&fitting)? {
            if touched.last() != Some(&key.time) {
                touched.push(key.time);
            }
            if !self.files.contains_key(&key) {
                let file = self.begin(key)?;
                self.files.insert(key, file);
            }
            if let Some(file) = self.files.get_mut(&key) {
                file.encode(&part)?;
            }
        }
        Ok(touched)
    }

    fn begin(&mut self, key: PartitionKey) -> Result<ParquetFile, LakeError> {
        let partition = self.partitioner.tuple(key);
        let (data, name) = (&self.data_location, format!("{}-{}.parquet", self.id, self.file_number));
        let location = match self.partitioner.directory(key) {
            whole_table if whole_table.is_empty() => format!("{data}/{name}"),
            directory => format!("{data}/{directory}/{name}"),
        };
        self.file_number += 1;
        ParquetFile::new(self.layout.clone(), location, partition, self.properties.clone())
    }

    /// Ends row groups until memory is within its bound; returns what has to be written out.
    pub(crate) fn take_pending(&mut self) -> Result<Pending, LakeError> {
        let mut pending = Pending::default();
        let full: Vec<PartitionKey> = self
            .files
            .iter()
            .filter(|(_, file)| file.size() >= self.target_file_bytes)
            .map(|(key, _)| *key)
            .collect();
        for key in full {
            if let Some(file) = self.files.remove(&key) {
                pending.finished.push(self.finish(file)?);
            }
        }
        let mut excess = self.buffered_bytes().saturating_sub(self.max_buffered_bytes);
        if excess > 0 {
            let mut by_size: Vec<&mut ParquetFile> = self.files.values_mut().collect();
            by_size.sort_by_key(|file| std::cmp::Reverse(file.buffered_bytes()));
            for file in by_size {
                if excess == 0 {
                    break;
                }
                excess = excess.saturating_sub(file.buffered_bytes());
                file.end_row_group()?;
                let bytes = file.take_bytes(1)?;
                pending
                    .bytes
                    .extend(bytes.map(|bytes| PendingBytes { location: file.location.clone(), bytes }));
            }
        }
        for file in self.files.values_mut() {
            let bytes = file.take_bytes(PIECE_BYTES)?;
            pending.bytes.extend(bytes.map(|bytes| PendingBytes { location: file.location.clone(), bytes }));
        }
        Ok(pending)
    }

    /// Writes all footers.
    pub(crate) fn finish_all(&mut self) -> Result<Vec<FinishedFile>, LakeError> {
        std::mem::take(&mut self.files).into_values().map(|file| self.finish(file)).collect()
    }

    fn finish(&self, file: ParquetFile) -> Result<FinishedFile, LakeError> {
        let location = file.location.clone();
        let (rest, data_file) = file.finish(self.spec_id)?;
        Ok(FinishedFile { location, rest, data_file })
    }

    pub(crate) fn open_files(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.files.values().map(ParquetFile::buffered_bytes).sum()
    }
}
