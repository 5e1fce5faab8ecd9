//! Reads the Parquet files of `--truth` into plain values.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The files of a truth.
pub const FILES: [&str; 4] =
    ["counts.parquet", "quarantine.parquet", "expected_actions.parquet", "run_manifest.parquet"];

/// Counts of a video in a minute: the six kinds of events in the contract's order, and the watch time.
pub type Counts = [i64; 7];

/// By video and start of the minute, microseconds since the epoch.
pub type CountsByMinute = BTreeMap<(String, i64), Counts>;

/// All rows of a file.
pub struct Rows(pub RecordBatch);

impl Rows {
    /// Reads a file.
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        Self(concat_batches(&schema, &batches).unwrap())
    }

    fn column(&self, name: &str) -> &ArrayRef {
        self.0.column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"))
    }

    /// A column of texts; an empty one where it is null.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.column(name).as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
    }

    /// A column of whole numbers.
    pub fn whole(&self, name: &str) -> Vec<Option<i64>> {
        self.column(name).as_primitive::<Int64Type>().iter().collect()
    }

    /// A column of numbers.
    pub fn numbers(&self, name: &str) -> Vec<Option<f64>> {
        self.column(name).as_primitive::<Float64Type>().iter().collect()
    }

    /// A column of moments.
    pub fn times_us(&self, name: &str) -> Vec<Option<i64>> {
        self.column(name).as_primitive::<TimestampMicrosecondType>().iter().collect()
    }

    /// A column of lists of texts.
    pub fn lists(&self, name: &str) -> Vec<Vec<String>> {
        let lists = self.column(name).as_list::<i32>();
        let texts = |list: ArrayRef| list.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        lists.iter().map(|list| list.map(texts).unwrap_or_default()).collect()
    }

    /// The one value of a column of whole numbers in a file of one row.
    pub fn only(&self, name: &str) -> i64 {
        let [Some(value)] = self.whole(name)[..] else { panic!("{name} is not one value") };
        value
    }
}

/// `counts.parquet`.
pub fn counts(directory: &Path) -> CountsByMinute {
    counts_of(&Rows::read(&directory.join("counts.parquet")))
}

/// Rows with the columns of `counts.parquet`, those of the same video and minute summed.
pub fn counts_of(rows: &Rows) -> CountsByMinute {
    let names = ["impressions", "play_start", "play_finish", "likes", "shares", "skips", "watch_time_sum_ms"];
    let columns = names.map(|name| rows.whole(name));
    let keys = rows.texts("video_id").into_iter().zip(rows.times_us("window_start"));
    let mut sums = CountsByMinute::new();
    for (row, (video, start_us)) in keys.enumerate() {
        let sum = sums.entry((video, start_us.unwrap())).or_default();
        for (total, column) in sum.iter_mut().zip(&columns) {
            *total += column[row].unwrap();
        }
    }
    sums
}

/// `quarantine.parquet`: records by error code.
pub fn quarantine(directory: &Path) -> BTreeMap<String, i64> {
    let rows = Rows::read(&directory.join("quarantine.parquet"));
    let records = rows.whole("records").into_iter().map(Option::unwrap);
    rows.texts("error_code").into_iter().zip(records).collect()
}
