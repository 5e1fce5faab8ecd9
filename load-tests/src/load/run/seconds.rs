//! A generated log, second by second: every record that is due in it, over all partitions in the order of their times.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use pulselake_generator::{GeneratorConfig, LogRecord, PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;

/// Offsets count records within a second in this many low bits.
const INDEX_BITS: u32 = 20;

/// A record that is due.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DueRecord {
    pub(crate) record: LogRecord,
    /// In the generated log.
    pub(crate) partition: i32,
    /// Of [`Second::bytes`]; empty where nobody asked for bytes.
    pub(crate) value: Range<usize>,
}

/// The records of one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    pub(crate) records: Vec<DueRecord>,
    pub(crate) bytes: Vec<u8>,
}

/// Reads a log from one second to the next.
pub(crate) struct SecondReader {
    logs: Vec<PartitionLog>,
    /// Milliseconds since the epoch.
    start_ms: i64,
    next_block: i64,
    with_bytes: bool,
}

impl SecondReader {
    /// From second `first` of the log on. Without bytes it is several times faster.
    pub(crate) fn new(config: GeneratorConfig, first: u32, with_bytes: bool) -> anyhow::Result<Self> {
        let start_ms = config.start_ms;
        let world = World::new(Arc::new(config))?;
        let logs = (0..world.config().partitions)
            .map(|partition| PartitionLog::in_world(world.clone(), partition))
            .collect::<Result<_, _>>()?;
        Ok(Self { logs, start_ms, next_block: first.into(), with_bytes })
    }

    /// The next second.
    pub(crate) fn next_second(&mut self) -> anyhow::Result<Second> {
        let mut second = Second::default();
        for (partition, log) in (0..).zip(&mut self.logs) {
            let first = second.records.len();
            second.records.extend(log.records_of_block(self.next_block)?.map(|record| DueRecord {
                record,
                partition,
                value: 0..0,
            }));
            if self.with_bytes {
                let last_ms = self.start_ms + (self.next_block + 1) * 1_000 - 1;
                let mut batch = RawBatch::at(partition, self.next_block << INDEX_BITS);
                while log.read_into(&mut batch, last_ms, usize::MAX, usize::MAX)? == ReadOutcome::More {}
                let base = second.bytes.len();
                second.bytes.extend_from_slice(&batch.bytes);
                let due = &mut second.records[first..];
                anyhow::ensure!(due.len() == batch.records.len(), "the log's plan and its bytes differ");
                for (record, raw) in due.iter_mut().zip(&batch.records) {
                    record.value = base + raw.start..base + raw.start + raw.len;
                }
            }
        }
        second.records.sort_by_key(|due| due.record.record_time_ms);
        self.next_block = self.next_block.checked_add(1).context("the log has ended")?;
        Ok(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever way it is read, it is the same log.
    #[test]
    fn seconds_hold_what_the_log_holds() {
        let config = GeneratorConfig {
            rate_per_s: 300.0,
            partitions: 3,
            videos: 100,
            users: 1_000,
            invalid_ratio: 0.05,
            duplicate_ratio: 0.1,
            ..GeneratorConfig::default()
        };
        let mut with_bytes = SecondReader::new(config.clone(), 60, true).unwrap();
        let mut without = SecondReader::new(config.clone(), 60, false).unwrap();
        let world = World::new(Arc::new(config.clone())).unwrap();
        let mut count = 0;
        for number in 60..65 {
            let (second, bare) = (with_bytes.next_second().unwrap(), without.next_second().unwrap());
            assert_eq!(second.records.len(), bare.records.len());
            assert!(second.records.iter().zip(&bare.records).all(|(a, b)| a.record == b.record));
            assert!(second.records.is_sorted_by_key(|due| due.record.record_time_ms));
            for due in &second.records {
                let time_ms = due.record.record_time_ms - config.start_ms;
                assert_eq!(time_ms.div_euclid(1_000), number);
                let mut log = PartitionLog::in_world(world.clone(), due.partition).unwrap();
                let mut batch = RawBatch::at(due.partition, due.record.offset);
                log.read_into(&mut batch, i64::MAX, 1, usize::MAX).unwrap();
                assert_eq!(batch.value(&batch.records[0]), &second.bytes[due.value.clone()]);
                count += 1;
                if count % 40 == 0 {
                    break;
                }
            }
        }
        assert!(count >= 200, "{count}");
    }
}
