//! Runs the event stream and the streams of changes side by side, as one service.

use futures::FutureExt;
use futures::future::{join, join_all};
use pulselake_actors::{DimensionStream, Pipeline, RunEnd, RunError};
use tokio::sync::watch;

/// Runs all of them until each has ended by itself or `stop` asks them to. When one fails, the others are asked to stop:
/// they commit what they have read, and its error is the service's.
pub(crate) async fn run_streams(
    pipeline: Pipeline,
    changes: Vec<DimensionStream>,
    stop: impl Future<Output = ()>,
) -> Result<RunEnd, RunError> {
    let (asked, _) = watch::channel(false);
    let asking = async {
        stop.await;
        asked.send_replace(true);
        std::future::pending::<()>().await;
    };
    // Boxed: the compiler lays out futures of futures only so deep.
    let events = watched(&asked, pulselake_actors::run(pipeline, until_asked(&asked)).boxed_local());
    let dimensions = changes
        .into_iter()
        .map(|stream| watched(&asked, pulselake_actors::run(stream, until_asked(&asked)).boxed_local()));
    let all = join(events, join_all(dimensions));
    let (events, dimensions) = tokio::select! {
        // In this order: the signals are listened for before anything is started.
        biased;
        () = asking => unreachable!("it stays pending once it has asked"),
        ended = all => ended,
    };
    dimensions.into_iter().try_fold(events?, |worst, end| Ok(worse(worst, end?)))
}

/// Asks the others to stop when a stream fails.
async fn watched(
    asked: &watch::Sender<bool>,
    stream: impl Future<Output = Result<RunEnd, RunError>>,
) -> Result<RunEnd, RunError> {
    let outcome = stream.await;
    if outcome.is_err() {
        asked.send_replace(true);
    }
    outcome
}

async fn until_asked(asked: &watch::Sender<bool>) {
    // The sender lives as long as the streams.
    let _ = asked.subscribe().wait_for(|is_asked| *is_asked).await;
}

/// The end that says the most of two.
fn worse(first: RunEnd, second: RunEnd) -> RunEnd {
    match (first, second) {
        (RunEnd::ShutDownUndrained, _) | (_, RunEnd::ShutDownUndrained) => RunEnd::ShutDownUndrained,
        (RunEnd::ShutDown, _) | (_, RunEnd::ShutDown) => RunEnd::ShutDown,
        (RunEnd::CaughtUp, RunEnd::CaughtUp) => RunEnd::CaughtUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_that_was_not_drained_makes_the_end_an_undrained_one() {
        use RunEnd::{CaughtUp, ShutDown, ShutDownUndrained};
        assert_eq!(worse(CaughtUp, CaughtUp), CaughtUp);
        assert_eq!(worse(CaughtUp, ShutDown), ShutDown);
        assert_eq!(worse(ShutDown, ShutDownUndrained), ShutDownUndrained);
        assert_eq!(worse(ShutDownUndrained, CaughtUp), ShutDownUndrained);
    }

    #[actix::test]
    async fn a_failed_stream_asks_the_others_to_stop() {
        let (asked, _) = watch::channel(false);
        let failed =
            watched(&asked, async { Err(RunError::Stopped { actor: "a".into(), reason: "b".into() }) });
        assert!(failed.await.is_err());
        until_asked(&asked).await;
    }
}
