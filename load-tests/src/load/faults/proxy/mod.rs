//! A TCP proxy between the engine and a service, whose conditions are switched while it runs: late answers, a narrow
//! way, connections that break, HTTP status 503, and being away in three manners. With good conditions it forwards what
//! it gets, in both directions, as it is. docs/adr/0019-fault-proxy.md says why it is not somebody else's.
//!
//! It has a thread of its own. The port is its own for as long as it lives, also while connecting is refused.
//!
//! # Layout
//! `conditions` is what may be wrong, and the arithmetic; `link` is one connection.

mod conditions;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

pub use conditions::Conditions;

use super::plan::Manner;
use crate::load::services::service::address_in;

const BACKLOG: u32 = 1_024;
/// How long new conditions may take to hold: the thread does nothing else than forward.
const SWITCHED_WITHIN: Duration = Duration::from_secs(10);
/// After a failure to accept, such as one for too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    target: String,
    origin: Instant,
    to_server: link::Way,
    to_client: link::Way,
    random: parking_lot::Mutex<ChaCha8Rng>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    reset: AtomicU64,
    unavailable: AtomicU64,
    bytes_to_server: AtomicU64,
    bytes_to_client: AtomicU64,
}

/// What a proxy has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Connections that were accepted.
    pub connections: u64,
    /// Of these, broken by the proxy, or by a service that was away.
    pub reset: u64,
    /// Answered by status 503.
    pub unavailable: u64,
    /// Bytes that arrived.
    pub bytes_to_server: u64,
    /// Bytes that arrived.
    pub bytes_to_client: u64,
}

/// The conditions of the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Now {
    conditions: Conditions,
    /// How often open connections were broken so far: one that begins and ends between two looks counts too.
    breaks: u64,
}

/// A switch of conditions, to be confirmed.
type Switched = mpsc::SyncSender<std::io::Result<()>>;

/// A running proxy. Dropping it breaks its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    switches: tokio::sync::mpsc::UnboundedSender<(Conditions, Switched)>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// Listens on a free loopback port before the service at `target` (host:port). `seed` draws the fates of connections.
    ///
    /// # Errors
    /// When there is no port or no thread for it.
    pub fn before(target: &str, seed: u64) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fault-proxy")
            .enable_all()
            .build()
            .context("can't start the proxy's thread")?;
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            origin: Instant::now(),
            to_server: link::Way::default(),
            to_client: link::Way::default(),
            random: parking_lot::Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            counts: Counts::default(),
        });
        let (switches, receiver) = tokio::sync::mpsc::unbounded_channel();
        let bind = || {
            let _inside = runtime.enter();
            let placeholder = bound_to("127.0.0.1:0".parse().expect("it is an address"))?;
            let address = placeholder.local_addr()?;
            let listener = bound_to(address)?.listen(BACKLOG)?;
            std::io::Result::Ok((placeholder, address, listener))
        };
        let (placeholder, address, listener) = bind().context("can't listen on a loopback port")?;
        let door = Door { address, _placeholder: placeholder, shared: shared.clone(), switches: receiver };
        runtime.spawn(door.attend(listener));
        Ok(Self { address, shared, switches, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of the service, by way of the proxy.
    ///
    /// # Errors
    /// When the URL is not one of the service that the proxy stands before.
    pub fn url_of(&self, url: &str) -> anyhow::Result<String> {
        if address_in(url) != self.shared.target {
            bail!("{url} is not at {}, where the proxy leads to", self.shared.target);
        }
        Ok(url.replacen(&self.shared.target, &self.address.to_string(), 1))
    }

    /// Changes the conditions. When it returns, new connections meet them; open ones do at their next bytes, and those
    /// that break are breaking.
    ///
    /// # Errors
    /// When the port can't be listened on again.
    pub fn set(&self, conditions: Conditions) -> anyhow::Result<()> {
        let (switched, confirmation) = mpsc::sync_channel(1);
        self.switches.send((conditions, switched)).ok().context("the proxy has ended")?;
        let outcome = confirmation.recv_timeout(SWITCHED_WITHIN).context("the proxy does not answer")?;
        outcome.with_context(|| format!("the proxy can't listen on {} again", self.address))
    }

    /// What it has seen so far.
    pub fn counts(&self) -> ProxyCounts {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProxyCounts {
            connections: read(&counts.connections),
            reset: read(&counts.reset),
            unavailable: read(&counts.unavailable),
            bytes_to_server: read(&counts.bytes_to_server),
            bytes_to_client: read(&counts.bytes_to_client),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: a drop may happen where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// A socket that shares its port with others of this user that ask for it in the same way. Without the option that reuses
/// addresses: a stranger that has it, as servers do, could take a port on which nobody listens.
fn bound_to(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets connections in, or not.
struct Door {
    address: SocketAddr,
    /// Bound, but never listening: while the listener is closed, connecting is refused and nobody else gets the port.
    _placeholder: TcpSocket,
    shared: Arc<Shared>,
    switches: tokio::sync::mpsc::UnboundedReceiver<(Conditions, Switched)>,
}

impl Door {
    async fn attend(mut self, listener: TcpListener) {
        let (sender, receiver) = watch::channel(Now::default());
        let mut listener = Some(listener);
        loop {
            tokio::select! {
                biased;
                switch = self.switches.recv() => {
                    let Some((conditions, switched)) = switch else { return };
                    let outcome = self.open_or_close(&mut listener, &conditions);
                    sender.send_modify(|now| {
                        now.conditions = conditions;
                        now.breaks += u64::from(conditions.breaks_open_connections());
                    });
                    // Who asked may have given up.
                    let _ = switched.send(outcome);
                }
                accepted = accept(listener.as_ref()) => {
                    let Ok((client, _)) = accepted else {
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        continue;
                    };
                    self.shared.counts.connections.fetch_add(1, Ordering::Relaxed);
                    let now = *receiver.borrow();
                    let fate = now.conditions.draw_fate(&mut *self.shared.random.lock());
                    let link = link::Link { now: receiver.clone(), breaks: now.breaks, shared: self.shared.clone() };
                    tokio::spawn(link.serve(client, fate));
                }
            }
        }
    }

    fn open_or_close(
        &self,
        listener: &mut Option<TcpListener>,
        conditions: &Conditions,
    ) -> std::io::Result<()> {
        if conditions.away == Some(Manner::Refuse) {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(bound_to(self.address)?.listen(BACKLOG)?);
        }
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
