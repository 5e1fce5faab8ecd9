//! Lands a prepared snapshot: metadata file, then the swap in the catalog.

use std::str::FromStr;
use std::time::Instant;

use iceberg::MetadataLocation;
use iceberg::spec::{MetadataLog, TableMetadata};
use iceberg::table::Table;
use pulselake_model::tables::HotTable;

use crate::catalog::Swap;
use crate::failpoint::{self, Injected};
use crate::snapshot::{Attempt, Prepared, check_requirements};
use crate::{Lake, LakeError};

/// What became of one attempt.
pub(crate) enum Landed {
    /// It is in the table.
    Yes,
    /// Another commit was faster; this one is not in the table.
    Conflict,
    /// It is certainly not in the table.
    No(LakeError),
    /// Nobody knows.
    Unknown(LakeError),
}

struct Staged {
    metadata: TableMetadata,
    location: MetadataLocation,
    expired: Vec<MetadataLog>,
}

impl Lake {
    /// Writes the metadata of `base` with `prepared` on top, and swaps it in. Waits for a locked database until `deadline`.
    pub(crate) async fn land(
        &self,
        table: HotTable,
        base: &Table,
        attempt: &mut Attempt<'_>,
        prepared: Prepared,
        deadline: Instant,
    ) -> Landed {
        let name = table.full_name();
        let snapshot_id = prepared.snapshot_id;
        let staged = match stage(base, prepared) {
            Ok(staged) => staged,
            Err(error) => return Landed::No(LakeError::iceberg("commit to", name)(error)),
        };
        if failpoint::reach("lake::before_metadata_write").await.is_some() {
            return Landed::No(LakeError::Injected { point: "lake::before_metadata_write" });
        }
        let new_location = staged.location.to_string();
        attempt.written.push(new_location.clone());
        if let Err(error) = staged.metadata.write_to(self.file_io(), &staged.location).await {
            return Landed::No(LakeError::iceberg("write the metadata of", name)(error));
        }
        if failpoint::reach("lake::after_metadata_write").await.is_some() {
            return Landed::No(LakeError::Injected { point: "lake::after_metadata_write" });
        }
        let old_location = match base.metadata_location_result() {
            Ok(location) => location,
            Err(error) => return Landed::No(LakeError::iceberg("commit to", name)(error)),
        };
        match self.swap_until(table, old_location, &new_location, deadline).await {
            Swap::Done => {}
            Swap::Conflict => return self.judge_conflict(table, snapshot_id).await,
            Swap::Refused(error) => return Landed::No(error),
            Swap::Unknown(error) => return Landed::Unknown(error),
        }
        if let Err(error) = self.remember(table, staged.metadata, new_location) {
            // It is in the table all the same; the next load reads it from the file.
            tracing::warn!(table = name, %error, "could not keep the new state in memory");
        }
        for log in &staged.expired {
            self.delete_quietly(&log.metadata_file).await;
        }
        Landed::Yes
    }

    async fn swap_until(&self, table: HotTable, old: &str, new: &str, deadline: Instant) -> Swap {
        match failpoint::reach("lake::before_catalog_swap").await {
            Some(Injected::Unknown) => {
                return Swap::Unknown(LakeError::Injected { point: "lake::before_catalog_swap" });
            }
            Some(Injected::Error) => {
                return Swap::Refused(LakeError::Injected { point: "lake::before_catalog_swap" });
            }
            None => {}
        }
        loop {
            let outcome = self.swap_in_time(table, old, new).await;
            let busy = matches!(&outcome, Swap::Refused(error) if error.is_busy());
            if !busy || Instant::now() >= deadline {
                if matches!(outcome, Swap::Done)
                    && failpoint::reach("lake::after_catalog_swap").await == Some(Injected::Unknown)
                {
                    return Swap::Unknown(LakeError::Injected { point: "lake::after_catalog_swap" });
                }
                return outcome;
            }
            // SQLite has waited its busy time-out already: go on at once, but let others run.
            tokio::task::yield_now().await;
        }
    }

    /// One swap. Without an answer in time the outcome is unknown: the request may still be on its way.
    async fn swap_in_time(&self, table: HotTable, old: &str, new: &str) -> Swap {
        let timeout = self.limits().answer_timeout;
        match tokio::time::timeout(timeout, self.catalog().swap(table, old, new)).await {
            Ok(outcome) => outcome,
            Err(_) => Swap::Unknown(LakeError::NoAnswer {
                table: table.full_name().to_string(),
                waited_ms: timeout.as_millis() as u64,
            }),
        }
    }

    /// Conflict is also the answer to a request that was delivered twice, or that a proxy tried again: the first one
    /// has landed then, and its files must stay. The table itself tells.
    async fn judge_conflict(&self, table: HotTable, snapshot_id: i64) -> Landed {
        match self.load(table).await {
            Ok(now) if now.metadata().snapshot_by_id(snapshot_id).is_some() => Landed::Yes,
            Ok(_) => Landed::Conflict,
            Err(error) => Landed::Unknown(error),
        }
    }
}

/// The base's metadata with the snapshot applied, and the name of its file.
fn stage(base: &Table, prepared: Prepared) -> iceberg::Result<Staged> {
    check_requirements(&prepared.requirements, base)?;
    let old = base.metadata_location_result()?.to_string();
    let next = MetadataLocation::from_str(&old)?.with_next_version();
    let mut builder = base.metadata().clone().into_builder(Some(old));
    for update in prepared.updates {
        builder = update.apply(builder)?;
    }
    let built = builder.build()?;
    let location = next.with_new_metadata(&built.metadata);
    Ok(Staged { metadata: built.metadata, location, expired: built.expired_metadata_logs })
}
