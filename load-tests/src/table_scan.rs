//! What it costs to read a whole table, every column of it: by Pulselake's own reading, and by DuckDB where the test
//! tools' Python is at hand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::proc_fs;
use crate::statistics::rounded;

/// Reads with DuckDB what the first argument names; one line of JSON.
const DUCKDB_SCAN: &str = include_str!("duckdb_scan.py");
/// DuckDB is stopped when it takes longer: hundreds of equality delete files can be too much for it.
const DUCKDB_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One reading.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TableRead {
    pub(crate) rows: u64,
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
}

/// Reads `table` of the data directory in this process.
pub(crate) fn by_pulselake(data_dir: &Path, table: LakeTable) -> anyhow::Result<TableRead> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cpu_before_s = own_cpu_s()?;
    let started = Instant::now();
    let rows = runtime.block_on(async {
        let mut batches = open(data_dir).await?.read(table, &[]).await?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows() as u64;
        }
        anyhow::Ok(rows)
    })?;
    let wall_s = rounded(started.elapsed().as_secs_f64(), 3);
    Ok(TableRead { rows, wall_s, cpu_s: rounded(own_cpu_s()? - cpu_before_s, 2) })
}

/// Reads `table` with DuckDB in a process of its own, its start left out. `None` without the test tools; a refusal, or
/// no answer in time, comes as an object with `error`: it says something about the table, and stops no measurement.
pub(crate) fn by_duckdb(data_dir: &Path, table: LakeTable) -> anyhow::Result<Option<Value>> {
    let Some(python) = std::env::var_os("PULSELAKE_TEST_PYTHON") else { return Ok(None) };
    let tools = std::env::var_os("PULSELAKE_TEST_TOOLS").context("PULSELAKE_TEST_TOOLS is not set")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let loaded = runtime.block_on(async { anyhow::Ok(open(data_dir).await?.load(table).await?) })?;
    let location = loaded.metadata_location().context("the table has no metadata file")?;
    let mut reading = Command::new(python)
        .args(["-c", DUCKDB_SCAN, location])
        .env("PYTHONPATH", Path::new(&tools).join("../verify"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    // What it says fits into a pipe: it can't hang on one that nobody reads.
    while reading.try_wait()?.is_none() {
        if started.elapsed() > DUCKDB_PATIENCE {
            reading.kill()?;
            reading.wait()?;
            return Ok(Some(json!({ "error": format!("stopped after {DUCKDB_PATIENCE:?}") })));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let output = reading.wait_with_output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        return Ok(Some(json!({ "error": complaint })));
    }
    let read: TableRead = serde_json::from_slice(&output.stdout).context("DuckDB's answer is no JSON")?;
    ensure!(read.wall_s > 0.0, "DuckDB took no time");
    Ok(Some(serde_json::to_value(read)?))
}

async fn open(data_dir: &Path) -> anyhow::Result<Lake> {
    let directory = data_dir.canonicalize()?;
    let settings = LakeSettings::new(
        format!("sqlite://{}", directory.join("catalog.db").display()),
        format!("file://{}", directory.join("warehouse").display()),
    );
    Ok(Lake::open(&settings, OpenMode::MustExist).await?)
}

fn own_cpu_s() -> anyhow::Result<f64> {
    Ok(proc_fs::process(std::process::id()).context("this process is not in /proc")?.cpu_s())
}
