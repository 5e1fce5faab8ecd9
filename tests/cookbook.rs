//! Every statement of docs/sql-cookbook.md gives rows, on a lake with hours of events, dimensions and a day of the cold path.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The hours that the page's statements ask for: two from 10:00; and changes of videos and users beside them.
const LOG: [&str; 10] = [
    "source.kind=generator",
    "cdc.videos_topic=cdc.content.videos",
    "cdc.users_topic=cdc.users.profiles",
    "generator.start_ms=1770458400000",
    "generator.length_s=7200",
    "generator.rate_per_s=5",
    "generator.videos=60",
    "generator.users=300",
    "generator.seed=7",
    "generator.scenarios=[\"viral_high_quality:start_s=2400\"]",
];

/// What the program says (or the other one beside it, which the workspace's tests are built with). It has to succeed.
fn told(program: &str, data_dir: &Path, arguments: &[&str], input: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_pulselake")).with_file_name(program);
    assert!(
        path.exists(),
        "{program} is not built: run through make test, or cargo build -p pulselake-query"
    );
    let mut child = Command::new(path)
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Dropped at the end of the statement, which ends the input.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}\n{errors}", arguments.join(" "));
    output.stdout
}

/// Title and text of each block of SQL.
fn statements(page: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut title = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("### ") {
            title = heading;
        } else if line == "```sql" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((title, block.join("\n")));
        }
    }
    found
}

#[test]
fn every_statement_of_the_cookbook_gives_rows() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lake = directory.path();
    let mut arguments = vec!["run", "--until-caught-up", "--listen", ""];
    for setting in LOG {
        arguments.extend(["--set", setting]);
    }
    told("pulselake", lake, &arguments, "");
    told("pulselake-query", lake, &["batch", "run", "--date", "2026-02-07"], "");

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql-cookbook.md");
    let page = std::fs::read_to_string(file).unwrap();
    let statements = statements(&page);
    assert!(statements.len() >= 15, "{} statements", statements.len());
    // One process for all: starting it takes longer than most of them.
    let all: String = statements.iter().map(|(_, sql)| format!("{sql};\n")).collect();
    let answered = told("pulselake-query", lake, &["sql", "--format", "json"], &all);
    let answers: Vec<Value> =
        serde_json::Deserializer::from_slice(&answered).into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), statements.len(), "answers and statements");
    let without_rows: Vec<&str> = statements
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer["row_count"].as_u64().unwrap() == 0)
        .map(|((title, _), _)| *title)
        .collect();
    assert!(without_rows.is_empty(), "no rows: {without_rows:?}");
}
