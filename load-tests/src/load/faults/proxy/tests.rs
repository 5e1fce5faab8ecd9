//! What a plain TCP client feels, before a server that sends back what it gets.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::*;
use crate::load::faults::plan::{Brownout, Delay};

/// Nothing on a loopback takes this long by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends back what it gets, on each connection, until its client has said everything.
fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    address
}

fn proxy() -> Proxy {
    Proxy::before(&echo_server(), 1).unwrap()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends a word and waits until it comes back.
fn ask(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let asked = Instant::now();
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    Ok(asked.elapsed())
}

/// How the connection breaks.
fn how_it_breaks(stream: &mut TcpStream) -> ErrorKind {
    // The first word may still be sent before the break arrives.
    let outcome = ask(stream).and_then(|_| ask(stream));
    outcome.expect_err("the connection holds").kind()
}

fn assert_serves(proxy: &Proxy) {
    ask(&mut connect(proxy)).unwrap();
}

fn megabyte() -> Vec<u8> {
    (0..1_000_000_u32).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn with_good_conditions_everything_arrives_as_it_was() {
    let proxy = proxy();
    let (sent, mut stream) = (megabyte(), connect(&proxy));
    let mut writer = stream.try_clone().unwrap();
    let to_send = sent.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&to_send).unwrap();
        // The end of what one side says arrives too, and the other may go on.
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.reset), (1, 0));
    assert_eq!((counts.bytes_to_server, counts.bytes_to_client), (1_000_000, 1_000_000));
}

#[test]
fn latency_is_felt_by_open_connections_and_ends_when_it_is_over() {
    let proxy = proxy();
    let mut stream = connect(&proxy);
    assert!(ask(&mut stream).unwrap() < Duration::from_millis(150));
    proxy.set(Conditions::slow(Delay { latency_ms: 300, latency_jitter_ms: 50 })).unwrap();
    for _ in 0..3 {
        let took = ask(&mut stream).unwrap();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(1_500), "{took:?}");
    }
    proxy.set(Conditions::default()).unwrap();
    assert!(ask(&mut stream).unwrap() < Duration::from_millis(150));
}

/// Many chunks are under way at the same time: latency is not the reciprocal of a bandwidth.
#[test]
fn latency_leaves_the_bandwidth_alone() {
    let proxy = proxy();
    proxy.set(Conditions::slow(Delay { latency_ms: 200, latency_jitter_ms: 0 })).unwrap();
    let (sent, mut stream) = (megabyte(), connect(&proxy));
    let mut writer = stream.try_clone().unwrap();
    let began = Instant::now();
    std::thread::spawn(move || writer.write_all(&sent).unwrap());
    stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
    // One after the other, 60 chunks would take 12 s.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_narrow_way_is_shared_by_all_connections() {
    let proxy = proxy();
    let bandwidth = Brownout { bandwidth_bytes_per_s: Some(100_000), ..Brownout::default() };
    proxy.set(Conditions::ill(bandwidth)).unwrap();
    let began = Instant::now();
    let transfer = |bytes: usize| {
        let mut stream = connect(&proxy);
        stream.write_all(&vec![7; bytes]).unwrap();
        stream.read_exact(&mut vec![0; bytes]).unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| transfer(20_000));
        }
    });
    // 60,000 bytes at 100,000 a second; both directions at the same time.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(590) && took < Duration::from_secs(3), "{took:?}");
}

/// What had to wait for hours under the narrow bandwidth goes at once when that is over.
#[test]
fn a_way_that_widens_again_is_wide_at_once() {
    let proxy = proxy();
    let mut stream = connect(&proxy);
    ask(&mut stream).unwrap();
    let bandwidth = Brownout { bandwidth_bytes_per_s: Some(1_000), ..Brownout::default() };
    proxy.set(Conditions::ill(bandwidth)).unwrap();
    stream.write_all(&megabyte()[..200_000]).unwrap();
    proxy.set(Conditions::default()).unwrap();
    let began = Instant::now();
    stream.read_exact(&mut vec![0; 200_000]).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn refused_means_refused_and_the_port_comes_back() {
    let proxy = proxy();
    let mut open = connect(&proxy);
    ask(&mut open).unwrap();
    for _ in 0..3 {
        proxy.set(Conditions::away(Manner::Refuse)).unwrap();
        let refused = TcpStream::connect(proxy.address()).expect_err("it was let in");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // Nobody else gets the port meanwhile.
        assert_eq!(TcpListener::bind(proxy.address()).unwrap_err().kind(), ErrorKind::AddrInUse);
        proxy.set(Conditions::default()).unwrap();
        assert_serves(&proxy);
    }
    assert_eq!(how_it_breaks(&mut open), ErrorKind::ConnectionReset);
}

#[test]
fn reset_lets_connections_in_and_breaks_them() {
    let proxy = proxy();
    let mut open = connect(&proxy);
    ask(&mut open).unwrap();
    proxy.set(Conditions::away(Manner::Reset)).unwrap();
    for stream in [&mut open, &mut connect(&proxy)] {
        let kind = how_it_breaks(stream);
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
    }
    proxy.set(Conditions::default()).unwrap();
    assert_serves(&proxy);
    assert!(proxy.counts().reset >= 2);
}

#[test]
fn a_black_hole_holds_what_it_got_and_lets_it_go_in_the_end() {
    let proxy = proxy();
    let mut open = connect(&proxy);
    ask(&mut open).unwrap();
    proxy.set(Conditions::away(Manner::BlackHole)).unwrap();
    let mut new = connect(&proxy);
    for stream in [&mut open, &mut new] {
        stream.write_all(b"hello").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let silence = stream.read(&mut [0]).expect_err("it was answered").kind();
        assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence:?}");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    proxy.set(Conditions::default()).unwrap();
    for stream in [&mut open, &mut new] {
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
        ask(stream).unwrap();
    }
}

#[test]
fn a_share_of_connections_breaks_and_a_share_is_told_503() {
    let proxy = proxy();
    let moody = Brownout { reset_ratio: 0.3, unavailable_ratio: 0.3, ..Brownout::default() };
    proxy.set(Conditions::ill(moody)).unwrap();
    let (mut served, mut broken, mut told) = (0, 0, 0);
    // More than the longest way to a break.
    let request = vec![b'x'; 100_000];
    for _ in 0..60 {
        let mut stream = connect(&proxy);
        let mut writer = stream.try_clone().unwrap();
        let to_send = request.clone();
        let sender = std::thread::spawn(move || {
            // It breaks where the connection does.
            let _ = writer.write_all(&to_send).and_then(|()| writer.shutdown(std::net::Shutdown::Write));
        });
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) if answer.starts_with(b"HTTP/1.1 503 ") => told += 1,
            Ok(_) => {
                assert!(answer == request, "{} bytes", answer.len());
                served += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                broken += 1;
            }
        }
        drop(stream);
        sender.join().unwrap();
    }
    assert!(served >= 8 && broken >= 8 && told >= 8, "{served} served, {broken} broken, {told} told 503");
    let counts = proxy.counts();
    assert_eq!((counts.unavailable, counts.reset), (told, broken));
}

#[test]
fn a_service_that_is_away_by_itself_breaks_connections() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let proxy = Proxy::before(&nobody, 1).unwrap();
    let kind = how_it_breaks(&mut connect(&proxy));
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
}

#[test]
fn urls_lead_through_the_proxy() {
    let proxy = Proxy::before("127.0.0.1:4711", 1).unwrap();
    let port = proxy.address().port();
    let url = proxy.url_of("postgres://postgres@127.0.0.1:4711/postgres").unwrap();
    assert_eq!(url, format!("postgres://postgres@127.0.0.1:{port}/postgres"));
    let error = proxy.url_of("http://127.0.0.1:4712").unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:4711"), "{error}");
}

#[test]
fn a_dropped_proxy_lets_go_of_its_connections_and_lets_nobody_in() {
    let proxy = proxy();
    let address = proxy.address();
    let mut open = connect(&proxy);
    ask(&mut open).unwrap();
    drop(proxy);
    let mut rest = Vec::new();
    // A closed connection ends, a broken one is an error; both are no answer.
    assert!(open.read_to_end(&mut rest).is_err() || rest.is_empty());
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "{address} still lets clients in");
        std::thread::sleep(Duration::from_millis(10));
    }
}
