//! The tables that one query has loaded, and the names of all there are where it asked for them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use iceberg::{NamespaceIdent, TableIdent};
use pulselake_lake::{Lake, LakeError, iceberg_schema};
use pulselake_model::tables::LakeTable;
use tokio::sync::Mutex;

/// The names of all tables and views, as statements show them that list names.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Namespace and name of each table.
    pub tables: Vec<(String, String)>,
    /// The views that can be planned on these tables.
    pub views: Vec<String>,
}

/// What was found under a namespace and a name; `None`: there is no such table.
type Loaded = HashMap<(String, String), Option<Arc<dyn TableProvider>>>;

/// The tables of one query.
#[derive(Debug)]
pub struct QueryTables {
    lake: Lake,
    /// A session without the names of the query, which views are planned in.
    base: Arc<SessionState>,
    loaded: Arc<Mutex<Loaded>>,
    listing: OnceLock<Listing>,
}

impl QueryTables {
    /// No table yet.
    pub fn new(lake: Lake, base: Arc<SessionState>) -> Self {
        Self { lake, base, loaded: Arc::default(), listing: OnceLock::new() }
    }

    /// The same tables, as they were loaded, for views that are planned in another session.
    pub(crate) fn in_session(&self, base: Arc<SessionState>) -> Self {
        Self { lake: self.lake.clone(), base, loaded: self.loaded.clone(), listing: OnceLock::new() }
    }

    pub(super) fn base(&self) -> &SessionState {
        &self.base
    }

    /// The names that [`QueryTables::list`] was told of; none before.
    pub fn listing(&self) -> Listing {
        self.listing.get().cloned().unwrap_or_default()
    }

    /// The names of all tables, sorted.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn names(&self) -> std::result::Result<Vec<(String, String)>, LakeError> {
        let known = self.lake.catalog().list_tables().await?;
        let mut names: Vec<(String, String)> = known
            .into_iter()
            .map(|table| (table.namespace().to_url_string(), table.name().to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Sets the names that listing statements show, for the rest of the query.
    pub fn list(&self, listing: Listing) {
        // A second listing of the same query would say the same.
        let _ = self.listing.set(listing);
    }

    /// The table; `None` where there is none of this name. One that this build knows, and that was not created yet, has no
    /// rows: a view over it then reads as one over no events, not as an error.
    ///
    /// # Errors
    /// When the catalog does not answer, or the table's metadata can't be read.
    pub async fn table(&self, namespace: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut loaded = self.loaded.lock().await;
        if let Some(known) = loaded.get(&key) {
            return Ok(known.clone());
        }
        let table = self.load(namespace, name).await?;
        loaded.insert(key, table.clone());
        Ok(table)
    }

    async fn load(&self, namespace: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let ident = TableIdent::new(NamespaceIdent::new(namespace.to_owned()), name.to_owned());
        let found =
            self.lake.catalog().load(&ident).await.map_err(|error| external(LakeError::from(error)))?;
        if let Some(table) = found {
            return Ok(Some(Arc::new(crate::provider::LakeTableProvider::try_new(table)?)));
        }
        let known =
            LakeTable::ALL.into_iter().find(|table| table.namespace() == namespace && table.name() == name);
        let Some(table) = known else { return Ok(None) };
        let schema = iceberg_schema(table)
            .and_then(|schema| iceberg::arrow::schema_to_arrow_schema(&schema))
            .map_err(external)?;
        let empty = EmptyTable::new(Arc::new(crate::provider::without_ids(&schema)));
        Ok(Some(Arc::new(empty)))
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
