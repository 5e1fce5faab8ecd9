//! What `--version` says: the version, and the commit that the program was built from.
//!
//! The commit is `PULSELAKE_COMMIT` where that is set and not empty (a container's build has no repository), else the repository's in a release
//! build, else none: a development build must not link anew for every commit. The same commit gives the same text.

use std::env;
use std::process::Command;

/// As many digits as tell commits apart for good.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PULSELAKE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = env::var("PULSELAKE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| is_release.then(commit_of_repository).flatten());
    let text = match commit {
        Some(commit) => format!("{version} ({})", commit.chars().take(DIGITS).collect::<String>()),
        None => version,
    };
    println!("cargo::rustc-env=PULSELAKE_VERSION={text}");
}

/// `None` where there is no git or no repository.
fn commit_of_repository() -> Option<String> {
    // Moves with every commit and every checkout.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?
    );
    git(&["rev-parse", "HEAD"])
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
