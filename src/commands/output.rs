//! Writing results to standard output.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

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

/// Writes one JSON document, indented, with a line end.
///
/// # Errors
/// When the output can't be written.
pub(crate) fn write_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("can't write the result as JSON")?;
    text.push('\n');
    write_out(text.as_bytes())
}

/// Runs a command that reads or writes tables, with threads for the decoding of files.
///
/// # Errors
/// Those of the command, or when the threads can't be had.
pub(crate) fn in_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime's threads")?;
    runtime.block_on(work)
}
