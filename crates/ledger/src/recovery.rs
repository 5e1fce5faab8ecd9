//! Where to go on after a restart: rules 5, 6 and 12.
//!
//! The plan of one partition follows from the three tables' entries and from what the source still has. A sink
//! skips what it has; reading begins at the smallest offset that any sink still needs.

use crate::{LastSeen, Ledger, PartitionLedger};

/// The entries of one partition in the three hot tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerHeads<'a> {
    /// `bronze.invalid_events_*`.
    pub quarantine: Option<&'a PartitionLedger>,
    /// `bronze.raw_events`.
    pub bronze: Option<&'a PartitionLedger>,
    /// `gold.rt_video_stats_1min`.
    pub gold: Option<&'a PartitionLedger>,
}

/// Offsets that the source has: `[low, high)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceBounds {
    /// First offset still there.
    pub low: i64,
    /// Last stable offset: the position of a reader that is caught up.
    pub high: i64,
}

/// What else the plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFacts<'a> {
    /// What the source still has.
    pub bounds: SourceBounds,
    /// The present decoder's fingerprint.
    pub fingerprint: &'a str,
    /// Setting `on_data_loss = "continue"`: count the gap and go on instead of stopping.
    pub continue_on_data_loss: bool,
}

/// How one partition goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionPlan {
    /// Offset at which the reader starts.
    pub read_from: i64,
    /// Bronze takes records from here on.
    pub bronze_next: i64,
    /// Quarantine takes records from here on.
    pub quarantine_next: i64,
    /// Gold's aggregator gets records from here on: from the reader, or from bronze below `refill_to`.
    pub gold_from: i64,
    /// Gold's aggregator gets `[gold_from, refill_to)` out of bronze instead of the source; `None` when the source has it all.
    pub refill_to: Option<i64>,
    /// After a crash between the two commits: in `[bronze_next, quarantined_decides_to)` a record is invalid exactly if its offset is in quarantine already.
    pub quarantined_decides_to: Option<i64>,
    /// First offset of bronze that the present decoder has judged or will judge.
    pub fingerprint_from: i64,
    /// Records that must look as they did when they were consumed, if the reader passes them.
    pub verify: Vec<LastSeen>,
    /// Records of bronze that retention took before they were read (`continue_on_data_loss`).
    pub bronze_lost: u64,
    /// The same for gold.
    pub gold_lost: u64,
}

/// Why a partition can't go on by itself. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryStop {
    /// The tables were filled from another cluster, generator or set of files.
    #[error(
        "table {table} was filled from source {found:?}, this source is {source_id:?}: point the engine at the source that filled the tables, or at another data directory"
    )]
    OtherSource {
        /// The table.
        table: &'static str,
        /// Identity in its ledger.
        found: String,
        /// Identity of the present source.
        source_id: String,
    },
    /// The ledger has consumed more than the topic has.
    #[error(
        "partition {partition}: the tables have consumed up to offset {next}, the topic ends at {high}: the topic was recreated or truncated; use a new topic name, or a new data directory"
    )]
    BeyondEnd {
        /// Source partition.
        partition: i32,
        /// Offset that the tables stand at.
        next: i64,
        /// End of the topic.
        high: i64,
    },
    /// Retention has removed records that were never read.
    #[error(
        "partition {partition}: retention removed offsets {next}..{low} before they were read; set kafka.on_data_loss = \"continue\" to count the gap and go on"
    )]
    DataLost {
        /// Source partition.
        partition: i32,
        /// First offset not consumed.
        next: i64,
        /// First offset still there.
        low: i64,
    },
    /// Quarantine commits before bronze does: with fewer rejected records than bronze has counted, it was rolled back.
    #[error(
        "partition {partition}: {table} has counted {expected} rejected records, {quarantine} holds {found}: it was rolled back alone; roll {table} back to a snapshot of the same time or before, run `pulselake ledger rewind {table}`, and the records come again"
    )]
    QuarantineBehind {
        /// Source partition.
        partition: i32,
        /// The table that the valid records go to.
        table: &'static str,
        /// The table that the rejected ones go to.
        quarantine: &'static str,
        /// Rejected records by bronze's ledger.
        expected: u64,
        /// Rejected records by the quarantine's ledger.
        found: u64,
    },
    /// The history commits before the dimension does: a dimension ahead of it says that the history was rolled back.
    #[error(
        "partition {partition}: {dimension} has applied changes up to offset {dimension_next}, {history} ends at {history_next}: the history was rolled back alone; roll {dimension} back to a snapshot of the same time or before, and run `pulselake ledger rewind {dimension}`"
    )]
    DimensionAhead {
        /// Source partition.
        partition: i32,
        /// The dimension.
        dimension: &'static str,
        /// Its offset.
        dimension_next: i64,
        /// The history.
        history: &'static str,
        /// Its offset.
        history_next: i64,
    },
    /// The decoder changed while gold was ahead of bronze: the old decoder's judgement of that range is nowhere.
    #[error(
        "partition {partition}: the decoder's settings changed while gold (offset {gold_next}) was ahead of bronze (offset {bronze_next}); run once with the former settings and --until-caught-up, then change them"
    )]
    UndecidedRange {
        /// Source partition.
        partition: i32,
        /// Gold's offset.
        gold_next: i64,
        /// Bronze's offset.
        bronze_next: i64,
    },
}

/// Rule 12, first half: every table with a ledger must have been filled from this source.
pub fn plan_identity(
    tables: &[(&'static str, Option<&Ledger>)],
    topic: &str,
    source_id: &str,
) -> Result<(), RecoveryStop> {
    for &(table, ledger) in tables {
        let Some(ledger) = ledger else { continue };
        if ledger.topics.contains_key(topic) && ledger.cluster_id != source_id {
            return Err(RecoveryStop::OtherSource {
                table,
                found: ledger.cluster_id.clone(),
                source_id: source_id.to_string(),
            });
        }
    }
    Ok(())
}

/// Plans one partition's restart.
pub fn plan_partition(
    partition: i32,
    heads: LedgerHeads<'_>,
    facts: SourceFacts<'_>,
) -> Result<PartitionPlan, RecoveryStop> {
    let SourceBounds { low, high } = facts.bounds;
    let judged_by_another =
        |entry: Option<&PartitionLedger>| entry.is_some_and(|found| found.fingerprint != facts.fingerprint);
    let entries = [heads.quarantine, heads.bronze, heads.gold].into_iter().flatten();
    let consumed_to = entries.clone().map(|entry| entry.next).max();
    if let Some(next) = consumed_to
        && next > high
    {
        return Err(RecoveryStop::BeyondEnd { partition, next, high });
    }
    let expected = heads.bronze.map_or(0, |entry| entry.counts.quarantined);
    let found = heads.quarantine.map_or(0, |entry| entry.counts.quarantined);
    if found < expected {
        let (table, quarantine) = ("bronze.raw_events", "bronze.invalid_events_content");
        return Err(RecoveryStop::QuarantineBehind { partition, table, quarantine, expected, found });
    }
    // The partition's first record: bronze and gold both count everything since then.
    let first_offset = heads.bronze.or(heads.gold).map(|entry| {
        let counts = &entry.counts;
        entry.next - (counts.records + counts.gaps + counts.lost) as i64
    });
    let start = first_offset.unwrap_or(low);
    let committed_bronze_next = heads.bronze.map_or(start, |entry| entry.next);
    let gold_next = heads.gold.map_or(start, |entry| entry.next);
    let gold_replay_from = heads.gold.map_or(start, |entry| entry.replay_from);

    if judged_by_another(heads.gold) && gold_next > committed_bronze_next {
        return Err(RecoveryStop::UndecidedRange {
            partition,
            gold_next,
            bronze_next: committed_bronze_next,
        });
    }

    let (bronze_next, bronze_lost) = skip_lost(partition, committed_bronze_next, facts)?;

    // Where quarantine is ahead of bronze its contents decide, whoever judged: under the same decoder they say the same.
    let quarantine_next = heads.quarantine.map_or(bronze_next, |entry| entry.next.max(bronze_next));
    let quarantined_decides_to = (quarantine_next > bronze_next).then_some(quarantine_next);

    // Bronze may have been this decoder's while another one ran between and left quarantine ahead, alone.
    let settled_to = match heads.quarantine.filter(|_| quarantined_decides_to.is_some()) {
        Some(entry) if judged_by_another(Some(entry)) => entry.next,
        Some(entry) => entry.fingerprint_from,
        None => 0,
    };

    // What the source can't give gold any more comes out of bronze: what retention took, or what another decoder judged.
    let fingerprint_from = match heads.bronze {
        Some(entry) if !judged_by_another(heads.bronze) => entry.fingerprint_from.max(settled_to),
        _ => quarantined_decides_to.unwrap_or(committed_bronze_next).max(committed_bronze_next),
    };
    let readable_from = low.max(fingerprint_from.min(committed_bronze_next));
    let refill_to = (gold_replay_from < readable_from)
        .then_some(readable_from.min(committed_bronze_next).max(gold_replay_from));
    let gold_reads_from = refill_to.unwrap_or(gold_replay_from).max(low);
    let gold_lost = (low - committed_bronze_next.max(gold_next)).max(0) as u64;

    let verify: Vec<LastSeen> =
        entries.clone().filter_map(|entry| entry.last).filter(|last| last.offset >= low).collect();
    let needed_from = bronze_next.min(gold_reads_from);
    let read_from = verify.iter().map(|last| last.offset).fold(needed_from, i64::min);

    Ok(PartitionPlan {
        read_from,
        bronze_next,
        quarantine_next,
        gold_from: gold_replay_from,
        refill_to,
        quarantined_decides_to,
        fingerprint_from,
        verify,
        bronze_lost,
        gold_lost,
    })
}

/// The first offset at or after `next` that the source still has, and how many are lost before it.
fn skip_lost(partition: i32, next: i64, facts: SourceFacts<'_>) -> Result<(i64, u64), RecoveryStop> {
    let low = facts.bounds.low;
    if next >= low {
        return Ok((next, 0));
    }
    if !facts.continue_on_data_loss {
        return Err(RecoveryStop::DataLost { partition, next, low });
    }
    Ok((low, (low - next) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counts;

    const PLAIN: SourceFacts<'static> = SourceFacts {
        bounds: SourceBounds { low: 0, high: 1_000 },
        fingerprint: "f",
        continue_on_data_loss: false,
    };

    fn facts(low: i64, high: i64) -> SourceFacts<'static> {
        SourceFacts { bounds: SourceBounds { low, high }, ..PLAIN }
    }

    fn entry(next: i64, replay_from: i64) -> PartitionLedger {
        PartitionLedger {
            next,
            replay_from,
            fingerprint: "f".into(),
            counts: Counts { records: next as u64, ..Counts::default() },
            ..PartitionLedger::default()
        }
    }

    fn heads<'a>(
        quarantine: Option<&'a PartitionLedger>,
        bronze: Option<&'a PartitionLedger>,
        gold: Option<&'a PartitionLedger>,
    ) -> LedgerHeads<'a> {
        LedgerHeads { quarantine, bronze, gold }
    }

    #[test]
    fn a_new_partition_begins_at_its_start() {
        let plan = plan_partition(0, LedgerHeads::default(), facts(7, 1_000)).unwrap();
        assert_eq!((plan.read_from, plan.bronze_next, plan.quarantine_next, plan.gold_from), (7, 7, 7, 7));
        assert_eq!((plan.refill_to, plan.bronze_lost, plan.gold_lost), (None, 0, 0));
    }

    #[test]
    fn reading_starts_where_the_slowest_sink_needs_it() {
        let (bronze, gold) = (entry(500, 500), entry(450, 300));
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), PLAIN).unwrap();
        assert_eq!(
            (plan.read_from, plan.bronze_next, plan.quarantine_next, plan.gold_from),
            (300, 500, 500, 300)
        );
    }

    #[test]
    fn quarantine_ahead_of_bronze_is_not_written_twice() {
        let (quarantine, bronze) = (entry(600, 600), entry(500, 500));
        let plan = plan_partition(0, heads(Some(&quarantine), Some(&bronze), None), PLAIN).unwrap();
        assert_eq!(
            (plan.quarantine_next, plan.bronze_next, plan.quarantined_decides_to),
            (600, 500, Some(600))
        );
        assert_eq!(plan.fingerprint_from, 0);
        let changed = SourceFacts { fingerprint: "another", ..PLAIN };
        let replanned = plan_partition(0, heads(Some(&quarantine), Some(&bronze), None), changed).unwrap();
        assert_eq!((replanned.quarantined_decides_to, replanned.fingerprint_from), (Some(600), 600));
    }

    /// Bronze by this decoder, then quarantine alone by another one, then this one again: what the other one settled
    /// stays settled, also when this one has written to quarantine since.
    #[test]
    fn a_range_settled_by_a_decoder_in_between_stays_settled() {
        let bronze = entry(500, 500);
        let quarantine = PartitionLedger { fingerprint: "another".into(), ..entry(600, 600) };
        let plan = plan_partition(0, heads(Some(&quarantine), Some(&bronze), None), PLAIN).unwrap();
        assert_eq!((plan.quarantined_decides_to, plan.fingerprint_from), (Some(600), 600));
        let written_since = PartitionLedger { fingerprint_from: 600, ..entry(700, 700) };
        let plan = plan_partition(0, heads(Some(&written_since), Some(&bronze), None), PLAIN).unwrap();
        assert_eq!((plan.quarantined_decides_to, plan.fingerprint_from), (Some(700), 600));
    }

    /// The second decoder was killed too, with bronze at 550: what the first one settled up to 600 stays settled.
    #[test]
    fn a_range_settled_by_quarantine_outlives_further_crashes() {
        let quarantine = entry(600, 600);
        let bronze = PartitionLedger { fingerprint_from: 600, ..entry(550, 550) };
        let gold = entry(550, 520);
        let plan = plan_partition(0, heads(Some(&quarantine), Some(&bronze), Some(&gold)), PLAIN).unwrap();
        assert_eq!(
            (plan.refill_to, plan.quarantined_decides_to, plan.read_from),
            (Some(550), Some(600), 550)
        );
        let ahead = PartitionLedger { fingerprint_from: 600, ..entry(900, 900) };
        let later =
            plan_partition(0, heads(Some(&quarantine), Some(&ahead), Some(&entry(700, 560))), PLAIN).unwrap();
        assert_eq!((later.refill_to, later.read_from), (Some(600), 600));
    }

    #[test]
    fn retention_past_a_replay_that_bronze_does_not_have_refills_nothing() {
        let (bronze, gold) = (entry(100, 100), entry(200, 150));
        let going_on = SourceFacts { continue_on_data_loss: true, ..facts(180, 1_000) };
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), going_on).unwrap();
        assert_eq!(
            (plan.gold_from, plan.refill_to, plan.bronze_lost, plan.gold_lost),
            (150, Some(150), 80, 0)
        );
        assert_eq!((plan.bronze_next, plan.read_from), (180, 180));
    }

    #[test]
    fn gold_without_a_ledger_starts_where_bronze_started() {
        let mut bronze = entry(500, 500);
        bronze.counts = Counts { records: 390, gaps: 10, ..Counts::default() };
        let plan = plan_partition(0, heads(None, Some(&bronze), None), facts(100, 1_000)).unwrap();
        assert_eq!((plan.read_from, plan.gold_from), (100, 100));
    }

    #[test]
    fn a_ledger_beyond_the_end_stops() {
        let bronze = entry(500, 500);
        let stop = plan_partition(3, heads(None, Some(&bronze), None), facts(0, 400)).unwrap_err();
        assert_eq!(stop, RecoveryStop::BeyondEnd { partition: 3, next: 500, high: 400 });
    }

    #[test]
    fn a_quarantine_without_what_bronze_has_counted_stops() {
        let (mut quarantine, mut bronze) = (entry(300, 300), entry(500, 500));
        (quarantine.counts.quarantined, bronze.counts.quarantined) = (7, 8);
        for behind in [Some(&quarantine), None] {
            let stop = plan_partition(0, heads(behind, Some(&bronze), None), PLAIN).unwrap_err();
            assert!(matches!(stop, RecoveryStop::QuarantineBehind { expected: 8, .. }), "{stop}");
        }
        bronze.counts.quarantined = 7;
        assert!(plan_partition(0, heads(Some(&quarantine), Some(&bronze), None), PLAIN).is_ok());
    }

    #[test]
    fn retention_past_next_stops_or_is_counted() {
        let (bronze, gold) = (entry(500, 500), entry(500, 450));
        let heads_now = heads(None, Some(&bronze), Some(&gold));
        let stop = plan_partition(0, heads_now, facts(520, 1_000)).unwrap_err();
        assert_eq!(stop, RecoveryStop::DataLost { partition: 0, next: 500, low: 520 });
        let going_on = SourceFacts { continue_on_data_loss: true, ..facts(520, 1_000) };
        let plan = plan_partition(0, heads_now, going_on).unwrap();
        assert_eq!((plan.bronze_next, plan.bronze_lost, plan.gold_lost, plan.read_from), (520, 20, 20, 520));
        assert_eq!((plan.gold_from, plan.refill_to), (450, Some(500)));
    }

    #[test]
    fn retention_past_replay_from_refills_from_bronze() {
        let (bronze, gold) = (entry(500, 500), entry(450, 300));
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), facts(400, 1_000)).unwrap();
        assert_eq!(
            (plan.gold_from, plan.refill_to, plan.read_from, plan.gold_lost),
            (300, Some(400), 400, 0)
        );
    }

    #[test]
    fn retention_past_gold_but_not_bronze_loses_nothing() {
        let (bronze, gold) = (entry(500, 500), entry(450, 300));
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), facts(480, 1_000)).unwrap();
        assert_eq!(
            (plan.gold_from, plan.refill_to, plan.read_from, plan.gold_lost),
            (300, Some(480), 480, 0)
        );
    }

    #[test]
    fn another_decoder_does_not_judge_again_what_bronze_has() {
        let (bronze, gold) = (entry(500, 500), entry(450, 300));
        let changed = SourceFacts { fingerprint: "another", ..PLAIN };
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), changed).unwrap();
        assert_eq!((plan.gold_from, plan.refill_to, plan.read_from), (300, Some(500), 500));
        let ahead = entry(600, 550);
        assert!(matches!(
            plan_partition(0, heads(None, Some(&bronze), Some(&ahead)), changed),
            Err(RecoveryStop::UndecidedRange { gold_next: 600, bronze_next: 500, .. })
        ));
    }

    #[test]
    fn the_last_records_are_passed_again_to_recognise_the_topic() {
        let mut bronze = entry(500, 500);
        bronze.last = Some(LastSeen { offset: 497, timestamp: 1, hash: 2 });
        let gold = entry(500, 500);
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), PLAIN).unwrap();
        assert_eq!((plan.read_from, plan.verify.len()), (497, 1));
        let retained_away =
            plan_partition(0, heads(None, Some(&bronze), Some(&gold)), facts(500, 1_000)).unwrap();
        assert_eq!((retained_away.read_from, retained_away.verify.len()), (500, 0));
    }

    #[test]
    fn another_source_is_refused_by_name() {
        let mut ledger = Ledger::new("cluster-a", "f");
        ledger.topics.entry("t".into()).or_default().insert(0, entry(1, 1));
        assert!(plan_identity(&[("bronze.raw_events", Some(&ledger))], "t", "cluster-a").is_ok());
        assert!(plan_identity(&[("bronze.raw_events", Some(&ledger))], "other topic", "cluster-b").is_ok());
        let stop = plan_identity(&[("bronze.raw_events", Some(&ledger))], "t", "cluster-b").unwrap_err();
        assert!(stop.to_string().contains("cluster-a"), "{stop}");
    }

    /// The decoder changed at offset 400 and bronze has gone on to 500 since: only what lies below is out of reach.
    #[test]
    fn a_second_restart_still_knows_what_the_former_decoder_judged() {
        let bronze = PartitionLedger { fingerprint_from: 400, ..entry(500, 500) };
        let gold = entry(480, 300);
        let plan = plan_partition(0, heads(None, Some(&bronze), Some(&gold)), PLAIN).unwrap();
        assert_eq!(
            (plan.gold_from, plan.refill_to, plan.read_from, plan.fingerprint_from),
            (300, Some(400), 400, 400)
        );
        let later = entry(500, 450);
        let settled = plan_partition(0, heads(None, Some(&bronze), Some(&later)), PLAIN).unwrap();
        assert_eq!((settled.refill_to, settled.read_from), (None, 450));
    }

    /// A quarantine that has had nothing to write since the decoder changed forbids nothing.
    #[test]
    fn an_old_fingerprint_of_the_quarantine_alone_stops_nothing() {
        let quarantine = PartitionLedger { fingerprint: "old".into(), ..entry(100, 100) };
        let (bronze, gold) = (entry(500, 500), entry(600, 450));
        let plan = plan_partition(0, heads(Some(&quarantine), Some(&bronze), Some(&gold)), PLAIN).unwrap();
        assert_eq!((plan.quarantined_decides_to, plan.refill_to, plan.quarantine_next), (None, None, 500));
    }
}
