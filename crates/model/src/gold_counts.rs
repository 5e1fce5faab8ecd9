//! Counts out of batches of `gold.rt_video_stats_1min`, by the names of its columns.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::{EventType, WindowCounters};

/// The columns of counts, in the order of [`EventType`].
pub const COUNT_COLUMNS: [&str; EventType::COUNT] =
    ["impressions", "play_start", "play_finish", "likes", "shares", "skips"];
/// The column of the watch time.
pub const WATCH_TIME_COLUMN: &str = "watch_time_sum_ms";

/// The counts of a batch, row by row.
pub struct GoldCounts<'a> {
    by_type: [&'a Int64Array; EventType::COUNT],
    watch_time: Option<&'a Int64Array>,
}

impl<'a> GoldCounts<'a> {
    /// Of a batch with [`COUNT_COLUMNS`]; the watch time is 0 where it was not read. `None` where one of them is missing or
    /// has another type than the table's.
    pub fn of(batch: &'a RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let [impressions, play_start, play_finish, likes, shares, skips] = COUNT_COLUMNS.map(column);
        let watch_time = match batch.column_by_name(WATCH_TIME_COLUMN) {
            Some(found) => Some(found.as_primitive_opt::<Int64Type>()?),
            None => None,
        };
        Some(Self { by_type: [impressions?, play_start?, play_finish?, likes?, shares?, skips?], watch_time })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.by_type[0].len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counts of a row.
    pub fn at(&self, row: usize) -> WindowCounters {
        WindowCounters {
            by_type: self.by_type.map(|counts| counts.value(row)),
            watch_time_sum_ms: self.watch_time.map_or(0, |times| times.value(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::*;
    use crate::schema;

    fn batch(names: &[&str]) -> RecordBatch {
        let columns = names.iter().map(|name| {
            let place = COUNT_COLUMNS.iter().position(|known| known == name).unwrap_or(9) as i64;
            (*name, Arc::new(Int64Array::from(vec![place, 10 + place])) as ArrayRef)
        });
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn counts_are_found_by_their_names() {
        let mut names = [&[WATCH_TIME_COLUMN], &COUNT_COLUMNS[..]].concat();
        names.reverse();
        let all = batch(&names);
        let counts = GoldCounts::of(&all).unwrap();
        assert_eq!(counts.len(), 2);
        assert_eq!(counts.at(1), WindowCounters { by_type: [10, 11, 12, 13, 14, 15], watch_time_sum_ms: 19 });
        let without_time = batch(&COUNT_COLUMNS);
        assert_eq!(GoldCounts::of(&without_time).unwrap().at(0).watch_time_sum_ms, 0);
    }

    #[test]
    fn what_is_no_gold_is_refused() {
        assert!(GoldCounts::of(&batch(&COUNT_COLUMNS[1..])).is_none());
        let narrow: Vec<(&str, ArrayRef)> = COUNT_COLUMNS
            .iter()
            .map(|name| (*name, Arc::new(Int32Array::from(vec![1])) as ArrayRef))
            .collect();
        assert!(GoldCounts::of(&RecordBatch::try_from_iter(narrow).unwrap()).is_none());
    }

    #[test]
    fn the_names_are_the_tables() {
        let table = schema::gold_video_stats();
        for name in COUNT_COLUMNS.iter().chain([&WATCH_TIME_COLUMN]) {
            assert!(table.field_with_name(name).is_ok(), "{name}");
        }
    }
}
