//! `pulselake sql` and the like become `pulselake-query`: the one beside, or else one of PATH, or say how to build it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// The engine's program, alone in a directory.
fn alone() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_pulselake"), directory.path().join("pulselake")).unwrap();
    directory
}

/// A program that says what it was given, and as whom.
fn write_fake(directory: &Path, name: &str) {
    let path = directory.join("pulselake-query");
    std::fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\"\nexit 7\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(directory: &Path, path: &Path, arguments: &[&str]) -> Output {
    let program = directory.join("pulselake");
    Command::new(program).args(arguments).env("PATH", path).output().unwrap()
}

#[test]
fn without_the_program_it_says_how_to_build_it() {
    let directory = alone();
    let output = run(directory.path(), directory.path(), &["sql", "SELECT 1"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cargo build --release -p pulselake-query"), "{text}");
}

#[test]
fn the_one_beside_comes_before_that_of_path_and_gets_everything() {
    let (directory, elsewhere) = (alone(), tempfile::tempdir().unwrap());
    write_fake(elsewhere.path(), "of-path");
    // The shell itself stands at a fixed place.
    let of_path = run(directory.path(), elsewhere.path(), &["views", "list"]);
    assert_eq!(String::from_utf8(of_path.stdout).unwrap(), "of-path views list\n");
    write_fake(directory.path(), "beside");
    let beside = run(directory.path(), elsewhere.path(), &["sql", "--format", "json", "SELECT  1", "--help"]);
    assert_eq!(String::from_utf8(beside.stdout).unwrap(), "beside sql --format json SELECT  1 --help\n");
    assert_eq!(beside.status.code(), Some(7), "its exit code is the program's");
    let serving = run(directory.path(), elsewhere.path(), &["query-serve", "--bind", "127.0.0.1:0"]);
    assert_eq!(String::from_utf8(serving.stdout).unwrap(), "beside serve --bind 127.0.0.1:0\n");
}
