//! Time to live: drops whole partitions of old time, by metadata alone. Off unless asked for.
//!
//! A partition goes when its time ended more than the given time ago. The files go later, with the snapshots that still
//! lead to them. Tables whose current spec has no field of year, month, day or hour are left alone, and so are files of
//! earlier specs.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::{Literal, PartitionSpec, PrimitiveLiteral, Struct, Transform};
use iceberg::table::Table;
use pulselake_commit::{
    Catalog, ChangeKind, CommitLimits, OverwritePartitions, TableChange, back_off, commit,
};
use serde::Serialize;
use uuid::Uuid;

use super::error::{MaintainError, unless_conflict};
use super::lease::Lease;
use super::manifests::{read_lists, read_manifests};

/// Plans that may fail because files arrived in a partition that is to go.
const MAX_ROUNDS: u32 = 5;

/// What was dropped, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TtlReport {
    /// Partitions.
    pub partitions: u64,
    /// Data and delete files in them.
    pub files: u64,
    /// Rows of the data files.
    pub rows: u64,
    /// Their size, bytes.
    pub bytes: u64,
}

/// The partitions to drop.
#[derive(Clone, Debug, Default)]
pub struct TtlPlan {
    change: Option<OverwritePartitions>,
    /// What they hold.
    pub report: TtlReport,
}

impl TtlPlan {
    /// Whether nothing is to be dropped.
    pub fn is_empty(&self) -> bool {
        self.change.is_none()
    }
}

/// When the time of a partition value ends, milliseconds since the epoch; `None` where the transform is not of time.
pub fn ends_at_ms(transform: Transform, value: i32) -> Option<i64> {
    const HOUR_MS: i64 = 3_600_000;
    let start_of_month = |months: i64| {
        let (year, month) = (1970 + months.div_euclid(12), months.rem_euclid(12) + 1);
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month as u32, 1)?;
        Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
    };
    match transform {
        Transform::Hour => Some((i64::from(value) + 1) * HOUR_MS),
        Transform::Day => Some((i64::from(value) + 1) * 24 * HOUR_MS),
        Transform::Month => start_of_month(i64::from(value) + 1),
        Transform::Year => start_of_month((i64::from(value) + 1) * 12),
        _ => None,
    }
}

/// The place of the first time field in the partition's values, and its transform.
fn time_field(spec: &PartitionSpec) -> Option<(usize, Transform)> {
    let is_time = |transform| ends_at_ms(transform, 0).is_some();
    spec.fields()
        .iter()
        .position(|field| is_time(field.transform))
        .map(|at| (at, spec.fields()[at].transform))
}

fn is_over(partition: &Struct, at: usize, transform: Transform, cutoff_ms: i64) -> bool {
    let value = match partition.fields().get(at) {
        Some(Some(Literal::Primitive(PrimitiveLiteral::Int(value)))) => *value,
        // NULL: rows without a time.
        _ => return false,
    };
    ends_at_ms(transform, value).is_some_and(|end| end <= cutoff_ms)
}

/// Plans to drop the partitions of `table` whose time ended before `now` less `keep`.
pub async fn plan_ttl(table: &Table, keep: Duration, now: DateTime<Utc>) -> Result<TtlPlan, MaintainError> {
    let metadata = table.metadata();
    let spec = metadata.default_partition_spec();
    let (Some((at, transform)), Some(snapshot)) = (time_field(spec), metadata.current_snapshot()) else {
        return Ok(TtlPlan::default());
    };
    let cutoff_ms = now.timestamp_millis().saturating_sub(keep.as_millis() as i64);
    let mut lists = pin!(read_lists(table, vec![snapshot.clone()]));
    let mut wanted = Vec::new();
    while let Some((_, list)) = lists.try_next().await? {
        wanted.extend(list.into_iter().filter(|manifest| manifest.partition_spec_id == spec.spec_id()));
    }
    let mut manifests = pin!(read_manifests(table, wanted, |_, manifest| manifest));
    let mut change =
        OverwritePartitions { partitions: HashSet::new(), replaced: HashSet::new(), add: Vec::new() };
    let mut report = TtlReport::default();
    while let Some(manifest) = manifests.try_next().await? {
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            if !is_over(file.partition(), at, transform, cutoff_ms) {
                continue;
            }
            if change.replaced.insert(file.file_path().to_string()) {
                report.files += 1;
                report.bytes += file.file_size_in_bytes();
                if file.content_type() == iceberg::spec::DataContentType::Data {
                    report.rows += file.record_count();
                }
            }
            change.partitions.insert(file.partition().clone());
        }
    }
    report.partitions = change.partitions.len() as u64;
    Ok(TtlPlan { change: Some(change).filter(|found| !found.replaced.is_empty()), report })
}

/// Drops the partitions that are over. Files that arrive in one meanwhile make it plan anew.
pub async fn apply_ttl(
    catalog: &dyn Catalog,
    table: &TableIdent,
    limits: &CommitLimits,
    keep: Duration,
    lease: &mut Lease<'_>,
) -> Result<TtlReport, MaintainError> {
    let mut round = 1;
    loop {
        lease.keep_alive().await?;
        let base = catalog.load_existing(table).await?;
        let plan = plan_ttl(&base, keep, Utc::now()).await?;
        let Some(change) = plan.change else {
            return Ok(TtlReport::default());
        };
        let change = TableChange {
            commit_id: Uuid::now_v7().to_string(),
            kind: ChangeKind::OverwritePartitions(change),
        };
        match commit(catalog, table, &change, &lease.guard(), limits).await {
            Ok(_) => return Ok(plan.report),
            Err(failure) => {
                let conflict = unless_conflict(table, failure)?;
                if round == MAX_ROUNDS {
                    return Err(MaintainError::Conflicts {
                        table: table.to_string(),
                        rounds: round,
                        conflict,
                    });
                }
                back_off(round).await;
                round += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn partitions_end_where_the_next_begins() {
        let cases = [
            (Transform::Hour, 0, "1970-01-01T01:00:00Z"),
            (Transform::Hour, -1, "1970-01-01T00:00:00Z"),
            (Transform::Day, 20_490, "2026-02-07T00:00:00Z"),
            (Transform::Month, 672, "2026-02-01T00:00:00Z"),
            (Transform::Month, 683, "2027-01-01T00:00:00Z"),
            (Transform::Month, -1, "1970-01-01T00:00:00Z"),
            (Transform::Year, 56, "2027-01-01T00:00:00Z"),
        ];
        for (transform, value, end) in cases {
            assert_eq!(ends_at_ms(transform, value), Some(at(end)), "{transform} {value}");
        }
        assert_eq!(ends_at_ms(Transform::Bucket(16), 1), None);
        assert_eq!(ends_at_ms(Transform::Identity, 1), None);
    }

    #[test]
    fn a_partition_is_over_at_its_very_end_and_null_never() {
        let day = Struct::from_iter([Some(Literal::date(0)), Some(Literal::int(3))]);
        assert!(is_over(&day, 0, Transform::Day, 86_400_000));
        assert!(!is_over(&day, 0, Transform::Day, 86_399_999));
        let without = Struct::from_iter([None, Some(Literal::int(3))]);
        assert!(!is_over(&without, 0, Transform::Day, i64::MAX));
    }
}
