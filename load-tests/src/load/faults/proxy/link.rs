//! One connection through the proxy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::conditions::{Fate, gone_at};
use super::{Now, Shared};

/// What is read at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks on their way in one direction: 4 MiB, so that a second of latency leaves 4 MB/s.
const CHUNKS_UNDER_WAY: usize = 256;
/// How long a client that was answered by the proxy may go on sending.
const REST_OF_A_REQUEST: Duration = Duration::from_secs(10);

/// One direction, over all connections: the way is taken until this moment.
#[derive(Debug, Default)]
pub(super) struct Way {
    free_at: parking_lot::Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// One connection.
pub(super) struct Link {
    pub(super) now: watch::Receiver<Now>,
    /// Breaks of open connections before it began.
    pub(super) breaks: u64,
    pub(super) shared: Arc<Shared>,
}

impl Link {
    /// Serves it to its end.
    pub(super) async fn serve(mut self, mut client: TcpStream, fate: Fate) {
        // Nothing to wait for when the proxy has ended.
        let Ok(now) = self.now.wait_for(|now| !now.conditions.is_black_hole()).await.map(|now| *now) else {
            return;
        };
        if now.conditions.away.is_some() || now.breaks != self.breaks {
            return self.reset(&client);
        }
        if fate == Fate::Unavailable {
            self.shared.counts.unavailable.fetch_add(1, Ordering::Relaxed);
            // The client may hang up in the middle: that is its right.
            let _ = answer_unavailable(&mut client).await;
            return;
        }
        let Ok(mut server) = TcpStream::connect(&self.shared.target).await else {
            // The service is away by itself: the client sees that its connection does not hold.
            return self.reset(&client);
        };
        for stream in [&client, &server] {
            // Small answers must not wait for more; a socket that takes no options is broken, as the next bytes tell.
            let _ = stream.set_nodelay(true);
        }
        if !self.carry(&mut client, &mut server, fate).await {
            self.reset(&client);
            // The service notices as well as it would.
            let _ = server.set_zero_linger();
        }
    }

    /// Carries both directions to their ends; whether these were good ones.
    async fn carry(&self, client: &mut TcpStream, server: &mut TcpStream, fate: Fate) -> bool {
        let left = AtomicU64::new(match fate {
            Fate::ResetAfter(bytes) => bytes,
            Fate::Serve | Fate::Unavailable => u64::MAX,
        });
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let carrier =
            |direction| Carrier { direction, now: self.now.clone(), shared: &self.shared, left: &left };
        let (up, down) = (carrier(Direction::ToServer), carrier(Direction::ToClient));
        let both = async {
            tokio::try_join!(up.carry(from_client, to_server), down.carry(from_server, to_client)).is_ok()
        };
        let mut now = self.now.clone();
        tokio::select! {
            has_ended_well = both => has_ended_well,
            _ = now.wait_for(|now| now.breaks != self.breaks) => false,
        }
    }

    /// The client reads "connection reset by peer".
    fn reset(&self, client: &TcpStream) {
        self.shared.counts.reset.fetch_add(1, Ordering::Relaxed);
        // Without effect where the connection has gone already.
        let _ = client.set_zero_linger();
    }
}

/// Answers the first request by 503, as S3 does when it wants clients to slow down.
async fn answer_unavailable(client: &mut TcpStream) -> io::Result<()> {
    let mut begin_of_request = [0; 4_096];
    if client.read(&mut begin_of_request).await? == 0 {
        return Ok(());
    }
    let body = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a fault of the load test</Message></Error>";
    let length = body.len();
    let head = "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\nconnection: close\r\n";
    client.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes()).await?;
    client.shutdown().await?;
    // Closing before the rest was read would break the connection under the answer.
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(client, &mut nowhere);
    timeout(REST_OF_A_REQUEST, rest).await.map_or(Ok(()), |copied| copied.map(drop))
}

/// Carries one direction of one connection.
struct Carrier<'a> {
    direction: Direction,
    now: watch::Receiver<Now>,
    shared: &'a Shared,
    /// Bytes of both directions until the connection breaks.
    left: &'a AtomicU64,
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

impl Carrier<'_> {
    async fn carry(mut self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
        let read = read(from, sender, self.now.clone(), self.shared, self.direction);
        tokio::try_join!(read, self.write(to, receiver)).map(drop)
    }

    async fn write(&mut self, mut to: WriteHalf<'_>, mut chunks: mpsc::Receiver<Chunk>) -> io::Result<()> {
        while let Some(chunk) = chunks.recv().await {
            sleep_until(chunk.due).await;
            let mut rest = chunk.bytes.as_slice();
            while !rest.is_empty() {
                let piece_bytes = self.now.borrow().conditions.piece_bytes();
                let (piece, behind) = rest.split_at(piece_bytes.min(rest.len()));
                self.wait_for_room(piece.len()).await?;
                self.spend(piece.len() as u64)?;
                to.write_all(piece).await?;
                self.count(piece.len() as u64);
                rest = behind;
            }
        }
        to.shutdown().await
    }

    /// Returns when so many bytes may go.
    async fn wait_for_room(&mut self, bytes: usize) -> io::Result<()> {
        let way = match self.direction {
            Direction::ToServer => &self.shared.to_server,
            Direction::ToClient => &self.shared.to_client,
        };
        loop {
            let now = self.now.borrow_and_update().conditions;
            if !now.is_black_hole() {
                let Some(bandwidth) = now.brownout.bandwidth_bytes_per_s else { return Ok(()) };
                let until = way.take(bytes, bandwidth, self.shared.origin);
                tokio::select! {
                    () = sleep_until(until) => return Ok(()),
                    changed = self.now.changed() => changed.map_err(|_| broken())?,
                }
                // What waits under a narrow bandwidth does not wait for it any more when that is over.
                way.free_at.lock().take();
                continue;
            }
            self.now.changed().await.map_err(|_| broken())?;
        }
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        let is_enough = |left: u64| left.checked_sub(bytes);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_enough)
            .map(drop)
            .map_err(|_| broken())
    }

    fn count(&self, bytes: u64) {
        let counts = &self.shared.counts;
        let count = match self.direction {
            Direction::ToServer => &counts.bytes_to_server,
            Direction::ToClient => &counts.bytes_to_client,
        };
        count.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Reads chunks, and says when each may arrive: in the order in which they were read.
async fn read(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
    now: watch::Receiver<Now>,
    shared: &Shared,
    direction: Direction,
) -> io::Result<()> {
    let mut last_due = Instant::now();
    loop {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let delay = match direction {
            Direction::ToServer => Duration::ZERO,
            Direction::ToClient => now.borrow().conditions.draw_delay(&mut *shared.random.lock()),
        };
        last_due = last_due.max(Instant::now() + delay);
        if chunks.send(Chunk { due: last_due, bytes }).await.is_err() {
            return Err(broken());
        }
    }
}

impl Way {
    fn take(&self, bytes: usize, bandwidth: u64, origin: Instant) -> Instant {
        let mut free_at = self.free_at.lock();
        let taken_until = free_at.map_or(Duration::ZERO, |at| at - origin);
        let until = origin + gone_at(taken_until, origin.elapsed(), bytes, bandwidth);
        *free_at = Some(until);
        until
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
