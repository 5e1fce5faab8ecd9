//! Where a stream of changes goes on after a restart.
//!
//! The history is to changes what bronze is to events: it says what has been consumed. The dimension follows from the
//! history alone, so that what it lacks is read there and not in the source.

use crate::{LedgerHeads, PartitionLedger, PartitionPlan, RecoveryStop, SourceFacts, plan_partition};

/// The entries of one partition in an entity's three tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeHeads<'a> {
    /// `bronze.invalid_events_cdc_*`.
    pub quarantine: Option<&'a PartitionLedger>,
    /// `dims.dim_*_history`.
    pub history: Option<&'a PartitionLedger>,
    /// `dims.dim_*`.
    pub dimension: Option<&'a PartitionLedger>,
}

/// Their names, for messages.
#[derive(Clone, Copy, Debug)]
pub struct ChangeTables {
    /// `bronze.invalid_events_cdc_*`.
    pub quarantine: &'static str,
    /// `dims.dim_*_history`.
    pub history: &'static str,
    /// `dims.dim_*`.
    pub dimension: &'static str,
}

/// How one partition of changes goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePlan {
    /// Reading: `bronze_next` stands for the history, which is all there is to feed.
    pub reading: PartitionPlan,
    /// Offsets `[from, to)` of the history that the dimension has not applied.
    pub catch_up: Option<(i64, i64)>,
}

/// Plans one partition's restart.
pub fn plan_changes(
    partition: i32,
    tables: ChangeTables,
    heads: ChangeHeads<'_>,
    facts: SourceFacts<'_>,
) -> Result<ChangePlan, RecoveryStop> {
    let history_next = heads.history.map_or(0, |entry| entry.next);
    let dimension_next = heads.dimension.map_or(0, |entry| entry.next);
    if dimension_next > history_next {
        return Err(RecoveryStop::DimensionAhead {
            partition,
            dimension: tables.dimension,
            dimension_next,
            history: tables.history,
            history_next,
        });
    }
    let as_events = LedgerHeads { quarantine: heads.quarantine, bronze: heads.history, gold: heads.history };
    let reading = plan_partition(partition, as_events, facts).map_err(|stop| match stop {
        RecoveryStop::QuarantineBehind { partition, expected, found, .. } => RecoveryStop::QuarantineBehind {
            partition,
            table: tables.history,
            quarantine: tables.quarantine,
            expected,
            found,
        },
        other => other,
    })?;
    let catch_up = (dimension_next < history_next).then_some((dimension_next, history_next));
    Ok(ChangePlan { reading, catch_up })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counts, SourceBounds};

    const TABLES: ChangeTables =
        ChangeTables { quarantine: "quarantine", history: "history", dimension: "dimension" };
    const FACTS: SourceFacts<'static> = SourceFacts {
        bounds: SourceBounds { low: 0, high: 100 },
        fingerprint: "f",
        continue_on_data_loss: false,
    };

    fn entry(next: i64, quarantined: u64) -> PartitionLedger {
        PartitionLedger {
            next,
            replay_from: next,
            fingerprint: "f".into(),
            counts: Counts { records: next as u64, quarantined, ..Counts::default() },
            ..PartitionLedger::default()
        }
    }

    fn plan(
        quarantine: Option<&PartitionLedger>,
        history: Option<&PartitionLedger>,
        dimension: Option<&PartitionLedger>,
    ) -> Result<ChangePlan, RecoveryStop> {
        plan_changes(3, TABLES, ChangeHeads { quarantine, history, dimension }, FACTS)
    }

    #[test]
    fn a_new_partition_is_read_from_its_start() {
        let found = plan(None, None, None).unwrap();
        assert_eq!((found.reading.read_from, found.reading.bronze_next, found.catch_up), (0, 0, None));
    }

    #[test]
    fn reading_goes_on_behind_the_history_even_where_the_dimension_is_behind() {
        let (history, dimension) = (entry(50, 0), entry(20, 0));
        let found = plan(None, Some(&history), Some(&dimension)).unwrap();
        assert_eq!((found.reading.read_from, found.catch_up), (50, Some((20, 50))));
        let found = plan(None, Some(&history), None).unwrap();
        assert_eq!(found.catch_up, Some((0, 50)));
        let found = plan(None, Some(&history), Some(&history)).unwrap();
        assert_eq!(found.catch_up, None);
    }

    #[test]
    fn between_the_first_two_commits_the_quarantine_decides() {
        let (quarantine, history) = (entry(50, 2), entry(20, 1));
        let found = plan(Some(&quarantine), Some(&history), Some(&history)).unwrap();
        assert_eq!((found.reading.bronze_next, found.reading.quarantined_decides_to), (20, Some(50)));
    }

    #[test]
    fn tables_rolled_back_alone_are_named() {
        let (history, dimension) = (entry(20, 0), entry(50, 0));
        let stop = plan(None, Some(&history), Some(&dimension)).unwrap_err();
        assert!(matches!(stop, RecoveryStop::DimensionAhead { dimension_next: 50, history_next: 20, .. }));
        let history = entry(20, 3);
        let stop = plan(Some(&entry(20, 1)), Some(&history), None).unwrap_err().to_string();
        assert!(stop.contains("history has counted 3") && stop.contains("quarantine holds 1"), "{stop}");
    }
}
