//! The report of a run: `report.json` is the outcome itself, `report.html` shows it to people, in one file that needs
//! nothing from outside.
//!
//! # Layout
//! `page` puts the HTML together from `cards`, `charts` (which there are), `chart` (how one is drawn, with `axis` and
//! `thinning`) and `tables`; `numbers` writes numbers as people read them.

mod axis;
mod cards;
mod chart;
mod charts;
pub(crate) mod numbers;
mod page;
mod tables;
mod thinning;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

pub(crate) use self::charts::PATHS;
use super::outcome::{FORMAT, RunOutcome};

/// The outcome as JSON.
pub const JSON_FILE: &str = "report.json";
/// The outcome for people.
pub const HTML_FILE: &str = "report.html";

/// Writes both files into a directory, which is made if it is not there.
///
/// # Errors
/// What can't be written, with its path.
pub fn write(outcome: &RunOutcome, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("could not make the report's directory {}", directory.display()))?;
    let mut json = serde_json::to_string_pretty(outcome).context("could not write the outcome as json")?;
    json.push('\n');
    write_file(&directory.join(JSON_FILE), &json)?;
    write_file(&directory.join(HTML_FILE), &page::page(outcome).into_string())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// Reads a report again: a JSON file, or a directory with a `report.json`.
///
/// # Errors
/// A file that is not there, is no report, or is of a format that this program does not know; with its path.
pub fn read(path: &Path) -> anyhow::Result<RunOutcome> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let file: PathBuf = if path.is_dir() { path.join(JSON_FILE) } else { path.to_owned() };
    let shown = file.display();
    let text = fs::read_to_string(&file).with_context(|| format!("could not read the report {shown}"))?;
    let Format { format } = serde_json::from_str(&text)
        .with_context(|| format!("{shown} is no report: a report.json of `pulselake-load run` is needed"))?;
    if format != FORMAT {
        bail!("{shown} is a report of format {format}; this program reads format {FORMAT}");
    }
    serde_json::from_str(&text).with_context(|| format!("{shown} is no report of format {FORMAT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::example;

    /// Names of fields are an interface: others read `report.json`. A change here needs a new [`FORMAT`], unless a field
    /// was only added.
    #[test]
    fn the_json_is_the_golden_one() {
        let directory = tempfile::tempdir().unwrap();
        write(&example::tiny(), directory.path()).unwrap();
        let written = fs::read_to_string(directory.path().join(JSON_FILE)).unwrap();
        assert_eq!(written, include_str!("golden.json"));
    }

    #[test]
    fn what_was_written_is_read_again_from_the_file_or_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let outcome = example::with_faults(7);
        write(&outcome, &directory.path().join("new/one")).unwrap();
        assert_eq!(read(&directory.path().join("new/one")).unwrap(), outcome);
        assert_eq!(read(&directory.path().join("new/one/report.json")).unwrap(), outcome);
    }

    #[test]
    fn a_figure_that_is_no_number_does_not_cost_the_report() {
        let directory = tempfile::tempdir().unwrap();
        let mut outcome = example::tiny();
        outcome.figures.insert("none_per_s".to_owned(), f64::NAN);
        write(&outcome, directory.path()).unwrap();
        assert!(read(directory.path()).unwrap().figures["none_per_s"].is_nan());
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let message = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(message(directory.path()).contains("could not read the report"));
        let file = directory.path().join("other.json");
        fs::write(&file, "{\"a\": 1}").unwrap();
        assert!(message(&file).contains("other.json is no report"), "{}", message(&file));
        fs::write(&file, "{\"format\": 99}").unwrap();
        assert!(message(&file).contains("format 99; this program reads format 1"), "{}", message(&file));
    }
}
