//! A catalog behind Iceberg's REST protocol.
//!
//! The catalog writes the metadata files and decides races; this side sends what is required and what is to change. Every
//! request ends within its time-outs, and each way it can fail says whether it may have been carried out.

mod client;
mod failure;
mod http;
mod token;
mod vended;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use iceberg::io::FileIO;
use iceberg::spec::UnboundPartitionSpec;
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent, TableRequirement, TableUpdate};
use parking_lot::Mutex;

use self::client::{Loaded, Properties, RestClient};
use self::vended::{Vended, vended};
use self::wire::{NewTable, TableAnswer};
use super::{Catalog, FileIoSource, RestSettings, Swap, SwapBounds, Timeouts};
use crate::CatalogError;
use crate::commit::back_off;
use crate::failpoint::{self, Injected};

pub use self::failure::RestFailure;

/// A REST catalog.
#[derive(Debug)]
pub struct RestCatalog {
    client: Arc<RestClient>,
    /// What it tells about the store of all tables.
    properties: Properties,
    files: Arc<dyn FileIoSource>,
    runtime: Runtime,
    loaded: Mutex<HashMap<TableIdent, Known>>,
}

/// A table as the catalog told it last.
#[derive(Clone)]
struct Known {
    table: Table,
    /// The catalog's name for this state.
    etag: Option<String>,
    /// What was told about the store.
    vended: HashMap<String, String>,
    /// Until when the credentials in it are used.
    good_until: Option<Instant>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let location = self.table.metadata_location();
        formatter.debug_struct("Known").field("metadata_location", &location).finish_non_exhaustive()
    }
}

/// What became of a commit that was sent.
type Committed = Result<(TableAnswer, Option<String>), CatalogError>;

impl RestCatalog {
    /// Asks the catalog at `uri` for its configuration.
    pub async fn open(
        uri: &str,
        settings: &RestSettings,
        timeouts: Timeouts,
        files: Arc<dyn FileIoSource>,
        runtime: Runtime,
    ) -> Result<Self, CatalogError> {
        let (client, mut properties) = RestClient::open(uri, settings, timeouts).await?;
        // Those are for the catalog, not for the store.
        for name in ["credential", "token", "scope", "oauth2-server-uri"] {
            properties.remove(name);
        }
        Ok(Self { client: Arc::new(client), properties, files, runtime, loaded: Mutex::default() })
    }

    fn failed(&self, action: &'static str) -> impl Fn(RestFailure) -> CatalogError + Clone + use<> {
        let catalog = self.client.describe();
        move |failure| CatalogError::Rest { action, catalog: catalog.clone(), failure }
    }

    fn known(&self, table: &TableIdent) -> Option<Known> {
        self.loaded.lock().get(table).cloned()
    }

    /// Keeps a table as the catalog has told it.
    fn remember(
        &self,
        table: &TableIdent,
        answer: TableAnswer,
        etag: Option<String>,
        of_commit: bool,
    ) -> Result<Table, CatalogError> {
        let known = self.known(table);
        let told = match &known {
            // The answer to a commit tells nothing of the store.
            Some(known) if of_commit => {
                Vended { properties: known.vended.clone(), good_until: known.good_until }
            }
            _ => vended(&self.properties, &answer),
        };
        let location = answer.metadata.location();
        let file_io = match known {
            Some(known)
                if known.vended == told.properties && known.table.metadata().location() == location =>
            {
                known.table.file_io().clone()
            }
            _ => self.files.file_io(location, &told.properties),
        };
        let opened = self.build(table, answer, file_io)?;
        let now_known =
            Known { table: opened.clone(), etag, vended: told.properties, good_until: told.good_until };
        self.loaded.lock().insert(table.clone(), now_known);
        Ok(opened)
    }

    fn build(&self, table: &TableIdent, answer: TableAnswer, file_io: FileIO) -> Result<Table, CatalogError> {
        let mut builder = Table::builder()
            .identifier(table.clone())
            .metadata(answer.metadata)
            .file_io(file_io)
            .runtime(self.runtime.clone());
        if let Some(location) = answer.metadata_location {
            builder = builder.metadata_location(location);
        }
        builder.build().map_err(CatalogError::iceberg("open", &table.to_string()))
    }

    /// Sends one commit.
    async fn send(
        &self,
        table: &TableIdent,
        requirements: &Arc<[TableRequirement]>,
        updates: &Arc<[TableUpdate]>,
        bounds: SwapBounds,
    ) -> Committed {
        let point = "lake::catalog_swap";
        let timeout = bounds.answer_timeout;
        let failed = self.failed("commit");
        let ask = || {
            let (client, failed, table) = (self.client.clone(), failed.clone(), table.clone());
            let (requirements, updates) = (requirements.clone(), updates.clone());
            async move { client.commit(&table, &requirements, &updates, timeout).await.map_err(failed) }
        };
        let made_up = |injected| {
            Err(match injected {
                Injected::Error => CatalogError::Injected { point },
                Injected::Unknown => self.no_answer(table, bounds),
            })
        };
        match tokio::time::timeout(timeout, failpoint::request(point, ask, made_up)).await {
            Ok(committed) => committed,
            Err(_) => Err(self.no_answer(table, bounds)),
        }
    }

    fn no_answer(&self, table: &TableIdent, bounds: SwapBounds) -> CatalogError {
        CatalogError::NoAnswer {
            table: table.to_string(),
            waited_ms: bounds.answer_timeout.as_millis() as u64,
        }
    }

    /// Sends the commit until it is answered, refused for good, or the deadline has come.
    async fn send_until(
        &self,
        table: &TableIdent,
        requirements: &Arc<[TableRequirement]>,
        updates: &Arc<[TableUpdate]>,
        bounds: SwapBounds,
    ) -> Committed {
        let mut refusals = 0;
        loop {
            let committed = self.send(table, requirements, updates, bounds).await;
            let Err(CatalogError::Rest { failure, .. }) = &committed else {
                return committed;
            };
            let wait = failure.retry_after().unwrap_or_default();
            if !failure.is_worth_waiting_for() || Instant::now() + wait >= bounds.deadline {
                return committed;
            }
            refusals += 1;
            tokio::time::sleep(wait).await;
            back_off(refusals).await;
        }
    }

    /// What a commit's answer says.
    fn outcome(&self, table: &TableIdent, updates: &[TableUpdate], committed: Committed) -> Swap {
        let (answer, etag) = match committed {
            Ok(answered) => answered,
            Err(CatalogError::Rest { failure, .. }) if failure.is_conflict() => return Swap::Conflict,
            Err(error) if may_have_happened(&error) => return Swap::Unknown(error),
            Err(error) => return Swap::Refused(error),
        };
        let added = updates.iter().filter_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => Some(snapshot.snapshot_id()),
            _ => None,
        });
        for snapshot_id in added {
            if answer.metadata.snapshot_by_id(snapshot_id).is_none() {
                let reason = format!("success, but without the snapshot {snapshot_id}");
                return Swap::Unknown(self.failed("commit")(RestFailure::Unreadable { reason }));
            }
        }
        match self.remember(table, answer, etag, true) {
            Ok(landed) => Swap::Done(Box::new(landed)),
            // It is in the table all the same.
            Err(error) => Swap::Unknown(error),
        }
    }

    /// All namespaces, those in others included.
    async fn all_namespaces(&self) -> Result<Vec<NamespaceIdent>, CatalogError> {
        let failed = self.failed("list its namespaces");
        let mut found = Vec::new();
        let mut parents = vec![None];
        while let Some(parent) = parents.pop() {
            let children = match self.client.namespaces(parent.as_ref()).await {
                Ok(children) => children,
                Err(failure) if parent.is_some() && has_no_children(&failure) => continue,
                Err(failure) => return Err(failed(failure)),
            };
            for levels in children {
                let namespace =
                    NamespaceIdent::from_vec(levels).map_err(CatalogError::iceberg("list", "a namespace"))?;
                // A catalog that ignores the parent would lead in circles.
                if namespace.parent() == parent {
                    parents.push(Some(namespace.clone()));
                    found.push(namespace);
                }
            }
        }
        Ok(found)
    }
}

/// Whether a commit that ended with this error may have landed.
fn may_have_happened(error: &CatalogError) -> bool {
    match error {
        CatalogError::Rest { failure, .. } => failure.may_have_happened(),
        CatalogError::NoAnswer { .. } => true,
        _ => false,
    }
}

/// Whether a namespace was dropped meanwhile, or the catalog knows no namespaces in others.
fn has_no_children(failure: &RestFailure) -> bool {
    failure.is_missing() || matches!(failure, RestFailure::Status { status: 400 | 405 | 406 | 501, .. })
}

#[async_trait]
impl Catalog for RestCatalog {
    fn describe(&self) -> String {
        self.client.describe()
    }

    async fn load(&self, table: &TableIdent) -> Result<Option<Table>, CatalogError> {
        let known = self.known(table);
        let is_fresh = |known: &&Known| known.good_until.is_none_or(|until| Instant::now() < until);
        let etag = known.as_ref().filter(is_fresh).and_then(|known| known.etag.clone());
        let point = "lake::catalog_read";
        let failed = self.failed("load a table");
        let ask = || {
            let (client, failed, table, etag) =
                (self.client.clone(), failed.clone(), table.clone(), etag.clone());
            async move { client.load(&table, etag.as_deref()).await.map_err(failed) }
        };
        match failpoint::request(point, ask, |_| Err(CatalogError::Injected { point })).await? {
            Loaded::Missing => Ok(None),
            Loaded::Unchanged => Ok(known.map(|known| known.table)),
            Loaded::Table(answer, etag) => self.remember(table, *answer, etag, false).map(Some),
        }
    }

    fn last_known(&self, table: &TableIdent) -> Option<Table> {
        self.known(table).map(|known| known.table)
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError> {
        let levels = namespace.as_ref();
        for depth in 1..=levels.len() {
            let ancestor = NamespaceIdent::from_vec(levels[..depth].to_vec())
                .map_err(CatalogError::iceberg("create the namespace", &levels.join(".")))?;
            // Asked first: who may use a namespace need not have the right to create one.
            if self.client.has_namespace(&ancestor).await.map_err(self.failed("read a namespace"))? {
                continue;
            }
            match self.client.create_namespace(&ancestor).await {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(self.failed("create a namespace")(failure)),
            }
        }
        Ok(())
    }

    async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        creation: TableCreation,
    ) -> Result<bool, CatalogError> {
        let mut properties = creation.properties;
        // The protocol has no other place for it.
        properties.insert("format-version".to_string(), (creation.format_version as u8).to_string());
        let table = NewTable {
            name: creation.name,
            location: creation.location,
            schema: creation.schema,
            partition_spec: creation.partition_spec.map(with_spec_id),
            write_order: creation.sort_order,
            stage_create: false,
            properties,
        };
        match self.client.create_table(namespace, &table).await {
            Ok(()) => Ok(true),
            Err(failure) if failure.is_conflict() => Ok(false),
            Err(failure) => Err(self.failed("create a table")(failure)),
        }
    }

    async fn list_tables(&self) -> Result<Vec<TableIdent>, CatalogError> {
        let mut tables = Vec::new();
        for namespace in self.all_namespaces().await? {
            match self.client.tables(&namespace).await {
                Ok(found) => tables.extend(found),
                // Dropped meanwhile.
                Err(failure) if failure.is_missing() => {}
                Err(failure) => return Err(self.failed("list its tables")(failure)),
            }
        }
        tables.sort();
        Ok(tables)
    }

    async fn swap(
        &self,
        base: &Table,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
        bounds: SwapBounds,
    ) -> Swap {
        let before = "lake::before_catalog_swap";
        match failpoint::reach(before).await {
            Some(Injected::Unknown) => return Swap::Unknown(CatalogError::Injected { point: before }),
            Some(Injected::Error) => return Swap::Refused(CatalogError::Injected { point: before }),
            None => {}
        }
        let table = base.identifier();
        let (requirements, updates): (Arc<[_]>, Arc<[_]>) = (requirements.into(), updates.into());
        let committed = self.send_until(table, &requirements, &updates, bounds).await;
        let outcome = self.outcome(table, &updates, committed);
        let after = "lake::after_catalog_swap";
        if matches!(outcome, Swap::Done(_)) && failpoint::reach(after).await == Some(Injected::Unknown) {
            return Swap::Unknown(CatalogError::Injected { point: after });
        }
        outcome
    }
}

/// Some servers want the id that the specification lets out.
fn with_spec_id(spec: UnboundPartitionSpec) -> UnboundPartitionSpec {
    match spec.spec_id() {
        Some(_) => spec,
        None => spec.with_spec_id(0),
    }
}
