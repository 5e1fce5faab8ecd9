//! Compaction beside a stream of upserts: at every snapshot, each key has exactly one row, and all are of one upsert.
#![allow(clippy::unwrap_used)]

#[path = "../../read/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iceberg::TableIdent;
use iceberg::spec::{FormatVersion, PrimitiveType, Struct, Transform, UnboundPartitionSpec};
use pulselake_commit::{ChangeKind, RowDelta};
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use support::{Lake, longs, rows_of, schema};

const KEYS: i64 = 20;
const UPSERTS: i64 = 25;

async fn upsert_all(lake: &Lake, ident: &TableIdent, version: i64) {
    // In two files, so that one commit is more than one file.
    let mut delta = RowDelta::default();
    for half in [0..KEYS / 2, KEYS / 2..KEYS] {
        let versions = vec![version; (KEYS / 2) as usize];
        delta.data.push(lake.write(ident, Struct::empty(), vec![longs(half.clone()), longs(versions)]).await);
        delta.deletes.push(lake.equality_deletes(ident, Struct::empty(), vec![(1, longs(half))]).await);
    }
    lake.commit(ident, ChangeKind::RowDelta(delta)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_sees_every_key_once_at_every_snapshot() {
    let lake = Arc::new(Lake::new().await);
    let columns = schema(&[("id", PrimitiveType::Long, true), ("version", PrimitiveType::Long, true)]);
    let ident = lake.create("dim", FormatVersion::V2, columns, &[], &["id"]).await;
    upsert_all(&lake, &ident, 0).await;

    let is_done = Arc::new(AtomicBool::new(false));
    let (compacted_lake, compacted, stop) = (lake.clone(), ident.clone(), is_done.clone());
    let compactor = tokio::spawn(async move {
        let mut groups = 0;
        while !stop.load(Ordering::SeqCst) {
            let compaction = Compaction::new(TablePolicy::dimension("id"));
            let report =
                compact_table(compacted_lake.catalog.as_ref(), &compacted, &compaction).await.unwrap();
            groups += report.groups;
        }
        groups
    });
    let (read_lake, read, stop) = (lake.clone(), ident.clone(), is_done.clone());
    let reader = tokio::spawn(async move {
        let mut reads = 0;
        while !stop.load(Ordering::SeqCst) {
            let table = read_lake.table(&read).await;
            let rows = rows_of(&table, None, None).await;
            let versions: Vec<&str> = rows.iter().map(|row| row.split_once('|').unwrap().1).collect();
            assert_eq!(rows.len(), KEYS as usize, "{rows:?}");
            assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{rows:?}");
            reads += 1;
        }
        reads
    });
    for version in 1..=UPSERTS {
        upsert_all(&lake, &ident, version).await;
    }
    is_done.store(true, Ordering::SeqCst);
    let (groups, reads) = (compactor.await.unwrap(), reader.await.unwrap());
    assert!(groups > 0 && reads > 0, "{groups} groups, {reads} reads");

    // Every snapshot that the table still has says the same.
    let table = lake.table(&ident).await;
    assert!(table.metadata().snapshots().count() as i64 > UPSERTS);
    for snapshot in table.metadata().snapshots() {
        let rows = rows_of(&table, Some(snapshot.snapshot_id()), None).await;
        assert_eq!(rows.len(), KEYS as usize, "snapshot {}: {rows:?}", snapshot.snapshot_id());
    }
    let last = Compaction::new(TablePolicy::dimension("id"));
    let report = compact_table(lake.catalog.as_ref(), &ident, &last).await.unwrap();
    assert!(report.is_finished);
    assert_eq!((report.after.files, report.after.delete_files, report.after.records), (1, 0, KEYS as u64));
    let expected: Vec<String> = (0..KEYS).map(|id| format!("{id}|{UPSERTS}")).collect();
    let mut found = lake.rows(&ident).await;
    found.sort_by_key(|row| row.split_once('|').unwrap().0.parse::<i64>().unwrap());
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_old_partition_spec_are_not_committed_under_a_new_one() {
    let lake = Arc::new(Lake::new().await);
    let columns = schema(&[("id", PrimitiveType::Long, true), ("version", PrimitiveType::Long, true)]);
    let ident = lake.create("dim", FormatVersion::V2, columns, &[], &["id"]).await;
    for version in 0..3 {
        lake.append(
            &ident,
            vec![lake.write(&ident, Struct::empty(), vec![longs([version]), longs([version])]).await],
        )
        .await;
    }
    let (reached, mut wait_reached) = tokio::sync::mpsc::unbounded_channel::<()>();
    let (go_on, wait_go_on) = std::sync::mpsc::channel::<()>();
    let wait_go_on = parking_lot::Mutex::new(wait_go_on);
    let mut compaction = Compaction::new(TablePolicy::dimension("id"));
    compaction.progress = Arc::new(move |progress| {
        if progress.bytes_read > 0 {
            let _ = reached.send(());
            let _ = wait_go_on.lock().recv();
        }
    });
    let (run_lake, run_ident) = (lake.clone(), ident.clone());
    let run =
        tokio::spawn(async move { compact_table(run_lake.catalog.as_ref(), &run_ident, &compaction).await });
    wait_reached.recv().await.unwrap();
    let by_id =
        UnboundPartitionSpec::builder().add_partition_field(1, "id", Transform::Identity).unwrap().build();
    lake.partition_by(&ident, by_id).await;
    drop(go_on);
    let report = run.await.unwrap().unwrap();
    // Files of the old spec are left alone: their rows belong to three of today's partitions.
    assert_eq!((report.conflicts, report.groups, report.after.files), (1, 0, 3));
    assert_eq!(lake.rows(&ident).await, ["0|0", "1|1", "2|2"]);
    assert_eq!(std::fs::read_dir(lake.directory.path().join("dim/data")).unwrap().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_future_is_dropped_stops_and_leaves_no_file() {
    let lake = Arc::new(Lake::new().await);
    let columns = schema(&[("id", PrimitiveType::Long, true), ("version", PrimitiveType::Long, true)]);
    let ident = lake.create("dim", FormatVersion::V2, columns, &[], &["id"]).await;
    for version in 0..3 {
        lake.append(
            &ident,
            vec![lake.write(&ident, Struct::empty(), vec![longs([version]), longs([version])]).await],
        )
        .await;
    }
    let snapshot = lake.table(&ident).await.metadata().current_snapshot_id();
    let (reached, mut wait_reached) = tokio::sync::mpsc::unbounded_channel::<()>();
    let (go_on, wait_go_on) = std::sync::mpsc::channel::<()>();
    let wait_go_on = parking_lot::Mutex::new(wait_go_on);
    let mut compaction = Compaction::new(TablePolicy::dimension("id"));
    compaction.progress = Arc::new(move |progress| {
        if progress.bytes_read > 0 {
            let _ = reached.send(());
            // The compaction's own thread stands here until the test goes on, or has ended.
            let _ = wait_go_on.lock().recv();
        }
    });
    let meter = compaction.meter.clone();
    let (run_lake, run_ident) = (lake.clone(), ident.clone());
    let run =
        tokio::spawn(async move { compact_table(run_lake.catalog.as_ref(), &run_ident, &compaction).await });
    wait_reached.recv().await.unwrap();
    assert!(meter.reserved_bytes() > 0);
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    drop(go_on);
    let deadline = Instant::now() + Duration::from_secs(30);
    let data = lake.directory.path().join("dim/data");
    while meter.reserved_bytes() > 0 || std::fs::read_dir(&data).unwrap().count() != 3 {
        assert!(Instant::now() < deadline, "the thread goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lake.table(&ident).await.metadata().current_snapshot_id(), snapshot);
}
