//! `pulselake health`: asks the engine on this machine, for the health checks of containers, which have no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::output::write_out;
use crate::cli::HealthArgs;

/// For the connection, and for each part of the answer: below what health checks are usually given.
const PATIENCE: Duration = Duration::from_secs(4);
/// Answers are some hundred bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Prints what the engine says of itself; ends with 0 where it is well, with 1 where it is not or does not answer.
///
/// # Errors
/// With what is wrong with the settings, or why there is no answer.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let bind = args.settings()?.http.bind;
    if bind.is_empty() {
        bail!("http.bind is empty: an engine with these settings answers nobody");
    }
    let address: SocketAddr = bind.parse().with_context(|| format!("http.bind is {bind:?}"))?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let answer = ask(reachable(address), path).with_context(|| format!("no answer from {bind}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    write_out(format!("{body}\n").as_bytes())?;
    let is_well = head.split(' ').nth(1) == Some("200");
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where to ask an engine that listens on all addresses: at the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Version 1.0: the answer ends with the connection. A name is not asked for: Host would have to be an own one.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_on_all_addresses_is_asked_at_loopback() {
        for (bind, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:1", "[::1]:1"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(bind.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn whole_answers_are_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 128];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 503 Service Unavailable\r\n\r\n{\"ok\":false}").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert!(ask(address, "/readyz").unwrap().ends_with("\r\n\r\n{\"ok\":false}"));
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.0\r\n\r\n");
        assert!(ask(address, "/readyz").is_err(), "nobody listens any more");
    }
}
