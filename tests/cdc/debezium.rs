//! Debezium's connectors for PostgreSQL on a Kafka Connect worker, by the worker's REST interface.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::common::kafka::brokers;
use crate::common::{PATIENCE, poll};
use crate::services::Service;

/// What a connector follows, and how it writes.
#[derive(Clone)]
pub struct Connector {
    /// Its name, and the one of its slot and publication.
    pub name: &'static str,
    /// `schema.table`; the topic is `<topic_prefix>.<table>`.
    pub table: &'static str,
    /// First part of the topic's name.
    pub topic_prefix: String,
    /// Whether each record says the types of its columns (`{"schema":…,"payload":…}`) or is a bare envelope.
    pub with_schema: bool,
    /// The registry of a connector that writes Avro instead.
    pub registry: Option<String>,
    /// Where signals are written, `schema.table`.
    pub signal_table: &'static str,
}

impl Connector {
    /// The topic of its records.
    pub fn topic(&self) -> String {
        format!("{}.{}", self.topic_prefix, self.table)
    }
}

/// How a connector writes keys and values: the converter, and its settings.
fn converter(connector: &Connector) -> Vec<(&'static str, String)> {
    match &connector.registry {
        None => vec![
            ("", "org.apache.kafka.connect.json.JsonConverter".to_owned()),
            (".schemas.enable", connector.with_schema.to_string()),
        ],
        Some(registry) => vec![
            ("", "io.apicurio.registry.utils.converter.AvroConverter".to_owned()),
            (".apicurio.registry.url", format!("{registry}/apis/registry/v2")),
            (".apicurio.registry.auto-register", "true".to_owned()),
            // Confluent's form: the id has 32 bits, and is the one that its interface takes.
            (".apicurio.registry.as-confluent", "true".to_owned()),
            (".apicurio.registry.use-id", "contentId".to_owned()),
            (".apicurio.registry.headers.enabled", "false".to_owned()),
        ],
    }
}

/// A worker of its own.
pub struct Debezium {
    service: Service,
    database_port: String,
    runtime: Runtime,
    client: reqwest::Client,
}

impl Debezium {
    /// Starts a worker without connectors; they will follow the PostgreSQL on this port.
    pub fn start(database_port: &str) -> Self {
        let service = Service::start("debezium", "debezium-up.sh", &[&brokers()]);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        // No connection outlives its request: the worker may be killed in between.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { service, database_port: database_port.to_owned(), runtime, client }
    }

    /// Registers a connector, and waits until it streams: its first snapshot is in the topic then.
    pub fn register(&self, connector: &Connector) {
        let mut config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": self.database_port,
            "database.user": "postgres",
            "database.password": "",
            "database.dbname": "postgres",
            "topic.prefix": connector.topic_prefix,
            "table.include.list": connector.table,
            "slot.name": connector.name,
            "publication.name": connector.name,
            "publication.autocreate.mode": "filtered",
            // Signals are sent to a topic of their own, which the worker has to make.
            "signal.data.collection": connector.signal_table,
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            // Without this two connectors with one prefix fight for one name of their metrics, for a minute.
            "custom.metric.tags": format!("connector={}", connector.name),
            "poll.interval.ms": "100",
        });
        for side in ["key", "value"] {
            for (name, value) in converter(connector) {
                config[format!("{side}.converter{name}")] = value.into();
            }
        }
        self.request(Method::PUT, &format!("/connectors/{}/config", connector.name), Some(&config));
        self.wait_for(connector, "RUNNING");
    }

    /// Stops a connector, forgets how far it was, runs `meanwhile` and starts it again: it takes a snapshot. The slot
    /// stays. What is changed meanwhile comes with the snapshot alone.
    pub fn snapshot_again(&self, connector: &Connector, meanwhile: impl FnOnce()) {
        let path = format!("/connectors/{}", connector.name);
        self.request(Method::PUT, &format!("{path}/stop"), None);
        self.wait_for(connector, "STOPPED");
        // The tasks may still be on their way out.
        let forgotten = poll(PATIENCE, || {
            let (status, _) = self.ask(Method::DELETE, &format!("{path}/offsets"), None);
            status.is_success().then_some(())
        });
        assert!(forgotten.is_some(), "{}", self.service.log_tail());
        meanwhile();
        self.request(Method::PUT, &format!("{path}/resume"), None);
        self.wait_for(connector, "RUNNING");
    }

    /// kill -9.
    pub fn kill(&self) {
        self.service.kill();
    }

    /// Starts the worker again; its connectors go on where they were. What it had delivered and not noted comes again.
    pub fn bring_back(&self) {
        self.service.bring_back();
    }

    fn wait_for(&self, connector: &Connector, state: &str) {
        let path = format!("/connectors/{}/status", connector.name);
        let mut last = Value::Null;
        let reached = poll(PATIENCE, || {
            last = self.ask(Method::GET, &path, None).1;
            let tasks = last["tasks"].as_array()?;
            let is_in = |part: &Value| part["state"] == state;
            let has_tasks = tasks.is_empty() == (state == "STOPPED");
            (last.pointer("/connector").is_some_and(is_in) && has_tasks && tasks.iter().all(is_in))
                .then_some(())
        });
        assert!(reached.is_some(), "{} is not {state}: {last}\n{}", connector.name, self.service.log_tail());
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) {
        let (status, answer) = self.ask(method, path, body);
        assert!(status.is_success(), "{path}: {status} {answer}");
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.service.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }
}
