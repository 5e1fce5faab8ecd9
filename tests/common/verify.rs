//! Checks by programs that are not the engine: the Python verifiers, and the engine's own audit beside them.

use std::process::{Command, Output};

use serde_json::Value;

use super::engine::BINARY;
use super::kafka::brokers;
use super::log::Log;
use super::scene::Scene;
use super::stream::BackgroundStream;
use super::{environment, repository};

/// Runs a verifier of `tests/verify`, which has to agree; gives its facts.
pub fn verify(verifier: &str, arguments: &[&str]) -> Value {
    let script = repository("tests/verify").join(verifier);
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(script)
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success() && report["ok"] == true, "{verifier} does not agree:\n{}", told(&output));
    report["facts"].clone()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Scene {
    /// Every record of the topic is in the tables exactly once, gold is what a naive recount gives, and the audit
    /// agrees. Only after a bounded run: it closes every window. Gives the recount's facts.
    pub fn verify_all(&self) -> Value {
        self.audit();
        self.verify_against_topic(&[])
    }

    /// Stops the stream, runs to the end of the topic, and checks all of it. Gives that run's log, and how many records
    /// were sent.
    pub fn verify_to_the_end_of(&self, stream: BackgroundStream) -> (Log, u64) {
        let sent = stream.stop().flush();
        let log = self.run_to_end();
        assert_eq!(fact(&self.verify_all(), "topic records"), sent);
        (log, sent)
    }

    /// The topic against the tables.
    pub fn verify_against_topic(&self, more: &[&str]) -> Value {
        let (brokers, data_dir) = (brokers(), self.data_dir().display().to_string());
        let mut arguments = vec!["--brokers", &brokers, "--topic", &self.topic, "--data-dir", &data_dir];
        arguments.extend(more);
        verify("topic_recount.py", &arguments)
    }

    /// `pulselake audit`: at any time, also with open windows.
    pub fn audit(&self) {
        let output = self.command(&["audit"]);
        assert!(output.status.success(), "pulselake audit found something:\n{}", told(&output));
    }

    /// Offset up to which a table has each partition of the topic, as its ledger says.
    pub fn committed(&self, table: &str) -> Vec<i64> {
        let output = self.command(&["ledger", "show", table, "--format", "json"]);
        assert!(output.status.success(), "pulselake ledger show:\n{}", told(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let topic = &document["ledgers"][0]["ledger"]["topics"][&self.topic];
        (0..self.partitions)
            .map(|partition| topic[partition.to_string()]["next"].as_i64().unwrap_or(0))
            .collect()
    }

    /// Runs another command of the binary on the data directory.
    pub fn command(&self, words: &[&str]) -> Output {
        let topic = if self.topic.is_empty() { "content_events" } else { &self.topic };
        let topic = format!("source.topic={topic}");
        let mut command = Command::new(BINARY);
        command.args(words).arg("--data-dir").arg(self.data_dir()).args(["--set", &topic]);
        let environment = self.elsewhere.environment.iter().map(|(name, value)| (name, value));
        command.args(&self.elsewhere.arguments).envs(environment);
        command.env_remove("PULSELAKE_CONFIG").output().unwrap()
    }
}

/// A whole number among a verifier's facts.
pub fn fact(facts: &Value, name: &str) -> u64 {
    facts[name].as_u64().unwrap_or_else(|| panic!("no fact {name:?} in {facts}"))
}
