//! `pulselake tables inspect`.

use std::process::ExitCode;

use anyhow::Context;
use iceberg::TableIdent;
use pulselake_lake::OpenMode;
use pulselake_maintain::health::{OrphanLook, inspect};

use super::maintain_text::health_text;
use super::output::{in_runtime, write_json, write_out};
use crate::cli::{OutputFormat, TablesInspectArgs};
use crate::engine::{open_lake, orphan_settings};

/// Shows one table's health.
///
/// # Errors
/// When there is no such table, or catalog or manifests can't be read.
pub(crate) fn run(args: &TablesInspectArgs) -> anyhow::Result<ExitCode> {
    let settings = args.inspect.settings()?;
    let table = parse_table(&args.table)?;
    let health = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        let look = args.orphans.then(|| OrphanLook {
            store: lake.warehouse(),
            settings: orphan_settings(&settings),
            progress: &|_| {},
        });
        Ok(inspect(lake.catalog().as_ref(), &table, look).await?)
    })?;
    match args.inspect.format {
        OutputFormat::Text => write_out(health_text(&health).as_bytes())?,
        OutputFormat::Json => write_json(&health)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A table by `namespace.name`.
pub(crate) fn parse_table(name: &str) -> anyhow::Result<TableIdent> {
    let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    if parts.len() < 2 || parts.iter().any(String::is_empty) {
        anyhow::bail!("{name} names no table; write namespace.name, such as bronze.raw_events");
    }
    TableIdent::from_strs(parts).with_context(|| format!("{name} names no table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_namespace() {
        assert_eq!(parse_table("bronze.raw_events").unwrap().name(), "raw_events");
        for wrong in ["raw_events", "", ".x", "x."] {
            assert!(parse_table(wrong).is_err(), "{wrong}");
        }
    }
}
