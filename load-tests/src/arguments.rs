//! The engine's command line for a run.

use std::path::Path;

use crate::cli::CommonArgs;

/// Flags of `pulselake run`, in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunArguments(Vec<String>);

impl RunArguments {
    /// Tables in `data_dir`, and the settings that the user gave.
    pub(crate) fn new(common: &CommonArgs, data_dir: &Path) -> Self {
        let settings = common.settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        Self::default().with(["--data-dir", &data_dir.display().to_string()]).with(settings)
    }

    /// From a topic.
    pub(crate) fn kafka(self, brokers: &str, topic: &str, group: &str) -> Self {
        self.with(["--brokers", brokers, "--topic", topic, "--group", group])
    }

    /// To the end, without metrics.
    pub(crate) fn until_caught_up(self) -> Self {
        self.with(["--until-caught-up", "--metrics-bind", ""])
    }

    /// Without end, with metrics on a free port, which the log names.
    pub(crate) fn with_metrics(self) -> Self {
        self.with(["--metrics-bind", "127.0.0.1:0"])
    }

    /// A setting of the load test's own.
    pub(crate) fn set(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.with(["--set", &format!("{name}={value}")])
    }

    /// Any other flags.
    pub(crate) fn with<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.extend(flags.into_iter().map(str::to_owned));
        self
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }
}
