//! One maintainer per table: a lease in the table's property [`LEASE_PROPERTY`].
//!
//! It is taken, renewed and given back by snapshots without files, whose guard judges the present lease on each base:
//! of two that take it at once, one loses the race, looks again and is refused. A lease that has run out may be taken
//! over. Its holder may not know that yet, so every maintenance commit also asks [`UnderLease`], which refuses once the
//! property names somebody else. What is deleted under a lease is safe without one; the lease saves double work.
//!
//! Times are those of the hosts' clocks; [`LeaseSettings::clock_skew`] is what they may differ by.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use iceberg::TableIdent;
use iceberg::spec::TableMetadata;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, Guard, Judgement, Riders, TableChange, commit};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{MaintainError, Refusal, unless_conflict};
use crate::CarryLedger;

/// The table property that holds the lease, as JSON.
pub const LEASE_PROPERTY: &str = "pulselake.maintenance-lease";

/// Snapshot summary key that marks a lease's snapshots: they alone are no reason for a round, which would make new ones.
pub const LEASE_SUMMARY: &str = "pulselake.lease";

/// How long leases hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How long it holds without being renewed.
    pub duration: Duration,
    /// How far two hosts' clocks may differ: a lease is taken over that much later than it ends.
    pub clock_skew: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15 * 60), clock_skew: Duration::from_secs(60) }
    }
}

/// The property's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Who has it; unique for each time that it is taken.
    pub holder: String,
    /// When it ends by the holder's clock, milliseconds since the epoch.
    pub expires_at_ms: i64,
    /// How often it was renewed.
    pub renewed: u64,
}

/// Why a lease was not given, or is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefusal {
    /// Somebody else has it.
    #[error(
        "{holder} maintains the table until {expires_at_ms} (milliseconds since the epoch); wait, or end that one"
    )]
    Held {
        /// Who.
        holder: String,
        /// Until when, milliseconds since the epoch.
        expires_at_ms: i64,
    },
    /// Ours ran out, and somebody else took it or it was removed.
    #[error("the maintenance lease was lost to {}; what remains is done by the next run", now_held_by.as_deref().unwrap_or("nobody"))]
    Lost {
        /// Who has it now.
        now_held_by: Option<String>,
    },
    /// The property is not a lease.
    #[error(
        "table property pulselake.maintenance-lease can't be read ({reason}); remove it when no maintenance runs"
    )]
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// What a maintainer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To have the lease.
    Take,
    /// To have it longer.
    Renew,
    /// To give it back.
    Release,
}

/// What becomes of the property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Set it to this.
    Set(LeaseRecord),
    /// Remove it.
    Remove,
    /// Leave it: it is as wished already.
    Nothing,
}

/// Decides about `holder`'s wish at `now_ms`, given the present lease.
pub fn decide(
    present: Option<&LeaseRecord>,
    holder: &str,
    wish: Wish,
    settings: LeaseSettings,
    now_ms: i64,
) -> Result<Step, LeaseRefusal> {
    let until = now_ms.saturating_add(settings.duration.as_millis() as i64);
    let lease = |renewed| LeaseRecord { holder: holder.to_string(), expires_at_ms: until, renewed };
    let is_mine = present.is_some_and(|record| record.holder == holder);
    let lost = || LeaseRefusal::Lost { now_held_by: present.map(|record| record.holder.clone()) };
    match (wish, present) {
        (Wish::Take, None) => Ok(Step::Set(lease(0))),
        (Wish::Take | Wish::Renew, Some(record)) if is_mine => Ok(Step::Set(lease(record.renewed + 1))),
        (Wish::Take, Some(record)) => {
            let free_from = record.expires_at_ms.saturating_add(settings.clock_skew.as_millis() as i64);
            if now_ms >= free_from {
                return Ok(Step::Set(lease(0)));
            }
            Err(LeaseRefusal::Held { holder: record.holder.clone(), expires_at_ms: record.expires_at_ms })
        }
        (Wish::Renew, _) => Err(lost()),
        (Wish::Release, Some(_)) if is_mine => Ok(Step::Remove),
        // Somebody took it over, or it is gone: nothing of ours is left to give back.
        (Wish::Release, _) => Ok(Step::Nothing),
    }
}

/// The lease that a table's metadata holds.
pub fn present_lease(metadata: &TableMetadata) -> Result<Option<LeaseRecord>, LeaseRefusal> {
    let Some(text) = metadata.properties().get(LEASE_PROPERTY) else { return Ok(None) };
    let parsed = serde_json::from_str(text);
    parsed
        .map(Some)
        .map_err(|error: serde_json::Error| LeaseRefusal::Unreadable { reason: error.to_string() })
}

/// The guard of the snapshot that sets the property; it carries the ledger as all maintenance does.
struct LeaseGuard<'a> {
    holder: &'a str,
    wish: Wish,
    settings: LeaseSettings,
}

impl Guard for LeaseGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        let present = present_lease(base)?;
        let now_ms = Utc::now().timestamp_millis();
        match decide(present.as_ref(), self.holder, self.wish, self.settings, now_ms)? {
            Step::Nothing => Ok(Judgement::AlreadyThere),
            Step::Remove => with_riders(base, HashMap::new()),
            Step::Set(record) => {
                with_riders(base, HashMap::from([(LEASE_PROPERTY.to_string(), record_text(&record))]))
            }
        }
    }
}

fn with_riders(base: &TableMetadata, properties: HashMap<String, String>) -> Result<Judgement, Refusal> {
    let Judgement::Commit(mut riders) = CarryLedger.judge(base)? else {
        return Ok(Judgement::AlreadyThere);
    };
    riders.properties.extend(properties);
    riders.summary.insert(LEASE_SUMMARY.to_string(), "true".to_string());
    Ok(Judgement::Commit(riders))
}

fn record_text(record: &LeaseRecord) -> String {
    serde_json::json!({
        "holder": record.holder, "expires_at_ms": record.expires_at_ms, "renewed": record.renewed,
    })
    .to_string()
}

/// A lease that this process has. Dropped without [`Lease::release`], it runs out.
#[derive(Debug)]
pub struct Lease<'a> {
    catalog: &'a dyn Catalog,
    table: &'a TableIdent,
    limits: &'a CommitLimits,
    settings: LeaseSettings,
    record: LeaseRecord,
}

impl<'a> Lease<'a> {
    /// Takes the lease. `who` (a host and process, say) is for people; each taking has a holder id of its own.
    ///
    /// Fails with [`LeaseRefusal::Held`] while somebody else has it.
    pub async fn take(
        catalog: &'a dyn Catalog,
        table: &'a TableIdent,
        limits: &'a CommitLimits,
        settings: LeaseSettings,
        who: &str,
    ) -> Result<Self, MaintainError> {
        let holder = format!("{who}/{}", Uuid::now_v7());
        let record = LeaseRecord { holder, expires_at_ms: 0, renewed: 0 };
        let mut lease = Self { catalog, table, limits, settings, record };
        lease.swap(Wish::Take).await?;
        Ok(lease)
    }

    /// Who has it, and until when.
    pub fn record(&self) -> &LeaseRecord {
        &self.record
    }

    /// Renews it when less than half of its time is left. Fails with [`LeaseRefusal::Lost`] where somebody took it.
    pub async fn keep_alive(&mut self) -> Result<(), MaintainError> {
        let left_ms = self.record.expires_at_ms - Utc::now().timestamp_millis();
        if left_ms > self.settings.duration.as_millis() as i64 / 2 {
            return Ok(());
        }
        self.swap(Wish::Renew).await
    }

    /// Gives it back. A lease that was lost meanwhile is no error.
    pub async fn release(mut self) -> Result<(), MaintainError> {
        self.swap(Wish::Release).await
    }

    async fn swap(&mut self, wish: Wish) -> Result<(), MaintainError> {
        let remove = if wish == Wish::Release { vec![LEASE_PROPERTY.to_string()] } else { Vec::new() };
        let change = TableChange {
            commit_id: Uuid::now_v7().to_string(),
            kind: ChangeKind::Properties { set: HashMap::new(), remove },
        };
        let guard = LeaseGuard { holder: &self.record.holder, wish, settings: self.settings };
        match commit(self.catalog, self.table, &change, &guard, self.limits).await {
            Ok(landing) => {
                if wish != Wish::Release {
                    self.record = self.own_record(landing.table.metadata())?;
                }
                Ok(())
            }
            Err(failure) => match unless_conflict(self.table, failure) {
                Ok(conflict) => {
                    Err(MaintainError::Conflicts { table: self.table.to_string(), rounds: 1, conflict })
                }
                Err(error) => Err(error),
            },
        }
    }

    fn own_record(&self, metadata: &TableMetadata) -> Result<LeaseRecord, LeaseRefusal> {
        match present_lease(metadata)? {
            Some(record) if record.holder == self.record.holder => Ok(record),
            other => Err(LeaseRefusal::Lost { now_held_by: other.map(|record| record.holder) }),
        }
    }

    /// The guard for commits under this lease.
    pub fn guard(&self) -> UnderLease {
        UnderLease { holder: self.record.holder.clone() }
    }
}

/// Lets maintenance pass as [`CarryLedger`] does, as long as the lease is still the holder's.
///
/// A lease that has run out but that nobody took over still counts: taking it over would have changed the base.
#[derive(Clone, Debug)]
pub struct UnderLease {
    holder: String,
}

impl Guard for UnderLease {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        match present_lease(base)? {
            Some(record) if record.holder == self.holder => Ok(CarryLedger.judge(base)?),
            other => Err(LeaseRefusal::Lost { now_held_by: other.map(|record| record.holder) }.into()),
        }
    }
}

impl UnderLease {
    /// The riders for a base, where the lease and the ledger allow it; for guards that add riders of their own.
    pub fn riders(&self, base: &TableMetadata) -> Result<Riders, Refusal> {
        match self.judge(base)? {
            Judgement::Commit(riders) => Ok(riders),
            Judgement::AlreadyThere => Ok(Riders::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LeaseSettings =
        LeaseSettings { duration: Duration::from_millis(100), clock_skew: Duration::from_millis(10) };

    fn held_by(holder: &str, expires_at_ms: i64, renewed: u64) -> LeaseRecord {
        LeaseRecord { holder: holder.to_string(), expires_at_ms, renewed }
    }

    #[test]
    fn named_cases() {
        let (theirs, mine) = (held_by("b", 500, 2), held_by("a", 500, 2));
        let set = |expires_at_ms, renewed| Ok(Step::Set(held_by("a", expires_at_ms, renewed)));
        let held = Err(LeaseRefusal::Held { holder: "b".to_string(), expires_at_ms: 500 });
        let lost = |to: Option<&str>| Err(LeaseRefusal::Lost { now_held_by: to.map(str::to_string) });
        type Case<'a> = (&'a str, Option<&'a LeaseRecord>, Wish, i64, Result<Step, LeaseRefusal>);
        let cases: [Case<'_>; 11] = [
            ("free", None, Wish::Take, 400, set(500, 0)),
            ("held by another", Some(&theirs), Wish::Take, 499, held.clone()),
            ("ended, but clocks may differ", Some(&theirs), Wish::Take, 509, held),
            ("taken over after its end", Some(&theirs), Wish::Take, 510, set(610, 0)),
            ("taking what is mine renews it", Some(&mine), Wish::Take, 400, set(500, 3)),
            ("renewed", Some(&mine), Wish::Renew, 450, set(550, 3)),
            ("renewed late, nobody took it", Some(&mine), Wish::Renew, 900, set(1000, 3)),
            ("renewal of what another took", Some(&theirs), Wish::Renew, 900, lost(Some("b"))),
            ("renewal of what was removed", None, Wish::Renew, 400, lost(None)),
            ("released", Some(&mine), Wish::Release, 400, Ok(Step::Remove)),
            ("release of what another took", Some(&theirs), Wish::Release, 400, Ok(Step::Nothing)),
        ];
        for (name, present, wish, now_ms, expected) in cases {
            assert_eq!(decide(present, "a", wish, SETTINGS, now_ms), expected, "{name}");
        }
    }

    #[test]
    fn the_text_is_read_back() {
        let record = held_by("host \"1\"/x", 5, 7);
        assert_eq!(serde_json::from_str::<LeaseRecord>(&record_text(&record)).unwrap(), record);
    }
}
