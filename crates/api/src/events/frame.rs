//! The wire format of server-sent events (WHATWG HTML, section 9.2).

use bytes::Bytes;
use serde::Serialize;

/// How long a browser waits before it connects again, milliseconds.
const RETRY_MS: u32 = 2_000;

/// An event of this name with data as JSON. `None` where the data can't be written.
pub(super) fn event(name: &str, data: &impl Serialize) -> Option<Bytes> {
    // JSON from serde_json has no line end outside of texts, and inside of them it is escaped: one `data` line is enough.
    let json = serde_json::to_string(data).ok()?;
    Some(Bytes::from(format!("event: {name}\ndata: {json}\n\n")))
}

/// What every stream begins with.
pub(super) fn greeting() -> Bytes {
    Bytes::from(format!("retry: {RETRY_MS}\n\n"))
}

/// What keeps a quiet connection alive.
pub(super) fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_block_whatever_is_in_its_texts() {
        let frame = event("decision", &serde_json::json!({"video_id": "a\nb\r\n\nevent: x"})).unwrap();
        let text = std::str::from_utf8(&frame).unwrap();
        assert_eq!(text, "event: decision\ndata: {\"video_id\":\"a\\nb\\r\\n\\nevent: x\"}\n\n");
    }
}
