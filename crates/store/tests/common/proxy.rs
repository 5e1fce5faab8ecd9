//! A server between the client and S3 that lets chosen requests go wrong on the wire.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the proxy sees it.
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
}

impl Seen {
    pub fn is_part(&self, number: usize) -> bool {
        self.method == "PUT" && self.target.contains(&format!("partNumber={number}&"))
    }

    pub fn is_completion(&self) -> bool {
        self.method == "POST" && self.target.contains("uploadId=")
    }

    pub fn is_plain_put(&self) -> bool {
        self.method == "PUT" && !self.target.contains("partNumber=")
    }

    pub fn is_get(&self) -> bool {
        self.method == "GET"
    }
}

/// What the proxy makes of a request.
pub enum Fate {
    Pass,
    /// Answered with this status and code; S3 never sees it.
    Answer(&'static str, &'static str),
    /// The connection breaks when S3 has got so many bytes of the body.
    BreakBodyAfter(usize),
    /// S3 does it, and the connection breaks before its answer.
    LoseAnswer,
    /// The connection breaks after so many bytes of S3's answer.
    BreakAnswerAfter(usize),
    /// Nobody ever answers.
    Stall,
    /// The body goes on to S3 in pieces of 64 KiB, with a pause after each.
    Trickle(Duration),
}

/// Starts the proxy before `upstream` (`http://host:port`); gives its URL. It ends with the test's runtime.
pub async fn start(upstream: &str, fate: impl Fn(&Seen) -> Fate + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_string();
    let fate = Arc::new(fate);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (upstream, fate) = (upstream.clone(), fate.clone());
            // An error is a connection that somebody closed: what tests want.
            tokio::spawn(async move { drop(serve(client, &upstream, fate.as_ref()).await) });
        }
    });
    url
}

/// Serves one request; then the connection is closed.
async fn serve(
    mut client: TcpStream,
    upstream: &str,
    fate: &(dyn Fn(&Seen) -> Fate + Send + Sync),
) -> std::io::Result<()> {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
    let begun = received.split_off(head_end + 4);
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0_usize);
    let mut words = head.split(' ');
    let mut word = || words.next().unwrap_or_default().to_string();
    let seen = Seen { method: word(), target: word() };
    let mut body = Body { begun, rest: length };
    body.rest -= body.begun.len();

    let fate = fate(&seen);
    match fate {
        Fate::Answer(status, code) => {
            body.pass(&mut client, &mut tokio::io::sink(), usize::MAX, None).await?;
            let text = format!("<Error><Code>{code}</Code><Message>So the test wants it.</Message></Error>");
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
        Fate::Stall => {
            std::future::pending::<()>().await;
        }
        _ => {}
    }

    let mut server = TcpStream::connect(upstream).await?;
    // Which connection headers are sent is not signed.
    let closing: Vec<&str> =
        head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    server.write_all(format!("{}\r\nconnection: close\r\n\r\n", closing.join("\r\n")).as_bytes()).await?;
    let (limit, pause) = match fate {
        Fate::BreakBodyAfter(bytes) => (bytes, None),
        Fate::Trickle(pause) => (usize::MAX, Some(pause)),
        _ => (usize::MAX, None),
    };
    body.pass(&mut client, &mut server, limit, pause).await?;
    match fate {
        Fate::BreakBodyAfter(_) => Ok(()),
        Fate::LoseAnswer => {
            tokio::io::copy(&mut server, &mut tokio::io::sink()).await?;
            Ok(())
        }
        Fate::BreakAnswerAfter(bytes) => {
            tokio::io::copy(&mut server.take(bytes as u64), &mut client).await?;
            Ok(())
        }
        _ => tokio::io::copy(&mut server, &mut client).await.map(drop),
    }
}

struct Body {
    begun: Vec<u8>,
    rest: usize,
}

impl Body {
    async fn pass(
        &mut self,
        from: &mut TcpStream,
        to: &mut (impl AsyncWriteExt + Unpin),
        limit: usize,
        pause: Option<Duration>,
    ) -> std::io::Result<()> {
        let first = self.begun.len().min(limit);
        to.write_all(&self.begun[..first]).await?;
        let mut left = self.rest.min(limit - first);
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let size = left.min(buffer.len());
            let read = from.read(&mut buffer[..size]).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all(&buffer[..read]).await?;
            left -= read;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        to.flush().await
    }
}
