//! Parquet's asynchronous reader over Iceberg's [`FileIO`].
//!
//! Every range is read on its own, and counted: what a reader costs the store is known. Ranges of one request that lie
//! next to each other become one read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use iceberg::io::{FileIO, FileRead};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::ReadError;

/// Read at the end of a file at once: most footers fit. Of small files only this part, or a reader of few rows would
/// read most of the file.
const FOOTER_BYTES: usize = 64 << 10;
const LEAST_FOOTER_BYTES: usize = 8 << 10;
const FOOTER_PART: u64 = 64;
/// Reads of one request that are under way at the same time.
const CONCURRENT_READS: usize = 4;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All rows of some columns.
    Whole,
    /// Few rows: bounds of pages are read first, and what lies between wanted pages is left out.
    Pruned,
}

impl Access {
    /// Two ranges nearer than this become one read.
    fn gap_bytes(self) -> u64 {
        match self {
            Self::Whole => 64 << 10,
            Self::Pruned => 4 << 10,
        }
    }
}

/// Counts bytes that were read from the store; clones share one count.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// Bytes so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts more.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// One open Parquet file.
#[derive(Clone)]
pub(crate) struct ParquetSource {
    file: Arc<dyn FileRead>,
    size_bytes: u64,
    access: Access,
    counter: BytesRead,
}

impl ParquetSource {
    /// Opens the file at `path`. `size_bytes`: as the manifest says; it is not asked of the store again.
    pub(crate) async fn open(
        file_io: &FileIO,
        path: &str,
        size_bytes: u64,
        access: Access,
        counter: BytesRead,
    ) -> std::result::Result<Self, ReadError> {
        let input = file_io.new_input(path).map_err(ReadError::iceberg("open", path))?;
        let file = input.reader().await.map_err(ReadError::iceberg("open", path))?;
        Ok(Self { file: Arc::from(file), size_bytes, access, counter })
    }
}

async fn read(source: &ParquetSource, range: Range<u64>) -> Result<Bytes> {
    let wanted = range.end - range.start;
    let bytes = source.file.read(range).await.map_err(|error| ParquetError::External(Box::new(error)))?;
    if bytes.len() as u64 != wanted {
        return Err(ParquetError::EOF(format!("{} bytes where {wanted} were expected", bytes.len())));
    }
    source.counter.add(wanted);
    Ok(bytes)
}

impl AsyncFileReader for ParquetSource {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { read(self, range).await }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let source: &Self = self;
            let groups = neighbours(&ranges, source.access.gap_bytes());
            let spans: Vec<Range<u64>> = groups.iter().map(|group| group.start..group.end).collect();
            let reads = spans.into_iter().map(|span| read(source, span));
            let read: Vec<Bytes> =
                futures::stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
            let mut result = Vec::with_capacity(ranges.len());
            for (group, whole) in groups.iter().zip(read) {
                for range in &ranges[group.indices.clone()] {
                    let (start, end) = (range.start - group.start, range.end - group.start);
                    result.push(whole.slice(start as usize..end as usize));
                }
            }
            Ok(result)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let (size_bytes, access) = (self.size_bytes, self.access);
            let part = usize::try_from(size_bytes / FOOTER_PART).unwrap_or(FOOTER_BYTES);
            let bounds_of_pages = match access {
                Access::Whole => PageIndexPolicy::Skip,
                Access::Pruned => PageIndexPolicy::Optional,
            };
            let reader = ParquetMetaDataReader::new()
                .with_prefetch_hint(Some(part.clamp(LEAST_FOOTER_BYTES, FOOTER_BYTES)))
                .with_column_index_policy(bounds_of_pages)
                // Says where pages lie, so that parts of a large row group can be read.
                .with_offset_index_policy(PageIndexPolicy::Optional);
            let metadata = reader.load_and_finish(self, size_bytes).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

struct Neighbours {
    start: u64,
    end: u64,
    indices: Range<usize>,
}

/// Ranges in the order in which they are asked for, consecutive ones together where they nearly touch.
fn neighbours(ranges: &[Range<u64>], gap_bytes: u64) -> Vec<Neighbours> {
    let mut groups: Vec<Neighbours> = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        match groups.last_mut() {
            Some(last) if range.start >= last.end && range.start - last.end <= gap_bytes => {
                last.end = range.end;
                last.indices.end = index + 1;
            }
            _ => groups.push(Neighbours { start: range.start, end: range.end, indices: index..index + 1 }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_ranges_are_one_read_and_distant_ones_are_not() {
        let gap = Access::Whole.gap_bytes();
        let far = 10 * gap;
        let groups = neighbours(&[0..10, 10..20, 30..40, far..far + 5, 50..60], gap);
        let found: Vec<_> =
            groups.iter().map(|group| (group.start, group.end, group.indices.clone())).collect();
        assert_eq!(found, [(0, 40, 0..3), (far, far + 5, 3..4), (50, 60, 4..5)]);
    }
}
