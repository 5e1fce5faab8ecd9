//! Looks keys up in the history: every version that is there, to place changes that memory can't place.

use futures::StreamExt;
use pulselake_cdc::{HistoryVersion, VERSION_COLUMNS, history_versions};

use super::stream::DimensionStream;
use crate::heartbeat::StepClock;
use crate::recovery::StartError;

/// Every version of `keys` (sorted) in the history.
pub(super) async fn look_up(
    stream: &DimensionStream,
    clock: &StepClock,
    keys: &[String],
) -> Result<Vec<HistoryVersion>, StartError> {
    let key_column = stream.entity.key_column();
    let columns: Vec<&str> = std::iter::once(key_column).chain(VERSION_COLUMNS).collect();
    let reading = async {
        crate::failpoint::reach_store("upserter::look_up").await;
        stream.lake.read_keys(stream.history(), &columns, key_column, keys).await
    };
    let mut batches = clock.time(reading).await?;
    let mut versions = Vec::new();
    // Each batch has to come in time, not all of them together.
    while let Some(batch) = clock.time(batches.next()).await {
        versions.extend(history_versions(stream.entity, &batch?).map_err(|error| StartError::Dimension {
            entity: stream.entity.as_str(),
            reason: error.to_string(),
        })?);
    }
    Ok(versions)
}
