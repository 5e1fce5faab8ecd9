//! The flags that every command with settings has, and how flags override settings.

use std::path::PathBuf;

use clap::Args;
use pulselake_config::{ConfigError, LoadOptions, Override, Settings, load};

/// Where settings come from.
#[derive(Clone, Debug, Args)]
pub struct SettingsArgs {
    /// Settings file (TOML); without it the defaults count
    #[arg(long, value_name = "FILE", env = "PULSELAKE_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of catalog and warehouse [default: ./pulselake-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Catalog: sqlite://…, postgres://… or http(s)://… [default: catalog.db in the data directory]
    #[arg(long, value_name = "URI")]
    catalog: Option<String>,
    /// Where tables are stored: file://… or s3://… [default: warehouse in the data directory]
    #[arg(long, value_name = "URI")]
    warehouse: Option<String>,
    /// Override any setting, such as engine.shards=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Override::parse)]
    set: Vec<Override>,
}

impl SettingsArgs {
    /// The settings in force, with what the command's own flags set. `--set` has the last word.
    ///
    /// # Errors
    /// With every wrong setting at once.
    pub fn load(&self, flags: Flags) -> Result<Settings, ConfigError> {
        let mut overrides = Flags::default()
            .text("lake.data_dir", "--data-dir", self.data_dir.as_deref())
            .text("lake.catalog_uri", "--catalog", self.catalog.as_deref())
            .text("lake.warehouse", "--warehouse", self.warehouse.as_deref())
            .0;
        overrides.extend(flags.0);
        overrides.extend(self.set.iter().cloned());
        load(&LoadOptions::from_process(self.config.clone(), overrides))
    }

    /// The file's name for messages.
    pub fn file_name(&self) -> String {
        self.config.as_ref().map_or_else(|| "the defaults".to_owned(), |path| path.display().to_string())
    }
}

/// Settings that flags of a command give; an absent flag sets nothing.
#[derive(Debug, Default)]
pub struct Flags(Vec<Override>);

impl Flags {
    /// A flag with a value.
    pub fn text(mut self, key: &str, flag: &str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|given| Override::text(key, given.to_string(), flag)));
        self
    }

    /// A flag with several values.
    pub fn list(mut self, key: &str, flag: &str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.0.push(Override::list(key, values.to_vec(), flag));
        }
        self
    }

    /// A flag without a value.
    pub fn switch(self, key: &str, flag: &str, given: bool) -> Self {
        self.text(key, flag, given.then_some(true))
    }
}
