//! Sees commits as a reader of the tables does: asks the catalog where a table's metadata is, and reads what is new there.
//!
//! It looks every [`LOOK_AGAIN`], so a commit is seen at most that much later than it can be read (plus what reading the
//! metadata takes). Reading alone: nothing of the engine's is changed or held up.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use parking_lot::Mutex;
use pulselake_ledger::{Ledger, PROPERTY};
use pulselake_model::tables::{CATALOG_NAME, LakeTable};
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

/// How often the catalog is asked.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A commit, as a reader sees it.
#[derive(Clone, Debug)]
pub(crate) struct SeenCommit {
    pub(crate) table: LakeTable,
    /// When it could be read at the latest, milliseconds since the epoch.
    pub(crate) seen_at_ms: i64,
    /// What the table had consumed with it; `None` for a commit without a ledger (maintenance of other programs).
    pub(crate) ledger: Option<Ledger>,
    pub(crate) files: u64,
    pub(crate) rows: u64,
}

impl SeenCommit {
    /// First offset of each partition that the table does not hold yet.
    pub(crate) fn next_offsets(&self, topic: &str) -> HashMap<i32, i64> {
        let partitions = self.ledger.as_ref().and_then(|ledger| ledger.topics.get(topic));
        partitions.into_iter().flatten().map(|(partition, entry)| (*partition, entry.next)).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshot {
    snapshot_id: i64,
    sequence_number: i64,
    #[serde(default)]
    summary: HashMap<String, String>,
}

/// Looks at the tables of one data directory.
struct Reader {
    catalog_path: PathBuf,
    tables: &'static [LakeTable],
    connection: Option<SqliteConnection>,
    locations: HashMap<LakeTable, String>,
    seen: HashSet<(LakeTable, i64)>,
}

impl Reader {
    fn of(data_dir: &Path, tables: &'static [LakeTable]) -> Self {
        Self {
            catalog_path: data_dir.join("catalog.db"),
            tables,
            connection: None,
            locations: HashMap::new(),
            seen: HashSet::new(),
        }
    }

    /// Commits since the last look, oldest first.
    async fn look(&mut self) -> anyhow::Result<Vec<SeenCommit>> {
        if !self.catalog_path.exists() {
            return Ok(Vec::new());
        }
        let mut commits = Vec::new();
        for &table in self.tables {
            let Some(location) = self.location(table).await? else { continue };
            if self.locations.get(&table) == Some(&location) {
                continue;
            }
            let path = location.strip_prefix("file://").unwrap_or(&location);
            // The next commit may have replaced the file in between: then the next look finds the newer one.
            let Ok(json) = std::fs::read(path) else { continue };
            let seen_at_ms = Utc::now().timestamp_millis();
            commits.extend(self.new_commits(table, &json, seen_at_ms).with_context(|| location.clone())?);
            self.locations.insert(table, location);
        }
        Ok(commits)
    }

    async fn location(&mut self, table: LakeTable) -> anyhow::Result<Option<String>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let options = SqliteConnectOptions::new().filename(&self.catalog_path).read_only(true);
                none.insert(options.connect().await.context("can't open the catalog")?)
            }
        };
        let row = sqlx::query(
            "SELECT metadata_location FROM iceberg_tables
             WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
        )
        .bind(CATALOG_NAME)
        .bind(table.namespace())
        .bind(table.name())
        .fetch_optional(connection)
        .await;
        match row {
            Ok(row) => Ok(row.and_then(|row| row.get(0))),
            // The engine is just making its catalog.
            Err(sqlx::Error::Database(error)) if error.message().contains("no such table") => Ok(None),
            Err(error) => Err(error).context("can't read the catalog"),
        }
    }

    fn new_commits(
        &mut self,
        table: LakeTable,
        json: &[u8],
        seen_at_ms: i64,
    ) -> anyhow::Result<Vec<SeenCommit>> {
        let metadata: Metadata = serde_json::from_slice(json).context("can't read the metadata")?;
        let mut snapshots = metadata.snapshots;
        snapshots.retain(|snapshot| self.seen.insert((table, snapshot.snapshot_id)));
        snapshots.sort_by_key(|snapshot| snapshot.sequence_number);
        let commit = |snapshot: Snapshot| {
            let number =
                |key: &str| snapshot.summary.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
            let ledger = snapshot.summary.get(PROPERTY).map(|text| Ledger::parse(text)).transpose()?;
            let (files, rows) = (number("added-data-files"), number("added-records"));
            Ok(SeenCommit { table, seen_at_ms, ledger, files, rows })
        };
        snapshots.into_iter().map(commit).collect()
    }
}

/// Looks in a thread of its own until it is stopped or dropped.
pub(crate) struct LakeWatch {
    commits: Arc<Mutex<Vec<SeenCommit>>>,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LakeWatch {
    /// Begins to look at the tables of events in `data_dir`, which need not be there yet.
    pub(crate) fn start(data_dir: &Path) -> anyhow::Result<Self> {
        Self::of_tables(data_dir, &LakeTable::OF_EVENTS)
    }

    /// Begins to look at these tables in `data_dir`, which need not be there yet.
    pub(crate) fn of_tables(data_dir: &Path, tables: &'static [LakeTable]) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut watch =
            Self { commits: Arc::default(), failure: Arc::default(), stop: Arc::default(), thread: None };
        let (commits, failure, stop) = (watch.commits.clone(), watch.failure.clone(), watch.stop.clone());
        let mut reader = Reader::of(data_dir, tables);
        watch.thread = Some(std::thread::spawn(move || {
            // A last look after the stop: what landed before it counts.
            loop {
                let is_last = stop.load(Ordering::Relaxed);
                match runtime.block_on(reader.look()) {
                    Ok(new) => commits.lock().extend(new),
                    Err(error) => {
                        *failure.lock() = Some(error);
                        return;
                    }
                }
                if is_last {
                    return;
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }));
        Ok(watch)
    }

    /// What `ask` finds in the commits seen so far, oldest first.
    ///
    /// # Errors
    /// When the tables can't be read any more.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&[SeenCommit]) -> T) -> anyhow::Result<T> {
        if let Some(error) = self.failure.lock().take() {
            return Err(error);
        }
        Ok(ask(&self.commits.lock()))
    }

    /// All commits, after a last look.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<SeenCommit>> {
        self.end();
        self.ask(<[SeenCommit]>::to_vec)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has printed itself; the commits seen until then stay.
            let _ = thread.join();
        }
    }
}

impl Drop for LakeWatch {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snapshot_is_seen_once_and_in_order() {
        let mut reader = Reader::of(Path::new("nowhere"), &LakeTable::OF_EVENTS);
        let json = br#"{"snapshots": [
            {"snapshot-id": 2, "sequence-number": 2, "timestamp-ms": 7, "summary": {"operation": "append", "added-records": "5"}},
            {"snapshot-id": 1, "sequence-number": 1, "timestamp-ms": 6, "summary": {"added-records": "4", "added-data-files": "2"}}]}"#;
        let commits = reader.new_commits(LakeTable::RawEvents, json, 99).unwrap();
        assert_eq!(
            commits.iter().map(|commit| (commit.rows, commit.files)).collect::<Vec<_>>(),
            [(4, 2), (5, 0)]
        );
        assert!(commits.iter().all(|commit| commit.seen_at_ms == 99 && commit.ledger.is_none()));
        assert!(reader.new_commits(LakeTable::RawEvents, json, 100).unwrap().is_empty());
        assert_eq!(reader.new_commits(LakeTable::VideoStats1Min, json, 100).unwrap().len(), 2);
    }

    #[test]
    fn a_ledger_tells_the_next_offsets() {
        let mut ledger = Ledger::new("cluster", "decoder");
        let entry = pulselake_ledger::PartitionLedger { next: 17, ..Default::default() };
        ledger.topics.entry("t".to_owned()).or_default().insert(3, entry);
        let commit = SeenCommit {
            table: LakeTable::RawEvents,
            seen_at_ms: 0,
            ledger: Some(ledger),
            files: 0,
            rows: 0,
        };
        assert_eq!(commit.next_offsets("t"), HashMap::from([(3, 17)]));
        assert!(commit.next_offsets("other").is_empty());
    }
}
