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

    /// A histogram over all its labels; without buckets where it has no sample yet.
    pub(crate) fn buckets(&self, name: &str) -> Buckets {
        let mut buckets = Buckets::default();
        let bucket = format!("{name}_bucket{{");
        for line in self.text.lines().filter_map(|line| line.strip_prefix(&bucket)) {
            let bound = line.split_once("le=\"").and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
            let count = line.rsplit(' ').next().and_then(|count| count.parse().ok());
            if let (Some(bound), Some(count)) = (bound, count) {
                buckets.add(bound, count);
            }
        }
        buckets
    }
}

/// A histogram as Prometheus has it: how many values were at most as high as each bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    /// By bound; the last one is infinite.
    cumulative: Vec<(f64, f64)>,
}

impl Buckets {
    fn add(&mut self, bound: f64, count: f64) {
        match self.cumulative.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => self.cumulative[at].1 += count,
            Err(at) => self.cumulative.insert(at, (bound, count)),
        }
    }

    /// Takes in the values of another histogram with the same bounds.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.cumulative.iter().for_each(|(bound, count)| self.add(*bound, *count));
    }

    /// The value that the share `quantile` does not exceed, taken as spread evenly within its bucket (as PromQL's
    /// `histogram_quantile` does). `None` without values, and where it lies beyond the last bound.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.cumulative.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = quantile * total;
        let at = self.cumulative.iter().position(|(_, count)| *count >= rank)?;
        let (bound, count) = self.cumulative[at];
        let (bound_before, count_before) =
            at.checked_sub(1).map_or((0.0, 0.0), |before| self.cumulative[before]);
        let share = if count > count_before { (rank - count_before) / (count - count_before) } else { 1.0 };
        bound.is_finite().then_some(bound_before + (bound - bound_before) * share)
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

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let text = "# TYPE h histogram\nh_bucket{p=\"1\",le=\"1\"} 4\nh_bucket{p=\"1\",le=\"2\"} 8\nh_bucket{p=\"1\",le=\"+Inf\"} 9\n\
                    h_bucket{p=\"2\",le=\"1\"} 1\nh_bucket{p=\"2\",le=\"2\"} 1\nh_bucket{p=\"2\",le=\"+Inf\"} 1\nh_sum 7\nh_count 10\n";
        let mut buckets = Metrics::of_text(text).buckets("h");
        // 5, 9 and 10 values; and the same once more.
        assert_eq!(buckets.quantile(0.5), Some(1.0));
        assert_eq!(buckets.quantile(0.7), Some(1.5));
        assert_eq!(buckets.quantile(0.95), None);
        buckets.merge(&buckets.clone());
        assert_eq!(buckets.quantile(0.7), Some(1.5));
        assert_eq!(buckets.quantile(0.25), Some(0.5));
        assert_eq!(Metrics::of_text(text).buckets("other").quantile(0.5), None);
    }
}
