//! A service other than Kafka: S3, PostgreSQL, a REST catalog.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Guardian;
use super::tools::{Tools, signal};

const LOOK_AGAIN: Duration = Duration::from_millis(10);
const GONE_WITHIN: Duration = Duration::from_secs(20);
const DOWN: &str = "service-down.sh";

/// A running service of the load test's own. Dropping it ends it; so does the [`Guardian`].
#[derive(Debug)]
pub struct Service {
    tools: Tools,
    script: &'static str,
    arguments: Vec<String>,
    directory: PathBuf,
    url: String,
    guardian: Arc<Guardian>,
}

impl Service {
    pub(super) fn start(
        tools: &Tools,
        guardian: &Arc<Guardian>,
        script: &'static str,
        directory: PathBuf,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        guardian.guard_services(&tools.script(DOWN), &directory)?;
        let (tools, guardian) = (tools.clone(), guardian.clone());
        let mut service = Self { tools, script, arguments, directory, url: String::new(), guardian };
        service.url = service.up()?;
        Ok(service)
    }

    /// Where it answers, also after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port of [`Self::url`].
    pub fn address(&self) -> &str {
        address_in(&self.url)
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

    /// kill -9; returns when it is gone. Its files stay.
    ///
    /// # Errors
    /// When its process can't be found or told, or is not gone in 20 s.
    pub fn kill(&self) -> anyhow::Result<()> {
        let pid = self.pid()?;
        signal(pid, "KILL")?;
        let deadline = Instant::now() + GONE_WITHIN;
        // One that nobody waits for stays as a zombie; its other threads may hold the port for a moment longer.
        let is_there = || {
            crate::proc_fs::process(pid).is_some_and(|process| !process.has_ended)
                || TcpStream::connect(self.address()).is_ok()
        };
        while is_there() {
            if Instant::now() > deadline {
                bail!("process {pid} of {} is there {GONE_WITHIN:?} after kill -9", self.directory.display());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Ends it as its operator would. Its files stay.
    ///
    /// # Errors
    /// When the script fails.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.tools.run(DOWN, &[&self.directory], &self.guardian.pipe()).map(drop)
    }

    /// Starts it again where it was, with its data, on its port; returns when it answers.
    ///
    /// # Errors
    /// When it does not come up, or at another address.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let url = self.up()?;
        if url != self.url {
            bail!("{} has come back as {url}, it was {}", self.script, self.url);
        }
        Ok(())
    }

    fn up(&self) -> anyhow::Result<String> {
        let mut arguments = vec![self.directory.display().to_string()];
        arguments.extend_from_slice(&self.arguments);
        self.tools.run(self.script, &arguments, &self.guardian.pipe())
    }

    fn pid(&self) -> anyhow::Result<u32> {
        // `postgres-up.sh` keeps its pid in `postgres.pid`.
        let name = self.script.split('-').next().unwrap_or_default();
        let file = self.directory.join(format!("{name}.pid"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{name} does not run: {} can't be read", file.display()))?;
        text.trim().parse().with_context(|| format!("{} holds no pid: {text:?}", file.display()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended before; and the guardian tries once more.
        let _ = self.resume();
        let _ = self.stop();
    }
}

/// `host:port` of a URL.
pub(crate) fn address_in(url: &str) -> &str {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = behind_scheme.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_urls() {
        for url in
            ["http://127.0.0.1:4711", "postgres://postgres@127.0.0.1:4711/postgres?x=y@z", "127.0.0.1:4711"]
        {
            assert_eq!(address_in(url), "127.0.0.1:4711", "{url}");
        }
    }
}
