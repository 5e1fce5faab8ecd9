//! The last version of every key, deleted ones included, in a bounded amount of memory.
//!
//! Promise: a verdict other than [`Verdict::Doubtful`] is what the whole history would say. The bound costs look-ups,
//! never a wrong verdict: of the keys that were evicted, the index knows that their last version is no later than `floor`.
//!
//! Memory: 48 bytes an entry in tables that are 7/16 to 7/8 full, some 56 to 112 bytes a key. The index is cut into
//! tables so that growing copies one of them at a time.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use hashbrown::HashTable;
use pulselake_model::Entity;

use crate::error::CdcError;
use crate::order::{HistoryVersion, VersionOrder, key_hash};

const TABLES: usize = 64;
/// Of how many keys at least the orders are looked at to find the lowest eighth.
const SAMPLE: usize = 65_536;
const NO_POSITION: i64 = i64::MIN;

/// The columns of the history that, with the key, make a version's identity: what [`VersionIndex::load`] and
/// [`history_versions`] need beside the key column.
pub const VERSION_COLUMNS: [&str; 4] =
    ["source_position", "source_position_minor", "source_ts_ms", "version_hash"];

/// What the index can say about a version that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The history has no version of this key: the dimension has no row of it.
    New,
    /// Later than every version of this key in the history.
    Newer,
    /// The history's last version of this key once more.
    Repetition,
    /// Only the history itself can tell.
    Doubtful,
}

struct Entry {
    key_hash: u128,
    position: i64,
    position_minor: i64,
    source_ts_ms: i64,
    version_hash: i64,
}

impl Entry {
    fn new(key_hash: u128, order: VersionOrder, version_hash: i64) -> Self {
        Self {
            key_hash,
            position: order.position.unwrap_or(NO_POSITION),
            position_minor: order.position_minor.unwrap_or(NO_POSITION),
            source_ts_ms: order.source_ts_ms,
            version_hash,
        }
    }

    fn order(&self) -> VersionOrder {
        let known = |value| (value != NO_POSITION).then_some(value);
        VersionOrder {
            position: known(self.position),
            position_minor: known(self.position_minor),
            source_ts_ms: self.source_ts_ms,
        }
    }
}

/// Key hash → order and hash of the key's last version in the history.
pub struct VersionIndex {
    tables: Vec<HashTable<Entry>>,
    max_keys: usize,
    len: usize,
    floor: Option<VersionOrder>,
}

impl VersionIndex {
    /// An empty index of at most `max_keys` keys (at least 1).
    pub fn new(max_keys: usize) -> Self {
        let tables = (0..TABLES).map(|_| HashTable::new()).collect();
        Self { tables, max_keys: max_keys.max(1), len: 0, floor: None }
    }

    /// Takes in versions of the history, in any order and any number of times: rows with the key column of `entity`,
    /// `source_position`, `source_position_minor`, `source_ts_ms` and `version_hash`; other columns are ignored.
    ///
    /// # Errors
    /// A column is absent or of another type.
    pub fn load(&mut self, entity: Entity, versions: &RecordBatch) -> Result<(), CdcError> {
        let rows = HistoryKeys::of(entity, versions)?;
        for row in 0..versions.num_rows() {
            self.load_version(key_hash(rows.key(row)), rows.order(row), rows.version_hash.value(row));
        }
        Ok(())
    }

    /// Takes in one version of the history; which of a key's versions comes first doesn't matter.
    fn load_version(&mut self, hash: u128, order: VersionOrder, version_hash: i64) {
        if let Some(entry) = self.entry_mut(hash) {
            if order >= entry.order() {
                *entry = Entry::new(hash, order, version_hash);
            }
            return;
        }
        // A later version of this key may have been evicted: this one may not be its last.
        if self.floor.is_none_or(|floor| order > floor) {
            self.insert(Entry::new(hash, order, version_hash));
        }
    }

    /// Notes that `order` and `version_hash` are now the last version of a key.
    pub(crate) fn set_last(&mut self, hash: u128, order: VersionOrder, version_hash: i64) {
        let entry = Entry::new(hash, order, version_hash);
        match self.entry_mut(hash) {
            Some(known) => *known = entry,
            None => self.insert(entry),
        }
    }

    /// Judges a version by what is known of its key's last one.
    pub fn judge(&self, key_hash: u128, order: VersionOrder, version_hash: i64) -> Verdict {
        let Some(entry) = self.entry(key_hash) else {
            return match self.floor {
                None => Verdict::New,
                Some(floor) if order > floor => Verdict::Newer,
                Some(_) => Verdict::Doubtful,
            };
        };
        if order > entry.order() {
            Verdict::Newer
        } else if order == entry.order() && version_hash == entry.version_hash {
            Verdict::Repetition
        } else {
            Verdict::Doubtful
        }
    }

    /// Order of a key's last version; `None` when the key is not in the index.
    pub fn last_order(&self, key_hash: u128) -> Option<VersionOrder> {
        self.entry(key_hash).map(Entry::order)
    }

    /// Keys in the index.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key is in the index.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.tables.iter().map(HashTable::allocation_size).sum::<usize>()
            + self.tables.capacity() * size_of::<HashTable<Entry>>()
    }

    /// The highest order that was evicted; `None` when every key of the history is here.
    pub fn floor(&self) -> Option<VersionOrder> {
        self.floor
    }

    fn entry(&self, hash: u128) -> Option<&Entry> {
        self.tables[table_of(hash)].find(slot_hash(hash), |entry| entry.key_hash == hash)
    }

    fn entry_mut(&mut self, hash: u128) -> Option<&mut Entry> {
        self.tables[table_of(hash)].find_mut(slot_hash(hash), |entry| entry.key_hash == hash)
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.key_hash;
        self.tables[table_of(hash)].insert_unique(slot_hash(hash), entry, |other| slot_hash(other.key_hash));
        self.len += 1;
        while self.len > self.max_keys {
            self.evict_lowest();
        }
    }

    /// Evicts about an eighth of the entries, the lowest ones. Which of equal ones go doesn't matter.
    fn evict_lowest(&mut self) {
        let every = (self.len / SAMPLE).max(1);
        let entries = self.tables.iter().flat_map(HashTable::iter);
        let mut orders: Vec<VersionOrder> = entries.step_by(every).map(Entry::order).collect();
        let at = (orders.len() / 8).min(orders.len() - 1);
        let (_, &mut threshold, _) = orders.select_nth_unstable(at);
        let mut left = (self.len / 8).max(1);
        // First what is surely below, so that of the equal ones no more go than are needed.
        for of_equal in [false, true] {
            for table in &mut self.tables {
                table.retain(|entry| {
                    let order = entry.order();
                    let goes = left > 0 && if of_equal { order == threshold } else { order < threshold };
                    if goes {
                        left -= 1;
                        self.len -= 1;
                        self.floor = self.floor.max(Some(order));
                    }
                    !goes
                });
            }
        }
        self.tables.iter_mut().for_each(rebuild);
    }
}

/// Entries that were removed leave marks, which would make a table grow although it is not full.
fn rebuild(table: &mut HashTable<Entry>) {
    let kept = std::mem::take(table);
    *table = HashTable::with_capacity(kept.len());
    for entry in kept {
        table.insert_unique(slot_hash(entry.key_hash), entry, |other| slot_hash(other.key_hash));
    }
}

/// The table that a key is in: by bits that don't place it inside the table.
fn table_of(hash: u128) -> usize {
    (hash >> 64) as usize % TABLES
}

fn slot_hash(hash: u128) -> u64 {
    hash as u64
}

/// The versions that rows of the history name, which have the key column and [`VERSION_COLUMNS`].
///
/// # Errors
/// A column is absent or of another type.
pub fn history_versions(entity: Entity, rows: &RecordBatch) -> Result<Vec<HistoryVersion>, CdcError> {
    let versions = HistoryKeys::of(entity, rows)?;
    let version = |row| HistoryVersion {
        key: versions.key(row).to_owned(),
        order: versions.order(row),
        version_hash: versions.version_hash.value(row),
    };
    Ok((0..rows.num_rows()).map(version).collect())
}

/// The columns of history rows that make a version's identity.
pub(crate) struct HistoryKeys<'a> {
    keys: &'a StringArray,
    position: &'a Int64Array,
    position_minor: &'a Int64Array,
    source_ts_ms: &'a Int64Array,
    version_hash: &'a Int64Array,
}

impl<'a> HistoryKeys<'a> {
    pub(crate) fn of(entity: Entity, rows: &'a RecordBatch) -> Result<Self, CdcError> {
        Ok(Self {
            keys: column(rows, entity.key_column(), &DataType::Utf8)?.as_string(),
            position: longs(rows, "source_position")?,
            position_minor: longs(rows, "source_position_minor")?,
            source_ts_ms: longs(rows, "source_ts_ms")?,
            version_hash: longs(rows, "version_hash")?,
        })
    }

    pub(crate) fn key(&self, row: usize) -> &'a str {
        self.keys.value(row)
    }

    pub(crate) fn order(&self, row: usize) -> VersionOrder {
        let known = |array: &Int64Array| array.is_valid(row).then(|| array.value(row));
        VersionOrder {
            position: known(self.position),
            position_minor: known(self.position_minor),
            source_ts_ms: self.source_ts_ms.value(row),
        }
    }
}

fn longs<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, CdcError> {
    Ok(column(rows, name, &DataType::Int64)?.as_primitive::<Int64Type>())
}

/// A column of history rows by name, of the type that it must have.
pub(crate) fn column<'a>(
    rows: &'a RecordBatch,
    name: &str,
    data_type: &DataType,
) -> Result<&'a dyn Array, CdcError> {
    let failed = |reason: String| CdcError::HistoryRows { column: name.to_owned(), reason };
    let found = rows.column_by_name(name).ok_or_else(|| failed("it is absent".to_owned()))?;
    if found.data_type() != data_type {
        return Err(failed(format!("its type is {}, not {data_type}", found.data_type())));
    }
    Ok(found.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64) -> VersionOrder {
        VersionOrder { position: Some(position), position_minor: Some(0), source_ts_ms: position }
    }

    #[test]
    fn verdicts_follow_the_last_version() {
        let mut index = VersionIndex::new(10);
        assert_eq!(index.judge(1, at(5), 7), Verdict::New);
        index.set_last(1, at(5), 7);
        assert_eq!(index.judge(1, at(6), 7), Verdict::Newer);
        assert_eq!(index.judge(1, at(5), 7), Verdict::Repetition);
        assert_eq!(index.judge(1, at(5), 8), Verdict::Doubtful);
        assert_eq!(index.judge(1, at(4), 7), Verdict::Doubtful);
        assert_eq!(index.judge(2, VersionOrder::default(), 7), Verdict::New);
        assert_eq!(index.last_order(1), Some(at(5)));
    }

    #[test]
    fn loading_keeps_the_last_version_whatever_the_order() {
        let mut index = VersionIndex::new(10);
        for position in [3, 9, 1] {
            index.load_version(1, at(position), position);
        }
        assert_eq!(index.judge(1, at(9), 9), Verdict::Repetition);
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn the_lowest_are_evicted_and_doubted_afterwards() {
        let mut index = VersionIndex::new(8);
        for key in 0..9 {
            index.set_last(key, at(key as i64), 0);
        }
        assert_eq!(index.len(), 8);
        assert_eq!(index.floor(), Some(at(0)));
        assert_eq!(index.judge(0, at(0), 0), Verdict::Doubtful);
        assert_eq!(index.judge(100, at(0), 0), Verdict::Doubtful);
        assert_eq!(index.judge(100, at(1), 0), Verdict::Newer);
    }

    #[test]
    fn an_evicted_key_does_not_come_back_with_a_version_that_may_not_be_its_last() {
        let mut index = VersionIndex::new(80);
        index.load_version(0, at(5), 0);
        for key in 1..81 {
            index.load_version(key, at(100 + key as i64), 0);
        }
        assert!(index.len() < 80 && index.last_order(0).is_none(), "there is room");
        index.load_version(0, at(3), 0);
        assert_eq!(index.judge(0, at(4), 0), Verdict::Doubtful);
        assert_eq!(index.last_order(0), None);
        index.load_version(0, at(200), 0);
        assert_eq!(index.judge(0, at(200), 0), Verdict::Repetition);
    }

    #[test]
    fn of_equal_orders_only_as_many_go_as_must() {
        let mut index = VersionIndex::new(800);
        for key in 0..801 {
            index.set_last(key, at(1), 0);
        }
        assert_eq!(index.len(), 701);
        assert_eq!(index.floor(), Some(at(1)));
    }

    #[test]
    fn memory_stays_that_of_a_full_index_however_many_keys_pass() {
        let memory_after = |keys: i64| {
            let mut index = VersionIndex::new(10_000);
            for key in 0..keys {
                index.set_last(key_hash(&key.to_string()), at(key), 0);
            }
            index.memory_bytes()
        };
        assert!(memory_after(100_000) <= memory_after(10_000));
    }

    #[test]
    fn a_bound_of_zero_still_holds_one_key() {
        let mut index = VersionIndex::new(0);
        for key in 0..5 {
            index.set_last(key, at(key as i64), 0);
        }
        assert_eq!(index.len(), 1);
        assert!(index.memory_bytes() > 0);
    }
}
