//! The names of a query: catalog `lake`, the namespaces of the Iceberg catalog as its schemas, and `serving` with the views.
//!
//! All of it lives as long as one query. A table is loaded when the statement names it, once: a join of a table with
//! itself reads one snapshot. The names of everything are asked of the catalog only by those statements that list names.

mod tables;
mod views;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::TableType;

pub use tables::{Listing, QueryTables};

/// The catalog's name.
pub const CATALOG: &str = "lake";
/// The schema with the views: where a name without a schema is looked for.
pub const SERVING: &str = "serving";
/// Schemas that are shown whether or not there is a table in them yet.
const KNOWN_SCHEMAS: [&str; 5] = ["bronze", "dims", "gold", "qa", "silver"];

/// The names of one query. Clones share the tables.
#[derive(Clone, Debug)]
pub struct QueryCatalog {
    tables: Arc<QueryTables>,
    /// Views within views so far: a view that names itself must end.
    depth: usize,
}

impl QueryCatalog {
    /// The names of a query that begins now.
    pub fn new(tables: Arc<QueryTables>) -> Self {
        Self { tables, depth: 0 }
    }

    fn within_a_view(&self) -> Self {
        Self { tables: self.tables.clone(), depth: self.depth + 1 }
    }
}

impl CatalogProviderList for QueryCatalog {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for QueryCatalog {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema_names(&self) -> Vec<String> {
        let mut names: Vec<String> = KNOWN_SCHEMAS.map(ToOwned::to_owned).to_vec();
        names.push(SERVING.to_owned());
        names.extend(self.tables.listing().tables.iter().map(|(namespace, _)| namespace.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every name is taken: whether there is such a namespace is seen when a table of it is loaded.
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SERVING {
            return Some(Arc::new(views::ServingSchema::new(self.clone())));
        }
        Some(Arc::new(LakeSchema { namespace: name.to_owned(), tables: self.tables.clone() }))
    }
}

/// A namespace of the Iceberg catalog.
#[derive(Debug)]
struct LakeSchema {
    namespace: String,
    tables: Arc<QueryTables>,
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_names(&self) -> Vec<String> {
        let listing = self.tables.listing();
        let of_schema = listing.tables.iter().filter(|(namespace, _)| *namespace == self.namespace);
        of_schema.map(|(_, name)| name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.tables.table(&self.namespace, name).await
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
