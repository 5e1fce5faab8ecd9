//! What the HTTP API reports of itself.

use std::time::Duration;

use metrics::{Gauge, counter, gauge};

use crate::exposition::histogram;
use crate::metric::Metric;

/// Handles of the API.
#[derive(Debug)]
pub struct HttpMetrics {
    open_streams: Gauge,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self { open_streams: gauge!(Metric::EventStreams.name()) }
    }
}

impl HttpMetrics {
    /// A request was answered. `endpoint` is the path's pattern, of which there are few, and never the path.
    pub fn answered(&self, endpoint: &str, status: u16, took: Duration) {
        let labels = [("endpoint", endpoint.to_owned()), ("status", status.to_string())];
        counter!(Metric::HttpRequests.name(), &labels).increment(1);
        histogram(Metric::HttpDuration, &[("endpoint", endpoint)]).observe(took, 1);
    }

    /// Clients that have live updates sent to them now.
    pub fn open_streams(&self, clients: usize) {
        self.open_streams.set(clients as f64);
    }

    /// A client did not take its live updates in time, and was dropped.
    pub fn dropped_stream(&self) {
        counter!(Metric::DroppedEventStreams.name()).increment(1);
    }

    /// A query of SQL was handed on, or not; `outcome` is one of few words.
    pub fn queried(&self, outcome: &'static str) {
        counter!(Metric::SqlQueries.name(), "outcome" => outcome).increment(1);
    }
}
