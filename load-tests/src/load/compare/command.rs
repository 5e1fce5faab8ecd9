//! `pulselake-load compare A B`: reads the reports, prints the comparison, and tells by the exit code how it came out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::{Difference, compare_sides};
use crate::load::outcome::RunOutcome;
use crate::load::report;

/// What `compare` is told. Exit codes: 0 nothing is worse, 3 something is, 1 the reports can't be read or compared.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// The reports of one side: report.json, a directory with one, or a directory of such directories; several with commas.
    /// Three or more runs a side make the comparison sharp
    #[arg(value_name = "A", num_args = 1, value_delimiter = ',', required = true)]
    a: Vec<PathBuf>,
    /// The reports of the other side
    #[arg(value_name = "B", num_args = 1, value_delimiter = ',', required = true)]
    b: Vec<PathBuf>,
    /// Compare although these differ
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    despite: Vec<Difference>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Does what the command line asks for.
#[must_use]
pub fn main(args: &CompareArgs) -> ExitCode {
    match run(args) {
        Ok((text, code)) => {
            print!("{text}");
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &CompareArgs) -> anyhow::Result<(String, u8)> {
    let comparison = compare_sides(&read_side(&args.a)?, &read_side(&args.b)?, &args.despite);
    let text = if args.json {
        let json =
            serde_json::to_string_pretty(&comparison).context("could not write the comparison as json")?;
        format!("{json}\n")
    } else {
        comparison.to_string()
    };
    Ok((text, comparison.exit_code()))
}

fn read_side(paths: &[PathBuf]) -> anyhow::Result<Vec<RunOutcome>> {
    let mut runs = Vec::new();
    for path in paths {
        for file in reports_at(path)? {
            runs.push(report::read(&file)?);
        }
    }
    Ok(runs)
}

/// The path itself, or the reports in the directories below it, in the order of their names.
fn reports_at(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = path.display();
    if !path.is_dir() || path.join(report::JSON_FILE).exists() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("could not read the directory {shown}"))? {
        let entry = entry.with_context(|| format!("could not read the directory {shown}"))?;
        let file = entry.path().join(report::JSON_FILE);
        if file.exists() {
            found.push(file);
        }
    }
    if found.is_empty() {
        bail!("no report in {shown}: it holds neither a {} nor directories with one", report::JSON_FILE);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::load::example::{self, Recipe};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: CompareArgs,
    }

    fn outcome(arguments: &[&str]) -> anyhow::Result<(String, u8)> {
        run(&Cli::parse_from(std::iter::once(&"compare").chain(arguments)).args)
    }

    fn written(runs: &[RunOutcome]) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        for (index, run) in runs.iter().enumerate() {
            report::write(run, &directory.path().join(format!("run-{index}"))).unwrap();
        }
        let path = directory.path().to_str().unwrap().to_owned();
        (directory, path)
    }

    #[test]
    fn the_exit_code_tells_regressions_from_none_and_from_no_comparison() {
        let slow = |seed| Recipe { level: 1.3, ..Recipe::new(seed) }.cook();
        let mut other = example::steady(9);
        other.settings.clear();
        let (_kept, at) = written(&[example::steady(1), example::steady(2), slow(3), other]);
        let run = |index: usize| format!("{at}/run-{index}");
        let code = |a: &str, b: &str| outcome(&[a, b]).unwrap().1;
        assert_eq!(code(&run(0), &run(1)), 0);
        assert_eq!(code(&run(0), &run(2)), 3);
        assert_eq!(code(&run(2), &run(0)), 0, "better is not worse");
        assert_eq!(code(&run(0), &run(3)), 1);
        assert_eq!(outcome(&[&run(0), &run(3), "--despite", "settings"]).unwrap().1, 0);
    }

    #[test]
    fn a_side_is_a_file_a_directory_or_many() {
        let (_kept, at) = written(&[example::steady(1), example::steady(2), example::steady(3)]);
        let several = format!("{at}/run-0,{at}/run-1/report.json");
        let (text, code) = outcome(&[&several, &format!("{at}/run-2")]).unwrap();
        assert!(code == 0 && text.contains("A: 2 runs") && text.contains("B: 1 run,"), "{text}");
        let (json, _) = outcome(&[&at, &format!("{at}/run-2"), "--json"]).unwrap();
        assert!(json.contains("\"verdict\": \"within_noise\""), "{json}");
    }

    #[test]
    fn errors_name_the_path() {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().to_str().unwrap();
        let message = format!("{:#}", outcome(&[path, path]).unwrap_err());
        assert!(message.contains(path) && message.contains("no report in"), "{message}");
    }
}
