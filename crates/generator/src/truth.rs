//! The recount: what a run over some blocks must come to, straight from the plan and not from the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulselake_model::{ErrorCode, WindowCounters};

use crate::{GeneratorConfig, GeneratorError, PartitionLog, RecordKind, World};

const MINUTE_MS: i64 = 60_000;

/// What the records of some blocks, over all partitions, come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruthCounts {
    /// All records.
    pub records: u64,
    /// Of these, events delivered for the first time.
    pub events: u64,
    /// Of these, retries of events delivered before. (A retry's event can lie before the range.)
    pub retries: u64,
    /// Of these, records that must end in quarantine, indexed by [`ErrorCode`] as a number.
    pub malformed_by_code: [u64; ErrorCode::COUNT],
    /// Per (number of the video, start of the minute of event time in ms since the epoch): events, without retries.
    pub by_video_minute: BTreeMap<(u32, i64), WindowCounters>,
}

/// Counts the records whose record time lies in blocks `from_block..to_block`, of all partitions.
///
/// # Errors
/// When the configuration is not possible or the log doesn't have these blocks.
pub fn count_events(
    config: Arc<GeneratorConfig>,
    from_block: i64,
    to_block: i64,
) -> Result<TruthCounts, GeneratorError> {
    let world = World::new(config)?;
    let mut counts = TruthCounts::default();
    for partition in 0..world.config().partitions {
        let mut log = PartitionLog::in_world(world.clone(), partition)?;
        for block in from_block..to_block {
            for record in log.records_of_block(block)? {
                counts.records += 1;
                match record.kind {
                    RecordKind::Retry => counts.retries += 1,
                    RecordKind::Malformed(kind) => counts.malformed_by_code[kind.error_code() as usize] += 1,
                    RecordKind::Event => {
                        counts.events += 1;
                        let minute_start_ms =
                            record.event_time_ms - record.event_time_ms.rem_euclid(MINUTE_MS);
                        let counters =
                            counts.by_video_minute.entry((record.video, minute_start_ms)).or_default();
                        counters.add(record.event_type, record.watch_time_ms.into());
                    }
                }
            }
        }
    }
    Ok(counts)
}
