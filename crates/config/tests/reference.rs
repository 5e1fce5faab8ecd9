//! The reference file, the defaults and the rules say the same.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use pulselake_config::{LoadOptions, Settings, load, reference_toml};

fn keys_of(table: &toml::Table) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (section, settings) in table {
        for name in settings.as_table().unwrap().keys() {
            keys.insert(format!("{section}.{name}"));
        }
    }
    keys
}

#[test]
fn the_file_parses_to_the_defaults() {
    let parsed: Settings = toml::from_str(reference_toml()).unwrap();
    assert_eq!(parsed, Settings::default());
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/pulselake.toml");
    let loaded = load(&LoadOptions { file: Some(file), ..LoadOptions::default() }).unwrap();
    assert_eq!(loaded, Settings::default());
}

#[test]
fn the_file_has_every_setting_and_no_other() {
    let in_file = keys_of(&reference_toml().parse().unwrap());
    let in_code = keys_of(&toml::Table::try_from(Settings::default()).unwrap());
    assert_eq!(in_file, in_code);
    let with_rules: BTreeSet<String> =
        Settings::keys().map(str::to_owned).chain(["kafka.librdkafka".to_owned()]).collect();
    assert_eq!(in_code, with_rules);
}

#[test]
fn the_defaults_are_valid() {
    Settings::default().validate().unwrap();
    let loaded = load(&LoadOptions::default()).unwrap();
    assert_eq!(loaded, Settings::default());
}

/// Every setting's comment ends with the very words that an error message would use. The words are got by setting it
/// wrongly: a table is never allowed.
#[test]
fn each_comment_says_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    for key in Settings::keys() {
        let file = directory.path().join("wrong.toml");
        std::fs::write(&file, format!("{key} = {{}}\n")).unwrap();
        let error =
            load(&LoadOptions { file: Some(file), ..LoadOptions::default() }).unwrap_err().to_string();
        let allowed =
            error.split("allowed is ").nth(1).unwrap_or_else(|| panic!("{key}: {error}")).trim_end();

        let (section, name) = key.split_once('.').unwrap();
        let section_text = reference_toml().split(&format!("\n[{section}]\n")).nth(1).unwrap();
        let before = section_text.split(&format!("\n{name} = ")).next().unwrap();
        let lines: Vec<&str> = before.lines().rev().take_while(|line| line.starts_with('#')).collect();
        assert_eq!(lines[0], format!("# Allowed: {allowed}"), "{key}");
        assert!(lines.len() >= 2, "{key} has no explanation");
    }
}
