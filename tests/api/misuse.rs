//! Wrong, huge and slow clients: clear errors, and the service goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{ACT, Demo};
use crate::common::engine::metric_sum;
use crate::common::{PATIENCE, poll};

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {answer:?}")))
}

#[test]
fn what_is_wrong_is_told_and_hurts_nothing() {
    let demo = Demo::start("api-misuse", &[]);
    let huge = "x".repeat(6_000);
    let nil = "00000000-0000-0000-0000-000000000000";
    for (method, path, token, body, expected) in [
        (Method::GET, "/api/v1/trending?limit=501".to_owned(), "", None, (400, "bad_parameter")),
        (Method::GET, format!("/api/v1/trending?category={huge}"), "", None, (400, "bad_parameter")),
        (Method::GET, format!("/api/v1/videos/{huge}"), "", None, (400, "bad_parameter")),
        (Method::GET, "/api/v1/nothing".to_owned(), "", None, (404, "not_found")),
        (Method::PUT, "/api/v1/trending".to_owned(), "", None, (405, "method_not_allowed")),
        (Method::POST, format!("/api/v1/decisions/{nil}/ack"), "", None, (401, "unauthorized")),
        (Method::POST, format!("/api/v1/decisions/{nil}/ack"), "act", None, (401, "unauthorized")),
        (Method::POST, format!("/api/v1/decisions/{nil}/ack"), ACT, None, (404, "not_found")),
        (Method::POST, "/api/v1/decisions/7/ack".to_owned(), ACT, None, (400, "bad_parameter")),
        (
            Method::POST,
            "/api/v1/sql".to_owned(),
            "",
            Some(json!({"sql": "x".repeat(100_000)})),
            (413, "too_large"),
        ),
        (
            Method::POST,
            "/api/v1/sql".to_owned(),
            "",
            Some(json!({"query": "SELECT 1"})),
            (400, "bad_request"),
        ),
    ] {
        let answer = demo.ask(method.clone(), &path, token, body);
        let shown: String = path.chars().take(60).collect();
        assert_eq!(code(&answer), expected, "{method} {shown}: {answer:?}");
    }
    assert_eq!(demo.ask(Method::GET, "/readyz", "", None).0, 200);
    assert!(demo.get("/api/v1/health")["ok"].as_bool().unwrap());
}

#[test]
fn requests_that_are_none_or_never_end_take_nothing_from_the_others() {
    let demo = Demo::start("api-raw", &[]);
    let connect = || TcpStream::connect(&demo.address).unwrap();
    for nonsense in ["hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /api/v1/\0 HTTP/1.1\r\nHost: x\r\n\r\n"]
    {
        let mut stream = connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        // Closed with or without an answer: nobody waits for ever.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{nonsense:?}");
    }
    let mut long = connect();
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    // It may be cut off in the middle.
    let _ = long.write_all(head.as_bytes());
    // Fifty clients that begin and say no more.
    let held: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = connect();
            stream
                .write_all(b"POST /api/v1/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(demo.ask(Method::GET, "/api/v1/trending", "", None).0, 200);
    }
    drop(held);
}

#[test]
fn a_client_that_does_not_read_its_updates_is_dropped() {
    let demo = Demo::start("api-slow", &[]);
    demo.wait_for("/api/v1/trending", |_, body| {
        body["videos"].as_array().is_some_and(|list| list.len() == 50)
    });
    let mut slow = TcpStream::connect(&demo.address).unwrap();
    slow.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    // Some 30 KiB a second fill the buffers of the sockets (a few MiB) and the client's own in a minute or two.
    let dropped = poll(PATIENCE * 4, || {
        let (_, text) = demo.ask(Method::GET, "/metrics", "", None);
        let text = text.as_str()?;
        (metric_sum(text, "pulselake_dropped_event_streams_total") >= 1.0).then_some(())
    });
    assert!(dropped.is_some(), "it was never dropped");
    let (_, text) = demo.ask(Method::GET, "/metrics", "", None);
    assert_eq!(metric_sum(text.as_str().unwrap(), "pulselake_open_event_streams"), 0.0);
    drop(slow);
}
