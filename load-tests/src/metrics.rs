//! The engine's metrics, asked for over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

/// How long an answer may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// An exposition in Prometheus's text form.
pub(crate) struct Metrics {
    text: String,
}

impl Metrics {
    /// Asks the engine at `address`.
    pub(crate) fn of(address: &str) -> anyhow::Result<Self> {
        Self::within(address, TIMEOUT)
    }

    /// Asks the engine at `address`, for at most this long (per reading of the connection).
    pub(crate) fn within(address: &str, timeout: Duration) -> anyhow::Result<Self> {
        let ask = || {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(timeout))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        let answer = ask().with_context(|| format!("the engine's metrics at {address} don't answer"))?;
        let (head, text) = answer.split_once("\r\n\r\n").context("the engine's metrics are cut off")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "the engine refuses its metrics: {head}");
        Ok(Self { text: text.to_owned() })
    }

    /// An exposition that was read before.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// Sum of a metric over all its labels; 0 where it has no sample yet.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix(name));
        let samples = lines.filter(|rest| rest.starts_with(['{', ' ']));
        samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_add_up() {
        let text =
            "# HELP a_total x\na_total{p=\"1\"} 3\na_total{p=\"2\"} 4.5\na_total_more 9\nb 1\n".to_owned();
        let metrics = Metrics { text };
        assert_eq!((metrics.sum("a_total"), metrics.sum("b"), metrics.sum("c")), (7.5, 1.0, 0.0));
    }
}
