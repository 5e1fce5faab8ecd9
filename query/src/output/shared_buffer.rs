//! Bytes that a writer fills and somebody else takes, up to a limit.

use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// A buffer with an end. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedBuffer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes: Mutex<Vec<u8>>,
    limit_bytes: usize,
    is_full: AtomicBool,
}

impl SharedBuffer {
    /// An empty buffer that takes `limit_bytes` at most.
    pub fn new(limit_bytes: usize) -> Self {
        let shared = Shared { bytes: Mutex::default(), limit_bytes, is_full: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Whether more was written than fits.
    pub fn is_full(&self) -> bool {
        self.shared.is_full.load(Ordering::Relaxed)
    }

    /// What was written; the buffer is empty then.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.shared.bytes.lock())
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        let mut bytes = self.shared.bytes.lock();
        if bytes.len() + more.len() > self.shared.limit_bytes {
            self.shared.is_full.store(true, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::QuotaExceeded, "the buffer is full"));
        }
        bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let mut buffer = SharedBuffer::new(3);
        buffer.write_all(b"ab").unwrap();
        assert!(!buffer.is_full());
        assert!(buffer.write_all(b"cd").is_err());
        assert!(buffer.is_full());
        assert_eq!(buffer.take(), b"ab");
    }
}
