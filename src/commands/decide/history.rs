//! What decisions are made from, out of the tables: counts per video and minute, and what the dimension knows.
//!
//! What stays in memory is about 100 bytes for each video and minute of the stretch, and the dimension's rows of those videos.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use iceberg::expr::Reference;
use iceberg::spec::Datum;
use pulselake_actors::{VIDEO_COLUMNS, VideoRow, VideoRows};
use pulselake_decision::{MINUTE_US, VideoMinutes, first_covered_minute};
use pulselake_lake::{Lake, RowFilter, TableView};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, GoldCounts, WindowCounters};

use crate::inspect::report::time_text;
use crate::inspect::rows::Rows;

/// The minutes that are decided about: whole ones, by their starts (microseconds since the epoch), both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) first_minute_us: i64,
    pub(super) last_minute_us: i64,
}

impl Stretch {
    /// The minutes that begin at or after `from_us` and end at or before `to_us`.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn new(from_us: i64, to_us: i64) -> anyhow::Result<Self> {
        let first_minute_us = from_us + (-from_us).rem_euclid(MINUTE_US);
        let last_minute_us = to_us - to_us.rem_euclid(MINUTE_US) - MINUTE_US;
        ensure!(
            first_minute_us <= last_minute_us,
            "--replay: no whole minute lies between {} and {}; TO must be a minute after FROM or more",
            time_text(from_us),
            time_text(to_us)
        );
        Ok(Self { first_minute_us, last_minute_us })
    }

    /// The first minute that the first one's 30 minutes have.
    fn read_from_us(self) -> i64 {
        self.first_minute_us - first_covered_minute(0)
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Counts of each video by minute.
    pub(super) videos: BTreeMap<String, VideoMinutes>,
    /// The dimension's rows of these videos.
    pub(super) rows: HashMap<String, VideoRow>,
    /// Every event from here on is in gold; `None` for an empty table.
    pub(super) covered_from_us: Option<i64>,
}

impl History {
    /// Counts of a video in a minute; several rows of the same are summed.
    fn add(&mut self, video_id: &str, minute_us: i64, counters: &WindowCounters) {
        if !self.videos.contains_key(video_id) {
            self.videos.insert(video_id.to_owned(), VideoMinutes::new());
        }
        if let Some(minutes) = self.videos.get_mut(video_id) {
            minutes.entry(minute_us).or_default().merge(counters);
        }
    }

    /// Videos and minutes that there are counts of.
    pub(super) fn video_minutes(&self) -> usize {
        self.videos.values().map(VideoMinutes::len).sum()
    }

    /// Videos that the dimension doesn't know.
    pub(super) fn unknown_videos(&self) -> usize {
        self.videos.keys().filter(|video_id| !self.rows.contains_key(*video_id)).count()
    }

    /// The first minute to decide about: the stretch's first, or the first whose 30 minutes gold has.
    pub(super) fn first_decided_minute_us(&self, stretch: Stretch) -> i64 {
        let first_covered_us = self.covered_from_us.map_or(i64::MIN, first_covered_minute);
        stretch.first_minute_us.max(first_covered_us)
    }
}

/// Reads the stretch and the 29 minutes before it, and the rows of its videos.
///
/// # Errors
/// When the tables can't be read.
pub(super) async fn read_history(lake: &Lake, stretch: Stretch) -> anyhow::Result<History> {
    let mut history = History::default();
    let gold = lake.view(LakeTable::VideoStats1Min).await?;
    read_counts(&gold, stretch, &mut history).await?;
    history.covered_from_us = covered_from_us(&gold, stretch, &history).await?;
    let dimension = LakeTable::Dimension(Entity::Videos);
    if lake.existing_tables().await?.contains(&dimension) {
        read_rows(&lake.view(dimension).await?, &mut history).await?;
    }
    Ok(history)
}

fn window_start() -> Reference {
    Reference::new("window_start")
}

async fn read_counts(gold: &TableView, stretch: Stretch, history: &mut History) -> anyhow::Result<()> {
    let columns = [&["video_id", "window_start", WATCH_TIME_COLUMN], &COUNT_COLUMNS[..]].concat();
    let from_us = Datum::timestamptz_micros(stretch.read_from_us());
    let until_us = Datum::timestamptz_micros(stretch.last_minute_us);
    let filter = RowFilter::all().between("window_start", from_us, until_us);
    let mut batches = gold.read_where(&columns, &filter).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (videos, starts) = (rows.text("video_id")?, rows.timestamp("window_start")?);
        let counts = GoldCounts::of(&batch).context("gold has other columns of counts than expected")?;
        for row in 0..rows.len() {
            history.add(videos.value(row), starts.value(row), &counts.at(row));
        }
    }
    Ok(())
}

/// Where gold has rows before what was read, all that was read is covered; where it has none, the oldest of them is where it
/// begins: before it, missing data would look like videos that nobody sees.
async fn covered_from_us(
    gold: &TableView,
    stretch: Stretch,
    history: &History,
) -> anyhow::Result<Option<i64>> {
    let before = window_start().less_than(Datum::timestamptz_micros(stretch.read_from_us()));
    let mut batches = gold.scan(&["window_start"], Some(before), Some(1)).await?;
    while let Some(batch) = batches.try_next().await? {
        if batch.num_rows() > 0 {
            return Ok(Some(stretch.read_from_us()));
        }
    }
    Ok(history.videos.values().filter_map(|minutes| minutes.keys().next()).min().copied())
}

async fn read_rows(dimension: &TableView, history: &mut History) -> anyhow::Result<()> {
    let mut batches = dimension.read(&VIDEO_COLUMNS).await?;
    while let Some(batch) = batches.try_next().await? {
        let found = VideoRows::of(&batch).context("the dimension has no column video_id")?;
        for row in 0..batch.num_rows() {
            let video_id = found.video_id(row);
            if history.videos.contains_key(video_id) {
                history.rows.insert(video_id.to_owned(), found.at(row));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(events: i64) -> WindowCounters {
        WindowCounters { by_type: [events, 0, 0, 0, 0, 0], watch_time_sum_ms: 0 }
    }

    #[test]
    fn a_stretch_has_the_whole_minutes_between_its_moments() {
        let minutes = |from_us, to_us| {
            let stretch = Stretch::new(from_us, to_us).unwrap();
            (stretch.first_minute_us / MINUTE_US, stretch.last_minute_us / MINUTE_US)
        };
        assert_eq!(minutes(0, MINUTE_US), (0, 0));
        assert_eq!(minutes(1, 3 * MINUTE_US), (1, 2));
        assert_eq!(minutes(MINUTE_US, 4 * MINUTE_US - 1), (1, 2));
        for (from_us, to_us) in [(0, MINUTE_US - 1), (1, MINUTE_US), (MINUTE_US, 0), (0, 0)] {
            let error = Stretch::new(from_us, to_us).unwrap_err().to_string();
            assert!(error.contains("no whole minute lies between"), "{error}");
        }
    }

    #[test]
    fn thirty_minutes_are_read_for_the_first_minute() {
        let stretch = Stretch::new(29 * MINUTE_US, 40 * MINUTE_US).unwrap();
        assert_eq!(stretch.read_from_us(), 0);
    }

    #[test]
    fn rows_of_the_same_minute_are_summed() {
        let mut history = History::default();
        history.add("v", 0, &counted(3));
        history.add("v", 0, &counted(4));
        history.add("v", MINUTE_US, &counted(5));
        history.add("w", 0, &counted(6));
        assert_eq!(history.videos["v"][&0].events(), 7);
        assert_eq!((history.videos.len(), history.video_minutes(), history.unknown_videos()), (2, 3, 2));
    }

    #[test]
    fn nothing_is_decided_before_gold_has_30_minutes() {
        let stretch = Stretch::new(100 * MINUTE_US, 200 * MINUTE_US).unwrap();
        let first = |covered_from_us| {
            let history = History { covered_from_us, ..History::default() };
            history.first_decided_minute_us(stretch) / MINUTE_US
        };
        assert_eq!(first(Some(71 * MINUTE_US)), 100);
        assert_eq!(first(Some(72 * MINUTE_US)), 101);
        assert_eq!(first(Some(90 * MINUTE_US)), 119);
        assert_eq!(first(None), 100);
    }
}
