//! `config`, `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use pulselake_config::{ConfigError, Settings};

use super::settings::{Flags, SettingsArgs};

/// `pulselake config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say all that is wrong with the settings; exits with 2 when something is
    Check(ConfigArgs),
    /// Print the settings in force as TOML, secrets masked
    Print(ConfigArgs),
    /// Print the reference file: every setting with its default, unit and range
    Reference,
}

/// Settings to check or print.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    from: SettingsArgs,
}

impl ConfigArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(Flags::default())
    }

    /// The file's name for messages.
    pub(crate) fn file_name(&self) -> String {
        self.from.file_name()
    }
}

/// `pulselake completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `pulselake man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory; without it the main page goes to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: Option<PathBuf>,
}
