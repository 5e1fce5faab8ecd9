//! What a run of the generator has written, counted from its plan and not from the bytes, and what that must lead to.

use std::sync::Arc;

use anyhow::ensure;
use pulselake_decision::{Rules, Thresholds};
use pulselake_generator::{GeneratorConfig, LogRecord, PartitionLog, TruthCounts};
use pulselake_model::RawBatch;
use uuid::Uuid;

use super::expected::{ExpectedAction, expected_actions};

/// Namespace of the ids of runs: UUID v5 of `pulselake.run` in the namespace of domain names.
const NAMESPACE: Uuid = Uuid::from_u128(0x1876_e357_09e7_5b21_885b_1a25_dc30_09a6);

/// Counts exactly the records that were written.
pub(super) struct RunTruth {
    config: Arc<GeneratorConfig>,
    counts: TruthCounts,
    record_times_ms: Option<(i64, i64)>,
}

impl RunTruth {
    /// Of a run that has written nothing yet.
    pub(super) fn new(config: Arc<GeneratorConfig>) -> Self {
        Self { config, counts: TruthCounts::default(), record_times_ms: None }
    }

    /// Counts a record that was written. Records come in the order of their times.
    pub(super) fn add(&mut self, record: &LogRecord) {
        self.counts.add(record);
        let (first_ms, _) = self.record_times_ms.unwrap_or((record.record_time_ms, record.record_time_ms));
        self.record_times_ms = Some((first_ms, record.record_time_ms));
    }

    /// What it all comes to.
    ///
    /// # Errors
    /// When the scenarios' videos have no rows: a configuration that is not possible.
    pub(super) fn finish(self) -> anyhow::Result<FinishedRun> {
        let (rules, thresholds) = (Rules::default(), Thresholds::SEED);
        let expected = expected_actions(&self.config, &self.counts, &rules, &thresholds)?;
        let run_id = run_id(&self.config, self.counts.records);
        Ok(FinishedRun { run_id, truth: self, rules, thresholds, expected })
    }
}

/// A run that is over.
pub(super) struct FinishedRun {
    /// See [`run_id`].
    pub(super) run_id: Uuid,
    truth: RunTruth,
    /// What the expected actions were decided by.
    pub(super) rules: Rules,
    /// What they were compared with.
    pub(super) thresholds: Thresholds,
    /// At least one for each video that a scenario is about.
    pub(super) expected: Vec<ExpectedAction>,
}

impl FinishedRun {
    /// The log.
    pub(super) fn config(&self) -> &GeneratorConfig {
        &self.truth.config
    }

    /// What its records come to.
    pub(super) fn counts(&self) -> &TruthCounts {
        &self.truth.counts
    }

    /// Record times of the first and the last record, milliseconds since the epoch.
    pub(super) fn record_times_ms(&self) -> Option<(i64, i64)> {
        self.truth.record_times_ms
    }
}

/// The id of the run that has written so many records of this log: UUID v5 of `<records>/<identity of the log>`.
fn run_id(config: &GeneratorConfig, records: u64) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{records}/{}", config.identity()).as_bytes())
}

/// What the records of a batch say, one for each: the batch holds the whole of `block`.
///
/// # Errors
/// When the log doesn't have the block. That plan and bytes differ is a defect.
pub(super) fn plan_of_batch(
    log: &mut PartitionLog,
    block: i64,
    batch: &RawBatch,
) -> anyhow::Result<Vec<LogRecord>> {
    let records: Vec<LogRecord> = log.records_of_block(block)?.collect();
    let is_same = records.iter().map(|record| record.offset).eq(batch.records.iter().map(|raw| raw.offset));
    ensure!(is_same, "block {block} of partition {} was not read as it was planned", batch.partition);
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_the_named_one() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"pulselake.run"));
    }

    #[test]
    fn a_run_is_its_log_and_its_number_of_records() {
        let config = GeneratorConfig::default();
        let same = run_id(&config, 7);
        assert_eq!(same, run_id(&config.clone(), 7));
        assert_ne!(same, run_id(&config, 8));
        assert_ne!(same, run_id(&GeneratorConfig { seed: 43, ..config }, 7));
    }
}
