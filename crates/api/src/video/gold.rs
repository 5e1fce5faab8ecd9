//! A video that no board has, from `gold.rt_video_stats_1min`: by its key, for 24 hours, in bounded time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures::StreamExt;
use iceberg::spec::Datum;
use pulselake_actors::status::now_us;
use pulselake_decision::{MINUTE_US, VideoMinutes, rolling_30m};
use pulselake_lake::{Lake, LakeError, RowFilter};
use pulselake_model::GoldCounts;
use pulselake_model::gold_counts::COUNT_COLUMNS;
use pulselake_model::tables::LakeTable;

use super::Video;
use super::detail::{VideoDetail, VideoMinute, VideoSource};
use crate::lake_reader::{lake_error, unreadable};
use crate::parts::Api;
use crate::shared_answer::Pace;
use crate::shared_slots::SharedSlots;
use crate::{ApiError, Moment};

/// How far back is looked.
const HISTORY_US: i64 = 24 * 60 * MINUTE_US;
/// How far ahead: clocks of clients and of this machine are not the same.
const AHEAD_US: i64 = 24 * 60 * MINUTE_US;
/// How long a look-up may take.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// Videos whose rows are kept for the next asking.
const MAX_KEPT: usize = 256;
/// Gold changes once a minute.
const PACE: Pace = Pace { shortest: Duration::from_secs(2), longest: Duration::from_secs(10) };

/// Videos looked up lately, those without rows included.
pub(crate) struct GoldVideos {
    kept: SharedSlots<String, VideoMinutes>,
}

impl Default for GoldVideos {
    fn default() -> Self {
        Self { kept: SharedSlots::new(MAX_KEPT, PACE) }
    }
}

impl GoldVideos {
    /// The video as the table has it; `None` where it has no row in the last 24 hours.
    pub(super) async fn get(&self, api: &Api, video_id: &str) -> Result<Option<VideoDetail>, ApiError> {
        let (of_read, id) = (api.clone(), video_id.to_owned());
        let slot = self.kept.slot(video_id, Instant::now());
        let minutes = slot.get(move || async move { read_in_time(&of_read, &id).await }).await?;
        Ok(detail(api, video_id, &minutes))
    }
}

fn detail(api: &Api, video_id: &str, minutes: &Arc<VideoMinutes>) -> Option<VideoDetail> {
    let (newest_us, _) = minutes.last_key_value()?;
    // The 30 minutes that everybody else's figures are of: a video that nobody has seen since has none in them.
    let minute_us = api.board.now_minute_us().unwrap_or(*newest_us).max(*newest_us);
    let known = api.videos.as_ref().and_then(|videos| videos.peek(video_id));
    let sums = rolling_30m(minutes, minute_us);
    let lines = api.quadrant_lines();
    Some(VideoDetail {
        video: Video::of_sums(video_id.to_owned(), &sums, (None, None), known.as_ref(), lines, now_us()),
        minute: Some(Moment::from_us(minute_us)),
        source: VideoSource::Gold,
        minutes: VideoMinute::all_of(minutes),
    })
}

async fn read_in_time(api: &Api, video_id: &str) -> Result<VideoMinutes, ApiError> {
    let reading = async {
        let (lake, _permit) = api.lake_reader.lake().await?;
        read(&lake, video_id, now_us()).await
    };
    let limit_s = TIME_LIMIT.as_secs();
    tokio::time::timeout(TIME_LIMIT, reading)
        .await
        .map_err(|_| unreadable(&format!("looking a video up took longer than {limit_s} s")))?
}

/// The minutes of one video in the 24 hours before `now_us`, all revisions summed.
async fn read(lake: &Lake, video_id: &str, now_us: i64) -> Result<VideoMinutes, ApiError> {
    let gold = lake.view(LakeTable::VideoStats1Min).await.map_err(|error| lake_error(&error))?;
    let from = Datum::timestamptz_micros(now_us - HISTORY_US);
    let to = Datum::timestamptz_micros(now_us + AHEAD_US);
    let filter = RowFilter::all().one_of("video_id", [video_id]).between("window_start", from, to);
    let columns = [&["window_start"], &COUNT_COLUMNS[..]].concat();
    let failed = |error: LakeError| lake_error(&error);
    let mut batches = gold.read_where(&columns, &filter).await.map_err(failed)?;
    let mut minutes = VideoMinutes::new();
    while let Some(batch) = batches.next().await {
        add(&mut minutes, &batch.map_err(failed)?)?;
    }
    Ok(minutes)
}

fn add(minutes: &mut VideoMinutes, rows: &RecordBatch) -> Result<(), ApiError> {
    let starts = rows
        .column_by_name("window_start")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(starts), Some(counts)) = (starts, GoldCounts::of(rows)) else {
        return Err(unreadable(&format!("gold has other columns than expected: {}", rows.schema())));
    };
    for row in 0..counts.len() {
        minutes.entry(starts.value(row)).or_default().merge(&counts.at(row));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn revisions_of_a_minute_are_summed() {
        let starts = TimestampMicrosecondArray::from(vec![0, MINUTE_US, 0]).with_timezone("+00:00");
        let counts = || Arc::new(Int64Array::from(vec![1, 2, 4])) as ArrayRef;
        let mut columns = vec![("window_start", Arc::new(starts) as ArrayRef)];
        columns.extend(COUNT_COLUMNS.map(|name| (name, counts())));
        let mut minutes = VideoMinutes::new();
        add(&mut minutes, &RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let counted: Vec<_> = minutes.iter().map(|(at, counters)| (*at, counters.by_type)).collect();
        assert_eq!(counted, [(0, [5; 6]), (MINUTE_US, [2; 6])]);
    }
}
