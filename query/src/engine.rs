//! Runs statements: plans them on fresh snapshots, checks that they only read, and hands their rows to a writer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, ScalarUDF};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use serde::Serialize;

use crate::catalog::{Listing, QueryCatalog, QueryTables, SERVING};
use crate::output::ResultWriter;
use crate::provider::LakeScan;
use crate::statement_size::{self, on_large_stack};
use crate::views::serving_views;
use crate::{QueryError, QueryLimits, read_only, session, suggestion};

/// Where the lake is, and what all queries of the process may take together.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Catalog and warehouse.
    pub lake: LakeSettings,
    /// Memory of all queries together, bytes. It counts what grows with the rows: hash tables, sorts, open files.
    pub memory_bytes: usize,
    /// Where sorts and aggregations go on that don't fit into memory; the system's directory for temporary files, if `None`.
    pub spill_directory: Option<PathBuf>,
    /// What may lie there, bytes.
    pub spill_bytes: u64,
    /// Partitions that a query works on at the same time.
    pub threads: usize,
}

impl EngineSettings {
    /// 1 GiB of memory, 8 GiB on disk, as many threads as cores.
    pub fn new(lake: LakeSettings) -> Self {
        Self {
            lake,
            memory_bytes: 1 << 30,
            spill_directory: None,
            spill_bytes: 8 << 30,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What came of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows returned.
    pub row_count: u64,
    /// Whether there were more.
    pub truncated: bool,
    /// From the statement's arrival to its last row, milliseconds.
    pub elapsed_ms: u64,
}

/// Catalog, warehouse and memory of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueryEngine {
    lake: Lake,
    base: Arc<SessionState>,
    /// The tables of all statements, where they share them; else each has its own.
    shared_tables: Option<Arc<QueryTables>>,
}

/// A statement that was understood and only reads.
#[derive(Debug)]
pub struct Planned {
    state: SessionState,
    plan: LogicalPlan,
}

impl QueryEngine {
    /// Opens the lake, which must be there. Must be called inside the tokio runtime that runs the queries.
    ///
    /// # Errors
    /// When there is no catalog, or the settings don't fit.
    pub async fn open(settings: &EngineSettings) -> Result<Self, QueryError> {
        let lake = Lake::open(&settings.lake, OpenMode::MustExist).await.map_err(QueryError::unavailable)?;
        Ok(Self { lake, base: Arc::new(session::base(settings)?), shared_tables: None })
    }

    /// The same engine, on the same memory (and the same moment), with further functions.
    pub(crate) fn with_functions(&self, functions: Vec<ScalarUDF>) -> Result<Self, QueryError> {
        let mut state = SessionState::clone(&self.base);
        for function in functions {
            state.register_udf(Arc::new(function))?;
        }
        Ok(self.with_base(state))
    }

    /// The same engine, on the same memory (and the same moment), whose joins hold their left side and stream their right one:
    /// see [`session::streaming`].
    pub(crate) fn streaming(&self) -> Self {
        self.with_base(session::streaming(&self.base))
    }

    fn with_base(&self, state: SessionState) -> Self {
        let base = Arc::new(state);
        let shared_tables =
            self.shared_tables.as_ref().map(|tables| Arc::new(tables.in_session(base.clone())));
        Self { lake: self.lake.clone(), base, shared_tables }
    }

    /// The same engine, whose statements all read a table as it is when the first of them names it.
    pub(crate) fn at_one_moment(&self) -> Self {
        let tables = QueryTables::new(self.lake.clone(), self.base.clone());
        Self { lake: self.lake.clone(), base: self.base.clone(), shared_tables: Some(Arc::new(tables)) }
    }

    /// Partitions that a query works on at the same time.
    pub(crate) fn threads(&self) -> usize {
        self.base.config().target_partitions()
    }

    /// The lake.
    pub(crate) fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Plans a statement on the tables as they are now.
    ///
    /// # Errors
    /// When it can't be understood, names what is not there, or does more than read.
    pub async fn plan(&self, sql: &str) -> Result<Planned, QueryError> {
        statement_size::check(sql)?;
        on_large_stack(self.plan_checked(sql)).await
    }

    /// Plans a statement of this program's own, however long.
    pub(crate) async fn plan_own(&self, sql: &str) -> Result<Planned, QueryError> {
        on_large_stack(self.plan_checked(sql)).await
    }

    async fn plan_checked(&self, sql: &str) -> Result<Planned, QueryError> {
        let tables = match &self.shared_tables {
            Some(shared) => shared.clone(),
            None => Arc::new(QueryTables::new(self.lake.clone(), self.base.clone())),
        };
        let state = session::with_names(&self.base, QueryCatalog::new(tables.clone()));
        let dialect = state.config_options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect)?;
        let references = state.resolve_table_references(&statement)?;
        if references.iter().any(|reference| reference.schema() == Some("information_schema")) {
            tables.list(self.listing_of(&tables).await?);
        }
        let plan = match state.statement_to_plan(statement).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.with_suggestion(error, &tables).await),
        };
        read_only::check(&plan)?;
        Ok(Planned { state, plan })
    }

    /// Runs a statement within `limits` and hands its rows to `writer`.
    ///
    /// # Errors
    /// When the statement fails or reaches a limit other than that of rows. What `writer` had by then is no result.
    pub async fn run(
        &self,
        sql: &str,
        limits: QueryLimits,
        writer: &mut dyn ResultWriter,
    ) -> Result<Summary, QueryError> {
        let started = Instant::now();
        let work = async {
            let planned = self.plan(sql).await?;
            let (row_count, truncated) = write_rows(planned, limits.max_rows, writer).await?;
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let summary = Summary { row_count, truncated, elapsed_ms };
            writer.end(&summary)?;
            Ok(summary)
        };
        within(limits.timeout, work).await
    }

    /// All rows of a statement, without a limit.
    ///
    /// # Errors
    /// As [`QueryEngine::run`].
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let rows = self.plan(sql).await?.execute(None).await?;
        Ok(rows.try_collect().await?)
    }

    /// The names of all functions, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let scalar = self.base.scalar_functions().keys();
        let others = self.base.aggregate_functions().keys().chain(self.base.window_functions().keys());
        let mut names: Vec<String> = scalar.chain(others).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of all tables, and of the views that work on them.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn listing(&self) -> Result<Listing, QueryError> {
        let tables = QueryTables::new(self.lake.clone(), self.base.clone());
        self.listing_of(&Arc::new(tables)).await
    }

    /// The columns of a table or view; `None` where there is none of this name.
    ///
    /// # Errors
    /// When it can't be loaded or planned.
    pub async fn columns(&self, schema: &str, name: &str) -> Result<Option<SchemaRef>, QueryError> {
        let tables = Arc::new(QueryTables::new(self.lake.clone(), self.base.clone()));
        Ok(find_table(&tables, schema, name).await?.map(|found| found.schema()))
    }

    async fn listing_of(&self, tables: &Arc<QueryTables>) -> Result<Listing, QueryError> {
        let mut listing =
            Listing { tables: tables.names().await.map_err(QueryError::unavailable)?, views: Vec::new() };
        for view in serving_views() {
            match find_table(tables, SERVING, view.name).await {
                Ok(_) => listing.views.push(view.name.to_owned()),
                Err(error) => tracing::debug!(view = view.name, %error, "the view is not listed"),
            }
        }
        listing.views.sort_unstable();
        Ok(listing)
    }

    /// Adds what may have been meant to an error about a table that is not there.
    async fn with_suggestion(&self, error: DataFusionError, tables: &QueryTables) -> QueryError {
        let mut refusal = QueryError::from(error);
        let QueryError::BadSql { message, .. } = &mut refusal else { return refusal };
        let Some(missing) = suggestion::missing_table(message) else { return refusal };
        let Ok(names) = tables.names().await else { return refusal };
        let known = names
            .into_iter()
            .map(|(schema, name)| format!("{schema}.{name}"))
            .chain(serving_views().iter().map(|view| format!("{SERVING}.{}", view.name)));
        let advice = match suggestion::nearest(&missing, known) {
            Some(name) => format!("there is no table {missing}; did you mean {name}?"),
            None => format!("there is no table {missing}; SHOW TABLES lists what there is"),
        };
        *message = advice;
        refusal
    }
}

/// A statement at work.
pub(crate) struct Running {
    /// How it is computed; its operators count what they do.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// What comes out.
    pub(crate) rows: SendableRecordBatchStream,
}

impl Running {
    /// Rows that were read from tables so far.
    pub(crate) fn rows_read(&self) -> u64 {
        rows_read(&self.plan)
    }
}

/// Rows that the scans below `plan` have read so far.
pub(crate) fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let own = match plan.as_any().is::<LakeScan>() {
        true => plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or_default() as u64,
        false => 0,
    };
    own + plan.children().into_iter().map(rows_read).sum::<u64>()
}

impl Planned {
    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema().inner().clone()
    }

    /// Starts the work; of `max_rows` rows no more than one too many is computed, where that is given.
    ///
    /// # Errors
    /// When no way to compute the result is found.
    pub async fn execute(self, max_rows: Option<u64>) -> Result<SendableRecordBatchStream, QueryError> {
        let plan = match max_rows {
            Some(rows) if is_query(&self.plan) => {
                let enough = usize::try_from(rows).unwrap_or(usize::MAX).saturating_add(1);
                LogicalPlanBuilder::from(self.plan).limit(0, Some(enough))?.build()?
            }
            _ => self.plan,
        };
        let physical = on_large_stack(self.state.create_physical_plan(&plan)).await?;
        Ok(execute_stream(physical, self.state.task_ctx())?)
    }

    /// Starts the work, for all rows, and shows it.
    ///
    /// # Errors
    /// As [`Planned::execute`].
    pub(crate) async fn start(self) -> Result<Running, QueryError> {
        let plan = on_large_stack(self.state.create_physical_plan(&self.plan)).await?;
        let rows = execute_stream(plan.clone(), self.state.task_ctx())?;
        Ok(Running { plan, rows })
    }
}

/// Whether a plan may stand below a limit: EXPLAIN and DESCRIBE must be at the top.
fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_))
}

async fn find_table(
    tables: &Arc<QueryTables>,
    schema: &str,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
    match QueryCatalog::new(tables.clone()).schema(schema) {
        Some(known) => Ok(known.table(name).await?),
        None => Ok(None),
    }
}

/// Rows written, and whether there were more.
async fn write_rows(
    planned: Planned,
    max_rows: Option<u64>,
    writer: &mut dyn ResultWriter,
) -> Result<(u64, bool), QueryError> {
    let mut rows = planned.execute(max_rows).await?;
    writer.begin(&rows.schema())?;
    let mut count = 0;
    while let Some(read) = rows.next().await {
        let batch = read?;
        let left = max_rows.map_or(u64::MAX, |most| most - count);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows());
        if wanted > 0 {
            writer.batch(&batch.slice(0, wanted))?;
            count += wanted as u64;
        }
        if wanted < batch.num_rows() {
            return Ok((count, true));
        }
    }
    Ok((count, false))
}

/// `work`, or an error once `limit` has passed. Dropping the work ends it, with all its tasks.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(QueryError::Timeout { limit })),
    }
}
