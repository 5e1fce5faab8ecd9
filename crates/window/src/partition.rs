//! The state machine: records in, closed windows and corrections and the position out.
//!
//! Order of judgement, record by record: stream time moves to the larger of itself and the record's; the id is looked
//! up in, and noted by, the dedup set at that stream time; lateness is judged against the windows closed and the
//! watermark as they were *before* this record, so none makes itself late; then windows that the watermark has passed
//! close.

mod answers;

use std::collections::BTreeMap;

use pulselake_model::{DecodedBatch, GoldFlush, GoldPosition};

use crate::batch_view::BatchView;
use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::dedup::DedupSet;
use crate::deltas::{CountedDelta, CountedEvent, DeltaCollector, DeltaSink};
use crate::replay::{ReplayDifference, settle_open};
use crate::settings::Durations;
use crate::time::{window_end_us, window_start_us};
use crate::video_counts::VideoCounts;
use crate::{ApplyError, WindowSettings};

/// Records whose ids are looked up in memory together before they are applied one by one.
const WARM_ROWS: usize = 32;

/// A window not yet closed. It opens with its first record, even if that is a duplicate: a restart has to judge that
/// record again, and judges it right only when it reads from before it.
#[derive(Clone, Debug)]
struct OpenWindow {
    /// The first record, and stream time before it.
    first: Checkpoint,
    videos: VideoCounts,
    events: u64,
}

/// Windows, watermark and deduplication of one source partition. States that print alike behave alike.
#[derive(Clone, Debug)]
pub struct PartitionWindows {
    durations: Durations,
    /// The reader's position: offset of the first record not yet applied.
    next: i64,
    /// `next` of the last flush.
    flushed_next: i64,
    /// While a replay runs, the offset that ends it.
    replay_until: Option<i64>,
    replay_difference: Option<ReplayDifference>,
    stream_time_us: Option<i64>,
    closed_through_us: Option<i64>,
    /// Stream time at which the watermark reaches the next window boundary.
    next_close_at_us: i64,
    open: BTreeMap<i64, OpenWindow>,
    closed: Vec<(i64, VideoCounts)>,
    closed_rows: usize,
    corrections: BTreeMap<i64, VideoCounts>,
    correction_rows: usize,
    dedup: DedupSet,
    checkpoints: Checkpoints,
    /// The cumulative counters; its other fields are filled in by a flush. `open` is the committed one while a replay runs.
    counts: GoldPosition,
    open_events: u64,
    /// Deltas that were ever asked for.
    issued_deltas: u64,
}

impl PartitionWindows {
    /// The state of a partition that goes on after `resume`, its last committed position, or that begins at
    /// `first_offset` when nothing was ever committed.
    ///
    /// The reader must begin at [`Self::next_offset`]: `resume.replay_from`, or `first_offset`.
    pub fn new(settings: WindowSettings, resume: Option<GoldPosition>, first_offset: i64) -> Self {
        let durations = Durations::from(&settings);
        let from = resume.unwrap_or(GoldPosition {
            next: first_offset,
            replay_from: first_offset,
            ..GoldPosition::default()
        });
        let start = Checkpoint {
            offset: from.replay_from.min(from.next),
            stream_time_us: from.replay_stream_time_us,
        };
        let mut windows = Self {
            durations,
            next: start.offset,
            flushed_next: from.next,
            replay_until: Some(from.next),
            replay_difference: None,
            stream_time_us: start.stream_time_us,
            closed_through_us: from.closed_through_us,
            next_close_at_us: i64::MIN,
            open: BTreeMap::new(),
            closed: Vec::new(),
            closed_rows: 0,
            corrections: BTreeMap::new(),
            correction_rows: 0,
            dedup: DedupSet::new(durations.dedup_horizon_us, settings.dedup_max_ids),
            checkpoints: Checkpoints::new(durations.dedup_horizon_us, start),
            counts: from,
            open_events: 0,
            issued_deltas: 0,
        };
        if start.offset >= from.next {
            windows.finish_replay();
        }
        windows
    }

    /// Applies the next batch. It may end a replay in its middle.
    ///
    /// # Errors
    /// [`ApplyError::OutOfOrder`] when the batch does not begin at [`Self::next_offset`], [`ApplyError::Malformed`]
    /// when it contradicts itself. The state is unchanged then.
    pub fn apply(&mut self, batch: &DecodedBatch) -> Result<(), ApplyError> {
        self.apply_noting(batch, &mut ())
    }

    /// The same, and puts what the batch has added to the counts into `deltas`, whose content goes. During a replay that is
    /// what comes back into open windows.
    ///
    /// # Errors
    /// As [`Self::apply`]; `deltas` is empty then.
    pub fn apply_counting(
        &mut self,
        batch: &DecodedBatch,
        deltas: &mut Vec<CountedDelta>,
    ) -> Result<(), ApplyError> {
        deltas.clear();
        let issued_before = self.issued_deltas;
        self.apply_noting(batch, &mut DeltaCollector { deltas, issued_before })?;
        self.issued_deltas += deltas.len() as u64;
        Ok(())
    }

    fn apply_noting(&mut self, batch: &DecodedBatch, sink: &mut impl DeltaSink) -> Result<(), ApplyError> {
        if batch.first_offset != self.next {
            return Err(ApplyError::OutOfOrder {
                partition: batch.partition,
                expected: self.next,
                found: batch.first_offset,
            });
        }
        let view = BatchView::new(batch)?;
        let rows = view.columns.offset.len();
        let mut row = 0;
        if let Some(until) = self.replay_until {
            let replayed = view.columns.offset.partition_point(|offset| *offset < until);
            while row < replayed {
                self.replay_record(&view, row, sink);
                row += 1;
            }
            if batch.next_offset < until {
                self.next = batch.next_offset;
                return Ok(());
            }
            self.next = until;
            self.finish_replay();
        }
        // What a replay has just read again was counted by the run that flushed it.
        let news = view.counts_from(self.next);
        self.counts.records += news.records;
        self.counts.quarantined += news.quarantined;
        self.counts.gaps += news.gaps;
        while row < rows {
            let stop = rows.min(row + WARM_ROWS);
            self.dedup.warm(&view.columns.event_id_hash[row..stop]);
            for row in row..stop {
                self.apply_record(&view, row, sink);
            }
            row = stop;
        }
        self.next = batch.next_offset;
        Ok(())
    }

    /// Closes every window seen so far, through the end of the newest one and never up to the wall clock: for a
    /// partition that has nothing more to read. Gives true when a window closed; does nothing while a replay runs.
    pub fn close_idle(&mut self) -> bool {
        if self.is_replaying() {
            return false;
        }
        match self.open.last_key_value() {
            Some((newest_start_us, _)) => self.close_through(window_end_us(*newest_start_us)),
            None => false,
        }
    }

    /// Takes everything that waits to be committed, with the position it stands for; from here on the state counts
    /// the rows as emitted. `None` while a replay has not reached the committed position.
    ///
    /// A flush without rows is still worth committing now and then: it moves the position
    /// ([`Self::has_unflushed_progress`]).
    pub fn flush(&mut self) -> Option<GoldFlush> {
        if self.is_replaying() {
            return None;
        }
        let mut rows = Vec::with_capacity(self.pending_rows());
        for (start_us, videos) in self.closed.drain(..) {
            rows.extend(videos.into_rows(start_us, false));
        }
        for (start_us, videos) in std::mem::take(&mut self.corrections) {
            rows.extend(videos.into_rows(start_us, true));
        }
        self.closed_rows = 0;
        self.correction_rows = 0;
        self.flushed_next = self.next;
        let needed = self.needed_from();
        let restart = self.checkpoints.restart_for(needed);
        self.checkpoints.prune(needed);
        let position = GoldPosition {
            next: self.next,
            closed_through_us: self.closed_through_us,
            replay_from: restart.offset,
            replay_stream_time_us: restart.stream_time_us,
            watermark_us: self.watermark_us(),
            open: self.open_events,
            ..self.counts
        };
        Some(GoldFlush { rows, position })
    }

    /// A record from before the committed position: feeds stream time and dedup as the first run did, and refills
    /// its window if that was still open then. (If it was, the record was not late then either.)
    fn replay_record(&mut self, view: &BatchView<'_>, row: usize, sink: &mut impl DeltaSink) {
        let (before, is_duplicate) = self.sight(view, row);
        let event = view.event(row);
        if !self.is_closed(event.minute_start_us) {
            self.add_on_time(view, event, before, is_duplicate, sink);
        }
    }

    fn apply_record(&mut self, view: &BatchView<'_>, row: usize, sink: &mut impl DeltaSink) {
        let watermark_before_us = self.watermark_us();
        let (before, is_duplicate) = self.sight(view, row);
        self.counts.duplicates += u64::from(is_duplicate);
        let event = view.event(row);
        if !self.is_closed(event.minute_start_us) {
            self.add_on_time(view, event, before, is_duplicate, sink);
        } else if !is_duplicate {
            self.add_late(view, event, watermark_before_us, sink);
        }
        // Not only at the batch's end: closing asks from where a restart would have to read, here and now.
        self.next = view.columns.offset[row] + 1;
        if self.stream_time_us >= Some(self.next_close_at_us) {
            self.close_behind_watermark();
        }
    }

    /// Moves stream time and notes the id: what every valid record does, late and replayed ones too.
    /// Gives the state before the record, and whether its id was known.
    fn sight(&mut self, view: &BatchView<'_>, row: usize) -> (Checkpoint, bool) {
        let before = Checkpoint { offset: view.columns.offset[row], stream_time_us: self.stream_time_us };
        let record_us = view.columns.stream_time_us[row];
        let now_us = self.stream_time_us.map_or(record_us, |time| time.max(record_us));
        self.checkpoints.note(before, now_us);
        self.stream_time_us = Some(now_us);
        (before, self.dedup.sight(view.columns.event_id_hash[row], now_us))
    }

    fn is_closed(&self, start_us: i64) -> bool {
        Some(window_end_us(start_us)) <= self.closed_through_us
    }

    fn add_on_time(
        &mut self,
        view: &BatchView<'_>,
        event: CountedEvent,
        before: Checkpoint,
        is_duplicate: bool,
        sink: &mut impl DeltaSink,
    ) {
        let window = self.open.entry(event.minute_start_us).or_insert_with(|| OpenWindow {
            first: before,
            videos: VideoCounts::default(),
            events: 0,
        });
        if is_duplicate {
            return;
        }
        window.videos.add(view.video_ids.value(event.row), event, sink);
        window.events += 1;
        self.open_events += 1;
    }

    fn add_late(
        &mut self,
        view: &BatchView<'_>,
        event: CountedEvent,
        watermark_us: Option<i64>,
        sink: &mut impl DeltaSink,
    ) {
        let oldest_us = watermark_us.map(|time| time.saturating_sub(self.durations.allowed_lateness_us));
        if Some(view.columns.event_timestamp_us[event.row]) < oldest_us {
            self.counts.dropped += 1;
            return;
        }
        let videos = self.corrections.entry(event.minute_start_us).or_default();
        let is_new = videos.add(view.video_ids.value(event.row), event, sink);
        self.correction_rows += usize::from(is_new);
        self.counts.late += 1;
    }

    /// The committed position is reached: from here on records count and windows close again.
    fn finish_replay(&mut self) {
        self.replay_until = None;
        self.replay_difference = settle_open(&mut self.counts, self.open_events);
        // Closes nothing unless the delay has become shorter since the position was committed.
        self.close_behind_watermark();
    }

    fn close_behind_watermark(&mut self) {
        let Some(watermark_us) = self.watermark_us() else { return };
        let boundary_us = window_start_us(watermark_us);
        self.next_close_at_us = window_end_us(boundary_us).saturating_add(self.durations.watermark_delay_us);
        self.close_through(boundary_us);
    }

    /// Closes the windows that end at or before `boundary_us`, a window boundary; true when there was one.
    fn close_through(&mut self, boundary_us: i64) -> bool {
        if self.closed_through_us >= Some(boundary_us) {
            return false;
        }
        self.closed_through_us = Some(boundary_us);
        let mut any_closed = false;
        while let Some(oldest) = self.open.first_entry() {
            if window_end_us(*oldest.key()) > boundary_us {
                break;
            }
            let (start_us, window) = oldest.remove_entry();
            any_closed = true;
            self.open_events -= window.events;
            self.closed_rows += window.videos.len();
            if window.events > 0 {
                self.closed.push((start_us, window.videos));
            }
        }
        self.checkpoints.prune(self.needed_from());
        any_closed
    }

    /// From where on a restart must judge every record as this run did: the first record of all open windows, or
    /// `next`. Stream time never falls, so the smallest offset has the smallest stream time.
    fn needed_from(&self) -> Checkpoint {
        let next = Checkpoint { offset: self.next, stream_time_us: self.stream_time_us };
        let firsts = self.open.values().map(|window| window.first);
        firsts.chain([next]).min_by_key(|checkpoint| checkpoint.offset).unwrap_or(next)
    }
}
