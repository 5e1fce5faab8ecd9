//! Compaction and expiry racing a live stream of upserts: every snapshot that ever appears is read and has exactly the
//! rows that the writer put there, and no commit of the writer waits for maintenance.
//!
//! The short form commits six times a second for 20 s; `PULSELAKE_SOAK` once a second for 10 minutes, on REST and S3 too.

#![allow(clippy::unwrap_used)]

mod any_lake;
#[path = "race_parts/checker.rs"]
mod checker;
#[path = "race_parts/maintainer.rs"]
mod maintainer;
#[path = "race_parts/writer.rs"]
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use any_lake::{AnyLake, Kind, is_soak};
use checker::{Watch, check_all, current_truth};
use maintainer::{compact_once, compact_until, expire_until};
use writer::{Pace, Truths, Writer};

/// What a commit may wait for maintenance. It is judged by a second stream at the same time, to a table that nobody
/// maintains: a machine that does much else slows both down.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How much longer the single longest commit may be than the other stream's, beside that.
const LUCK: u32 = 3;
/// Attempts of one commit: each lost race costs one more, and maintenance commits less often than the writer.
const MOST_ATTEMPTS: u32 = 8;

fn pace() -> Pace {
    match is_soak() {
        false => Pace { interval: Duration::from_millis(150), length: Duration::from_secs(20), commits: 100 },
        true => Pace { interval: Duration::from_secs(1), length: Duration::from_secs(600), commits: 500 },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn maintenance_races_a_stream() {
    race(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs services: run through make test"]
async fn maintenance_races_a_stream_on_rest_and_s3() {
    if !is_soak() {
        println!("only in the long form");
        return;
    }
    race(Kind::RestOnS3).await;
}

async fn race(kind: Kind) {
    let lake = Arc::new(AnyLake::new(kind).await);
    let table = writer::create(&lake, "maintained").await;
    let truths = Arc::new(Truths::default());
    let mut writer = Writer::new(lake.clone(), table.clone(), truths.clone());
    let other = writer::create(&lake, "left_alone").await;
    let mut alone = Writer::new(lake.clone(), other, Arc::default());

    let stop = Arc::new(AtomicBool::new(false));
    let watch = Arc::new(Watch::default());
    let watching = tokio::spawn(watch.clone().follow(lake.clone(), table.clone(), truths, stop.clone()));
    let checking = tokio::spawn(check_all(watch.clone(), stop.clone()));
    let compacting = tokio::spawn(compact_until(lake.clone(), table.clone(), stop.clone()));
    let expiring = tokio::spawn(expire_until(lake.clone(), table.clone(), watch.clone(), stop.clone()));
    let begun = Instant::now();
    let (racing, alone) = tokio::join!(writer.commit_at(pace()), alone.commit_at(pace()));
    let elapsed = begun.elapsed();
    stop.store(true, Ordering::SeqCst);
    let (compacted, expired) = (compacting.await.unwrap(), expiring.await.unwrap());
    let last = watching.await.unwrap();
    let checked = checking.await.unwrap();

    println!("{kind:?}: {} commits in {elapsed:?}", racing.waits.len());
    println!("alone: {}\nracing: {}", alone.describe(), racing.describe());
    println!(
        "{compacted:?}\n{expired:?}\n{checked} snapshots were read, the last with sequence number {last}"
    );
    // Each snapshot has the next sequence number: none was missed.
    assert_eq!(checked, last);
    // In the short form other tests take what they want of the machine: the writer that is left alone says how much that is.
    let least_per_s = if is_soak() { 0.8 } else { 0.45 * alone.commits_per_s() };
    assert!(racing.commits_per_s() >= least_per_s, "{} commits/s, not {least_per_s}", racing.commits_per_s());
    assert!(compacted.groups >= 5 && compacted.rows_deleted > 0, "{compacted:?}");
    assert!(expired.snapshots > 0 && expired.files > 0, "{expired:?}");
    assert!(
        racing.position_deletes > 0 && racing.conflicts < racing.waits.len() as u64,
        "{}",
        racing.describe()
    );
    assert!(racing.usual() <= alone.usual() + LONGEST_WAIT, "{:?}", racing.usual());
    assert!(racing.longest() <= alone.longest() * LUCK + LONGEST_WAIT, "{:?}", racing.longest());
    assert!(racing.attempts <= MOST_ATTEMPTS, "{} attempts of one commit", racing.attempts);

    assert_eq!(current_truth(&lake.load(&table).await).await, writer.truth());
    let done = compact_once(&lake, &table).await;
    assert!(done.is_finished, "{done:?}");
    let at_rest = lake.load(&table).await.metadata().current_snapshot_id();
    let again = compact_once(&lake, &table).await;
    assert!(again.planned.is_empty() && again.groups == 0 && again.after.delete_files == 0, "{again:?}");
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata().current_snapshot_id(), at_rest);
    assert_eq!(current_truth(&loaded).await, writer.truth());
}
