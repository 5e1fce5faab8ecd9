//! Schema `serving`: the views of sql/serving/, each planned when a statement names it.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::TableType;

use super::QueryCatalog;
use crate::session;
use crate::views::{ServingView, serving_views};

/// Views within views at most. Those of this build go a few deep; a circle must be an error, not the end of the stack.
const MOST_NESTED_VIEWS: usize = 8;

/// The views' names on the tables of one query.
#[derive(Debug)]
pub(super) struct ServingSchema {
    catalog: QueryCatalog,
}

impl ServingSchema {
    pub(super) fn new(catalog: QueryCatalog) -> Self {
        Self { catalog }
    }
}

fn view_named(name: &str) -> Option<&'static ServingView> {
    serving_views().iter().find(|view| view.name == name)
}

#[async_trait]
impl SchemaProvider for ServingSchema {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_names(&self) -> Vec<String> {
        self.catalog.tables.listing().views
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(view) = view_named(name) else { return Ok(None) };
        if self.catalog.depth >= MOST_NESTED_VIEWS {
            let message = format!("view {name} stands in more than {MOST_NESTED_VIEWS} views");
            return Err(DataFusionError::Plan(message));
        }
        let within = self.catalog.within_a_view();
        let state = session::with_names(self.catalog.tables.base(), within);
        let plan = state
            .create_logical_plan(view.query())
            .await
            .map_err(|error| error.context(format!("view {name} can't be planned")))?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(view.query().to_owned())))))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        view_named(name).is_some()
    }
}
