//! Prints how many CPU seconds one million events cost, deduplication included.
//!
//! Run with `cargo run --release -p pulselake-window --example window_rate`. The stream: one partition, 1,000 or 10,000 events
//! a second of stream time, 20,000 videos of which few take most of the traffic, 1 % retries, a flush every ten batches.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use pulselake_model::{DecodedBatch, ErrorCode, EventColumns, EventType};
use pulselake_window::{PartitionWindows, WindowSettings};

const EVENTS_PER_BATCH: i64 = 10_000;
const BATCHES: i64 = 300;
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

/// CPU time of this process in seconds, where the system tells it.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
}

fn main() {
    for events_per_second in [1_000, 10_000] {
        let spacing_us = 1_000_000 / events_per_second;
        let batches: Vec<_> =
            (0..BATCHES).map(|number| batch(number * EVENTS_PER_BATCH, spacing_us)).collect();
        let without = WindowSettings { dedup_horizon_ms: 0, ..WindowSettings::default() };
        for (name, settings) in [("with dedup", WindowSettings::default()), ("without dedup", without)] {
            let mut windows = PartitionWindows::new(settings, None, 0);
            // The set of ids grows through the first half and turns over in the second.
            let halves = batches.chunks(BATCHES as usize / 2);
            for (phase, half) in ["growing", "steady"].into_iter().zip(halves) {
                measure(&format!("{events_per_second}/s {name}, {phase}"), &mut windows, half);
            }
        }
    }
}

fn measure(name: &str, windows: &mut PartitionWindows, batches: &[DecodedBatch]) {
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let mut rows = 0;
    for (number, batch) in batches.iter().enumerate() {
        windows.apply(batch).expect("the batches follow one another");
        if number % 10 == 9 {
            rows += windows.flush().map_or(0, |flush| flush.rows.len());
        }
    }
    let wall_s = wall.elapsed().as_secs_f64();
    let cpu_s = cpu.zip(cpu_seconds()).map_or(wall_s, |(before, after)| after - before);
    let millions = (batches.len() as i64 * EVENTS_PER_BATCH) as f64 / 1e6;
    println!(
        "{name}: {:.3} CPU s and {:.3} wall s per million events; {rows} rows, {} ids at the end",
        cpu_s / millions,
        wall_s / millions,
        windows.dedup_len(),
    );
}
