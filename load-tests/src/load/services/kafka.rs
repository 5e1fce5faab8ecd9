//! A Kafka broker that may be stopped: the load test's own, or one whose directory its owner has named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use super::Guardian;
use super::tools::{Tools, signal};

/// The directory of somebody else's broker that the load test may stop and start; `with-kafka.sh` sets it.
pub const KAFKA_DIRECTORY_VARIABLE: &str = "PULSELAKE_TEST_KAFKA_DIR";

const DOWN: &str = "kafka-down.sh";
const UP: &str = "kafka-up.sh";
/// A port may be taken between the look at it and the start.
const TRIES: usize = 3;

/// A broker that was started by `kafka-up.sh`. Dropping the load test's own one ends it, so does the [`Guardian`];
/// somebody else's is left running.
#[derive(Debug)]
pub struct Broker {
    tools: Tools,
    guardian: Arc<Guardian>,
    directory: PathBuf,
    port: u16,
    is_own: bool,
}

impl Broker {
    pub(super) fn start(tools: &Tools, guardian: &Arc<Guardian>, directory: &Path) -> anyhow::Result<Self> {
        let mut last_error = None;
        for _ in 0..TRIES {
            guardian.guard_services(&tools.script(DOWN), directory)?;
            let port = tools.free_port()?;
            let (tools, guardian) = (tools.clone(), guardian.clone());
            let broker = Self { tools, guardian, directory: directory.to_owned(), port, is_own: true };
            match broker.start_again() {
                Ok(()) => return Ok(broker),
                Err(error) => last_error = Some(error),
            }
            // A disk that was formatted for another port is of no use.
            let _ = std::fs::remove_dir_all(directory.join("logs"));
        }
        Err(last_error.context("no try was made")?)
    }

    /// The broker at `brokers`, when [`KAFKA_DIRECTORY_VARIABLE`] says where its files are.
    ///
    /// # Errors
    /// When the variable names a directory that is not that broker's.
    pub fn known(brokers: &str, tools: &Tools, guardian: &Arc<Guardian>) -> anyhow::Result<Option<Self>> {
        let Some(directory) = std::env::var_os(KAFKA_DIRECTORY_VARIABLE).filter(|value| !value.is_empty())
        else {
            return Ok(None);
        };
        Self::in_directory(brokers, Path::new(&directory), tools, guardian).map(Some)
    }

    fn in_directory(
        brokers: &str,
        directory: &Path,
        tools: &Tools,
        guardian: &Arc<Guardian>,
    ) -> anyhow::Result<Self> {
        let file = directory.join("server.properties");
        let properties = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "{KAFKA_DIRECTORY_VARIABLE} names no broker of kafka-up.sh: {} can't be read",
                file.display()
            )
        })?;
        let own = advertised_address(&properties)
            .with_context(|| format!("{} advertises no listener", file.display()))?;
        ensure!(
            own == brokers,
            "the broker in {} is {own}, but the events go to {brokers}: {KAFKA_DIRECTORY_VARIABLE} has to name the \
             directory of that one",
            directory.display()
        );
        let port = own.rsplit(':').next().unwrap_or_default();
        let port = port.parse().with_context(|| format!("{own} has no port"))?;
        guardian.guard_sleep(&directory.join("kafka.pid"))?;
        let (tools, guardian) = (tools.clone(), guardian.clone());
        Ok(Self { tools, guardian, directory: directory.to_owned(), port, is_own: false })
    }

    /// host:port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as its operator would. Its topics stay.
    ///
    /// # Errors
    /// When the script fails.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.tools.run(DOWN, &[&self.directory], &self.guardian.pipe()).map(drop)
    }

    /// Starts it where it was, with its topics; returns when it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let arguments = [self.port.to_string(), self.directory.display().to_string()];
        self.tools.run(UP, &arguments, &self.guardian.pipe()).map(drop)
    }

    /// It stands still: it keeps its connections, and answers nobody.
    ///
    /// # Errors
    /// When its process can't be found or told.
    pub fn pause(&self) -> anyhow::Result<()> {
        signal(self.pid()?, "STOP")
    }

    /// It goes on.
    ///
    /// # Errors
    /// When its process can't be found or told.
    pub fn resume(&self) -> anyhow::Result<()> {
        signal(self.pid()?, "CONT")
    }

    fn pid(&self) -> anyhow::Result<u32> {
        let file = self.directory.join("kafka.pid");
        let Ok(text) = std::fs::read_to_string(&file) else {
            bail!("the broker {} does not run: there is no {}", self.address(), file.display());
        };
        text.trim().parse().with_context(|| format!("{} holds no pid: {text:?}", file.display()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.resume();
        if self.is_own {
            let _ = self.stop();
        }
    }
}

/// `host:port` that the broker tells its clients.
fn advertised_address(properties: &str) -> Option<&str> {
    let listeners = properties.lines().find_map(|line| line.strip_prefix("advertised.listeners="))?;
    listeners.split(',').find_map(|listener| listener.trim().strip_prefix("PLAINTEXT://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_that_clients_are_told() {
        let properties = "listeners=PLAINTEXT://0.0.0.0:1,CONTROLLER://127.0.0.1:2\n\
                          advertised.listeners=PLAINTEXT://127.0.0.1:4711\n";
        assert_eq!(advertised_address(properties), Some("127.0.0.1:4711"));
        assert_eq!(advertised_address("log.dirs=x"), None);
    }

    #[test]
    fn a_directory_of_another_broker_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let guardian = Guardian::below(parent.path()).unwrap();
        std::fs::write(parent.path().join("kafka-up.sh"), "").unwrap();
        let tools = Tools::find(Some(parent.path())).unwrap();
        let broker = |brokers| Broker::in_directory(brokers, parent.path(), &tools, &guardian);
        let error = broker("127.0.0.1:1").unwrap_err().to_string();
        assert!(error.contains(KAFKA_DIRECTORY_VARIABLE) && error.contains("server.properties"), "{error}");
        let properties = "advertised.listeners=PLAINTEXT://127.0.0.1:4711\n";
        std::fs::write(parent.path().join("server.properties"), properties).unwrap();
        let error = broker("127.0.0.1:1").unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:4711") && error.contains("127.0.0.1:1"), "{error}");
        assert_eq!(broker("127.0.0.1:4711").unwrap().address(), "127.0.0.1:4711");
    }
}
