//! The janitor on a real catalog and a real directory: what it deletes, and what it leaves.

#![allow(clippy::unwrap_used)]

mod small_lake;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use async_trait::async_trait;
use chrono::Utc;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::TableIdent;
use iceberg::spec::{DataContentType, DataFile, Literal, PrimitiveType, Struct, Transform};
use pulselake_commit::ChangeKind;
use pulselake_maintain::erase::{EraseSettings, Subject, erase};
use pulselake_maintain::health::{OrphanLook, inspect};
use pulselake_maintain::janitor::{
    Expiring, FileStore, Lease, LeaseSettings, MaintainError, OrphanSettings, SweepSettings, Tools,
    apply_ttl, canonical, expire, find_orphans, sweep,
};
use pulselake_read::{PartitionPredicate, plan_table};
use pulselake_store::{Deleted, StoreError, StoredFile, Warehouse};
use small_lake::numbers::{HOUR, at_once, keeping, numbers, used_lake};
use small_lake::{SmallLake, assert_views_agree, expected_on_disk, needed_by_snapshots, set_age, silent};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_leaves_exactly_what_is_reachable() {
    let (lake, table) = used_lake().await;
    let before = lake.on_disk(&table);
    assert_views_agree(&lake.load(&table).await).await;

    let mut lease =
        Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
    let needed = HashSet::new();
    let which = Expiring::ByAge { rules: keeping(3), needed: &needed };
    let report = expire(&lake.catalog, &lake.warehouse, &table, &lake.limits, which, &mut lease, silent())
        .await
        .unwrap();
    lease.release().await.unwrap();

    let loaded = lake.load(&table).await;
    // Three kept, and the lease's release.
    assert_eq!(loaded.metadata().snapshots().len(), 4);
    assert_eq!(report.snapshots, 11 - 3);
    assert_eq!(report.deleted.files, report.unreferenced_files);
    assert_eq!(lake.on_disk(&table), expected_on_disk(&loaded).await);
    assert!(before.difference(&lake.on_disk(&table)).any(|file| file.ends_with(".parquet")));
    for snapshot in loaded.metadata().snapshots() {
        assert!(lake.rows(&loaded, Some(snapshot.snapshot_id())).await >= 40);
    }
    assert_eq!(lake.rows(&loaded, None).await, 84);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_a_plan_needs_stay_whole() {
    let (lake, table) = used_lake().await;
    let oldest = {
        let loaded = lake.load(&table).await;
        loaded.metadata().snapshots().min_by_key(|found| found.sequence_number()).unwrap().snapshot_id()
    };
    let mut lease =
        Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
    let needed = HashSet::from([oldest]);
    let which = Expiring::ByAge { rules: keeping(1), needed: &needed };
    expire(&lake.catalog, &lake.warehouse, &table, &lake.limits, which, &mut lease, silent()).await.unwrap();
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata().snapshots().len(), 2);
    assert_eq!(lake.rows(&loaded, Some(oldest)).await, 10);
}

/// Refuses to delete after some files, as a process that was killed.
struct Dying {
    inner: Warehouse,
    left: AtomicU64,
}

#[async_trait]
impl FileStore for Dying {
    fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>> {
        self.inner.list(location)
    }

    async fn delete(&self, locations: Vec<String>) -> Deleted {
        let mut outcome = Deleted::default();
        for location in locations {
            let may_delete = self.left.load(Ordering::Relaxed) > 0;
            if may_delete {
                self.left.fetch_sub(1, Ordering::Relaxed);
                outcome.deleted += self.inner.delete(vec![location]).await.deleted;
            } else {
                outcome.failed.push(StoreError::UnknownStore { location });
            }
        }
        outcome
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interrupted_expiry_leaves_is_found_as_orphans() {
    let (lake, table) = used_lake().await;
    let dying = Dying { inner: lake.warehouse.clone(), left: AtomicU64::new(3) };
    let tools = Tools { store: &dying, ..lake.tools() };
    let settings = SweepSettings { orphans: None, ..at_once(1, HOUR) };
    let report = sweep(tools, &table, &settings, "test", false, silent()).await.unwrap();
    assert_eq!(report.expire.deleted.files, 3);
    assert!(report.expire.deleted.failed > 5 && report.expire.deleted.first_failure.is_some());
    let first = report.expire.deleted.first_failure.as_deref().unwrap();
    assert_eq!(report.refused_deletes(), Some((report.expire.deleted.failed, first)));
    let needed = needed_by_snapshots(&lake.load(&table).await).await;
    assert!(needed.is_subset(&lake.on_disk(&table)));

    lake.grow_old(&table, 2 * HOUR);
    let report = sweep(lake.tools(), &table, &at_once(5, HOUR), "test", false, silent()).await.unwrap();
    assert!(report.orphans.deleted.files > 5, "{report:?}");
    let loaded = lake.load(&table).await;
    assert_eq!(lake.on_disk(&table), expected_on_disk(&loaded).await);
    assert_eq!(lake.rows(&loaded, None).await, 84);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_orphans_go_and_young_ones_stay() {
    let (lake, table) = used_lake().await;
    lake.grow_old(&table, 3 * HOUR);
    let old: BTreeSet<String> = [
        "data/dead.parquet",
        "data/k=a b%2Fc/dead.parquet",
        "metadata/dead-m0.avro",
        "metadata/00001-dead.metadata.json",
        "data/.x.parquet.0123.tmp",
    ]
    .map(|name| lake.plant(&table, name, 2 * HOUR))
    .into();
    let young = lake.plant(&table, "data/young.parquet", HOUR / 2);
    let settings = OrphanSettings { safety_age: HOUR };

    let dry = sweep(lake.tools(), &table, &at_once(100, HOUR), "test", true, silent()).await.unwrap();
    assert!(!dry.done);
    let named: BTreeSet<String> =
        dry.orphans.files.iter().map(|orphan| canonical(&orphan.location)).collect();
    assert_eq!(named, old);
    assert_eq!((dry.orphans.too_young, dry.orphans.deleted.files), (1, 0));
    assert!(old.is_subset(&lake.on_disk(&table)));

    let look = OrphanLook { store: &lake.warehouse, settings, progress: silent() };
    let health = inspect(&lake.catalog, &table, Some(look)).await.unwrap();
    assert_eq!(health.orphans.map(|found| (found.files, found.too_young)), Some((5, 1)));

    let report = sweep(lake.tools(), &table, &at_once(100, HOUR), "test", false, silent()).await.unwrap();
    assert_eq!(report.orphans.deleted.files, 5);
    let mut expected = expected_on_disk(&lake.load(&table).await).await;
    expected.insert(young);
    assert_eq!(lake.on_disk(&table), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_at_rest_gets_no_snapshots() {
    let (lake, table) = used_lake().await;
    let before = lake.load(&table).await.metadata().current_snapshot_id();
    let report = sweep(lake.tools(), &table, &at_once(100, HOUR), "test", false, silent()).await.unwrap();
    assert!(!report.done);
    assert_eq!(lake.load(&table).await.metadata().current_snapshot_id(), before);
    assert!(lake.on_disk(&table).iter().all(|file| !file.contains("pulselake-clock")));
}

/// Actors spawn them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let lake = SmallLake::new().await;
    let (settings, table) = (at_once(1, HOUR), TableIdent::from_strs(["small", "none"]).unwrap());
    is_send(&sweep(lake.tools(), &table, &settings, "test", false, silent()));
    is_send(&inspect(&lake.catalog, &table, None));
    let (subject, erasing) = (Subject::User("u".to_string()), EraseSettings::default());
    is_send(&erase(lake.tools(), &subject, &erasing, "test", true, silent()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_file_stops_the_orphan_pass() {
    let (lake, table) = used_lake().await;
    lake.grow_old(&table, 3 * HOUR);
    let planted = lake.plant(&table, "data/dead.parquet", 2 * HOUR);
    let loaded = lake.load(&table).await;
    let plan = plan_table(&loaded, None, &PartitionPredicate::all()).await.unwrap();
    let lost = plan.files[0].data.file().file_path().to_string();
    loaded.file_io().delete(&lost).await.unwrap();
    let outcome = sweep(lake.tools(), &table, &at_once(100, HOUR), "test", false, silent()).await;
    assert!(
        matches!(&outcome, Err(MaintainError::ListingLacks { example, count: 1, .. }) if *example == lost),
        "{outcome:?}"
    );
    assert!(lake.on_disk(&table).contains(&planted));
}

/// A store that lists nothing of what is there, as one with another root.
struct Elsewhere(Warehouse);

#[async_trait]
impl FileStore for Elsewhere {
    fn list(&self, _location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>> {
        self.0.list(self.0.location().trim_end_matches("/warehouse"))
    }

    async fn delete(&self, locations: Vec<String>) -> Deleted {
        self.0.delete(locations).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_other_places_and_of_tables_below_are_no_orphans() {
    let (lake, table) = used_lake().await;
    let other = lake.create("numbers/inner", &[("n", PrimitiveType::Long)], &[]).await;
    lake.append(&other, Struct::empty(), numbers(5)).await;
    lake.grow_old(&table, 3 * HOUR);
    let outside =
        lake.plant(&lake.create("beside", &[("n", PrimitiveType::Long)], &[]).await, "data/x", 9 * HOUR);
    let store = Elsewhere(lake.warehouse.clone());
    let settings = OrphanSettings { safety_age: HOUR };
    let scan = find_orphans(&lake.catalog, &store, &table, settings, silent()).await.unwrap();
    assert_eq!(scan.orphans, []);
    assert!(std::path::Path::new(outside.trim_start_matches("file:")).exists());
}

/// A listing during which a commit lands, and that takes so long that the commit's file is old when it is listed.
struct Slow {
    lake: Arc<SmallLake>,
    table: TableIdent,
    file: DataFile,
}

#[async_trait]
impl FileStore for Slow {
    fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>> {
        let (lake, table, file) = (self.lake.clone(), self.table.clone(), self.file.clone());
        let place = location.to_string();
        let landing = async move {
            let path = canonical(file.file_path());
            lake.land(&table, ChangeKind::Append { files: vec![file] }).await;
            set_age(std::path::Path::new(path.trim_start_matches("file:")), 2 * HOUR);
            lake.warehouse.list(&place)
        };
        futures::stream::once(landing).flatten().boxed()
    }

    async fn delete(&self, locations: Vec<String>) -> Deleted {
        self.lake.warehouse.delete(locations).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_lands_while_the_listing_runs_keeps_its_files() {
    let (lake, table) = used_lake().await;
    let file = lake.write(&table, Struct::empty(), numbers(3)).await;
    let lake = Arc::new(lake);
    let store = Slow { lake: lake.clone(), table: table.clone(), file };
    let settings = OrphanSettings { safety_age: HOUR };
    let scan = find_orphans(&lake.catalog, &store, &table, settings, silent()).await.unwrap();
    assert_eq!(scan.orphans, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_whose_time_is_over_are_dropped() {
    let lake = SmallLake::new().await;
    let columns = [("at", PrimitiveType::Timestamptz), ("n", PrimitiveType::Long)];
    let table = lake
        .create("timed", &columns, &[(1, "at_day", Transform::Day), (2, "n_bucket", Transform::Bucket(4))])
        .await;
    let today = (Utc::now().timestamp() / 86_400) as i32;
    for day in [today - 40, today - 31, today - 29, today] {
        let micros = i64::from(day) * 86_400_000_000;
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00"));
        let partition = Struct::from_iter([Some(Literal::date(day)), Some(Literal::int(1))]);
        lake.append(&table, partition, vec![at, Arc::new(Int64Array::from(vec![1]))]).await;
    }
    let keep = 30 * 24 * HOUR;
    let mut lease =
        Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
    let report = apply_ttl(&lake.catalog, &table, &lake.limits, keep, &mut lease).await.unwrap();
    assert_eq!((report.partitions, report.files, report.rows), (2, 2, 2));
    assert_eq!(lake.rows(&lake.load(&table).await, None).await, 2);
    let again = apply_ttl(&lake.catalog, &table, &lake.limits, keep, &mut lease).await.unwrap();
    assert_eq!(again.partitions, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_counts_what_is_there() {
    let (lake, table) = used_lake().await;
    lake.append(&table, Struct::empty(), numbers(7)).await;
    let health = inspect(&lake.catalog, &table, None).await.unwrap();
    assert_eq!((health.data_files.count, health.data_files.records), (2, 91));
    assert_eq!(health.data_files.by_size[0].files, 2);
    assert_eq!(health.snapshots.count, 11);
    assert_eq!((health.metadata_versions, health.format_version), (6, 2));
    assert_eq!(health.busiest_partitions.len(), 1);
    assert_eq!(health.orphans, None);
    let json = serde_json::to_value(&health).unwrap();
    assert!(json["manifests"]["plan_ms"].is_u64() && json["ledger"].is_null() && json["lease"].is_null());
    assert_eq!(json["data_files"]["by_size"][0]["name"], "under_1_mb");
    let plan = plan_table(&lake.load(&table).await, None, &PartitionPredicate::all()).await.unwrap();
    let bytes: u64 = plan.files.iter().map(|planned| planned.data.file().file_size_in_bytes()).sum();
    assert_eq!(health.data_files.bytes, bytes);
    assert!(plan.files.iter().all(|planned| planned.data.file().content_type() == DataContentType::Data));
}
