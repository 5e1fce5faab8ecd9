//! Waiting to be told to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the first SIGTERM or SIGINT, or after `limit`. A second signal ends the process at once: whoever does
/// not want to wait for the drain loses nothing, the records come again at the next start.
pub(crate) async fn stop_requested(limit: Option<Duration>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = elapsed(limit) => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(EXIT_IMPATIENT);
    });
    Ok(())
}

/// Exit code after a second signal: 128 + SIGINT, as shells report it.
const EXIT_IMPATIENT: i32 = 130;

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
