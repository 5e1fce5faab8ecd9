//! Makes queries stoppable where DataFusion does not.
//!
//! A task can be ended only where it gives its thread back. DataFusion sees to that at the leaves of a plan; but a join of
//! everything with everything makes millions of batches out of one batch of a leaf, and an aggregate above takes them
//! without a pause: such a query would outlive its time and its client by hours.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Lets every operator that can make many batches out of one give its thread back now and then.
#[derive(Debug)]
pub(crate) struct MultipliersCooperate;

impl PhysicalOptimizerRule for MultipliersCooperate {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let cooperating = plan.transform_up(|node| {
            Ok(match multiplies(node.as_ref()) {
                true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
            })
        })?;
        Ok(cooperating.data)
    }

    fn name(&self) -> &'static str {
        "MultipliersCooperate"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Joins of all kinds, and what takes lists apart.
fn multiplies(node: &dyn ExecutionPlan) -> bool {
    let name = node.name();
    name.contains("Join") || name == "UnnestExec"
}
