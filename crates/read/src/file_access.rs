//! Parquet's asynchronous reader over Iceberg's [`FileIO`].
//!
//! Every range is read on its own, and counted: what a reader costs the store is known. Ranges of one request that lie
//! next to each other become one read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::io::{FileIO, FileRead};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::ReadError;

/// Read at the end of a file at once: most footers fit.
const FOOTER_BYTES: usize = 64 << 10;
/// Two ranges nearer than this become one read.
const GAP_BYTES: u64 = 64 << 10;

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
    counter: BytesRead,
}

impl ParquetSource {
    /// Opens the file at `path`. `size_bytes`: as the manifest says; it is not asked of the store again.
    pub(crate) async fn open(
        file_io: &FileIO,
        path: &str,
        size_bytes: u64,
        counter: BytesRead,
    ) -> std::result::Result<Self, ReadError> {
        let input = file_io.new_input(path).map_err(ReadError::iceberg("open", path))?;
        let file = input.reader().await.map_err(ReadError::iceberg("open", path))?;
        Ok(Self { file: Arc::from(file), size_bytes, counter })
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
            let mut result = Vec::with_capacity(ranges.len());
            for group in neighbours(&ranges) {
                let first = group.start;
                let whole = read(self, group.start..group.end).await?;
                for range in &ranges[group.indices] {
                    result.push(whole.slice((range.start - first) as usize..(range.end - first) as usize));
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
            let size_bytes = self.size_bytes;
            let reader = ParquetMetaDataReader::new()
                .with_prefetch_hint(Some(FOOTER_BYTES))
                .with_column_index_policy(PageIndexPolicy::Skip)
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
fn neighbours(ranges: &[Range<u64>]) -> Vec<Neighbours> {
    let mut groups: Vec<Neighbours> = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        match groups.last_mut() {
            Some(last) if range.start >= last.end && range.start - last.end <= GAP_BYTES => {
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
        let far = 10 * GAP_BYTES;
        let groups = neighbours(&[0..10, 10..20, 30..40, far..far + 5, 50..60]);
        let found: Vec<_> =
            groups.iter().map(|group| (group.start, group.end, group.indices.clone())).collect();
        assert_eq!(found, [(0, 40, 0..3), (far, far + 5, 3..4), (50, 60, 4..5)]);
    }
}
