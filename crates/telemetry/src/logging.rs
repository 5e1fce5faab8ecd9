//! Log lines on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::install::TelemetryError;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the events of this process, and what libraries log, to standard error. Our own from `level` upwards
/// (`error`, `warn`, `info`, `debug`, `trace`), libraries' one level quieter.
///
/// # Errors
/// When the level is unknown or logging is set up already.
pub fn init_logging(format: LogFormat, level: &str) -> Result<(), TelemetryError> {
    let level: Level = level.parse().map_err(|_| TelemetryError::Level(level.to_owned()))?;
    let filter = EnvFilter::new(directives(level));
    let registry = tracing_subscriber::registry().with(filter);
    let result = match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry
                .with(layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours))
                .try_init()
        }
        LogFormat::Json => {
            registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    result.map_err(|error| TelemetryError::Logging(error.to_string()))
}

/// The filter: a directive's target matches all that begins with it, so `pulselake` is every crate of ours.
fn directives(level: Level) -> String {
    let libraries = match level {
        Level::ERROR | Level::WARN => Level::ERROR,
        Level::INFO => Level::WARN,
        Level::DEBUG => Level::INFO,
        Level::TRACE => Level::DEBUG,
    };
    format!("{libraries},pulselake={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_one_level_quieter() {
        assert_eq!(directives(Level::INFO), "WARN,pulselake=INFO");
        assert_eq!(directives(Level::ERROR), "ERROR,pulselake=ERROR");
        // The filter takes them as they are: a wrong directive would be dropped.
        assert_eq!(
            EnvFilter::try_new(directives(Level::TRACE)).unwrap().to_string(),
            "pulselake=trace,debug"
        );
    }

    #[test]
    fn an_unknown_level_is_named() {
        let error = init_logging(LogFormat::Text, "loud").unwrap_err().to_string();
        assert!(error.contains("\"loud\"") && error.contains("debug"), "{error}");
    }
}
