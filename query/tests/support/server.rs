//! The program as the engine runs it: `pulselake-query serve`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// A running server; ends with its standard input, and is killed where it does not.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    pub http: String,
    pub flight: Option<String>,
    client: Client,
}

impl Server {
    pub fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data_dir, arguments, None)
    }

    pub fn start_with(data_dir: &Path, arguments: &[&str], token: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulselake-query"));
        command.arg("serve").arg("--data-dir").arg(data_dir).args(arguments);
        if let Some(secret) = token {
            command.env("PULSELAKE_QUERY_TOKEN", secret);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let http = format!("http://{}", said["listening"].as_str().unwrap());
        let flight = said["flight"].as_str().map(ToOwned::to_owned);
        Self { child, input, http, flight, client: Client::new() }
    }

    pub fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}/sql", self.http)).json(body)
    }

    /// Status and body of a request.
    pub async fn ask(&self, body: &Value) -> (StatusCode, Value) {
        let response = self.post(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// The rows of a statement that works.
    pub async fn rows(&self, sql: &str) -> Value {
        let (status, answer) = self.ask(&json!({ "sql": sql })).await;
        assert_eq!(status, StatusCode::OK, "{sql}: {answer}");
        answer["rows"].clone()
    }

    /// The code of a request that is refused.
    pub async fn refusal(&self, body: &Value) -> (u16, String) {
        let (status, answer) = self.ask(body).await;
        let code = answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        (status.as_u16(), code.to_owned())
    }

    /// Closes standard input, and waits for the end.
    pub fn close_input(&mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end with its standard input");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where a test closed its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
