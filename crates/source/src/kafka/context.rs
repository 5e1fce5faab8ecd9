//! What librdkafka calls back: rebalances, errors, log lines.
//!
//! The rebalance callback runs on the thread that polls the main queue. A partition is paused *before* it is
//! assigned and stays so until it is opened: nothing is fetched at a position that nobody asked for, and no
//! message ever has a reason to reach the main queue.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::properties::log_level;
use super::settings::KafkaSettings;
use super::slot::{SharedSlot, Slot};
use crate::{AssignmentEvent, RevokeAck, SourceError};

/// The consumer with our callbacks.
pub(super) type PulseConsumer = BaseConsumer<Context>;

/// State shared between the callbacks, the readers and the source.
pub(super) struct Context {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) group: String,
    is_closing: AtomicBool,
    revoke_timeout: Duration,
    slots: Mutex<BTreeMap<i32, SharedSlot>>,
    events: Mutex<Sender<AssignmentEvent>>,
    consumer: OnceLock<Weak<PulseConsumer>>,
    /// How often the connection was in trouble.
    trouble: AtomicU64,
    /// What was found to be another topic, or another cluster, under the same name.
    replaced: OnceLock<SourceError>,
    /// Whether librdkafka's debug lines were asked for.
    shows_debug: bool,
    /// Wakes the watching thread: trouble or closing.
    wake: (Mutex<()>, Condvar),
}

thread_local! {
    /// What librdkafka said about the error event that this thread has just taken from a queue. rdkafka hands
    /// the text to the context first and returns the bare code afterwards, on the same thread.
    static LAST_ERROR: RefCell<Option<(RDKafkaErrorCode, String)>> = const { RefCell::new(None) };
}

/// Takes the explanation of the error that this thread's last poll returned.
pub(super) fn take_last_error() -> Option<(RDKafkaErrorCode, String)> {
    LAST_ERROR.take()
}

/// The offset in librdkafka's report of the end of a partition, "… at offset N (HighwaterMark M)".
///
/// rdkafka passes on the partition alone, and the position that librdkafka keeps lags where a batch's records
/// have all been compacted away. `None` if the text has another form; then that position has to do.
pub(super) fn eof_offset(reason: &str) -> Option<i64> {
    let (_, tail) = reason.split_once("end of partition at offset ")?;
    let digits = tail.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The topic that a debug line of librdkafka says has got another id: another topic of the same name.
///
/// librdkafka fetches by the topic's id, and after a deletion it goes on at the old offset with the id of the new
/// topic. All that can be seen of it from outside is this line, and it comes before the id is exchanged: what was
/// fetched before belongs to the old topic. The first id that a topic gets is no change.
fn recreated_topic(message: &str) -> Option<&str> {
    const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    let (head, tail) = message.rsplit_once(" changed id from ")?;
    let (old, _) = tail.split_once(" to ")?;
    let (_, topic) = head.rsplit_once("Topic ")?;
    (old != NO_ID).then_some(topic)
}

/// Whether a line says that a broker belongs to another cluster than the brokers before it. librdkafka goes on with that
/// one: it joins its groups and fetches from its topics. A debug line of the same facility tells every first id, too.
fn reports_other_cluster(level: RDKafkaLogLevel, facility: &str) -> bool {
    facility == "CLUSTERID" && matches!(level, RDKafkaLogLevel::Warning)
}

impl Context {
    pub(super) fn new(settings: &KafkaSettings, events: Sender<AssignmentEvent>) -> Self {
        Self {
            brokers: settings.brokers.clone(),
            topic: settings.topic.clone(),
            group: settings.group_id.clone(),
            is_closing: AtomicBool::new(false),
            revoke_timeout: settings.revoke_timeout,
            slots: Mutex::default(),
            events: Mutex::new(events),
            consumer: OnceLock::new(),
            trouble: AtomicU64::new(0),
            replaced: OnceLock::new(),
            shows_debug: matches!(log_level(&settings.properties), RDKafkaLogLevel::Debug),
            wake: Default::default(),
        }
    }

    /// Tells the callbacks which consumer they belong to; before it is first polled.
    pub(super) fn attach(&self, consumer: &Arc<PulseConsumer>) {
        // A second call would be a defect, and harmless: the first consumer stays.
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// The slot of a partition.
    pub(super) fn slot(&self, partition: i32) -> SharedSlot {
        self.slots.lock().entry(partition).or_insert_with(|| Arc::new(Slot::default())).clone()
    }

    /// The slots of the assigned partitions.
    pub(super) fn assigned(&self) -> Vec<(i32, SharedSlot)> {
        let slots: Vec<_> =
            self.slots.lock().iter().map(|(partition, slot)| (*partition, slot.clone())).collect();
        slots.into_iter().filter(|(_, slot)| slot.state.lock().is_assigned).collect()
    }

    /// Queues an event for the source's owner.
    pub(super) fn emit(&self, event: AssignmentEvent) {
        // The receiver goes with the source: then nobody is left to be told.
        let _ = self.events.lock().send(event);
    }

    /// How often the connection has been in trouble so far.
    pub(super) fn trouble(&self) -> u64 {
        self.trouble.load(Ordering::Acquire)
    }

    /// Counts a trouble: an end of partition seen before proves nothing any more.
    pub(super) fn note_trouble(&self) {
        self.trouble.fetch_add(1, Ordering::AcqRel);
        self.wake_up();
    }

    /// The error of a topic that was recreated, or of a cluster that was replaced, while it was read. Asked after a
    /// record was taken from the client: without an answer, it was one of the old topic.
    pub(super) fn replaced(&self) -> Option<SourceError> {
        self.replaced.get().cloned()
    }

    /// Notes that what answers under this name is another topic or cluster, once. Readers ask for it; the source's owner
    /// is told as well, because there may be no reader at the moment: a lost connection costs the partitions.
    fn note_replaced(&self, error: SourceError) {
        if self.replaced.set(error.clone()).is_ok() {
            self.emit(AssignmentEvent::Failed(error));
        }
    }

    /// Lets the background threads end.
    pub(super) fn start_closing(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.wake_up();
    }

    fn wake_up(&self) {
        // Under the lock: a sleeper is either before its check of the condition or already waiting.
        let _sleepers = self.wake.0.lock();
        self.wake.1.notify_all();
    }

    pub(super) fn closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Sleeps until the time has passed, the source closes, or there is a trouble beyond number `seen`.
    pub(super) fn sleep(&self, time: Duration, seen: Option<u64>) {
        let is_over = || self.closing() || seen.is_some_and(|number| self.trouble() != number);
        let mut guard = self.wake.0.lock();
        self.wake.1.wait_while_for(&mut guard, |()| !is_over(), time);
    }

    /// A list of partitions of the topic.
    pub(super) fn list(&self, partitions: &[i32], offset: Option<i64>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            match offset {
                Some(at) => list.add_partition_offset(&self.topic, *partition, Offset::Offset(at))?,
                None => {
                    list.add_partition(&self.topic, *partition);
                }
            }
        }
        Ok(list)
    }

    /// Gives each partition a queue of its own, pauses it, and only then assigns it.
    ///
    /// The start offset is a placeholder: an absolute one, so that librdkafka does not ask the group for a
    /// committed offset, which is never read back. `open` seeks to the real one.
    pub(super) fn assign_paused(&self, consumer: &PulseConsumer, partitions: &[i32]) -> KafkaResult<()> {
        let Some(shared) = self.consumer.get().and_then(Weak::upgrade) else {
            return Ok(()); // The last owner has let go: it is being destroyed.
        };
        for partition in partitions {
            let slot = self.slot(*partition);
            let mut state = slot.state.lock();
            state.queue = shared.split_partition_queue(&self.topic, *partition);
            state.is_assigned = true;
            state.is_fetcher_stopped = false;
            state.epoch += 1;
        }
        consumer.pause(&self.list(partitions, None)?)?;
        let list = self.list(partitions, Some(0))?;
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => consumer.assign(&list),
            RebalanceProtocol::Cooperative | RebalanceProtocol::None => consumer.incremental_assign(&list),
        }
    }

    fn unassign(&self, consumer: &PulseConsumer, partitions: &[i32]) -> KafkaResult<()> {
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => consumer.unassign(),
            RebalanceProtocol::Cooperative | RebalanceProtocol::None => {
                consumer.incremental_unassign(&self.list(partitions, None)?)
            }
        }
    }

    fn on_assigned(&self, consumer: &PulseConsumer, partitions: Vec<i32>) {
        if let Err(error) = self.assign_paused(consumer, &partitions) {
            self.emit(AssignmentEvent::Failed(SourceError::Client {
                action: format!("taking partitions {partitions:?}"),
                detail: error.to_string(),
            }));
            return;
        }
        tracing::info!(topic = %self.topic, ?partitions, "partitions assigned");
        if !partitions.is_empty() {
            self.emit(AssignmentEvent::Assigned(partitions));
        }
    }

    fn on_revoked(&self, consumer: &PulseConsumer, partitions: Vec<i32>) {
        let is_lost = consumer.assignment_lost();
        tracing::info!(topic = %self.topic, ?partitions, is_lost, "partitions revoked");
        if !is_lost && !partitions.is_empty() && !self.closing() {
            for partition in &partitions {
                self.slot(*partition).state.lock().is_revoking = true;
            }
            let (done, wait) = RevokeAck::pair();
            self.emit(AssignmentEvent::Revoked { partitions: partitions.clone(), done });
            if !wait.wait(self.revoke_timeout, || self.closing() || consumer.assignment_lost()) {
                tracing::warn!(
                    ?partitions,
                    "revoked partitions were not drained in time: the ledger will fence what is left"
                );
            }
        }
        for partition in &partitions {
            self.slot(*partition).release();
        }
        if let Err(error) = self.unassign(consumer, &partitions) {
            self.emit(AssignmentEvent::Failed(SourceError::Client {
                action: format!("giving partitions {partitions:?} back"),
                detail: error.to_string(),
            }));
        }
        if is_lost && !partitions.is_empty() && !self.closing() {
            self.emit(AssignmentEvent::Lost(partitions));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if recreated_topic(message) == Some(self.topic.as_str()) {
            self.note_replaced(SourceError::TopicRecreated { topic: self.topic.clone() });
        }
        if reports_other_cluster(level, facility) {
            self.note_replaced(SourceError::ClusterReplaced {
                topic: self.topic.clone(),
                brokers: self.brokers.clone(),
                detail: message.to_owned(),
            });
        }
        if self.shows_debug || !matches!(level, RDKafkaLogLevel::Debug) {
            log_line(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            LAST_ERROR.set(Some((code, reason.to_owned())));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &PulseConsumer, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        partitions.sort_unstable();
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.on_assigned(consumer, partitions),
            _ => self.on_revoked(consumer, partitions),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the group's offsets (for lag tools only) were not committed");
        }
    }
}

/// Passes a line of librdkafka's log on.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::consumer_config;
    use super::*;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use std::time::Instant;

    /// The form of the report is librdkafka's own: this fails when a newer one words it otherwise.
    #[test]
    fn the_librdkafka_that_is_linked_reports_the_end_offset_in_the_form_expected() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let (sender, _events) = std::sync::mpsc::channel();
        let context = Context::new(&KafkaSettings { topic: "t".into(), ..Default::default() }, sender);
        let consumer: PulseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "g")
            .set("enable.partition.eof", "true")
            .create_with_context(context)
            .unwrap();
        consumer.assign(&consumer.context().list(&[0], Some(0)).unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let polled = consumer.poll(Duration::from_millis(100));
            if matches!(polled, Some(Err(KafkaError::PartitionEOF(0)))) {
                break;
            }
            assert!(Instant::now() < deadline, "no end of the empty partition was reported");
        }
        let (code, reason) = take_last_error().unwrap();
        assert_eq!(code, RDKafkaErrorCode::PartitionEOF);
        assert_eq!(eof_offset(&reason), Some(0), "{reason}");
    }

    #[test]
    fn another_topic_of_the_same_name_is_recognised_by_its_id() {
        let line =
            |old: &str| format!("[thrd:main]: Topic t.1 changed id from {old} to uDNFMLP5Q_mWfDKBWl3vqw");
        assert_eq!(recreated_topic(&line("7Cv8AhJmQmiKWxkcCpNQyA")), Some("t.1"));
        assert_eq!(recreated_topic(&line("AAAAAAAAAAAAAAAAAAAAAA")), None);
        assert_eq!(recreated_topic("[thrd:main]: Topic t.1 [0] Leader 1 Epoch 0"), None);
    }

    #[test]
    fn another_cluster_is_told_by_a_warning_and_the_owner_hears_of_it_once() {
        let (sender, events) = std::sync::mpsc::channel();
        let context = Context::new(&KafkaSettings { topic: "t".into(), ..Default::default() }, sender);
        context.log(RDKafkaLogLevel::Debug, "CLUSTERID", "ClusterId update \"\" -> \"a\"");
        context.log(RDKafkaLogLevel::Warning, "FAIL", "connection refused");
        assert!(context.replaced().is_none());
        for _ in 0..2 {
            context.log(RDKafkaLogLevel::Warning, "CLUSTERID", "reports different ClusterId \"b\"");
        }
        assert!(matches!(context.replaced(), Some(SourceError::ClusterReplaced { .. })));
        assert!(matches!(
            events.try_recv(),
            Ok(AssignmentEvent::Failed(SourceError::ClusterReplaced { .. }))
        ));
        assert!(events.try_recv().is_err());
    }

    /// The form of the line is librdkafka's own: this fails when a newer one words it otherwise.
    #[test]
    fn the_librdkafka_that_is_linked_tells_the_id_of_a_topic() {
        #[derive(Default)]
        struct Lines(Mutex<String>);
        impl ClientContext for Lines {
            fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
                self.0.lock().push_str(message);
            }
        }
        impl ConsumerContext for Lines {}
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let settings =
            KafkaSettings { brokers: cluster.bootstrap_servers(), topic: "t".into(), ..Default::default() };
        let consumer: BaseConsumer<Lines> =
            consumer_config(&settings, 1).unwrap().create_with_context(Lines::default()).unwrap();
        consumer.subscribe(&["t"]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !consumer.context().0.lock().contains("Topic t changed id from AAAAAAAAAAAAAAAAAAAAAA to ") {
            let _ = consumer.poll(Duration::from_millis(50));
            assert!(Instant::now() < deadline, "{}", consumer.context().0.lock());
        }
    }

    #[test]
    fn the_end_offset_is_read_from_the_report() {
        let report = "Fetch from broker 1 reached end of partition at offset 1207 (HighwaterMark 1210)";
        assert_eq!(eof_offset(report), Some(1207));
        assert_eq!(eof_offset("Broker: No more messages"), None);
        assert_eq!(eof_offset("reached end of partition at offset (HighwaterMark 3)"), None);
    }
}
