//! What windows cost: decoded batches in, gold rows out. `cargo bench -p pulselake-window`.
//!
//! One partition, 1,000 or 10,000 events a second of stream time, 20,000 videos of which few take most of the traffic, 1 %
//! retries, a flush every ten batches. Criterion's `thrpt` line gives events per second: on an otherwise idle core, a
//! million divided by it is CPU seconds per million events.
#![allow(missing_docs)]

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pulselake_model::{DecodedBatch, ErrorCode, EventColumns, EventType};
use pulselake_window::{PartitionWindows, WindowSettings};

const EVENTS_PER_BATCH: i64 = 10_000;
const BATCHES: i64 = 200;
/// Behind so many the set of ids is as large as it gets.
const WARM_UP_BATCHES: usize = 150;
const BATCHES_PER_FLUSH: usize = 10;
const VIDEOS: u64 = 20_000;

/// A splitmix64 step: enough randomness for a load, the same in every run.
fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn batch(first_offset: i64, event_spacing_us: i64) -> DecodedBatch {
    let mut columns = EventColumns::default();
    let mut videos = Vec::new();
    for offset in first_offset..first_offset + EVENTS_PER_BATCH {
        let random = mix(offset as u64);
        // One in a hundred repeats the id of a record some thousand offsets before.
        let source =
            if random.is_multiple_of(100) { offset - (random >> 32) as i64 % 50_000 } else { offset };
        let stream_time_us = 1_700_000_000_000_000 + source * event_spacing_us;
        // The product of two uniform numbers favours small ones.
        let spread = (random % 10_007) * (mix(random) % 10_007) / 10_007;
        columns.offset.push(offset);
        columns.event_timestamp_us.push(stream_time_us - (random >> 40) as i64 % 2_000_000);
        columns.stream_time_us.push(stream_time_us);
        columns.event_type.push(EventType::ALL[(random >> 20) as usize % EventType::COUNT]);
        columns.watch_time_ms.push((random >> 12) as i64 % 60_000);
        columns.event_id_hash.push(u128::from(mix(source as u64)) << 64 | u128::from(mix(!source as u64)));
        videos.push(format!("v_{}", spread * VIDEOS / 10_007));
    }
    let events = RecordBatch::try_from_iter([("video_id", Arc::new(StringArray::from(videos)) as _)]);
    let invalid =
        RecordBatch::try_from_iter([("source_offset", Arc::new(Int64Array::from(Vec::<i64>::new())) as _)]);
    DecodedBatch {
        partition: 0,
        first_offset,
        next_offset: first_offset + EVENTS_PER_BATCH,
        record_count: EVENTS_PER_BATCH as u64,
        events: events.expect("one column makes a batch"),
        columns,
        invalid: invalid.expect("one column makes a batch"),
        invalid_by_code: [0; ErrorCode::COUNT],
        last: None,
    }
}

/// Windows in their steady state: as many ids come in as go out.
fn warmed_up(settings: WindowSettings, batches: &[DecodedBatch]) -> PartitionWindows {
    let mut windows = PartitionWindows::new(settings, None, 0);
    apply(&mut windows, &batches[..WARM_UP_BATCHES]);
    windows
}

/// How many rows the batches close.
fn apply(windows: &mut PartitionWindows, batches: &[DecodedBatch]) -> usize {
    let mut rows = 0;
    for (number, batch) in batches.iter().enumerate() {
        windows.apply(batch).expect("the batches follow one another");
        if (number + 1) % BATCHES_PER_FLUSH == 0 {
            rows += windows.flush().map_or(0, |flush| flush.rows.len());
        }
    }
    rows
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows");
    let events = (BATCHES as u64 - WARM_UP_BATCHES as u64) * EVENTS_PER_BATCH as u64;
    group.throughput(Throughput::Elements(events)).sample_size(10).sampling_mode(SamplingMode::Flat);
    for events_per_second in [1_000, 10_000] {
        let batches: Vec<DecodedBatch> = (0..BATCHES)
            .map(|number| batch(number * EVENTS_PER_BATCH, 1_000_000 / events_per_second))
            .collect();
        let without = WindowSettings { dedup_horizon_ms: 0, ..WindowSettings::default() };
        for (name, settings) in [("dedup", WindowSettings::default()), ("no_dedup", without)] {
            group.bench_function(format!("{name}/{events_per_second}_per_s"), |bencher| {
                bencher.iter_batched_ref(
                    || warmed_up(settings, &batches),
                    |windows| apply(windows, &batches[WARM_UP_BATCHES..]),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
