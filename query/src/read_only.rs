//! Whether a plan only reads.
//!
//! Judged by the plan, never by the text: whatever way a statement is written, what it does is a node of its plan,
//! inside EXPLAIN too.

use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;

use crate::QueryError;

/// Refuses every plan that writes, defines, or sets something.
///
/// # Errors
/// [`QueryError::ReadOnly`] with the kind of statement.
pub fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let only_reading =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reading
        .verify_plan(plan)
        .map_err(|refusal| QueryError::ReadOnly { statement: refusal.strip_backtrace() })
}
