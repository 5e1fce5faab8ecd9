//! Connections: how many, how slow they may be, and how they end. The API runs on threads of its own, so that neither a client
//! nor an answer takes time from the stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use crate::parts::{Api, ApiParts};
use crate::{engine, events, pulse, router};

/// Threads that answer.
const THREADS: usize = 2;
/// Threads that count and read: lists of the board, files.
const BLOCKING_THREADS: usize = 8;
/// Connections at the same time; more wait until one ends.
const MAX_CONNECTIONS: usize = 512;
/// How long a connection may be silent between two requests, and a request's head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take nothing of what is sent to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a failure to accept: there may be no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers under way may still take at the end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Why the API can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ApiStartError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on http.bind = {bind:?}: {source}; choose another address, or \"\" for none")]
    Listen {
        /// The address.
        bind: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No threads.
    #[error("cannot start the threads of the HTTP API: {0}")]
    Threads(#[source] std::io::Error),
}

/// A listening address, before there is anything to answer with.
#[derive(Debug)]
pub struct ApiListener {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl ApiListener {
    /// Listens.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn bind(bind: &str) -> Result<Self, ApiStartError> {
        let failed = |source| ApiStartError::Listen { bind: bind.to_owned(), source };
        let listener = std::net::TcpListener::bind(bind).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The running API. When it is dropped, it ends.
#[derive(Debug)]
pub struct ApiServer {
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ApiServer {
    /// Starts answering, on threads of its own.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start(listener: ApiListener, parts: ApiParts) -> Result<Self, ApiStartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(ApiStartError::Threads)?;
        let (stop, mut stopped) = watch::channel(false);
        let until_stopped = async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
        };
        let run = move || {
            let ended = runtime.block_on(serve(listener, parts, until_stopped));
            if let Err(error) = ended {
                tracing::error!(event = "http_failed", %error, "the HTTP server has ended");
            }
            // Counting and reading that is under way is of no use to anybody.
            runtime.shutdown_timeout(END_PATIENCE);
        };
        let thread = std::thread::Builder::new()
            .name("http-server".to_owned())
            .spawn(run)
            .map_err(ApiStartError::Threads)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it: no new connections, a moment for the answers under way. Blocks until it has ended.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has logged why, if it has panicked.
            let _ = thread.join();
        }
    }
}

/// Answers until `stop`.
///
/// # Errors
/// When the listener can't be used in this runtime.
pub async fn serve(
    listener: ApiListener,
    parts: ApiParts,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener.listener)?;
    let api = Api::new(parts);
    let sampling = tokio::spawn(sample_every_second(api.clone()));
    let measuring = tokio::spawn(pulse::measure(api.clone()));
    let updates = tokio::spawn(events::run(api.clone()));
    let connections = Connections {
        router: router::router(api.clone()),
        permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        graceful: GracefulShutdown::new(),
    };
    tokio::select! {
        () = connections.accept_all(&listener) => {}
        () = stop => {}
    }
    drop(listener);
    updates.abort();
    sampling.abort();
    measuring.abort();
    api.events.close();
    api.query.stop().await;
    if tokio::time::timeout(END_PATIENCE, connections.graceful.shutdown()).await.is_err() {
        tracing::debug!(event = "http_cut", "connections were still open at the end");
    }
    Ok(())
}

async fn sample_every_second(api: Api) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        engine::sample(&api);
    }
}

struct Connections {
    router: Router,
    permits: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Connections {
    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.answer(stream, permit),
                Err(error) => {
                    tracing::warn!(event = "http_accept_failed", %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn answer(&self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // Answers are small and are waited for.
        let _ = stream.set_nodelay(true);
        let mut timed = TimeoutStream::new(stream);
        timed.set_write_timeout(Some(WRITE_PATIENCE));
        let io = TokioIo::new(Box::pin(timed));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(io, TowerToHyperService::new(self.router.clone()));
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is no event.
            if let Err(error) = watched.await {
                tracing::debug!(event = "http_connection", %error, "a connection has ended");
            }
            drop(permit);
        });
    }
}
