//! docs/settings.md: every setting, out of the reference file that `pulselake config reference` prints. That this file has all
//! keys, their defaults and what is allowed is held by crates/config's own tests.

use std::fmt::Write;

use pulselake_config::{Settings, reference_toml};

use super::golden::{NOTE, assert_page, cell};

const ABOUT: &str = "\
Nothing has to be set. Each of these overrides the one before:

1. the defaults below
2. a TOML file: `--config FILE`, or the variable `PULSELAKE_CONFIG`
3. environment variables: `PULSELAKE_<SECTION>__<NAME>`, such as `PULSELAKE_KAFKA__BROKERS=broker:9092`
4. flags: those of the command, and `--set section.name=value`

Names tell the unit: `_ms` is milliseconds, `_bytes` is bytes. Secrets come from the environment or from files (`…_file`), and are never printed. \
`pulselake config check` says all that is wrong at once, with file and line; `config print` shows what is in force; `config reference` prints \
[config/pulselake.toml](../config/pulselake.toml), which says the same as this page.
";

#[test]
fn the_page_of_settings_is_what_the_reference_file_says() {
    let page = page(reference_toml());
    for key in Settings::keys() {
        let (section, name) = key.split_once('.').unwrap();
        let rows =
            page.split(&format!("\n## [{section}]\n")).nth(1).unwrap_or_else(|| panic!("no [{section}]"));
        let rows = rows.split("\n## ").next().unwrap();
        assert!(rows.contains(&format!("\n| `{name}` | ")), "{key} is not on the page");
    }
    assert_page("docs/settings.md", &page);
}

/// The sections of the file as tables.
fn page(reference: &str) -> String {
    let mut page = format!("# Settings\n\n{NOTE}\n\n{ABOUT}");
    let mut comment: Vec<&str> = Vec::new();
    let mut rows_begun = false;
    let mut in_section = false;
    for line in reference.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // Writing to a String does not fail.
            let _ = write!(page, "\n## [{section}]\n");
            write_paragraph(&mut page, &comment);
            comment.clear();
            (in_section, rows_begun) = (true, false);
        } else if let Some((name, default)) = line.split_once(" = ") {
            if !rows_begun {
                page.push_str("\n| setting | default | allowed | what it does |\n|---|---|---|---|\n");
                rows_begun = true;
            }
            write_row(&mut page, name, default, &comment);
            comment.clear();
        } else if line.is_empty() {
            if in_section && !comment.is_empty() {
                let _ = write!(page, "\n```toml\n{}\n```\n", comment.join("\n"));
            }
            comment.clear();
        } else {
            panic!("neither comment, section nor setting: {line}");
        }
    }
    page
}

fn write_paragraph(page: &mut String, comment: &[&str]) {
    if !comment.is_empty() {
        let _ = writeln!(page, "\n{}", comment.join(" "));
    }
}

fn write_row(page: &mut String, name: &str, default: &str, comment: &[&str]) {
    let (allowed, text) = comment.split_last().unwrap_or_else(|| panic!("{name} has no comment"));
    let allowed = allowed.strip_prefix("Allowed: ").unwrap_or_else(|| panic!("{name}: {allowed}"));
    let (text, allowed) = (cell(&text.join(" ")), cell(allowed));
    let _ = writeln!(page, "| `{name}` | `{default}` | {allowed} | {text} |");
}
