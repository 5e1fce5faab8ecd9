//! Which rows of a Parquet file are read together, so that memory stays bounded.
//!
//! A row group is read as a whole where its wanted columns are small, else in parts of which only the pages are fetched.
//! A file without an offset index has to be read by whole row groups.

use std::collections::VecDeque;
use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection, RowSelector};
use parquet::file::metadata::ColumnChunkMetaData;

use crate::scan::ScanOptions;

/// Rows of one row group that are read together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub row_group: usize,
    /// Sorted ranges of its rows, none of them empty.
    pub rows: Vec<Range<usize>>,
    /// Position of the row group's first row in the file.
    pub first_position: u64,
    /// Of the wanted columns in these rows, about.
    pub compressed_bytes: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
}

impl Window {
    /// Positions of its rows in the file.
    pub(crate) fn positions(&self) -> VecDeque<Range<u64>> {
        let position = |row: usize| self.first_position + row as u64;
        self.rows.iter().map(|range| position(range.start)..position(range.end)).collect()
    }

    /// What of a row group of `rows` rows is to be read; `None` for all of it.
    pub(crate) fn selection(&self, rows: usize) -> Option<RowSelection> {
        if row_count(&self.rows) == rows {
            return None;
        }
        let mut selectors = Vec::with_capacity(2 * self.rows.len());
        let mut at = 0;
        for range in &self.rows {
            selectors.push(RowSelector::skip(range.start - at));
            selectors.push(RowSelector::select(range.len()));
            at = range.end;
        }
        Some(RowSelection::from(selectors))
    }
}

/// The windows of a file, in its order. `wanted`: rows of a row group, as sorted ranges.
pub(crate) fn windows(
    metadata: &ArrowReaderMetadata,
    projection: &ProjectionMask,
    options: ScanOptions,
    wanted: impl Fn(usize) -> Vec<Range<usize>>,
) -> VecDeque<Window> {
    let parquet = metadata.metadata();
    let mut windows = VecDeque::new();
    let mut first_position = 0;
    for (row_group, facts) in parquet.row_groups().iter().enumerate() {
        let rows = facts.num_rows() as usize;
        let projected =
            || facts.columns().iter().enumerate().filter(|(leaf, _)| projection.leaf_included(*leaf));
        let compressed: usize = projected().map(|(_, chunk)| chunk.compressed_size().max(0) as usize).sum();
        let decoded: usize = projected().map(|(_, chunk)| decoded_bytes(chunk)).sum();
        let row_bytes = (decoded / rows.max(1)).max(1);
        let batch_rows = (options.batch_bytes / row_bytes).clamp(1, options.batch_rows.max(1));
        let rows_each = match parquet.offset_index().is_some() {
            true => rows / compressed.div_ceil(options.window_bytes.max(1)).clamp(1, rows.max(1)),
            false => rows,
        };
        for part in parts(wanted(row_group), rows_each.max(1)) {
            windows.push_back(Window {
                row_group,
                compressed_bytes: (compressed as u128 * row_count(&part) as u128 / rows.max(1) as u128)
                    as usize,
                rows: part,
                first_position,
                batch_rows,
            });
        }
        first_position += rows as u64;
    }
    windows
}

/// Size of a column's values in memory, about. What a dictionary holds once is there once for each row.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> usize {
    let in_pages = chunk.uncompressed_size();
    in_pages.max(chunk.unencoded_byte_array_data_bytes().unwrap_or(0)).max(0) as usize
}

fn row_count(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).sum()
}

/// `ranges` in their order, in parts of at most `rows_each` rows.
fn parts(ranges: Vec<Range<usize>>, rows_each: usize) -> Vec<Vec<Range<usize>>> {
    let mut parts: Vec<Vec<Range<usize>>> = Vec::new();
    let mut room = 0;
    for range in ranges {
        let mut rest = range;
        while !rest.is_empty() {
            if room == 0 {
                parts.push(Vec::new());
                room = rows_each;
            }
            let end = rest.end.min(rest.start + room);
            if let Some(part) = parts.last_mut() {
                part.push(rest.start..end);
            }
            room -= end - rest.start;
            rest.start = end;
        }
    }
    parts
}

/// Takes the positions of the next `rows` rows; fewer where there are fewer.
pub(crate) fn take_positions(positions: &mut VecDeque<Range<u64>>, rows: u64) -> Vec<Range<u64>> {
    let (mut taken, mut left) = (Vec::new(), rows);
    while let Some(range) = positions.front_mut().filter(|_| left > 0) {
        let end = range.end.min(range.start + left);
        taken.push(range.start..end);
        left -= end - range.start;
        range.start = end;
        if range.is_empty() {
            positions.pop_front();
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_and_positions_keep_all_rows_in_order(
            lengths in prop::collection::vec((1..20_usize, 1..20_usize), 0..10),
            rows_each in 1..30_usize,
            batch in 1..30_u64,
        ) {
            let mut ranges: Vec<Range<usize>> = Vec::new();
            let mut at = 0;
            for (gap, length) in lengths {
                ranges.push(at + gap..at + gap + length);
                at += gap + length;
            }
            let expected: Vec<usize> = ranges.iter().cloned().flatten().collect();
            let cut = parts(ranges, rows_each);
            prop_assert!(cut.iter().all(|part| row_count(part) <= rows_each && row_count(part) > 0));
            let mut found: Vec<u64> = Vec::new();
            for rows in cut {
                let window = Window { row_group: 0, rows, first_position: 100, compressed_bytes: 0, batch_rows: 1 };
                let mut positions = window.positions();
                loop {
                    let taken: Vec<u64> = take_positions(&mut positions, batch).into_iter().flatten().collect();
                    if taken.is_empty() {
                        break;
                    }
                    prop_assert!(taken.len() as u64 <= batch);
                    found.extend(taken);
                }
            }
            prop_assert_eq!(found, expected.iter().map(|row| *row as u64 + 100).collect::<Vec<_>>());
        }
    }
}
