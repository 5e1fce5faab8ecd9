//! What faults act on, and what a plan needs of it. Everything that a plan needs is looked for before the run begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{bail, ensure};
use parking_lot::Mutex;

use super::plan::{FaultKind, FaultPlan, Target};
use super::proxy::Proxy;
use crate::engine::EngineBinary;
use crate::load::run::fleet::{EngineNumber, Fleet};
use crate::load::services::{Broker, KAFKA_DIRECTORY_VARIABLE};

/// What faults may act on; what is not there is `None`, and a plan that needs it is refused.
pub(crate) struct FaultContext {
    /// The engines. The first one runs when faults begin.
    pub(crate) fleet: Arc<Fleet>,
    /// Where events come from, if not from the engine's own generator.
    pub(crate) kafka: Option<KafkaAccess>,
    pub(crate) catalog: CatalogAccess,
    /// Before the object store.
    pub(crate) store: Option<Arc<Proxy>>,
    /// For compaction beside the engine.
    pub(crate) maintenance: Option<Maintenance>,
    /// The engine process that has joined for a rebalance; at first `None`.
    pub(crate) guest: Mutex<Option<EngineNumber>>,
}

/// The broker and the topic.
pub(crate) struct KafkaAccess {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    /// The broker as a process, where it may be stopped.
    pub(crate) broker: Option<Arc<Broker>>,
    /// Told how many partitions the topic has, after it has grown.
    pub(crate) has_grown: Box<dyn Fn(i32) + Send + Sync>,
}

/// How the catalog can be reached, to do it harm.
pub(crate) enum CatalogAccess {
    /// The file of a SQLite database.
    Sqlite(PathBuf),
    /// Before PostgreSQL or a REST catalog.
    Proxied(Arc<Proxy>),
}

/// How `pulselake maintain` is run.
pub(crate) struct Maintenance {
    pub(crate) binary: EngineBinary,
    /// Where the tables are, beyond the data directory: `--catalog`, `--warehouse`, `--set` and so on.
    pub(crate) arguments: Vec<String>,
    pub(crate) data_dir: PathBuf,
    /// For what it says.
    pub(crate) scratch: PathBuf,
}

impl FaultContext {
    /// Engines alone, with their catalog in this file.
    pub(crate) fn of_engines(fleet: Arc<Fleet>, catalog: &Path) -> Self {
        Self {
            fleet,
            kafka: None,
            catalog: CatalogAccess::Sqlite(catalog.to_owned()),
            store: None,
            maintenance: None,
            guest: Mutex::new(None),
        }
    }

    /// Checks that everything is there that a plan needs.
    ///
    /// # Errors
    /// What is missing first, with what can be done about it.
    pub(crate) fn check(&self, plan: &FaultPlan) -> anyhow::Result<()> {
        for (index, fault) in plan.faults.iter().enumerate() {
            let name = format!("fault {} of the file, of kind {}", index + 1, fault.kind.name());
            self.check_kind(&fault.kind, &name)?;
        }
        Ok(())
    }

    fn check_kind(&self, kind: &FaultKind, name: &str) -> anyhow::Result<()> {
        match kind.target() {
            Target::Engine => {}
            Target::Broker => match &self.kafka {
                None => {
                    bail!("{name}, stops the broker, but the events come from the engine's own generator")
                }
                Some(kafka) => ensure!(
                    kafka.broker.is_some(),
                    "{name}, stops the broker, but the one at {} is not the load test's own: leave --brokers out, so that \
                     it starts one, or set {KAFKA_DIRECTORY_VARIABLE} to the directory in which kafka-up.sh has started \
                     that one",
                    kafka.brokers
                ),
            },
            Target::Topic | Target::Group => ensure!(
                self.kafka.is_some(),
                "{name}, needs a topic, but the events come from the engine's own generator"
            ),
            Target::Catalog => ensure!(
                !matches!((kind, &self.catalog), (FaultKind::CatalogSlow(_), CatalogAccess::Sqlite(_))),
                "{name}, delays answers on a network, but the catalog is a SQLite file: put it in PostgreSQL or behind \
                 a REST catalog, or use catalog_outage"
            ),
            Target::Store => {
                ensure!(
                    self.store.is_some(),
                    "{name}, needs tables in an object store, but they are local files"
                );
            }
            Target::Tables => {
                ensure!(self.maintenance.is_some(), "{name}, needs to know how pulselake maintain is run");
            }
        }
        Ok(())
    }

    /// The engine that faults of one engine act on: the oldest one that is not a guest.
    pub(super) fn victim(&self) -> anyhow::Result<EngineNumber> {
        let guest = *self.guest.lock();
        let mut members = self.fleet.members().into_iter();
        members.find(|member| Some(*member) != guest).ok_or_else(|| anyhow::anyhow!("no engine runs"))
    }
}
