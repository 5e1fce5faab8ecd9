//! Sessions: what every query has in common, and the names that each has for itself.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;

use crate::catalog::{CATALOG, QueryCatalog, SERVING};
use crate::cooperation::MultipliersCooperate;
use crate::engine::EngineSettings;
use crate::functions;

/// The largest consumers that an error about memory names.
const NAMED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(2);

/// What a sort keeps back of the memory to merge what it has written out: of little memory, a small part.
const MOST_KEPT_FOR_MERGING_BYTES: usize = 10 << 20;
const LEAST_KEPT_FOR_MERGING_BYTES: usize = 128 << 10;
/// That part, for each partition.
const KEPT_FOR_MERGING: usize = 16;

/// Rows of a batch where there is memory enough for many of them.
const BATCH_ROWS: usize = 8_192;
const LEAST_BATCH_ROWS: usize = 512;
/// With less, batches are smaller in the same measure: an operator that can't hold one can't write it out either.
const ENOUGH_FOR_LARGE_BATCHES_BYTES: usize = 256 << 20;

/// A session without names: memory, disk and functions that all queries of the process share.
///
/// # Errors
/// When the directory for what does not fit into memory can't be made.
pub(crate) fn base(settings: &EngineSettings) -> Result<SessionState> {
    let mut disk = DiskManagerBuilder::default().with_max_temp_directory_size(settings.spill_bytes);
    if let Some(directory) = &settings.spill_directory {
        disk = disk.with_mode(DiskManagerMode::Directories(vec![directory.clone()]));
    }
    let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_bytes), NAMED_CONSUMERS);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let mut state = SessionStateBuilder::new_with_default_features()
        .with_config(config(settings))
        .with_runtime_env(runtime)
        .with_physical_optimizer_rule(Arc::new(MultipliersCooperate))
        .build();
    for function in functions::all() {
        datafusion::execution::FunctionRegistry::register_udf(&mut state, Arc::new(function))?;
    }
    Ok(state)
}

fn config(settings: &EngineSettings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SERVING)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(settings.threads);
    let options = config.options_mut();
    // What the tables have: no cast stands between a literal and a column.
    options.execution.time_zone = Some("+00:00".to_owned());
    let batch_rows = BATCH_ROWS.saturating_mul(settings.memory_bytes) / ENOUGH_FOR_LARGE_BATCHES_BYTES;
    options.execution.batch_size = batch_rows.clamp(LEAST_BATCH_ROWS, BATCH_ROWS);
    let kept = settings.memory_bytes / (KEPT_FOR_MERGING * settings.threads.max(1));
    options.execution.sort_spill_reservation_bytes =
        kept.clamp(LEAST_KEPT_FOR_MERGING_BYTES, MOST_KEPT_FOR_MERGING_BYTES);
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

/// A session whose joins are made as they are written: the left side is held in memory, the right one streams by, and is not
/// dealt out anew before; and what a statement computes in one place is computed there, once. For statements that say which
/// side is large.
pub(crate) fn streaming(base: &SessionState) -> SessionState {
    let mut builder = SessionStateBuilder::new_from_existing(base.clone());
    // It turns joins around by what it knows of the number of rows, which says nothing of their width.
    if let Some(optimizer) = builder.physical_optimizers() {
        optimizer.rules.retain(|rule| rule.name() != "join_selection");
    }
    let mut state = builder.build();
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.repartition_joins = false;
    // It would have a structure computed anew for each of its fields.
    optimizer.enable_leaf_expression_pushdown = false;
    state
}

/// The session of one statement: `base` with the names of `catalog`. Its `now()` is this moment.
pub(crate) fn with_names(base: &SessionState, catalog: QueryCatalog) -> SessionState {
    let mut state =
        SessionStateBuilder::new_from_existing(base.clone()).with_catalog_list(Arc::new(catalog)).build();
    state.mark_start_execution();
    state
}
