//! Reading scenario files.

use std::path::Path;

use anyhow::{Context, ensure};
use toml::{Table, Value};

use super::Scenario;
use super::check::check;
use super::ready;

/// The key of what is different in the short form.
const SHORT: &str = "short";
/// Tables whose entries the short form replaces one by one. All others it replaces as a whole.
const MERGED: [&str; 4] = ["engine", "load", "search", "services"];

/// The scenario of a name or of a file (`steady-1k`, `my/scenario.toml`), in its short form if asked for.
///
/// # Errors
/// With the file, the key and what is allowed.
pub fn find(name_or_path: &str, is_short: bool) -> anyhow::Result<Scenario> {
    if let Some(text) = ready::text(name_or_path) {
        return parse(text, is_short).with_context(|| format!("the ready scenario {name_or_path}"));
    }
    let path = Path::new(name_or_path);
    ensure!(
        path.extension().is_some_and(|extension| extension == "toml"),
        "{name_or_path:?} is neither a ready scenario ({}) nor a .toml file",
        ready::names().collect::<Vec<_>>().join(", ")
    );
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    parse(&text, is_short).with_context(|| path.display().to_string())
}

/// The scenario that a file's text says.
///
/// # Errors
/// With the key and what is allowed.
pub fn parse(text: &str, is_short: bool) -> anyhow::Result<Scenario> {
    let mut whole: Table = toml::from_str(text)?;
    let short = match whole.remove(SHORT) {
        None => None,
        Some(Value::Table(short)) => Some(short),
        Some(other) => anyhow::bail!("short = {other} has to be a table: [short]"),
    };
    // Both forms are read, so that a mistake in either shows at once.
    let full = scenario(whole.clone())?;
    ensure!(!is_short || short.is_some(), "it has no short form: there is no [short]");
    let short = short.map(|short| scenario(merged(whole, short)?).context("in [short]")).transpose()?;
    let chosen = short.filter(|_| is_short).unwrap_or(full);
    Ok(Scenario { text: text.to_owned(), ..chosen })
}

fn scenario(table: Table) -> anyhow::Result<Scenario> {
    let scenario: Scenario = table.try_into()?;
    check(&scenario)?;
    Ok(scenario)
}

fn merged(mut whole: Table, short: Table) -> anyhow::Result<Table> {
    for (key, value) in short {
        ensure!(!["name", "description"].contains(&key.as_str()), "{key} can't be different in [short]");
        match (whole.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if MERGED.contains(&key.as_str()) => {
                merge_into(old, new);
            }
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
    Ok(whole)
}

fn merge_into(old: &mut Table, new: Table) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge_into(old, new),
            (_, value) => {
                old.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::{PhaseKind, StoreKind};

    const FILE: &str = r#"
        name = "example"
        description = "Shows what a file looks like"
        [engine]
        bronze.commit_interval_ms = 2000
        engine.shards = 2
        [load]
        rate_per_s = 5000
        scenarios = ["duplicates:start_s=5"]
        [services]
        store = "s3"
        [[phases]]
        name = "a"
        kind = "warm_up"
        duration_s = 30
        [[phases]]
        name = "b"
        kind = "steady"
        duration_s = 300
        [limits]
        bronze_p95_s = 12
        gold_p95_s = 15
        [short]
        phases = [{ name = "a", kind = "steady", duration_s = 10 }]
        limits = { bronze_p95_s = 30 }
        engine.bronze.commit_interval_ms = 500
        load.rate_per_s = 100
    "#;

    #[test]
    fn the_short_form_replaces_what_it_names() {
        let full = parse(FILE, false).unwrap();
        let short = parse(FILE, true).unwrap();
        assert_eq!((full.duration_s(), short.duration_s()), (330, 10));
        assert_eq!((full.load.rate_per_s, short.load.rate_per_s), (5_000.0, 100.0));
        assert_eq!(short.load.scenarios, full.load.scenarios);
        assert_eq!((full.limits.len(), short.limits.len()), (2, 1));
        assert_eq!(full.engine_settings(), ["bronze.commit_interval_ms=2000", "engine.shards=2"]);
        assert_eq!(short.engine_settings(), ["bronze.commit_interval_ms=500", "engine.shards=2"]);
        assert_eq!(short.services.store, StoreKind::S3);
        assert_eq!(full.phases[0].kind, PhaseKind::WarmUp);
    }

    /// What is wrong is named, with what is allowed.
    #[test]
    fn mistakes_are_named() {
        let mistake = |from: &str, to: &str| {
            let text = FILE.replace(from, to);
            assert_ne!(text, FILE);
            format!("{:#}", parse(&text, false).unwrap_err())
        };
        for (from, to, expected) in [
            ("rate_per_s = 5000", "rate = 5000", "unknown field `rate`"),
            ("rate_per_s = 5000", "rate = 5000", "expected one of `rate_per_s`"),
            ("kind = \"warm_up\"", "kind = \"warm\"", "expected one of `warm_up`"),
            ("duplicates:start_s=5", "duplicate", "duplicate"),
            ("store = \"s3\"", "store = \"gcs\"", "unknown variant `gcs`"),
            ("gold_p95_s = 15", "gold_p95 = 15", "gold_p95"),
            ("load.rate_per_s = 100", "load.rate = 100", "in [short]"),
            ("engine.shards = 2", "engine.shards = [2", "TOML"),
        ] {
            let message = mistake(from, to);
            assert!(message.contains(expected), "{expected:?} is not in {message:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_says_which_are() {
        let message = find("steady-1m", false).unwrap_err().to_string();
        assert!(message.contains("steady-1k"), "{message}");
        let missing = find("nowhere.toml", false).unwrap_err().to_string();
        assert!(missing.contains("nowhere.toml"), "{missing}");
    }
}
