//! What the rows of the three tables say, gathered row by row in any order.

use std::collections::{BTreeMap, HashMap, HashSet};

use pulselake_model::{EventType, RESTATED_PARTITION, WindowCounters};

use super::ledgers::{GoldProgress, GoldScope, GoldSight, Ledgers, SourcePartition, gold_progress};
use super::offsets::OffsetEvidence;
use super::recount::{Recount, RecountSummary, WindowIndex};
use super::repeats::{IdSightings, Repeats};
use super::report::time_text;
use super::restated::RestatedEvidence;

/// A bronze row, as far as the audit looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BronzeRow<'a> {
    /// `source_topic`.
    pub(crate) topic: &'a str,
    /// `source_partition`.
    pub(crate) partition: i32,
    /// `source_offset`.
    pub(crate) offset: i64,
    /// `event_timestamp` (µs).
    pub(crate) event_timestamp_us: i64,
    /// `event_id`.
    pub(crate) event_id: &'a str,
    /// `video_id`.
    pub(crate) video_id: &'a str,
    /// `event_type`.
    pub(crate) event_type: &'a str,
    /// `payload_json`.
    pub(crate) payload_json: &'a str,
}

/// A gold row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoldRowSeen<'a> {
    /// `source_partition`.
    pub(crate) partition: i32,
    /// `video_id`.
    pub(crate) video_id: &'a str,
    /// `window_start` (µs).
    pub(crate) window_start_us: i64,
    /// `window_end` (µs).
    pub(crate) window_end_us: i64,
    /// `revision`: 0 on time, positive for late events, negative for a replay of the quarantine.
    pub(crate) revision: i32,
    /// The sums.
    pub(crate) counters: WindowCounters,
}

/// Bronze's rows of one source partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct BronzeEvidence {
    /// Their offsets.
    pub(crate) offsets: OffsetEvidence,
    /// Rows that gold has taken from the stream.
    pub(crate) rows_streamed_to_gold: u64,
    /// Of these, rows whose event_id another of them has: no more can be duplicates.
    pub(crate) repeated_ids: u64,
}

/// Gold's rows of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct GoldEvidence {
    /// Sum of the six counts of all rows.
    pub(crate) events: i64,
    /// Of these, in rows with a positive revision.
    pub(crate) late_events: i64,
    /// Of these, in rows with a negative revision.
    pub(crate) replayed_events: i64,
    /// Rows whose (video_id, window_start, source_partition, revision) another row had before.
    pub(crate) repeated_grains: u64,
    /// One of them.
    pub(crate) repeated_example: Option<String>,
    /// Rows, other than a replay's, of windows that are not closed.
    pub(crate) unclosed_rows: u64,
    /// One of them.
    pub(crate) unclosed_example: Option<String>,
}

/// Everything that the equations need beside the ledgers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Bronze, per source partition.
    pub(crate) bronze: BTreeMap<SourcePartition, BronzeEvidence>,
    /// Quarantine, per source partition.
    pub(crate) quarantine: BTreeMap<SourcePartition, OffsetEvidence>,
    /// Gold, per partition number: it has no topic.
    pub(crate) gold: BTreeMap<i32, GoldEvidence>,
    /// Gold's rows of restatements, which are in none of the others.
    pub(crate) restated: RestatedEvidence,
    /// Bronze counted again less gold, per partition number.
    pub(crate) recount: BTreeMap<i32, RecountSummary>,
}

struct BronzePlace {
    source: SourcePartition,
    scope: GoldScope,
    evidence: BronzeEvidence,
    ids: IdSightings,
}

impl BronzePlace {
    fn finish(mut self, repeats: &mut HashMap<WindowIndex, Repeats>) -> (SourcePartition, BronzeEvidence) {
        self.evidence.repeated_ids = self.ids.finish(repeats);
        (self.source, self.evidence)
    }
}

/// Gathers the evidence.
pub(crate) struct Collector {
    ledgers: Ledgers,
    progress: BTreeMap<i32, GoldProgress>,
    bronze: Vec<BronzePlace>,
    /// Index of the last row's place: rows of one file are mostly of one partition after another.
    last_bronze: usize,
    quarantine: BTreeMap<SourcePartition, OffsetEvidence>,
    gold: BTreeMap<i32, GoldEvidence>,
    restated: RestatedEvidence,
    grains: HashSet<(WindowIndex, i32)>,
    recount: Recount,
}

impl Collector {
    /// Nothing yet.
    pub(crate) fn new(ledgers: &Ledgers) -> Self {
        Self {
            ledgers: ledgers.clone(),
            progress: gold_progress(ledgers),
            bronze: Vec::new(),
            last_bronze: 0,
            quarantine: BTreeMap::new(),
            gold: BTreeMap::new(),
            restated: RestatedEvidence::default(),
            grains: HashSet::new(),
            recount: Recount::default(),
        }
    }

    /// Takes a bronze row.
    pub(crate) fn bronze_row(&mut self, row: &BronzeRow<'_>) {
        let at = self.bronze_place(row.topic, row.partition);
        let place = &mut self.bronze[at];
        place.evidence.offsets.add(row.offset);
        let sight = place.scope.sight(row.offset);
        if sight == GoldSight::Ahead {
            place.ids.add_ahead(row.event_id);
            return;
        }
        place.evidence.rows_streamed_to_gold += u64::from(sight == GoldSight::Streamed);
        // A kind that does not exist is missing from the recount, so the differences don't add up.
        if let Some(event_type) = EventType::parse(row.event_type) {
            let watch_time_ms = pulselake_decode::watch_time_ms(row.payload_json);
            let window = self.recount.add(
                row.partition,
                row.video_id,
                row.event_timestamp_us,
                event_type,
                watch_time_ms,
            );
            place.ids.add(row.event_id, sight, window, event_type, watch_time_ms);
        }
    }

    fn bronze_place(&mut self, topic: &str, partition: i32) -> usize {
        let is_it = |place: &BronzePlace| place.source.partition == partition && place.source.topic == topic;
        if !self.bronze.get(self.last_bronze).is_some_and(is_it) {
            self.last_bronze = self.bronze.iter().position(is_it).unwrap_or_else(|| {
                let source = SourcePartition { topic: topic.to_owned(), partition };
                let scope = GoldScope::new(&self.ledgers, &source);
                self.bronze.push(BronzePlace {
                    source,
                    scope,
                    evidence: BronzeEvidence::default(),
                    ids: IdSightings::default(),
                });
                self.bronze.len() - 1
            });
        }
        self.last_bronze
    }

    /// Takes a row of the quarantine.
    pub(crate) fn quarantine_row(&mut self, topic: &str, partition: i32, offset: i64) {
        let source = SourcePartition { topic: topic.to_owned(), partition };
        self.quarantine.entry(source).or_default().add(offset);
    }

    /// Takes a gold row.
    pub(crate) fn gold_row(&mut self, row: &GoldRowSeen<'_>) {
        if row.partition == RESTATED_PARTITION {
            return self.restated.add(row);
        }
        let events = row.counters.events();
        let describe =
            || format!("{:?} at {} revision {}", row.video_id, time_text(row.window_start_us), row.revision);
        let window = self.recount.window(row.partition, row.video_id, row.window_start_us);
        let evidence = self.gold.entry(row.partition).or_default();
        evidence.events += events;
        evidence.late_events += if row.revision > 0 { events } else { 0 };
        evidence.replayed_events += if row.revision < 0 { events } else { 0 };
        if !self.grains.insert((window, row.revision)) {
            evidence.repeated_grains += 1;
            evidence.repeated_example.get_or_insert_with(describe);
        }
        let progress = self.progress.get(&row.partition).copied().unwrap_or_default();
        if row.revision >= 0 && !progress.has_closed(row.window_end_us) {
            evidence.unclosed_rows += 1;
            evidence.unclosed_example.get_or_insert_with(describe);
        }
        self.recount.take_off(window, &row.counters);
    }

    /// All of it.
    pub(crate) fn finish(self) -> Evidence {
        let mut repeats = HashMap::new();
        let bronze = self.bronze.into_iter().map(|place| place.finish(&mut repeats)).collect();
        Evidence {
            bronze,
            quarantine: self.quarantine,
            gold: self.gold,
            restated: self.restated,
            recount: self.recount.summarize(&self.progress, &repeats),
        }
    }
}
