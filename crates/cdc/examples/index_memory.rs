//! How much memory and time the index of versions takes: `cargo run --release -p pulselake-cdc --example index_memory -- 10000000`.
//!
//! Loads that many keys as from the history, in batches, and prints bytes a key as the index counts them and as the kernel
//! sees them grow, the time, and what a bound of an eighth of the keys does.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use pulselake_cdc::VersionIndex;
use pulselake_model::Entity;

const DEFAULT_KEYS: u64 = 10_000_000;
const BATCH: u64 = 65_536;
const PAGE_BYTES: u64 = 4_096;

fn batch(from: u64, to: u64) -> RecordBatch {
    let numbers = || (from..to).map(u64::cast_signed);
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((from..to).map(|key| format!("v_{key}"))));
    let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers().map(|number| number * 160)));
    let minors: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers().map(|_| 0)));
    let moments: ArrayRef =
        Arc::new(Int64Array::from_iter_values(numbers().map(|number| 1_770_458_400_000 + number)));
    let hashes: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers()));
    RecordBatch::try_from_iter([
        ("video_id", keys),
        ("source_position", positions),
        ("source_position_minor", minors),
        ("source_ts_ms", moments),
        ("version_hash", hashes),
    ])
    .unwrap()
}

/// Resident memory of this process, where the kernel tells.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

/// The index, and the time that loading took without the making of the batches.
fn loaded(keys: u64, max_keys: u64) -> (VersionIndex, Duration) {
    let mut index = VersionIndex::new(max_keys as usize);
    let mut time = Duration::ZERO;
    let mut from = 0;
    while from < keys {
        let to = keys.min(from + BATCH);
        let rows = batch(from, to);
        let begun = Instant::now();
        index.load(Entity::Videos, &rows).unwrap();
        time += begun.elapsed();
        from = to;
    }
    (index, time)
}

fn main() {
    let keys = std::env::args().nth(1).map_or(DEFAULT_KEYS, |keys| keys.parse().expect("a number of keys"));
    let before = resident_bytes();
    let (index, time) = loaded(keys, keys);
    let per_key = |bytes: u64| bytes as f64 / keys as f64;
    println!(
        "{} keys, {:.1} bytes a key, loaded in {time:.2?}",
        index.len(),
        per_key(index.memory_bytes() as u64)
    );
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("resident memory grew by {:.1} bytes a key", per_key(after.saturating_sub(before)));
    }
    drop(index);
    let (bounded, time) = loaded(keys, keys / 8);
    println!(
        "bounded to {}: {} keys, {} bytes, loaded in {time:.2?}, changes up to {:?} need a look-up",
        keys / 8,
        bounded.len(),
        bounded.memory_bytes(),
        bounded.floor().map(|order| order.source_ts_ms)
    );
}
