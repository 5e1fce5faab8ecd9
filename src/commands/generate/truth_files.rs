//! A run's truth as Parquet files. The same run gives the same bytes: rows have an order, the writer's settings are fixed,
//! and nothing of the moment or the machine goes in.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use pulselake_model::qa;

use super::run_truth::FinishedRun;
use super::truth_batches;

/// Writes `counts.parquet`, `quarantine.parquet`, `expected_actions.parquet` and `run_manifest.parquet` into a directory,
/// which is made where it is missing. Files that are there are overwritten; the manifest comes last.
///
/// # Errors
/// When a file can't be written.
pub(super) fn write_truth(run: &FinishedRun, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))?;
    let one = |batch: anyhow::Result<RecordBatch>| std::iter::once(batch);
    let counts = run.counts();
    let file = |name: &str| directory.join(name);
    write_file(&file("counts.parquet"), qa::truth_counts(), truth_batches::counts(counts))?;
    write_file(&file("quarantine.parquet"), qa::truth_quarantine(), one(truth_batches::quarantine(counts)))?;
    write_file(
        &file("expected_actions.parquet"),
        qa::expected_actions(),
        one(truth_batches::expected_actions(run)),
    )?;
    write_file(&file("run_manifest.parquet"), qa::run_manifest(), one(truth_batches::run_manifest(run)))
}

fn write_file(
    path: &Path,
    schema: SchemaRef,
    batches: impl Iterator<Item = anyhow::Result<RecordBatch>>,
) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write {}", path.display());
    let file = File::create(path).with_context(cannot_write)?;
    let properties = WriterProperties::builder()
        .set_created_by("pulselake".to_owned())
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).with_context(cannot_write)?;
    for batch in batches {
        writer.write(&batch?).with_context(cannot_write)?;
    }
    writer.close().with_context(cannot_write)?;
    Ok(())
}
