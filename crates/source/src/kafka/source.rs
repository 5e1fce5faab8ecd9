//! The Kafka source: connects, opens partitions at exact offsets, publishes progress.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::connect::first_contact;
use super::context::{Context, PulseConsumer};
use super::errors::Place;
use super::properties::{consumer_config, probe_config};
use super::reader::KafkaReader;
use super::settings::{GroupMode, KafkaSettings};
use super::slot::SlotState;
use super::threads::{Watch, is_not_started_yet, poll_main_queue, watch};
use crate::{AssignmentEvent, OffsetBounds, PartitionReader, Progress, Source, SourceError, SourceIdentity};

/// A Kafka topic.
pub struct KafkaSource {
    identity: SourceIdentity,
    settings: KafkaSettings,
    context: Arc<Context>,
    consumer: Mutex<Option<Arc<PulseConsumer>>>,
    events: Mutex<Receiver<AssignmentEvent>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Between two tries of a seek while the fetcher starts.
const SEEK_RETRY: Duration = Duration::from_millis(5);

impl KafkaSource {
    /// Connects, checks that the topic is there, and joins the group (or takes all partitions).
    ///
    /// Fails after `connect_timeout` when no broker answers, at once when the topic is unknown or the login refused.
    pub fn connect(settings: KafkaSettings) -> Result<Self, SourceError> {
        let probe = probe_config(&settings)?;
        let facts = first_contact(&probe, place(&settings, "connecting"), settings.connect_timeout)?;
        let partitions = usize::try_from(facts.partitions).unwrap_or_default();
        let config = consumer_config(&settings, partitions)?;
        let (sender, events) = channel();
        let context = Context::new(&settings, sender);
        let consumer: PulseConsumer = config
            .create_with_context(context)
            .map_err(|error| place(&settings, "creating the consumer").not_created(&error))?;
        let consumer = Arc::new(consumer);
        consumer.context().attach(&consumer);
        let source = Self {
            identity: SourceIdentity { cluster_id: facts.cluster_id, topic: settings.topic.clone() },
            context: consumer.context().clone(),
            consumer: Mutex::new(Some(consumer.clone())),
            events: Mutex::new(events),
            threads: Mutex::default(),
            settings,
        };
        source.start(&consumer, facts.partitions)?;
        Ok(source)
    }

    fn start(&self, consumer: &Arc<PulseConsumer>, partitions: i32) -> Result<(), SourceError> {
        let all: Vec<i32> = (0..partitions).collect();
        let started = match self.settings.group_mode {
            GroupMode::Group => consumer.subscribe(&[&self.settings.topic]),
            GroupMode::Assign => self.context.assign_paused(consumer, &all),
        };
        started.map_err(|error| self.client_error("taking the topic's partitions", &error))?;
        let assigned_count = (self.settings.group_mode == GroupMode::Assign).then_some(partitions);
        if assigned_count.is_some() {
            self.context.emit(AssignmentEvent::Assigned(all));
        }
        let polled = consumer.clone();
        self.spawn("kafka-poll", move || poll_main_queue(&polled))?;
        let watched = consumer.clone();
        let duties = Watch {
            metadata_refresh: self.settings.metadata_refresh,
            request_timeout: self.settings.request_timeout,
            assigned_count,
        };
        self.spawn("kafka-watch", move || watch(&watched, duties))
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SourceError> {
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let handle = spawned.map_err(|error| SourceError::Client {
            action: format!("starting thread {name}"),
            detail: error.to_string(),
        })?;
        self.threads.lock().push(handle);
        Ok(())
    }

    fn consumer(&self) -> Result<Arc<PulseConsumer>, SourceError> {
        self.consumer.lock().clone().ok_or(SourceError::Closed)
    }

    fn client_error(&self, action: &str, error: &KafkaError) -> SourceError {
        SourceError::Client {
            action: format!("{action} of {:?}", self.settings.topic),
            detail: error.to_string(),
        }
    }

    /// Moves a partition's fetcher to an offset; false when it is still being started.
    ///
    /// The pause, which librdkafka confirms, raises the partition's version: all that was fetched before is
    /// dropped unseen, both what lies in the queue and what is still on its way.
    fn seek(
        &self,
        consumer: &Arc<PulseConsumer>,
        partition: i32,
        offset: i64,
        state: &mut SlotState,
    ) -> KafkaResult<bool> {
        let list = self.context.list(&[partition], None)?;
        if state.is_fetcher_stopped {
            consumer.incremental_unassign(&list)?;
            // Paused before it is assigned: a fetcher that runs meets an offset that is not there before the seek does,
            // stops for it, and the error is dropped with all that was fetched before the seek.
            consumer.pause(&list)?;
            consumer.incremental_assign(&self.context.list(&[partition], Some(offset))?)?;
            state.is_fetcher_stopped = false;
        }
        consumer.pause(&list)?;
        let sought = consumer
            .seek_partitions(self.context.list(&[partition], Some(offset))?, self.settings.request_timeout)?;
        for element in sought.elements() {
            match element.error() {
                Ok(()) => {}
                Err(error) if is_not_started_yet(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        state.queue = consumer.split_partition_queue(&self.settings.topic, partition);
        consumer.resume(&list)?;
        Ok(true)
    }
}

impl Source for KafkaSource {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn next_event(&self, wait: Duration) -> Option<AssignmentEvent> {
        self.events.lock().recv_timeout(wait).ok()
    }

    fn bounds(&self, partition: i32) -> Result<OffsetBounds, SourceError> {
        let consumer = self.consumer()?;
        // With isolation.level=read_committed the broker answers with the last stable offset.
        match consumer.fetch_watermarks(&self.settings.topic, partition, self.settings.request_timeout) {
            Ok((low, high)) => Ok(OffsetBounds { low, high }),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) => {
                Err(SourceError::UnknownPartition { topic: self.settings.topic.clone(), partition })
            }
            Err(error) => Err(place(&self.settings, "asking for offsets").request_failed(&error)),
        }
    }

    fn open(
        &self,
        partition: i32,
        from_offset: i64,
        stop_at: Option<i64>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        let consumer = self.consumer()?;
        let topic = self.settings.topic.clone();
        if from_offset < 0 {
            let detail = "offsets begin at 0".to_owned();
            return Err(SourceError::OffsetOutOfRange { topic, partition, offset: from_offset, detail });
        }
        let slot = self.context.slot(partition);
        let epoch = {
            let mut state = slot.state.lock();
            state.epoch += 1;
            state.epoch
        };
        let deadline = Instant::now() + self.settings.request_timeout;
        loop {
            // The lock is let go between two tries, so that a rebalance does not wait for this one.
            let mut state = slot.state.lock();
            if !state.is_assigned || state.epoch != epoch {
                return Err(SourceError::NotAssigned { topic, partition });
            }
            match self.seek(&consumer, partition, from_offset, &mut state) {
                Ok(true) => break,
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) => {
                    return Err(SourceError::Unavailable {
                        action: format!("opening {topic}-{partition} at offset {from_offset}"),
                        detail: "librdkafka has not started fetching it".to_owned(),
                    });
                }
                // Without its broker a seek fails like any request: that passes.
                Err(error) => return Err(place(&self.settings, "opening a partition").request_failed(&error)),
            }
            drop(state);
            std::thread::sleep(SEEK_RETRY);
        }
        Ok(Box::new(KafkaReader::new(&consumer, slot, partition, epoch, from_offset, stop_at)))
    }

    fn note_progress(&self, positions: &[(i32, i64)]) {
        let Ok(consumer) = self.consumer() else { return };
        let owned: Vec<i32> = self.context.assigned().into_iter().map(|(partition, _)| partition).collect();
        let mut list = rdkafka::TopicPartitionList::new();
        for (partition, position) in positions.iter().filter(|(partition, _)| owned.contains(partition)) {
            // Refused only for an offset that librdkafka can't hold; progress is for lag tools alone.
            let _ = list.add_partition_offset(&self.settings.topic, *partition, Offset::Offset(*position));
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "the group's offsets (for lag tools only) were not committed");
        }
    }

    fn has_broker_time(&self) -> bool {
        true
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn close(&self) {
        self.context.start_closing();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the Kafka source has panicked");
            }
        }
        for (_, slot) in self.context.assigned() {
            slot.release();
        }
        // The last owner's drop leaves the group (a static member stays in it until its session ends).
        drop(self.consumer.lock().take());
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.close();
    }
}

fn place<'a>(settings: &'a KafkaSettings, action: &'a str) -> Place<'a> {
    Place { brokers: &settings.brokers, topic: &settings.topic, group: &settings.group_id, action }
}
