//! Faults as deeds: what is done at the beginning of each, and what is undone at its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

use super::catalog_lock::CatalogLock;
use super::context::{CatalogAccess, FaultContext, KafkaAccess, Maintenance};
use super::plan::{FaultKind, Leave};
use super::proxy::{Conditions, Proxy};
use crate::load::run::fleet::EngineNumber;
use crate::load::services::Broker;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an engine that joins may take until it has partitions: the others have to commit, and to join again.
const JOIN_PATIENCE: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A fault that is under way. It has to be ended by [`Deed::end`]; dropping it undoes what can be undone by itself.
pub(crate) enum Deed {
    /// There is nothing to undo.
    Done,
    /// An engine is to be started.
    Killed,
    Paused(EngineNumber),
    BrokerStopped(Arc<Broker>),
    BrokerPaused(Arc<Broker>),
    Locked(CatalogLock),
    Proxied(Arc<Proxy>),
    Joined(EngineNumber, Leave),
}

/// A deed, and what it has to say of itself.
pub(crate) struct Begun {
    pub(crate) deed: Deed,
    /// Lines that show the fault, beside what the engine's metrics and log say.
    pub(crate) notes: Vec<String>,
}

impl FaultContext {
    /// Begins a fault. Returns when it has begun: another engine has partitions then, and what has no duration has happened.
    ///
    /// # Errors
    /// When it can't be done.
    pub(crate) fn begin(&self, kind: &FaultKind) -> anyhow::Result<Begun> {
        let mut notes = Vec::new();
        let deed = match kind {
            FaultKind::EngineKill => {
                self.fleet.kill(self.victim()?)?;
                Deed::Killed
            }
            FaultKind::EnginePause => {
                let victim = self.victim()?;
                self.fleet.pause(victim)?;
                Deed::Paused(victim)
            }
            FaultKind::BrokerRestart => {
                let broker = self.broker()?;
                broker.stop()?;
                Deed::BrokerStopped(broker)
            }
            FaultKind::BrokerPause => {
                let broker = self.broker()?;
                broker.pause()?;
                Deed::BrokerPaused(broker)
            }
            FaultKind::CatalogOutage(manner) => match &self.catalog {
                CatalogAccess::Sqlite(path) => Deed::Locked(CatalogLock::take(path)?),
                CatalogAccess::Proxied(proxy) => harm(proxy, Conditions::away(*manner))?,
            },
            FaultKind::CatalogSlow(delay) => match &self.catalog {
                CatalogAccess::Sqlite(path) => {
                    bail!("{} is a file: it has no network to be slow", path.display())
                }
                CatalogAccess::Proxied(proxy) => harm(proxy, Conditions::slow(*delay))?,
            },
            FaultKind::StoreOutage(manner) => harm(self.store_proxy()?, Conditions::away(*manner))?,
            FaultKind::StoreBrownout(brownout) => harm(self.store_proxy()?, Conditions::ill(*brownout))?,
            FaultKind::PartitionGrowth { partitions } => {
                grow(self.kafka()?, *partitions)?;
                Deed::Done
            }
            FaultKind::Rebalance { leave } => Deed::Joined(self.join()?, *leave),
            FaultKind::Compaction => {
                let maintenance = self.maintenance.as_ref().context("it is not known how maintain is run")?;
                notes.extend(maintain(maintenance)?);
                Deed::Done
            }
        };
        Ok(Begun { deed, notes })
    }

    /// Ends a fault. Returns when it is over: a broker answers again, an engine is started, a guest has left.
    ///
    /// # Errors
    /// When it can't be done.
    pub(crate) fn end(&self, deed: Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Done => Ok(()),
            Deed::Killed => self.fleet.start().map(drop),
            Deed::Paused(engine) => self.fleet.resume(engine),
            Deed::BrokerStopped(broker) => broker.start_again(),
            Deed::BrokerPaused(broker) => broker.resume(),
            Deed::Locked(lock) => lock.release(),
            Deed::Proxied(proxy) => proxy.set(Conditions::default()),
            Deed::Joined(guest, leave) => {
                let outcome = match leave {
                    Leave::Terminate => self.fleet.terminate(guest),
                    Leave::Kill => self.fleet.kill(guest),
                };
                *self.guest.lock() = None;
                outcome.context("the engine that had joined did not leave as it should")
            }
        }
    }

    /// Starts another engine. Returns when it is a member of the group that has partitions: only from then on is there
    /// something that its leaving takes away, and only a process that is so far heeds a SIGTERM for sure.
    fn join(&self) -> anyhow::Result<EngineNumber> {
        let number = {
            // Nobody may meet it before it is known to be a guest.
            let mut guest = self.guest.lock();
            let number = self.fleet.start()?;
            *guest = Some(number);
            number
        };
        let joined = self.fleet.wait_for_partitions(number, 1, JOIN_PATIENCE);
        if joined.is_err() {
            // Where it has ended already, that is the error which is told.
            let _ = self.fleet.kill(number);
            *self.guest.lock() = None;
        }
        joined.context("the engine that was to join the group did not")?;
        Ok(number)
    }

    fn kafka(&self) -> anyhow::Result<&KafkaAccess> {
        self.kafka.as_ref().context("there is no broker")
    }

    fn broker(&self) -> anyhow::Result<Arc<Broker>> {
        self.kafka()?.broker.clone().context("the broker is not one that may be stopped")
    }

    fn store_proxy(&self) -> anyhow::Result<&Arc<Proxy>> {
        self.store.as_ref().context("there is no object store")
    }
}

fn harm(proxy: &Arc<Proxy>, conditions: Conditions) -> anyhow::Result<Deed> {
    proxy.set(conditions)?;
    Ok(Deed::Proxied(proxy.clone()))
}

/// Gives the topic more partitions, waits until each has a leader, and tells whoever sends to it.
fn grow(kafka: &KafkaAccess, partitions: i32) -> anyhow::Result<()> {
    let topic = &kafka.topic;
    let wanted = usize::try_from(partitions).context("a topic has a positive number of partitions")?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.brokers);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let new_partitions = NewPartitions::new(topic, wanted);
    for outcome in runtime.block_on(admin.create_partitions([&new_partitions], &options))? {
        outcome.map_err(|(_, code)| {
            anyhow::anyhow!("topic {topic} can't get {partitions} partitions: {code}")
        })?;
    }
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let led = found.map_or(0, |found| found.partitions().iter().filter(|one| one.leader() >= 0).count());
        if led == wanted {
            break;
        }
        if Instant::now() >= deadline {
            bail!("topic {topic} has {led} of {wanted} partitions with a leader after {REQUEST_TIMEOUT:?}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    (kafka.has_grown)(partitions);
    Ok(())
}

/// Runs `pulselake maintain` to its end; what it says that it has done, `None` when it found nothing to do. A table that
/// the engine maintains at that moment is left to it: that is a race which ends well.
fn maintain(maintenance: &Maintenance) -> anyhow::Result<Option<String>> {
    let mut arguments = vec!["maintain", "--format", "json"];
    arguments.extend(maintenance.arguments.iter().map(String::as_str));
    let end = maintenance.binary.tool_to_its_end(&arguments, &maintenance.data_dir, &maintenance.scratch)?;
    let told = || format!("pulselake maintain ended with {}:\n{}", end.status, end.complaint);
    let report: Value = serde_json::from_str(&end.said).with_context(told)?;
    let failed = failed_tables(&report);
    if let Some(failure) = failed.iter().find(|failure| !is_left_to_the_engine(failure)) {
        bail!("{}: {failure}", told());
    }
    let took_s = end.usage.wall.as_secs_f64();
    Ok(work_done(&report).map(|work| format!("pulselake maintain {work}, in {took_s:.1} s")))
}

/// Why tables could not be maintained.
fn failed_tables(report: &Value) -> Vec<&str> {
    let failed = report["failed"].as_array().map_or(&[][..], Vec::as_slice);
    failed.iter().map(|table| table["error"].as_str().unwrap_or("no reason was given")).collect()
}

/// Another process has, or has taken, the table's lease.
fn is_left_to_the_engine(failure: &str) -> bool {
    failure.contains("maintains the table until") || failure.contains("the maintenance lease was lost")
}

/// What a report of `pulselake maintain` tells of its work; `None` when there was none, and nobody was met.
fn work_done(report: &Value) -> Option<String> {
    let tables = report["tables"].as_array()?;
    let changed = tables.iter().filter(|table| table["is_changed"] == true).count();
    let sum = |name: &str| tables.iter().filter_map(|table| table["compaction"][name].as_u64()).sum::<u64>();
    let (removed, added, lost) =
        (sum("files_removed"), sum("files_added"), sum("lost_races") + sum("conflicts"));
    let left = failed_tables(report).len();
    (changed + left > 0).then(|| {
        format!(
            "changed {changed} tables (files: {added} for {removed}), left {left} to the engine, and lost {lost} races \
             against it"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_that_the_engine_maintains_is_no_failure() {
        let failed = |error: &str| json!({"tables": [], "failed": [{"table": "x", "error": error}]});
        let held =
            failed("host/77 maintains the table until 1770458400000 (milliseconds since the epoch); wait");
        assert!(failed_tables(&held).into_iter().all(is_left_to_the_engine));
        assert!(work_done(&held).unwrap().contains("left 1 to the engine"));
        assert!(!failed_tables(&failed("the disk is full")).into_iter().all(is_left_to_the_engine));
        assert_eq!(failed_tables(&json!({})), Vec::<&str>::new());
    }

    #[test]
    fn maintenance_that_found_nothing_has_done_nothing() {
        let table = |is_changed: bool, removed: u64| {
            let compaction =
                json!({"files_removed": removed, "files_added": 1, "lost_races": 2, "conflicts": 1});
            json!({"table": "x", "is_changed": is_changed, "compaction": compaction})
        };
        assert_eq!(work_done(&json!({"tables": [table(false, 0)]})), None);
        assert_eq!(work_done(&json!({})), None);
        let told = work_done(&json!({"tables": [table(true, 14), table(false, 0)]})).unwrap();
        let expected =
            "changed 1 tables (files: 2 for 14), left 0 to the engine, and lost 6 races against it";
        assert_eq!(told, expected);
    }
}
