//! Bin-packs small files, sorts and folds rows, applies deletes.
//!
//! [`compact_table`] does all of it for one table: it plans ([`planner`], pure), rewrites one group of files after the
//! other in a thread of its own within a memory budget, and commits each group by itself through the commit
//! layer. What it promises:
//! - Readers and writers are never blocked; a commit of the stream that lands meanwhile is neither lost nor undone.
//! - The rows of a table are the same before and after, or, where revisions are folded, their sums are; each group is
//!   checked before it is committed, and refused loudly if not.
//! - Memory stays within the budget whatever the size of a partition.
//! - There is a fixed point: a run after a run does nothing.

mod bounds;
mod budget;
mod commit_group;
mod error;
mod facts;
mod fold;
mod merge;
mod output;
pub mod planner;
mod policy;
mod report;
mod rewrite;
mod run;
mod runs;
mod sort_key;
mod throttle;

pub use budget::{Budget, MemoryMeter};
pub use commit_group::{AFTER_COMMIT, BEFORE_COMMIT, BEFORE_OUTPUT_CLOSE};
pub use error::CompactionError;
pub use facts::{DeleteFact, FileFact, ManifestCounts, PartitionFact, TableFacts};
pub use policy::{ClosedRule, FoldRule, TablePolicy};
pub use report::{CompactionReport, GroupSummary, Progress, TableShape};
pub use run::{Compaction, compact_table};
pub use throttle::{CancelToken, Throttle};
