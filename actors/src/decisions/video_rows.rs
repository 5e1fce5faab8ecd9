//! The dimension's rows of a few videos, as they are committed now.
//!
//! The cache of this process may lack a video, or have an old row of one whose changes another process consumes. What is
//! decided is decided on the table.

use std::collections::HashMap;

use arrow::array::{
    Array, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use futures::TryStreamExt;
use pulselake_decision::VideoFacts;
use pulselake_lake::{Lake, LakeError};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

/// Columns of the dimension that a row is made of.
pub const VIDEO_COLUMNS: [&str; 6] =
    ["video_id", "category", "region", "status", "upload_time", "duration_ms"];

/// What decisions need of a video's row in `dims.dim_videos`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoRow {
    /// `category`.
    pub category: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `status`.
    pub status: Option<String>,
    /// `upload_time`, microseconds since the epoch.
    pub upload_time_us: Option<i64>,
    /// `duration_ms`.
    pub duration_ms: Option<i64>,
}

impl VideoRow {
    /// Whether something is missing that a decision needs.
    pub(super) fn is_incomplete(&self) -> bool {
        let texts = [&self.category, &self.region, &self.status];
        self.upload_time_us.is_none() || texts.iter().any(|text| text.as_deref().is_none_or(str::is_empty))
    }

    /// As the rules take it.
    pub fn facts(&self) -> VideoFacts<'_> {
        VideoFacts {
            category: self.category.as_deref(),
            region: self.region.as_deref(),
            upload_time_us: self.upload_time_us,
            status: self.status.as_deref(),
            duration_ms: self.duration_ms,
        }
    }
}

/// The rows of `video_ids`; of those that the dimension has.
pub(super) async fn read_videos(
    lake: &Lake,
    video_ids: &[String],
) -> Result<HashMap<String, VideoRow>, LakeError> {
    if video_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let table = LakeTable::Dimension(Entity::Videos);
    let mut batches = lake.read_keys(table, &VIDEO_COLUMNS, Entity::Videos.key_column(), video_ids).await?;
    let mut rows = HashMap::new();
    while let Some(batch) = batches.try_next().await? {
        let Some(found) = VideoRows::of(&batch) else { continue };
        rows.extend((0..batch.num_rows()).map(|row| (found.video_id(row).to_owned(), found.at(row))));
    }
    Ok(rows)
}

/// The videos of a batch of the dimension.
pub struct VideoRows<'a> {
    ids: &'a StringArray,
    texts: [Option<&'a StringArray>; 3],
    upload_time: Option<&'a TimestampMicrosecondArray>,
    duration_ms: Option<&'a Int64Array>,
}

impl<'a> VideoRows<'a> {
    /// Of a batch with [`VIDEO_COLUMNS`]; one that it lacks is null in every row. `None` without the column of ids.
    pub fn of(batch: &'a RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        let text = |name: &str| column(name).and_then(|found| found.as_string_opt::<i32>());
        Some(Self {
            ids: text("video_id")?,
            texts: ["category", "region", "status"].map(text),
            upload_time: column("upload_time").and_then(|found| found.as_primitive_opt()),
            duration_ms: column("duration_ms").and_then(|found| found.as_primitive_opt()),
        })
    }

    /// Whose row it is.
    pub fn video_id(&self, row: usize) -> &'a str {
        self.ids.value(row)
    }

    /// The row.
    pub fn at(&self, row: usize) -> VideoRow {
        let [category, region, status] = self.texts.map(|column| {
            column.filter(|values| values.is_valid(row)).map(|values| values.value(row).to_owned())
        });
        VideoRow {
            category,
            region,
            status,
            upload_time_us: self.upload_time.and_then(|values| value(values, row)),
            duration_ms: self.duration_ms.and_then(|values| value(values, row)),
        }
    }
}

fn value<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    values.is_valid(row).then(|| values.value(row))
}
