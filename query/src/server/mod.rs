//! `pulselake-query serve`: SQL over HTTP for the engine, and over Flight SQL for whoever speaks Arrow.
//!
//! What it promises:
//! - The address is said once, as one line of JSON on standard output, when it listens ([`Listening`]).
//! - It ends when its standard input does, whatever runs: it never outlives the engine that started it.
//! - Queries run on threads of their own: however busy they are, requests are answered, and refused when there are too many.

mod flight;
mod gate;
mod http;
mod token;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::{EngineSettings, QueryEngine, QueryLimits};

pub use gate::Gate;
pub use token::Token;

/// Of each thread: expressions are evaluated as deep as they are. Memory that is never touched costs nothing.
const STACK_BYTES: usize = 32 << 20;
/// Threads that answer requests; the work is done by others.
const ANSWERING_THREADS: usize = 2;

/// How the server serves.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The lake, and what all queries may take together.
    pub engine: EngineSettings,
    /// Bounds of each query; a request can only tighten them.
    pub limits: QueryLimits,
    /// Bytes of an answer at most; a Flight stream has no such limit.
    pub max_result_bytes: usize,
    /// Queries that run at the same time.
    pub max_concurrent: usize,
    /// Queries that wait for one of these to end.
    pub max_waiting: usize,
    /// Where HTTP is answered.
    pub bind: SocketAddr,
    /// Where Flight SQL is answered; nowhere, if `None`.
    pub flight_bind: Option<SocketAddr>,
    /// What a request must know; nothing, if empty.
    pub token: Token,
    /// Whether to go on when standard input has ended.
    pub keep_running: bool,
}

/// The line on standard output.
#[derive(Debug, Serialize)]
struct Listening {
    listening: SocketAddr,
    flight: Option<SocketAddr>,
}

impl ServeSettings {
    /// # Errors
    /// When others than this machine could ask without a token.
    fn check(&self) -> anyhow::Result<()> {
        for address in [Some(self.bind), self.flight_bind].into_iter().flatten() {
            anyhow::ensure!(
                address.ip().is_loopback() || self.token.is_set(),
                "{address} can be reached from other machines: set a token in PULSELAKE_QUERY_TOKEN, or bind to 127.0.0.1"
            );
        }
        Ok(())
    }
}

/// Serves until standard input ends, or a signal comes.
///
/// # Errors
/// When the lake can't be opened or an address can't be had.
pub fn serve(settings: &ServeSettings) -> anyhow::Result<()> {
    settings.check()?;
    let working = threads(settings.engine.threads.max(1), "query")?;
    let answering = threads(ANSWERING_THREADS, "answer")?;
    let engine = working.block_on(QueryEngine::open(&settings.engine))?;
    let gate = Gate::new(engine, working.handle().clone(), settings);
    let end = answering.block_on(answer(gate, settings));
    // Queries that still run must not hold the process.
    working.shutdown_background();
    answering.shutdown_timeout(Duration::from_millis(100));
    end
}

fn threads(count: usize, name: &str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .thread_name(name)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("can't start the threads")
}

async fn answer(gate: Gate, settings: &ServeSettings) -> anyhow::Result<()> {
    let http = listen(settings.bind).await?;
    let flight = match settings.flight_bind {
        None => None,
        Some(address) => Some(listen(address).await?),
    };
    let line = Listening {
        listening: http.local_addr()?,
        flight: flight.as_ref().map(TcpListener::local_addr).transpose()?,
    };
    println!("{}", serde_json::to_string(&line)?);
    let router = http::router(gate.clone(), settings.token.clone());
    let of_flight = async {
        match flight {
            Some(listener) => flight::serve(listener, gate, settings.token.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = axum::serve(http, router).into_future() => ended.context("the HTTP server has ended"),
        ended = of_flight => ended.context("the Flight SQL server has ended"),
        () = input_ended(settings.keep_running) => Ok(()),
        ended = tokio::signal::ctrl_c() => ended.context("can't wait for a signal"),
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("can't listen on {address}; choose another address, or port 0 for a free one")
    })
}

/// Waits for the end of standard input, on a thread: tokio's own would keep the process from ending.
async fn input_ended(keep_running: bool) {
    if keep_running {
        return std::future::pending().await;
    }
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::debug!(?read, "standard input has ended");
        // Nobody waits any more: then the process ends anyway.
        let _ = sender.send(());
    });
    // An error means that the thread is gone, and with it whoever could tell of the end.
    let _ = receiver.await;
}
