//! Prometheus and Alertmanager as processes, on free loopback ports, ended with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::engine::free_address;
use crate::common::{PATIENCE, environment, poll};
use crate::shortened;

/// A process that ends when this is dropped, with its log.
struct Server {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    /// Starts `program`, under the first of its names that is there, and waits until it is ready.
    fn start(names: &[&str], directory: &Path, address: String, arguments: &[String]) -> Self {
        let programs = program_directory();
        let program = names.iter().map(|name| programs.join(name)).find(|path| path.exists());
        let program = program.unwrap_or_else(|| panic!("none of {names:?} is in {}", programs.display()));
        let log = directory.join(format!("{}.log", names[0]));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory).stdin(Stdio::null());
        let child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let mut server = Self { child, address, log };
        let ready = poll(PATIENCE, || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} has ended: {}", names[0], server.log());
            get(&server.address, "/-/ready")
        });
        assert!(ready.is_some(), "{} does not get ready: {}", names[0], server.log());
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `setup.sh` found the programs.
fn program_directory() -> PathBuf {
    let script = format!(". {}/lib.sh; prometheus_bin", environment("PULSELAKE_TEST_TOOLS"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(!found.is_empty(), "there is no Prometheus: run tests/tools/setup.sh");
    found.into()
}

/// Body of a GET that was answered well. Both servers send long answers in chunks, which the tests' own client does not read.
fn get(address: &str, path: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    })
}

/// A Prometheus that watches one engine.
pub struct Prometheus {
    _server: Server,
}

impl Prometheus {
    /// Starts it on the project's own configuration, shortened.
    pub fn start(directory: &Path, engine: &str, alertmanager: &str) -> Self {
        let own = directory.join("prometheus");
        let address = free_address();
        shortened::prometheus_files(&own, engine, alertmanager, &address);
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address={address}"),
            // Else Alertmanager would hear of a state once a minute.
            "--rules.alert.resend-delay=1s".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        Self { _server: Server::start(&["prometheus"], &own, address, &arguments) }
    }
}

/// An Alertmanager that tells a webhook.
pub struct Alertmanager {
    server: Server,
}

impl Alertmanager {
    /// Starts it on the project's own configuration, shortened.
    pub fn start(directory: &Path, webhook: &str) -> Self {
        let own = directory.join("alertmanager");
        let address = free_address();
        shortened::alertmanager_file(&own, webhook);
        let arguments = [
            "--config.file=alertmanager.yml".to_owned(),
            "--storage.path=data".to_owned(),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        Self {
            server: Server::start(&["prometheus-alertmanager", "alertmanager"], &own, address, &arguments),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// All alerts that it has, as JSON.
    pub fn alerts(&self) -> Value {
        let answer = get(self.address(), "/api/v2/alerts").unwrap_or_default();
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// Waits until an alert is muted by another, and gives that one's name.
    pub fn wait_for_inhibited(&self, name: &str) -> String {
        let inhibitor = poll(PATIENCE, || {
            let all = self.alerts();
            let all = all.as_array()?;
            let of_name = |alert: &&Value| alert["labels"]["alertname"] == name;
            let by = all.iter().find(of_name)?["status"]["inhibitedBy"].get(0)?.clone();
            let found = all.iter().find(|alert| alert["fingerprint"] == by)?;
            Some(found["labels"]["alertname"].as_str()?.to_owned())
        });
        inhibitor.unwrap_or_else(|| panic!("{name} was not inhibited, Alertmanager has: {}", self.alerts()))
    }
}
