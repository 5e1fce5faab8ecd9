//! `health`.

use clap::Args;
use pulselake_config::{ConfigError, Settings};

use super::settings::{Flags, SettingsArgs};

/// `pulselake health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// Where the engine listens [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Ask whether it is ready (events are being committed), not only whether it lives
    #[arg(long)]
    pub(crate) ready: bool,
}

impl HealthArgs {
    /// The settings in force: of them, the address alone is used.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(Flags::default().text("http.bind", "--listen", self.listen.as_deref()))
    }
}
