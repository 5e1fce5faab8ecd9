//! Erases the rows of a user or a video from every table, and from every file once the old snapshots are gone: the law
//! asks for it.
//!
//! What is erased:
//! - rows whose `user_id` (or `video_id`) is the id, in every table that has the column, whether or not a delete hides
//!   them; equality deletes that name the id go with all files they apply to;
//! - rejected records whose bytes mention the id as a JSON value; with [`TextSearch::Everywhere`] events too whose body
//!   does, in silver as in bronze. There a sample of such a value is erased from what is known of the bodies' fields.
//!
//! What to know:
//! - A snapshot from before still leads to the old files. [`EraseSettings::expire_now`] expires those at once (readers of
//!   old snapshots fail then); else the report says when maintenance will. Files that no snapshot leads to any more are
//!   the orphan pass's, after the safety age.
//! - **The stream may bring the id again**: what is still in Kafka, or comes later, is ingested like any other record. Stop
//!   the producer, let the topic's retention pass, then erase again. What arrives while it runs is erased too as far as
//!   `max_rounds` allows.
//! - Other columns that name users are not searched: `creator_id` of a video stays, with the video.
//! - Gold holds no users, and keeps counting their events. A video's rows leave gold as well.
//! - A batch job that read before the erasure and commits after it brings rows back into silver: erase again.
//! - Erased rows of bronze are gaps in the source offsets: [`ERASED_PROPERTY`] says how many an audit has to expect for
//!   each partition.
//! - Each commit says in its summary ([`ERASURE_SUMMARY`]) that somebody was erased, by a hash, never by the id.

mod counts;
mod group;
mod guard;
mod history;
mod mention;
mod report;
mod rewrite;
mod search;
mod subject;
mod table;
mod target;

use std::time::Duration;

use crate::janitor::{LeaseSettings, MaintainError, OrphanSettings, Progress, RetentionRules, Tools};
pub use counts::{ERASED_PROPERTY, ErasedCounts, erased_so_far};
pub use guard::ERASURE_SUMMARY;
pub use mention::MentionFinder;
pub use report::{EraseReport, EraseTableReport, FailedTable};
pub use subject::Subject;
use table::TableErasure;
use target::Target;
pub use target::TextSearch;

/// How an erasure goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EraseSettings {
    /// Which texts are searched beside the id columns.
    pub texts: TextSearch,
    /// Whether snapshots that hold the id expire at once, but for those of branches and tags.
    pub expire_now: bool,
    /// Plans made for a table at most.
    pub max_rounds: u32,
    /// Size of the files rewritten in one commit, bytes, about.
    pub group_bytes: u64,
    /// How long to wait for another maintainer to give the table back.
    pub lease_patience: Duration,
    /// The lease that it works under.
    pub lease: LeaseSettings,
    /// Retention of snapshots: for the report.
    pub retention: RetentionRules,
    /// Safety age of the orphan pass.
    pub safety_age: Duration,
}

impl Default for EraseSettings {
    fn default() -> Self {
        Self {
            texts: TextSearch::default(),
            expire_now: false,
            max_rounds: 10,
            group_bytes: 512 << 20,
            lease_patience: Duration::from_secs(20 * 60),
            lease: LeaseSettings::default(),
            retention: RetentionRules::default(),
            safety_age: OrphanSettings::default().safety_age,
        }
    }
}

/// Erases `subject` from all tables of the catalog, one after another. A table that fails stops none of the others. `who`
/// names the process, for the lease.
pub async fn erase(
    tools: Tools<'_>,
    subject: &Subject,
    settings: &EraseSettings,
    who: &str,
    is_dry_run: bool,
    progress: Progress<'_>,
) -> Result<EraseReport, MaintainError> {
    let mut report = EraseReport {
        subject: subject.kind().to_string(),
        hash: subject.hash(),
        dry_run: is_dry_run,
        ..EraseReport::default()
    };
    for table in tools.catalog.list_tables().await? {
        let outcome = match tools.catalog.load_existing(&table).await {
            Ok(loaded) => match Target::of(&table, loaded.metadata(), subject, settings.texts) {
                None => continue,
                Some(target) => {
                    TableErasure { tools, table: &table, subject, settings, who, target, progress }
                        .run(is_dry_run)
                        .await
                }
            },
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(found) => report.tables.push(found),
            Err(error) => {
                tracing::error!(%table, %error, "the erasure failed");
                report.failed.push(FailedTable { table: table.to_string(), error: error.to_string() });
            }
        }
    }
    Ok(report)
}
