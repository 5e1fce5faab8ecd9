//! The query process: started at the first query, started again after it has ended, ended with us.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::supervision::BackOff;
use crate::ApiError;
use crate::auth::Token;
use crate::settings::QuerySettings;

/// How long the process may take until it says where it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// Variable that holds the secret which a request must know: other users of the machine can reach its address too.
const TOKEN_VARIABLE: &str = "PULSELAKE_QUERY_TOKEN";
/// How variables with settings begin.
const SETTINGS_PREFIX: &str = "PULSELAKE_";

/// The query process, whether it runs or not.
pub(crate) struct QueryProcess {
    settings: QuerySettings,
    permits: Arc<Semaphore>,
    client: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Process>,
    back_off: BackOff,
}

/// Dropping it ends the process.
struct Process {
    child: Child,
    /// It ends when this is closed, even when nobody is left to kill it.
    _input: Option<ChildStdin>,
    since: Instant,
    at: Running,
}

/// Where it listens, and what it wants to hear.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) token: Token,
}

/// The line that it says once it listens.
#[derive(Deserialize)]
struct Listening {
    listening: SocketAddr,
}

impl QueryProcess {
    pub(crate) fn new(settings: QuerySettings) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(settings.max_concurrent)),
            settings,
            client: reqwest::Client::new(),
            state: Mutex::default(),
        }
    }

    /// Whom to ask with.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The right to ask one query.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if !self.settings.enabled {
            return Err(ApiError::forbidden("sql_disabled", "SQL is switched off: set query.enabled = true"));
        }
        self.permits.clone().try_acquire_owned().map_err(|_| {
            let most = self.settings.max_concurrent;
            ApiError::too_many(format!("{most} queries run already (query.max_concurrent); try again"))
        })
    }

    /// The running process; starts it where it is due.
    pub(super) async fn running(&self) -> Result<Running, ApiError> {
        let mut state = self.state.lock().await;
        if let Some(process) = &mut state.running {
            match process.child.try_wait() {
                Ok(None) => return Ok(process.at.clone()),
                ended => {
                    let how = ended.ok().flatten().map_or_else(String::new, |status| status.to_string());
                    tracing::warn!(event = "query_process_ended", how, "the query process has ended");
                    let ran = process.since.elapsed();
                    state.running = None;
                    state.back_off.ended(Instant::now(), ran);
                }
            }
        }
        if let Some(wait) = state.back_off.wait(Instant::now()) {
            let message = format!(
                "the query process has ended and is started again in {:.1} s; the log says why it ended",
                wait.as_secs_f64()
            );
            return Err(ApiError::unavailable("query_process_down", message));
        }
        match self.start().await {
            Ok(process) => {
                let at = process.at.clone();
                state.running = Some(process);
                Ok(at)
            }
            Err(error) => {
                state.back_off.ended(Instant::now(), Duration::ZERO);
                Err(error)
            }
        }
    }

    /// Ends it.
    pub(crate) async fn stop(&self) {
        // Dropped: killed, and its input closed.
        self.state.lock().await.running = None;
    }

    async fn start(&self) -> Result<Process, ApiError> {
        let program = &self.settings.program;
        let token = Token::new(Uuid::new_v4().simple().to_string());
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // What our own settings were made of must not change theirs.
            if name.to_string_lossy().starts_with(SETTINGS_PREFIX) {
                command.env_remove(name);
            }
        }
        command
            .args(&self.settings.arguments)
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value)))
            .env(TOKEN_VARIABLE, token.expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(&program.display().to_string()),
            _ => no_start(&format!("{} can't be started: {error}", program.display())),
        })?;
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(log_lines(errors));
        }
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| no_start("it has no standard output"))?;
        let saying = listening_address(output);
        let address = tokio::time::timeout(START_PATIENCE, saying).await.map_err(|_| {
            no_start(&format!("it has not said within {} s where it listens", START_PATIENCE.as_secs()))
        })??;
        tracing::info!(event = "query_process_started", %address, "the query process has started");
        Ok(Process { child, _input: input, since: Instant::now(), at: Running { address, token } })
    }
}

async fn listening_address(output: tokio::process::ChildStdout) -> Result<SocketAddr, ApiError> {
    let mut lines = BufReader::new(output).lines();
    let line = lines.next_line().await.map_err(|error| no_start(&error.to_string()))?;
    let said = line.ok_or_else(|| no_start("it ended at once; the log says why"))?;
    let listening: Listening = serde_json::from_str(&said)
        .map_err(|error| no_start(&format!("it said {said:?} in place of where it listens: {error}")))?;
    // What it may say later must not fill the pipe and stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(listening.listening)
}

/// Its log lines become ours.
async fn log_lines(errors: tokio::process::ChildStderr) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(event = "query_process_said", line, "the query process");
    }
}

fn missing(program: &str) -> ApiError {
    ApiError::unavailable(
        "query_process_missing",
        format!(
            "SQL needs the program {program}, which is not there: build it with `cargo build --release -p pulselake-query`, and put it beside pulselake or name it in query.program"
        ),
    )
}

fn no_start(reason: &str) -> ApiError {
    ApiError::unavailable("query_process_down", format!("the query process could not be started: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(program: &str, arguments: &[&str]) -> QuerySettings {
        QuerySettings {
            enabled: true,
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: vec![("MARK".to_owned(), "set".to_owned())],
            timeout: Duration::from_secs(1),
            max_concurrent: 2,
        }
    }

    async fn error_of(process: &QueryProcess) -> String {
        match process.running().await {
            Ok(_) => panic!("it runs"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_with_what_to_do() {
        for program in ["a-program-that-is-nowhere", "/nowhere/pulselake-query"] {
            let error = error_of(&QueryProcess::new(settings(program, &[]))).await;
            assert!(error.contains("cargo build --release -p pulselake-query"), "{error}");
        }
    }

    #[tokio::test]
    async fn it_is_started_once_and_again_after_it_has_ended() {
        let script = r#"echo "{\"listening\":\"127.0.0.1:9\",\"flight\":null}"; test "$MARK" = set && cat"#;
        let process = QueryProcess::new(settings("/bin/sh", &["-c", script]));
        let first = process.running().await.ok().unwrap();
        assert_eq!(first.address.to_string(), "127.0.0.1:9");
        let again = process.running().await.ok().unwrap();
        assert!(first.token.expose() == again.token.expose(), "the same process");
        process.state.lock().await.running.as_mut().unwrap().child.kill().await.unwrap();
        let error = error_of(&process).await;
        assert!(error.contains("started again in"), "{error}");
        let deadline = Instant::now() + Duration::from_secs(30);
        let restarted = loop {
            match process.running().await {
                Ok(running) => break running,
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(restarted.token.expose() != first.token.expose(), "another process");
    }

    #[tokio::test]
    async fn one_that_says_something_else_or_nothing_is_no_query_process() {
        for (script, words) in [("echo hello; cat", "hello"), ("exit 3", "ended at once")] {
            let error = error_of(&QueryProcess::new(settings("/bin/sh", &["-c", script]))).await;
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn queries_at_the_same_time_are_bounded() {
        let process = QueryProcess::new(settings("none", &[]));
        let held = (process.permit().unwrap(), process.permit().unwrap());
        let error = process.permit().unwrap_err();
        assert_eq!(error.status(), axum::http::StatusCode::TOO_MANY_REQUESTS);
        drop(held);
        assert!(process.permit().is_ok());
        let off = QueryProcess::new(QuerySettings { enabled: false, ..settings("none", &[]) });
        assert_eq!(off.permit().unwrap_err().code(), "sql_disabled");
    }
}
