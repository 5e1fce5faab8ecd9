//! Writes what some users are shown as CSV: a random part of the impressions, as a sample of a real service has it, for
//! `tests/tools/generator_fit.py`.
//!
//! `cargo run --release -p pulselake-generator --example views [days] [share kept]`
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use pulselake_generator::{GeneratorConfig, PartitionLog, World};
use pulselake_model::EventType;

/// As many users as the real sample has, each as busy as with the default settings.
const USERS: u32 = 664;
const START_MS: i64 = 1_649_376_000_000;
const MS_PER_DAY: i64 = 86_400_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let days: i64 = arguments.next().map_or(Ok(14), |text| text.parse())?;
    let kept: f64 = arguments.next().map_or(Ok(0.015), |text| text.parse())?;

    let usual = GeneratorConfig::default();
    let rate_per_s = usual.rate_per_s * f64::from(USERS) / f64::from(usual.users);
    let config = GeneratorConfig {
        rate_per_s,
        users: USERS,
        partitions: 1,
        start_ms: START_MS,
        day_curve: 1.0,
        ..usual
    };
    let mut log = PartitionLog::in_world(World::new(Arc::new(config))?, 0)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "impression_ms,user,video,ending,watch_time_ms")?;
    // By (user, video): when the impression was that is kept and has no ending yet.
    let mut waiting: HashMap<(u32, u32), i64> = HashMap::new();
    for block in 0..days * MS_PER_DAY / 1_000 {
        for record in log.records_of_block(block)? {
            let key = (record.user, record.video);
            match record.event_type {
                EventType::Impression if is_kept(record.offset, kept) => {
                    waiting.insert(key, record.event_time_ms);
                }
                EventType::PlayFinish | EventType::Skip => {
                    let Some(impression_ms) = waiting.remove(&key) else { continue };
                    let (ending, watched_ms) = (record.event_type.as_str(), record.watch_time_ms);
                    writeln!(out, "{impression_ms},{},{},{ending},{watched_ms}", record.user, record.video)?;
                }
                _ => {}
            }
        }
    }
    Ok(out.flush()?)
}

/// A fair coin of this share for each offset.
fn is_kept(offset: i64, share: f64) -> bool {
    let mixed = (offset as u64 ^ (offset as u64 >> 17)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 11) as f64) < share * (1_u64 << 53) as f64
}
