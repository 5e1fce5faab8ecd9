//! An erasure beside a stream that brings the user again and again, and beside compaction.

#![allow(clippy::unwrap_used)]

mod small_lake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::Struct;
use pulselake_commit::{ChangeKind, Rewrite, Unguarded, commit};
use pulselake_maintain::CarryLedger;
use pulselake_maintain::erase::{EraseSettings, erase, erased_so_far};
use pulselake_read::{PartitionPredicate, plan_table, read_table};
use small_lake::people::{USER, at_once, events, events_table, texts, user};
use small_lake::{SmallLake, change, needed_by_snapshots, silent, write_data};

/// Merges all data files into one, as compaction does.
async fn compact(lake: &SmallLake, table: &TableIdent) {
    let base = lake.load(table).await;
    let plan = plan_table(&base, None, &PartitionPredicate::all()).await.unwrap();
    let batches: Vec<RecordBatch> =
        match read_table(&base, plan.snapshot_id, None).await.unwrap().try_collect().await {
            Ok(batches) => batches,
            // The snapshot expired under the reader.
            Err(_) => return,
        };
    let Some(first) = batches.first() else { return };
    let all = arrow::compute::concat_batches(&first.schema(), &batches).unwrap();
    let merged = write_data(&base, Struct::empty(), all.columns().to_vec()).await;
    let rewrite = Rewrite {
        planned_sequence_number: plan.sequence_number,
        remove: plan.files.iter().map(|planned| planned.data.file().file_path().to_string()).collect(),
        partitions: [(0, Struct::empty())].into(),
        seen_in: Default::default(),
        add: vec![merged],
    };
    // Losing is part of it.
    let _ =
        commit(&lake.catalog, table, &change(ChangeKind::Rewrite(rewrite)), &CarryLedger, &lake.limits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_erasure_that_races_writers_and_compaction_loses_nobody_else() {
    let lake = Arc::new(SmallLake::new().await);
    let table = events_table(&lake).await;
    for first in 0..5 {
        lake.append(&table, Struct::empty(), events(&[USER, "u_1"], 0, first * 2, "{}")).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (others, theirs) = (Arc::new(AtomicU64::new(5)), Arc::new(AtomicU64::new(5)));
    let writer = {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        let (others, theirs) = (others.clone(), theirs.clone());
        tokio::spawn(async move {
            let mut offset = 100;
            while !stop.load(Ordering::Relaxed) {
                // The user goes on, now and then.
                let who: &[&str] =
                    if offset % 3 == 0 { &[USER, "u_2", "u_3"] } else { &["u_2", "u_3", "u_2"] };
                lake.append(&table, Struct::empty(), events(who, 0, offset, "{}")).await;
                theirs.fetch_add(who.iter().filter(|id| **id == USER).count() as u64, Ordering::Relaxed);
                others.fetch_add(who.iter().filter(|id| **id != USER).count() as u64, Ordering::Relaxed);
                offset += 1;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        })
    };
    let compactor = {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                compact(&lake, &table).await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        })
    };
    let settings = EraseSettings { max_rounds: 5, ..at_once() };
    let mut erased = 0;
    let deadline = Instant::now() + Duration::from_secs(90);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        loop {
            let report = erase(lake.tools(), &user(), &settings, "test", false, silent()).await.unwrap();
            erased += report.tables.first().map_or(0, |found| found.rows_erased);
            if report.is_complete() {
                break;
            }
            assert!(Instant::now() < deadline, "{report:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    compactor.await.unwrap();
    let last = erase(lake.tools(), &user(), &settings, "test", false, silent()).await.unwrap();
    assert!(last.is_complete(), "{last:?}");
    erased += last.tables[0].rows_erased;

    let left = texts(&lake, &table, "user_id").await;
    assert!(left.iter().all(|id| id != USER));
    assert_eq!(left.len() as u64, others.load(Ordering::Relaxed));
    assert_eq!(erased, theirs.load(Ordering::Relaxed), "each row was counted once");
    let loaded = lake.load(&table).await;
    assert_eq!(erased_so_far(loaded.metadata()).unwrap()["content_events"]["0"], erased);
    assert!(needed_by_snapshots(&loaded).await.is_subset(&lake.on_disk(&table)));
    assert!(
        commit(
            &lake.catalog,
            &table,
            &change(ChangeKind::Append { files: Vec::new() }),
            &Unguarded,
            &lake.limits
        )
        .await
        .is_ok()
    );
}
