//! The janitor on a real catalog and a real directory: what it deletes, what it leaves, and that races hurt nobody.

#![allow(clippy::unwrap_used)]

mod small_lake;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use async_trait::async_trait;
use chrono::Utc;
use futures::stream::BoxStream;
use iceberg::TableIdent;
use iceberg::spec::{DataContentType, Literal, PrimitiveType, Struct, Transform};
use iceberg::table::Table;
use pulselake_commit::{
    Catalog, ChangeKind, CommitFailure, CommitLimits, Rewrite, Unguarded, commit,
};
use pulselake_maintain::CarryLedger;
use pulselake_maintain::health::{OrphanLook, inspect};
use pulselake_maintain::janitor::young::assert_young_enough;
use pulselake_maintain::janitor::{
    Expiring, FileStore, Lease, LeaseRefusal, LeaseSettings, MaintainError, OrphanSettings, RetentionRules,
    SweepSettings, Tools, apply_ttl, canonical, expire, find_orphans, present_lease, sweep,
};
use pulselake_read::{PartitionPredicate, plan_table};
use pulselake_store::{Deleted, StoreError, StoredFile, Warehouse};
use small_lake::{
    SmallLake, assert_views_agree, change, expected_on_disk, needed_by_snapshots, silent, write_data,
};

const HOUR: Duration = Duration::from_secs(3600);

fn numbers(count: i64) -> Vec<ArrayRef> {
    vec![Arc::new(Int64Array::from_iter_values(0..count))]
}

async fn numbers_table(lake: &SmallLake) -> TableIdent {
    lake.create("numbers", &[("n", PrimitiveType::Long)], &[]).await
}

/// Puts the rows of all live files into one, without a look at the rows: `rows` numbers.
async fn rewrite_all(catalog: &dyn Catalog, limits: &CommitLimits, table: &TableIdent) -> bool {
    let base = catalog.load_existing(table).await.unwrap();
    let plan = plan_table(&base, None, &PartitionPredicate::all()).await.unwrap();
    let rows: u64 = plan.files.iter().map(|planned| planned.data.file().record_count()).sum();
    let merged = write_data(&base, Struct::empty(), numbers(rows as i64)).await;
    let rewrite = Rewrite {
        planned_sequence_number: plan.sequence_number,
        remove: plan.files.iter().map(|planned| planned.data.file().file_path().to_string()).collect(),
        partitions: HashSet::from([(0, Struct::empty())]),
        seen_in: HashSet::new(),
        add: vec![merged.clone()],
    };
    match commit(catalog, table, &change(ChangeKind::Rewrite(rewrite)), &CarryLedger, limits).await {
        Ok(_) => true,
        Err(failure) => {
            assert!(matches!(failure, CommitFailure::Conflict { .. }), "{failure:?}");
            base.file_io().delete(merged.file_path()).await.unwrap();
            false
        }
    }
}

fn keeping(min_snapshots: usize) -> RetentionRules {
    RetentionRules { max_age_ms: -1, min_snapshots }
}

fn at_once(min_snapshots: usize, safety_age: Duration) -> SweepSettings {
    SweepSettings {
        retention: keeping(min_snapshots),
        orphans: Some(OrphanSettings { safety_age }),
        ..SweepSettings::default()
    }
}

/// A lake whose table had eight appends and two rewrites.
async fn used_lake() -> (SmallLake, TableIdent) {
    let lake = SmallLake::new().await;
    let table = numbers_table(&lake).await;
    for round in 0..2 {
        for _ in 0..4 {
            lake.append(&table, Struct::empty(), numbers(10 + round)).await;
        }
        assert!(rewrite_all(&lake.catalog, &lake.limits, &table).await);
    }
    (lake, table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_leaves_exactly_what_is_reachable() {
    let (lake, table) = used_lake().await;
    let before = lake.on_disk(&table);
    assert_views_agree(&lake.load(&table).await).await;

    let mut lease = Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
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
    let mut lease = Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
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
    let named: BTreeSet<String> = dry.orphans.files.iter().map(|orphan| canonical(&orphan.location)).collect();
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
    let outside = lake.plant(&lake.create("beside", &[("n", PrimitiveType::Long)], &[]).await, "data/x", 9 * HOUR);
    let store = Elsewhere(lake.warehouse.clone());
    let settings = OrphanSettings { safety_age: HOUR };
    let scan = find_orphans(&lake.catalog, &store, &table, settings, silent()).await.unwrap();
    assert_eq!(scan.orphans, []);
    assert!(std::path::Path::new(outside.trim_start_matches("file:")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_whose_time_is_over_are_dropped() {
    let lake = SmallLake::new().await;
    let columns = [("at", PrimitiveType::Timestamptz), ("n", PrimitiveType::Long)];
    let table = lake.create("timed", &columns, &[(1, "at_day", Transform::Day), (2, "n_bucket", Transform::Bucket(4))]).await;
    let today = (Utc::now().timestamp() / 86_400) as i32;
    for day in [today - 40, today - 31, today - 29, today] {
        let micros = i64::from(day) * 86_400_000_000;
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00"));
        let partition = Struct::from_iter([Some(Literal::date(day)), Some(Literal::int(1))]);
        lake.append(&table, partition, vec![at, Arc::new(Int64Array::from(vec![1]))]).await;
    }
    let keep = 30 * 24 * HOUR;
    let mut lease = Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
    let report = apply_ttl(&lake.catalog, &table, &lake.limits, keep, &mut lease).await.unwrap();
    assert_eq!((report.partitions, report.files, report.rows), (2, 2, 2));
    assert_eq!(lake.rows(&lake.load(&table).await, None).await, 2);
    let again = apply_ttl(&lake.catalog, &table, &lake.limits, keep, &mut lease).await.unwrap();
    assert_eq!(again.partitions, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_four_maintainers_one_at_a_time_has_the_lease() {
    let lake = Arc::new(SmallLake::new().await);
    let table = numbers_table(&lake).await;
    let (inside, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let deadline = Instant::now() + Duration::from_secs(90);
    let contenders: Vec<_> = (0..4)
        .map(|number| {
            let (lake, table) = (lake.clone(), table.clone());
            let (inside, turns) = (inside.clone(), turns.clone());
            tokio::spawn(async move {
                let catalog = lake.second_catalog().await;
                let who = format!("contender {number}");
                let mut mine = 0;
                while mine < 3 {
                    assert!(Instant::now() < deadline, "{who} had {mine} turns");
                    let taken =
                        Lease::take(&catalog, &table, &lake.limits, LeaseSettings::default(), &who).await;
                    match taken {
                        Ok(lease) => {
                            assert!(!inside.swap(true, Ordering::SeqCst), "two holders");
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            let loaded = catalog.load_existing(&table).await.unwrap();
                            let present = present_lease(loaded.metadata()).unwrap().unwrap();
                            assert_eq!(present.holder, lease.record().holder);
                            inside.store(false, Ordering::SeqCst);
                            lease.release().await.unwrap();
                            mine += 1;
                            turns.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(MaintainError::Lease(LeaseRefusal::Held { .. })) => {
                            tokio::time::sleep(Duration::from_millis(3)).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for contender in contenders {
        contender.await.unwrap();
    }
    assert_eq!(turns.load(Ordering::SeqCst), 12);
    assert_eq!(present_lease(lake.load(&table).await.metadata()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ran_out_is_taken_over_and_its_holder_can_not_commit() {
    let (lake, table) = used_lake().await;
    let settings = LeaseSettings { duration: Duration::from_millis(1), clock_skew: Duration::ZERO };
    let long = LeaseSettings::default();
    let mut first = Lease::take(&lake.catalog, &table, &lake.limits, settings, "first").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let second = loop {
        match Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings { clock_skew: Duration::ZERO, ..long }, "second").await {
            Ok(lease) => break lease,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let before = lake.on_disk(&table).len();
    let needed = HashSet::new();
    let which = Expiring::ByAge { rules: keeping(1), needed: &needed };
    let outcome = expire(&lake.catalog, &lake.warehouse, &table, &lake.limits, which, &mut first, silent()).await;
    assert!(matches!(outcome, Err(MaintainError::Lease(LeaseRefusal::Lost { .. }))), "{outcome:?}");
    assert_eq!(lake.on_disk(&table).len(), before);
    // Giving back what another has changes nothing.
    first.release().await.unwrap();
    let present = present_lease(lake.load(&table).await.metadata()).unwrap().unwrap();
    assert_eq!(present.holder, second.record().holder);
}

/// Writers append, rewrite, and die with files written; a janitor with tiny ages runs all the time; a reader reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_janitor_with_tiny_ages_hurts_neither_writers_nor_readers() {
    const SAFETY_AGE: Duration = Duration::from_secs(6);
    let lake = Arc::new(SmallLake::new().await);
    let table = numbers_table(&lake).await;
    lake.append(&table, Struct::empty(), numbers(1)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let rows = Arc::new(AtomicU64::new(1));

    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (lake, table, stop, rows) = (lake.clone(), table.clone(), stop.clone(), rows.clone());
        tasks.push(tokio::spawn(async move { write_until(&lake, &table, SAFETY_AGE, &stop, &rows).await }));
    }
    {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        tasks.push(tokio::spawn(async move {
            let catalog = lake.second_catalog().await;
            while !stop.load(Ordering::Relaxed) {
                rewrite_all(&catalog, &lake.limits, &table).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }));
    }
    {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        tasks.push(tokio::spawn(async move { read_until(&lake, &table, &stop).await }));
    }

    let settings = at_once(2, SAFETY_AGE);
    let (mut expired_files, mut orphans) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(14) || orphans == 0 {
        assert!(begun.elapsed() < Duration::from_secs(90), "no orphan was found");
        let report = sweep(lake.tools(), &table, &settings, "janitor", false, silent()).await.unwrap();
        expired_files += report.expire.deleted.files;
        orphans += report.orphans.deleted.files;
        // Nothing else deletes what snapshots need.
        let loaded = lake.load(&table).await;
        let needed = needed_by_snapshots(&loaded).await;
        let there = lake.on_disk(&table);
        let dangling: Vec<_> = needed.difference(&there).collect();
        assert!(dangling.is_empty(), "{dangling:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(expired_files > 0);
    let loaded = lake.load(&table).await;
    assert_eq!(lake.rows(&loaded, None).await, rows.load(Ordering::Relaxed));

    lake.grow_old(&table, HOUR);
    sweep(lake.tools(), &table, &at_once(2, HOUR / 2), "janitor", false, silent()).await.unwrap();
    assert_eq!(lake.on_disk(&table), expected_on_disk(&lake.load(&table).await).await);
}

/// Appends ten rows at a time, by the protocol; every third time "dies" before the commit.
async fn write_until(lake: &SmallLake, table: &TableIdent, safety_age: Duration, stop: &AtomicBool, rows: &AtomicU64) {
    let catalog = lake.second_catalog().await;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let begun_ms = Utc::now().timestamp_millis();
        let base = catalog.load_existing(table).await.unwrap();
        let file = write_data(&base, Struct::empty(), numbers(10)).await;
        let is_allowed =
            assert_young_enough(begun_ms, Utc::now().timestamp_millis(), safety_age.as_millis() as i64);
        if turn % 3 == 0 || is_allowed.is_err() {
            continue;
        }
        let append = change(ChangeKind::Append { files: vec![file] });
        commit(&catalog, table, &append, &Unguarded, &lake.limits).await.unwrap();
        rows.fetch_add(10, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Reads current snapshots; a read may only fail when its snapshot has expired meanwhile.
async fn read_until(lake: &SmallLake, table: &TableIdent, stop: &AtomicBool) {
    let catalog = lake.second_catalog().await;
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let loaded = catalog.load_existing(table).await.unwrap();
        let snapshot_id = loaded.metadata().current_snapshot_id().unwrap();
        match read_all(&loaded, snapshot_id).await {
            Ok(()) => reads += 1,
            Err(error) => {
                let now = catalog.load_existing(table).await.unwrap();
                assert!(now.metadata().snapshot_by_id(snapshot_id).is_none(), "{error}");
            }
        }
    }
    assert!(reads > 0);
}

async fn read_all(table: &Table, snapshot_id: i64) -> Result<(), String> {
    use futures::TryStreamExt;
    let batches = pulselake_read::read_table(table, Some(snapshot_id), None).await.map_err(|error| error.to_string())?;
    let batches: Vec<_> = batches.try_collect().await.map_err(|error| error.to_string())?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    // One row, and tens: no file is read twice or left out.
    if rows % 10 == 1 { Ok(()) } else { panic!("{rows} rows") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_counts_what_is_there() {
    let (lake, table) = used_lake().await;
    lake.append(&table, Struct::empty(), numbers(7)).await;
    let health = inspect(&lake.catalog, &table, None).await.unwrap();
    assert_eq!((health.data_files.count, health.data_files.records), (2, 91));
    assert_eq!(health.data_files.by_size[0].files, 2);
    assert_eq!(health.snapshots.count, 11);
    assert_eq!(health.metadata_versions, 6);
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
