//! Makes each event once and hands it to all clients. A client has a bounded buffer; when it is full, the client is dropped.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use pulselake_actions::QueueChange;
use pulselake_telemetry::HttpMetrics;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::frame;
use crate::ApiError;
use crate::decisions::ActionAnswer;
use crate::health::health;
use crate::parameters::DEFAULT_LIMIT;
use crate::parts::Api;
use crate::pulse::pulse;
use crate::trending::{RankingKey, trending};

/// Clients at the same time.
const MAX_CLIENTS: usize = 100;
/// Events that a client may be behind: some seconds of updates, or a burst of decisions.
const MAX_BEHIND: usize = 64;
/// Time between two rounds of updates.
const ROUND: Duration = Duration::from_secs(1);
/// Without anything else to say, a comment is sent this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The clients of live updates.
#[derive(Default)]
pub(crate) struct EventHub {
    clients: Mutex<Vec<mpsc::Sender<Bytes>>>,
    metrics: HttpMetrics,
}

impl EventHub {
    /// A new client's events, from now on.
    ///
    /// # Errors
    /// 503 when there are as many as there may be.
    pub(super) fn subscribe(&self) -> Result<impl Stream<Item = Bytes> + Send + 'static, ApiError> {
        let (sender, receiver) = mpsc::channel(MAX_BEHIND);
        let mut clients = self.clients.lock();
        clients.retain(|client| !client.is_closed());
        if clients.len() >= MAX_CLIENTS {
            return Err(ApiError::unavailable(
                "too_many_streams",
                format!(
                    "{MAX_CLIENTS} clients have live updates, more are not served; ask for single answers instead"
                ),
            ));
        }
        // There is room: the channel is new.
        let _ = sender.try_send(frame::greeting());
        clients.push(sender);
        self.metrics.open_streams(clients.len());
        Ok(futures::stream::unfold(receiver, |mut open| async move {
            open.recv().await.map(|frame| (frame, open))
        }))
    }

    /// Whether anybody would see an event.
    fn has_clients(&self) -> bool {
        let mut clients = self.clients.lock();
        clients.retain(|client| !client.is_closed());
        self.metrics.open_streams(clients.len());
        !clients.is_empty()
    }

    /// Hands an event to all, and drops those that have no room for it.
    fn send(&self, frame: &Bytes) {
        let mut clients = self.clients.lock();
        clients.retain(|client| match client.try_send(frame.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.metrics.dropped_stream();
                false
            }
        });
        self.metrics.open_streams(clients.len());
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.clients.lock().clear();
        self.metrics.open_streams(0);
    }
}

/// Makes events until it is dropped.
pub(crate) async fn run(api: Api) {
    let mut changes = api.decisions.as_ref().map(|decisions| decisions.queue.subscribe());
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_sent = Instant::now();
    loop {
        tokio::select! {
            _ = rounds.tick() => {
                if api.events.has_clients() && round(&api).await {
                    last_sent = Instant::now();
                } else if last_sent.elapsed() >= KEEP_ALIVE {
                    api.events.send(&frame::keep_alive());
                    last_sent = Instant::now();
                }
            }
            change = next(&mut changes) => match change {
                Ok(change) => send_decision(&api, &change),
                // What was missed shows in the list of decisions; the next change is told again.
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(event = "decisions_missed", missed, "live updates have missed changes of actions");
                }
                Err(RecvError::Closed) => changes = None,
            },
        }
    }
}

/// The next change of an action; never, where nothing is decided.
async fn next(changes: &mut Option<broadcast::Receiver<QueueChange>>) -> Result<QueueChange, RecvError> {
    match changes {
        Some(open) => open.recv().await,
        None => std::future::pending().await,
    }
}

fn send_decision(api: &Api, change: &QueueChange) {
    if let Some(frame) = frame::event("decision", &ActionAnswer::from(change.action.as_ref())) {
        api.events.send(&frame);
    }
}

/// One of each; whether anything was sent.
async fn round(api: &Api) -> bool {
    let pulse = pulse(api).await.ok().and_then(|pulse| frame::event("pulse", pulse.as_ref()));
    let videos = trending(api, RankingKey::default(), DEFAULT_LIMIT as usize).await;
    let videos = videos.ok().and_then(|list| frame::event("trending", &list));
    let health = frame::event("health", &health(api));
    let frames: Vec<Bytes> = [pulse, videos, health].into_iter().flatten().collect();
    for frame in &frames {
        api.events.send(frame);
    }
    !frames.is_empty()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn every_client_gets_every_event_in_order() {
        let hub = EventHub::default();
        let (mut first, mut second) =
            (Box::pin(hub.subscribe().unwrap()), Box::pin(hub.subscribe().unwrap()));
        for number in 0..5_u8 {
            hub.send(&Bytes::from(vec![number]));
        }
        for client in [&mut first, &mut second] {
            assert_eq!(client.next().await, Some(frame::greeting()));
            for number in 0..5_u8 {
                assert_eq!(client.next().await, Some(Bytes::from(vec![number])));
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_dropped_and_the_others_are_not() {
        let hub = EventHub::default();
        let mut slow = Box::pin(hub.subscribe().unwrap());
        let mut quick = Box::pin(hub.subscribe().unwrap());
        quick.next().await;
        for _ in 0..2 * MAX_BEHIND {
            hub.send(&frame::keep_alive());
            assert!(quick.next().await.is_some());
        }
        assert_eq!(hub.clients.lock().len(), 1);
        // What it had room for still comes, then its stream ends.
        let mut received = 0;
        while slow.next().await.is_some() {
            received += 1;
        }
        assert_eq!(received, MAX_BEHIND);
    }

    #[tokio::test]
    async fn the_number_of_clients_is_bounded_and_places_are_given_back() {
        let hub = EventHub::default();
        let mut open: Vec<_> = (0..MAX_CLIENTS).map(|_| Box::pin(hub.subscribe().unwrap())).collect();
        assert!(hub.subscribe().is_err());
        open.pop();
        assert!(hub.subscribe().is_ok());
        hub.close();
        assert!(!hub.has_clients());
    }
}
