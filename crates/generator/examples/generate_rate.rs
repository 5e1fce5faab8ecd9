//! Measures the generator alone: CPU seconds per million records, read into memory.
//!
//! `cargo run --release -p pulselake-generator --example generate_rate [records] [rate per s]`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use pulselake_generator::{GeneratorConfig, PartitionLog, World};
use pulselake_model::RawBatch;

/// CPU seconds of this thread where the system tells them (Linux), else the wall clock's.
fn cpu_seconds(since: Instant) -> f64 {
    let on_cpu_ns = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    on_cpu_ns.map_or(since.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let wanted: usize = arguments.next().map_or(Ok(5_000_000), |text| text.parse())?;
    let rate_per_s: f64 = arguments.next().map_or(Ok(100_000.0), |text| text.parse())?;

    let since = Instant::now();
    let before_s = cpu_seconds(since);
    let config = GeneratorConfig { rate_per_s, ..GeneratorConfig::default() };
    let world = World::new(Arc::new(config))?;
    let mut logs = (0..world.config().partitions)
        .map(|partition| PartitionLog::in_world(world.clone(), partition))
        .collect::<Result<Vec<_>, _>>()?;
    let ready_s = cpu_seconds(since);

    // One arena for all batches, as a source would reuse it, so that the generator is measured and not the allocator.
    let mut batch = RawBatch::default();
    let (mut records, mut bytes, mut second) = (0, 0, 0);
    while records < wanted {
        let up_to_ms = world.block_start_ms(second + 1) - 1;
        for log in &mut logs {
            batch.bytes.clear();
            batch.records.clear();
            batch.partition = log.partition();
            batch.first_offset = log.position();
            batch.next_offset = log.position();
            log.read_into(&mut batch, up_to_ms, usize::MAX, usize::MAX)?;
            records += batch.records.len();
            bytes += batch.bytes.len();
        }
        second += 1;
    }
    let used_s = cpu_seconds(since) - ready_s;
    println!("set-up: {:.3} CPU s", ready_s - before_s);
    println!(
        "{records} records, {:.1} bytes each, {second} s of stream: {:.3} CPU s per million, {:.0} records per CPU s",
        bytes as f64 / records as f64,
        used_s / records as f64 * 1e6,
        records as f64 / used_s,
    );
    Ok(())
}
