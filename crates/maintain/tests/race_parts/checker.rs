//! Sees every snapshot that appears, and reads each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::Snapshot;
use iceberg::table::Table;
use parking_lot::Mutex;
use pulselake_commit::COMMIT_ID;
use pulselake_read::read_table;

use crate::any_lake::AnyLake;
use crate::writer::{Truth, Truths};

/// Much shorter than the time in which snapshots expire, by their number.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The snapshots that were seen.
#[derive(Default)]
pub struct Watch {
    seen: Mutex<Seen>,
    has_ended: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// What each holds.
    truths: HashMap<i64, Truth>,
    to_check: VecDeque<(Table, i64, Truth)>,
    /// Not yet read: they must not expire.
    unread: HashSet<i64>,
}

impl Watch {
    /// Looks for snapshots until it is told to stop, and once more then; gives the last sequence number.
    pub async fn follow(
        self: Arc<Self>,
        lake: Arc<AnyLake>,
        table: TableIdent,
        truths: Arc<Truths>,
        stop: Arc<AtomicBool>,
    ) -> i64 {
        let catalog = lake.another_handle().await;
        loop {
            let is_last = stop.load(Ordering::SeqCst);
            let loaded = catalog.load_existing(&table).await.unwrap();
            self.note(&loaded, &truths);
            if is_last {
                self.has_ended.store(true, Ordering::SeqCst);
                return loaded.metadata().last_sequence_number();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Notes the snapshots that are new. What a snapshot of the writer holds is known by its commit; any other one's rows
    /// are those of its parent.
    fn note(&self, table: &Table, truths: &Truths) {
        let mut seen = self.seen.lock();
        let mut snapshots: Vec<_> = table.metadata().snapshots().cloned().collect();
        snapshots.sort_by_key(|snapshot| snapshot.sequence_number());
        for snapshot in snapshots {
            let id = snapshot.snapshot_id();
            if seen.truths.contains_key(&id) {
                continue;
            }
            let truth = written_by(&snapshot, truths).or_else(|| match snapshot.parent_snapshot_id() {
                Some(parent) => seen.truths.get(&parent).copied(),
                // A lease taken on the empty table.
                None => Some(Truth::default()),
            });
            let truth = truth.unwrap_or_else(|| panic!("nobody knows what is in {snapshot:?}"));
            seen.truths.insert(id, truth);
            seen.unread.insert(id);
            seen.to_check.push_back((table.clone(), id, truth));
        }
    }

    /// Snapshots that must be read still.
    pub fn unread(&self) -> HashSet<i64> {
        self.seen.lock().unread.clone()
    }
}

fn written_by(snapshot: &Snapshot, truths: &Truths) -> Option<Truth> {
    truths.after(snapshot.summary().additional_properties.get(COMMIT_ID)?)
}

/// Reads all that is seen; gives how many those were.
pub async fn check_all(watch: Arc<Watch>, stop: Arc<AtomicBool>) -> i64 {
    let mut checked = 0;
    loop {
        let has_ended = watch.has_ended.load(Ordering::SeqCst);
        let next = watch.seen.lock().to_check.pop_front();
        let Some((table, snapshot_id, truth)) = next else {
            if has_ended {
                return checked;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        };
        let found = truth_at(&table, Some(snapshot_id)).await;
        if found != truth {
            // Ends the writer too, so that the table is as it was seen.
            stop.store(true, Ordering::SeqCst);
            let snapshot = table.metadata().snapshot_by_id(snapshot_id);
            panic!("{found:?} instead of {truth:?} in {snapshot:?}");
        }
        watch.seen.lock().unread.remove(&snapshot_id);
        checked += 1;
    }
}

/// What the current snapshot holds.
pub async fn current_truth(table: &Table) -> Truth {
    truth_at(table, None).await
}

async fn truth_at(table: &Table, snapshot_id: Option<i64>) -> Truth {
    let stream = read_table(table, snapshot_id, Some(&["id", "value"])).await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    let mut pairs = Vec::new();
    for batch in &batches {
        let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().iter().copied();
        pairs.extend(column(0).zip(column(1)));
    }
    Truth::of(pairs)
}
