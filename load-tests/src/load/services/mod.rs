//! Services that a load test starts for itself, by the scripts of `tests/tools`: Kafka, S3, PostgreSQL, a REST catalog.
//! Each is ended when it is dropped; whatever becomes of the load test, its [`Guardian`] ends what is left.
//!
//! # Layout
//! `tools` finds and runs the scripts, `guardian` cleans up, `kafka` is the broker, `service` all others.

mod guardian;
mod kafka;
pub(crate) mod service;
pub(crate) mod tools;

use std::sync::Arc;

pub use guardian::Guardian;
pub use kafka::{Broker, KAFKA_DIRECTORY_VARIABLE};
pub use service::Service;
pub use tools::{TOOLS_VARIABLE, Tools};

/// The access key of the S3 servers.
pub const S3_ACCESS_KEY: &str = "test";
/// Its secret.
pub const S3_SECRET_KEY: &str = "testtest";
/// Their region. Buckets stand in the path.
pub const S3_REGION: &str = "us-east-1";

/// Starts services in the guardian's directory.
#[derive(Debug)]
pub struct Services {
    tools: Tools,
    guardian: Arc<Guardian>,
}

impl Services {
    /// Nothing is started yet.
    pub fn new(tools: Tools, guardian: Arc<Guardian>) -> Self {
        Self { tools, guardian }
    }

    /// A broker without topics; topics are never made by themselves. It is up in some 3 s.
    ///
    /// # Errors
    /// When it does not come up; the message holds the end of its log.
    pub fn kafka(&self) -> anyhow::Result<Broker> {
        Broker::start(&self.tools, &self.guardian, &self.guardian.new_path("kafka"))
    }

    /// An S3 server with these empty buckets.
    ///
    /// # Errors
    /// As [`Self::kafka`].
    pub fn s3(&self, buckets: &[&str]) -> anyhow::Result<Service> {
        self.service("s3-up.sh", "s3", buckets)
    }

    /// A PostgreSQL with the empty database `postgres`; the superuser `postgres` needs no password.
    ///
    /// # Errors
    /// As [`Self::kafka`].
    pub fn postgres(&self) -> anyhow::Result<Service> {
        self.service("postgres-up.sh", "postgres", &[])
    }

    /// An Iceberg REST catalog that everybody may use; `options` are those of `rest-catalog-up.sh`.
    ///
    /// # Errors
    /// As [`Self::kafka`].
    pub fn rest(&self, options: &[&str]) -> anyhow::Result<Service> {
        self.service("rest-catalog-up.sh", "rest", options)
    }

    fn service(&self, script: &'static str, name: &str, arguments: &[&str]) -> anyhow::Result<Service> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Service::start(&self.tools, &self.guardian, script, self.guardian.new_path(name), arguments)
    }
}
