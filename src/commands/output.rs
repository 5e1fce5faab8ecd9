//! Writing results to standard output.

use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// When the output can't be written.
pub(crate) fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can't write to standard output"),
    }
}
