//! The outbox's task: finds out what is missing in the topic, then sends change by change, and starts over after a failure.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use pulselake_actions::{ActionQueue, QueueChange};
use pulselake_telemetry::{OutboxMetrics, decision_events as events};
use tokio::sync::{broadcast, watch};

use super::backlog::{Backlog, message};
use super::topic::{ActionMessage, ActionTopic, ConnectTopic};
use crate::status::now_us;

/// How far back the topic is read for what is missing, behind the oldest change that is looked for: clocks differ.
const MARGIN_US: i64 = 600_000_000;
/// Changes that are older are not looked for after a start: nobody acts on them any more.
const RESUME_SPAN_US: i64 = 86_400_000_000;
/// How often it is looked for others' changes that nobody has sent.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long the end waits for what is being sent.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Messages that are sent at once.
const BATCH: usize = 1_000;

/// What an outbox is made of.
pub struct OutboxParts {
    /// The queue.
    pub queue: ActionQueue,
    /// Name of the topic, for messages.
    pub topic: String,
    /// How to reach it.
    pub connect: ConnectTopic,
    /// First pause after a failure; it doubles up to the longest.
    pub backoff_initial: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

/// The running outbox.
pub struct Outbox {
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl Outbox {
    /// Starts the task.
    pub fn start(parts: OutboxParts) -> Self {
        let (stop, is_stopping) = watch::channel(false);
        // Before anything is read: what is committed from here on is heard of.
        let changes = parts.queue.subscribe();
        let sender = Sender {
            parts,
            changes,
            backlog: Backlog::default(),
            topic: None,
            metrics: OutboxMetrics::default(),
            is_resumed: false,
        };
        Self { stop, running: tokio::spawn(sender.run(is_stopping)) }
    }

    /// Ends it, once what is committed is sent, or after a while: what is left is sent after the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let task = self.running.abort_handle();
        if tokio::time::timeout(STOP_PATIENCE, self.running).await.is_err() {
            task.abort();
        }
    }
}

struct Sender {
    parts: OutboxParts,
    changes: broadcast::Receiver<QueueChange>,
    backlog: Backlog,
    topic: Option<Box<dyn ActionTopic>>,
    metrics: OutboxMetrics,
    /// Whether the topic's end was read since something may have been missed.
    is_resumed: bool,
}

impl Sender {
    async fn run(mut self, mut is_stopping: watch::Receiver<bool>) {
        let mut failures: u32 = 0;
        loop {
            // A panic is a failure like any other: the topic is read again afterwards.
            let step = AssertUnwindSafe(self.step()).catch_unwind().await;
            let reason = match step {
                Ok(Ok(())) => {
                    failures = 0;
                    let is_over = *is_stopping.borrow();
                    if !is_over {
                        self.wait(&mut is_stopping).await;
                        continue;
                    }
                    // What was committed while the last messages went out.
                    self.take_changes();
                    if self.backlog.waiting().is_empty() {
                        return;
                    }
                    continue;
                }
                Ok(Err(reason)) => reason,
                Err(_) => "a panic; its message is above".to_owned(),
            };
            self.topic = None;
            self.is_resumed = false;
            let doubled =
                self.parts.backoff_initial.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
            let pause = doubled.min(self.parts.backoff_max);
            failures = failures.saturating_add(1);
            self.metrics.failed();
            self.metrics.unsent(self.backlog.len());
            events::outbox_failed(&self.parts.topic, pause, self.backlog.len(), &reason);
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends all that waits.
    async fn step(&mut self) -> Result<(), String> {
        self.take_changes();
        if !self.is_resumed {
            self.resume().await?;
        }
        if let Some(oldest_us) = self.backlog.forgotten_since_us(now_us()) {
            let (found, _) = self.changes_since(oldest_us).await?;
            self.backlog.found(&found);
            self.backlog.adopt_forgotten(now_us());
        }
        loop {
            let waiting = self.backlog.waiting();
            self.metrics.unsent(self.backlog.len());
            if waiting.is_empty() {
                return Ok(());
            }
            let (messages, changes): (Vec<ActionMessage>, HashSet<_>) =
                waiting.iter().take(BATCH).map(|action| message(action)).unzip();
            let count = messages.len() as u64;
            crate::failpoint::reach_store("outbox::before_send").await;
            self.with_topic(move |topic| topic.send_all(&messages)).await?;
            crate::failpoint::reach("outbox::sent");
            self.metrics.sent(count);
            self.backlog.found(&changes);
            self.backlog.forget_closed(&self.parts.queue.view());
        }
    }

    /// Reads the topic's end; what the table has and the topic does not, waits to be sent.
    async fn resume(&mut self) -> Result<(), String> {
        let view = self.parts.queue.view();
        let oldest_us = now_us() - RESUME_SPAN_US;
        let recent = || view.actions().filter(|action| action.state_updated_at_us >= oldest_us);
        let since_us = recent().map(|action| action.state_updated_at_us).min();
        let (found, read) = match since_us {
            Some(first_us) => self.changes_since(first_us).await?,
            None => (HashSet::new(), 0),
        };
        self.backlog.found(&found);
        for action in recent() {
            self.backlog.add(action.clone(), true, now_us());
        }
        self.is_resumed = true;
        events::outbox_resumed(&self.parts.topic, read, self.backlog.waiting().len());
        Ok(())
    }

    fn take_changes(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.backlog.add(change.action, change.is_own, now_us()),
                // What was lost is in the table.
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.is_resumed = false,
                Err(_) => return,
            }
        }
    }

    /// Until there is something to do.
    async fn wait(&mut self, is_stopping: &mut watch::Receiver<bool>) {
        tokio::select! {
            change = self.changes.recv() => match change {
                Ok(change) => self.backlog.add(change.action, change.is_own, now_us()),
                Err(broadcast::error::RecvError::Lagged(_)) => self.is_resumed = false,
                // The queue lives as long as this task.
                Err(broadcast::error::RecvError::Closed) => tokio::time::sleep(LOOK_INTERVAL).await,
            },
            _ = is_stopping.changed() => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }

    async fn changes_since(&mut self, oldest_us: i64) -> Result<(HashSet<(uuid::Uuid, i64)>, u64), String> {
        let since_ms = oldest_us.saturating_sub(MARGIN_US).div_euclid(1_000);
        self.with_topic(move |topic| topic.changes_since(since_ms)).await
    }

    /// Works with the topic on a thread that may block. After an error the connection is made anew.
    async fn with_topic<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn ActionTopic) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (known, connect) = (self.topic.take(), self.parts.connect.clone());
        let working = tokio::task::spawn_blocking(move || {
            let mut topic = match known {
                Some(topic) => topic,
                None => connect()?,
            };
            let outcome = work(topic.as_mut())?;
            Ok::<_, String>((outcome, topic))
        });
        let (outcome, topic) = working.await.map_err(|error| error.to_string())??;
        self.topic = Some(topic);
        Ok(outcome)
    }
}
