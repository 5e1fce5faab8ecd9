//! The stream: appends, upserts, deletes by key and by position, and what the table has to hold after each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use iceberg::TableIdent;
use iceberg::spec::{Literal, PrimitiveType, Struct};
use parking_lot::Mutex;
use pulselake_commit::{ChangeKind, CommitFailure, RowDelta, TableChange, Unguarded};
use xxhash_rust::xxh3::xxh3_64;

use crate::any_lake::{AnyLake, change, data, equality_deletes, position_deletes, schema};

const NEW_ROWS: i64 = 20;
const UPSERTS: usize = 6;
const DELETES: usize = 3;
const POSITIONS: usize = 2;
/// Of so many turns, …
const TURNS: i64 = 20;
/// … these delete by position, one in each partition. Each makes a compaction of that file plan anew: with one in every
/// commit none would ever land.
const POSITION_TURNS: [i64; 2] = [4, 5];
/// Partitions of the table; each commit touches one.
const SHARDS: i64 = 2;

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub rows: u64,
    pub sum: i64,
    /// Of all pairs of key and value.
    pub fingerprint: u64,
}

impl Truth {
    pub fn of(pairs: impl IntoIterator<Item = (i64, i64)>) -> Self {
        pairs.into_iter().fold(Self::default(), |truth, (id, value)| Self {
            rows: truth.rows + 1,
            sum: truth.sum + value,
            fingerprint: truth
                .fingerprint
                .wrapping_add(xxh3_64(&[id.to_le_bytes(), value.to_le_bytes()].concat())),
        })
    }
}

/// What the table holds after each commit, by commit id; known before the commit is tried.
#[derive(Default)]
pub struct Truths(Mutex<HashMap<String, Truth>>);

impl Truths {
    pub fn after(&self, commit_id: &str) -> Option<Truth> {
        self.0.lock().get(commit_id).copied()
    }
}

/// How fast and how long.
#[derive(Clone, Copy)]
pub struct Pace {
    pub interval: Duration,
    /// At least so long …
    pub length: Duration,
    /// … and so many.
    pub commits: usize,
}

/// How the commits went.
#[derive(Default)]
pub struct Outcomes {
    /// From the first to the last, pauses included.
    pub lasted: Duration,
    /// How long each took.
    pub waits: Vec<Duration>,
    /// Most attempts of one.
    pub attempts: u32,
    /// Commits that were planned anew: their position deletes' file had been rewritten.
    pub conflicts: u64,
    /// Rows that were deleted by position.
    pub position_deletes: u64,
}

impl Outcomes {
    /// All but one in twenty were faster.
    pub fn usual(&self) -> Duration {
        let mut sorted = self.waits.clone();
        sorted.sort();
        sorted[sorted.len() * 19 / 20]
    }

    pub fn commits_per_s(&self) -> f64 {
        self.waits.len() as f64 / self.lasted.as_secs_f64()
    }

    pub fn longest(&self) -> Duration {
        self.waits.iter().max().copied().unwrap_or_default()
    }

    pub fn describe(&self) -> String {
        format!(
            "95 % within {:?}, longest {:?}, at most {} attempts, {} conflicts, {} deletes by position",
            self.usual(),
            self.longest(),
            self.attempts,
            self.conflicts,
            self.position_deletes
        )
    }
}

/// The value of a key, and the place of its row.
#[derive(Clone)]
struct Row {
    value: i64,
    file: Arc<str>,
    position: i64,
}

/// The columns: key, partition, value.
pub async fn create(lake: &AnyLake, name: &str) -> TableIdent {
    let columns = schema(&[
        ("id", PrimitiveType::Long, true),
        ("shard", PrimitiveType::Int, true),
        ("value", PrimitiveType::Long, true),
    ]);
    lake.create(name, columns, "shard").await
}

pub struct Writer {
    lake: Arc<AnyLake>,
    table: TableIdent,
    truths: Arc<Truths>,
    rows: BTreeMap<i64, Row>,
    turn: i64,
    /// The file of the shard's commit before.
    newest: [Option<Arc<str>>; SHARDS as usize],
}

impl Writer {
    pub fn new(lake: Arc<AnyLake>, table: TableIdent, truths: Arc<Truths>) -> Self {
        Self { lake, table, truths, rows: BTreeMap::new(), turn: 0, newest: [None, None] }
    }

    pub fn truth(&self) -> Truth {
        Truth::of(self.rows.iter().map(|(id, row)| (*id, row.value)))
    }

    /// Commits at a pace.
    pub async fn commit_at(&mut self, pace: Pace) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let begun = Instant::now();
        while begun.elapsed() < pace.length || outcomes.waits.len() < pace.commits {
            let next = Instant::now() + pace.interval;
            self.take_turn(&mut outcomes).await;
            tokio::time::sleep_until(next.into()).await;
        }
        outcomes.lasted = begun.elapsed();
        outcomes
    }

    async fn take_turn(&mut self, outcomes: &mut Outcomes) {
        self.turn += 1;
        // Every third turn has nothing but new rows.
        let (mut by_key, mut by_position) = (Vec::new(), Vec::new());
        if self.turn % 3 != 0 {
            by_key = self.pick(UPSERTS + DELETES, |_| true);
        }
        if POSITION_TURNS.contains(&(self.turn % TURNS)) {
            let file = self.newest[self.shard() as usize].clone();
            by_position = self.pick(POSITIONS, |row| file.as_ref() == Some(&row.file));
            by_position.retain(|id| !by_key.contains(id));
        }
        loop {
            let (change, rows) = self.build(&by_key, &by_position).await;
            let truth = Truth::of(rows.iter().map(|(id, row)| (*id, row.value)));
            self.truths.0.lock().insert(change.commit_id.clone(), truth);
            let begun = Instant::now();
            let outcome = self.lake.try_land(&self.table, &change, &Unguarded).await;
            match outcome {
                Ok(landing) => {
                    outcomes.waits.push(begun.elapsed());
                    outcomes.attempts = outcomes.attempts.max(landing.attempts);
                    outcomes.position_deletes += by_position.len() as u64;
                    self.rows = rows;
                    return;
                }
                Err(CommitFailure::Conflict { .. }) if !by_position.is_empty() => {
                    // The file was rewritten: its rows are deleted by key instead.
                    outcomes.conflicts += 1;
                    by_key.append(&mut by_position);
                }
                Err(failure) => panic!("{failure:?}"),
            }
        }
    }

    fn shard(&self) -> i64 {
        self.turn % SHARDS
    }

    /// Some keys of this turn's shard, others each time.
    fn pick(&self, count: usize, wanted: impl Fn(&Row) -> bool) -> Vec<i64> {
        let of_shard = self.rows.iter().filter(|(id, row)| *id % SHARDS == self.shard() && wanted(row));
        let ids: Vec<i64> = of_shard.map(|(id, _)| *id).collect();
        let step = (ids.len() / count.max(1)).max(1);
        ids.into_iter().skip(self.turn as usize * 7 % step).step_by(step).take(count).collect()
    }

    /// The change, with all files written, and the rows after it. Of the keys, the first get a new value.
    async fn build(&mut self, by_key: &[i64], by_position: &[i64]) -> (TableChange, BTreeMap<i64, Row>) {
        let shard = self.shard();
        let base = self.lake.load(&self.table).await;
        let partition = Struct::from_iter([Some(Literal::int(shard as i32))]);
        let first = self.turn * NEW_ROWS * SHARDS;
        let new = (0..NEW_ROWS).map(|number| first + number * SHARDS + shard);
        let ids: Vec<i64> = by_key.iter().copied().take(UPSERTS).chain(new).collect();
        let values: Vec<i64> = ids.iter().map(|id| id * 1_000 + self.turn).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.clone())),
            Arc::new(Int32Array::from(vec![shard as i32; ids.len()])),
            Arc::new(Int64Array::from(values.clone())),
        ];
        let file = data(&base, partition.clone(), columns).await;
        let path: Arc<str> = file.file_path().into();

        let mut delta = RowDelta { data: vec![file.clone()], ..RowDelta::default() };
        let mut rows = self.rows.clone();
        if !by_key.is_empty() {
            let keys = Arc::new(Int64Array::from(by_key.to_vec()));
            delta.deletes.push(equality_deletes(&base, partition.clone(), 1, keys).await);
        }
        if let Some(target) = by_position.first().map(|id| self.rows[id].file.clone()) {
            let mut positions: Vec<i64> = by_position.iter().map(|id| self.rows[id].position).collect();
            positions.sort_unstable();
            delta.deletes.push(position_deletes(&base, partition, &target, positions).await);
            delta.must_exist = HashSet::from([target.to_string()]);
        }
        for id in by_key.iter().chain(by_position) {
            rows.remove(id);
        }
        for ((position, id), value) in (0..).zip(&ids).zip(values) {
            rows.insert(*id, Row { value, file: path.clone(), position });
        }
        self.newest[shard as usize] = Some(path);
        let kind = match delta.deletes.is_empty() {
            true => ChangeKind::Append { files: delta.data },
            false => ChangeKind::RowDelta(delta),
        };
        (change(kind), rows)
    }
}
