//! Appends a run to `qa.expected_actions` and `qa.run_manifest`.

use arrow::array::AsArray;
use futures::TryStreamExt;
use pulselake_config::Settings;
use pulselake_lake::{Lake, OpenMode};
use pulselake_model::tables::LakeTable;

use super::run_truth::FinishedRun;
use super::truth_batches;
use crate::commands::output::in_runtime;
use crate::engine::open_lake;

/// Appends the run to the tables of the lake that the settings name; both are created where they are missing. A table that
/// has the run already is left as it is. Returns the tables that got rows.
///
/// # Errors
/// When the lake can't be opened, read or committed to.
pub(super) fn append_run(settings: &Settings, run: &FinishedRun) -> anyhow::Result<Vec<LakeTable>> {
    let run_id = run.run_id.to_string();
    let rows = [
        (LakeTable::ExpectedActions, truth_batches::expected_actions(run)?),
        // Last: who finds a manifest finds the expectations.
        (LakeTable::RunManifest, truth_batches::run_manifest(run)?),
    ];
    in_runtime(async {
        let lake = open_lake(settings, OpenMode::CreateIfMissing).await?;
        lake.ensure_tables(&LakeTable::OF_QA).await?;
        let mut appended = Vec::new();
        for (table, batch) in &rows {
            if !has_run(&lake, *table, &run_id).await? && lake.append_rows(*table, batch).await?.is_some() {
                appended.push(*table);
            }
        }
        Ok(appended)
    })
}

async fn has_run(lake: &Lake, table: LakeTable, run_id: &str) -> anyhow::Result<bool> {
    let mut batches = lake.read(table, &["run_id"]).await?;
    while let Some(batch) = batches.try_next().await? {
        if batch.column(0).as_string::<i32>().iter().any(|found| found == Some(run_id)) {
            return Ok(true);
        }
    }
    Ok(false)
}
