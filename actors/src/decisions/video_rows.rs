//! The dimension's rows of a few videos, as they are committed now.
//!
//! The cache of this process may lack a video, or have an old row of one whose changes another process consumes. What is
//! decided is decided on the table.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use pulselake_decision::VideoFacts;
use pulselake_lake::{Lake, LakeError};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

const COLUMNS: [&str; 6] = ["video_id", "category", "region", "status", "upload_time", "duration_ms"];

/// A video's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VideoRow {
    pub(super) category: Option<String>,
    pub(super) region: Option<String>,
    pub(super) status: Option<String>,
    pub(super) upload_time_us: Option<i64>,
    pub(super) duration_ms: Option<i64>,
}

impl VideoRow {
    /// Whether something is missing that a decision needs.
    pub(super) fn is_incomplete(&self) -> bool {
        let texts = [&self.category, &self.region, &self.status];
        self.upload_time_us.is_none() || texts.iter().any(|text| text.as_deref().is_none_or(str::is_empty))
    }

    pub(super) fn facts(&self) -> VideoFacts<'_> {
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
    let mut batches = lake.read_keys(table, &COLUMNS, Entity::Videos.key_column(), video_ids).await?;
    let mut rows = HashMap::new();
    while let Some(batch) = batches.try_next().await? {
        add_rows(&batch, &mut rows);
    }
    Ok(rows)
}

fn add_rows(batch: &RecordBatch, rows: &mut HashMap<String, VideoRow>) {
    let text = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let uploads = batch
        .column_by_name("upload_time")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let durations =
        batch.column_by_name("duration_ms").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let Some(ids) = text("video_id") else { return };
    let (categories, regions, states) = (text("category"), text("region"), text("status"));
    for row in 0..batch.num_rows() {
        let value = |column: Option<&StringArray>| {
            column.filter(|values| values.is_valid(row)).map(|values| values.value(row).to_owned())
        };
        let found = VideoRow {
            category: value(categories),
            region: value(regions),
            status: value(states),
            upload_time_us: uploads.filter(|values| values.is_valid(row)).map(|values| values.value(row)),
            duration_ms: durations.filter(|values| values.is_valid(row)).map(|values| values.value(row)),
        };
        rows.insert(ids.value(row).to_owned(), found);
    }
}
