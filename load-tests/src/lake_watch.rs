//! Sees commits as a reader of the tables does: asks the catalog where a table's metadata is, and reads what is new there.
//!
//! It looks every [`LOOK_AGAIN`], so a commit is seen at most that much later than it can be read (plus what reading the
//! metadata takes). Reading alone: nothing of the engine's is changed or held up. SQLite on local files is looked at
//! directly; any other place by the workspace's own way of opening tables, which reads the metadata anew each time.
//! While a catalog does not answer, nobody can read what is new, and so nothing is seen.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use chrono::Utc;
use parking_lot::Mutex;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_ledger::{Ledger, PROPERTY};
use pulselake_model::tables::{CATALOG_NAME, LakeTable};
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

/// How often the catalog is asked.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long SQLite is waited for while another program has locked it: then the next look asks again.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
/// How long the last look may be repeated where the catalog does not answer.
const LAST_LOOK_PATIENCE: Duration = Duration::from_secs(15);

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
    /// Data files that the table refers to after it.
    pub(crate) live_files: u64,
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

/// A look that found nothing because the catalog did not answer, or an error that stays.
enum LookError {
    NotNow(anyhow::Error),
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for LookError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Where the tables are.
enum Catalog {
    /// In a SQLite file, with metadata in local files.
    Sqlite { path: PathBuf, connection: Option<SqliteConnection>, locations: HashMap<LakeTable, String> },
    /// Anywhere else.
    Lake { settings: Box<LakeSettings>, lake: Option<Lake> },
}

/// Looks at the tables of one place.
struct Reader {
    catalog: Catalog,
    tables: Vec<LakeTable>,
    seen: HashSet<(LakeTable, i64)>,
}

impl Reader {
    fn of(data_dir: &Path, tables: &[LakeTable]) -> Self {
        let path = data_dir.join("catalog.db");
        let catalog = Catalog::Sqlite { path, connection: None, locations: HashMap::new() };
        Self { catalog, tables: tables.to_vec(), seen: HashSet::new() }
    }

    fn of_lake(settings: &LakeSettings, tables: &[LakeTable]) -> Self {
        let catalog = Catalog::Lake { settings: Box::new(settings.clone()), lake: None };
        Self { catalog, tables: tables.to_vec(), seen: HashSet::new() }
    }

    /// Appends the commits since the last look, oldest first; with an error, those of the tables that could be read.
    async fn look(&mut self, commits: &mut Vec<SeenCommit>) -> Result<(), LookError> {
        for table in self.tables.clone() {
            let Some((snapshots, seen_at_ms)) = self.catalog.snapshots(table).await? else { continue };
            commits.extend(self.new_commits(table, snapshots, seen_at_ms)?);
        }
        Ok(())
    }

    fn new_commits(
        &mut self,
        table: LakeTable,
        mut snapshots: Vec<Snapshot>,
        seen_at_ms: i64,
    ) -> anyhow::Result<Vec<SeenCommit>> {
        snapshots.retain(|snapshot| self.seen.insert((table, snapshot.snapshot_id)));
        snapshots.sort_by_key(|snapshot| snapshot.sequence_number);
        let commit = |snapshot: Snapshot| {
            let number =
                |key: &str| snapshot.summary.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
            let ledger = snapshot.summary.get(PROPERTY).map(|text| Ledger::parse(text)).transpose()?;
            let (files, rows) = (number("added-data-files"), number("added-records"));
            let live_files = number("total-data-files");
            Ok(SeenCommit { table, seen_at_ms, ledger, files, rows, live_files })
        };
        snapshots.into_iter().map(commit).collect()
    }
}

impl Catalog {
    /// All snapshots of a table, and when they could be read; `None` when there is nothing new or no such table yet.
    async fn snapshots(&mut self, table: LakeTable) -> Result<Option<(Vec<Snapshot>, i64)>, LookError> {
        match self {
            Self::Sqlite { path, connection, locations } => {
                if !path.exists() {
                    return Ok(None);
                }
                let Some(location) = location(path, connection, table).await? else { return Ok(None) };
                if locations.get(&table) == Some(&location) {
                    return Ok(None);
                }
                let file = location.strip_prefix("file://").unwrap_or(&location);
                // The next commit may have replaced the file in between: then the next look finds the newer one.
                let Ok(json) = std::fs::read(file) else { return Ok(None) };
                let seen_at_ms = Utc::now().timestamp_millis();
                let metadata: Metadata =
                    serde_json::from_slice(&json).with_context(|| format!("can't read {location}"))?;
                locations.insert(table, location);
                Ok(Some((metadata.snapshots, seen_at_ms)))
            }
            Self::Lake { settings, lake } => {
                let opened = match lake {
                    Some(opened) => opened,
                    none => {
                        let opened = Lake::open(settings, OpenMode::MustExist).await;
                        none.insert(opened.map_err(|error| LookError::NotNow(error.into()))?)
                    }
                };
                let loaded = opened.load(table).await;
                let seen_at_ms = Utc::now().timestamp_millis();
                let loaded = loaded.map_err(|error| LookError::NotNow(error.into()))?;
                let snapshots = loaded.metadata().snapshots().map(|snapshot| Snapshot {
                    snapshot_id: snapshot.snapshot_id(),
                    sequence_number: snapshot.sequence_number(),
                    summary: snapshot.summary().additional_properties.clone(),
                });
                Ok(Some((snapshots.collect(), seen_at_ms)))
            }
        }
    }
}

/// Where SQLite says that a table's metadata is.
async fn location(
    path: &Path,
    connection: &mut Option<SqliteConnection>,
    table: LakeTable,
) -> Result<Option<String>, LookError> {
    let connection = match connection {
        Some(connection) => connection,
        none => {
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            let connected = options.busy_timeout(LOCK_PATIENCE).connect().await;
            none.insert(connected.map_err(|error| LookError::of_sqlite(error, "can't open the catalog"))?)
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
        Err(error) => Err(LookError::of_sqlite(error, "can't read the catalog")),
    }
}

impl LookError {
    fn of_sqlite(error: sqlx::Error, what: &'static str) -> Self {
        let is_locked = error.as_database_error().is_some_and(|error| error.message().contains("locked"));
        let error = anyhow::Error::from(error).context(what);
        if is_locked { Self::NotNow(error) } else { Self::Broken(error) }
    }
}

/// Looks in a thread of its own until it is stopped or dropped.
pub(crate) struct LakeWatch {
    commits: Arc<Mutex<Vec<SeenCommit>>>,
    /// Why nothing is seen any more; it stays, for everybody who asks.
    failure: Arc<Mutex<Option<String>>>,
    /// Looks that have seen all tables.
    full_looks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LakeWatch {
    /// Begins to look at the tables of events in `data_dir`, which need not be there yet.
    pub(crate) fn start(data_dir: &Path) -> anyhow::Result<Self> {
        Self::of_tables(data_dir, &LakeTable::OF_EVENTS)
    }

    /// Begins to look at these tables in `data_dir`, which need not be there yet.
    pub(crate) fn of_tables(data_dir: &Path, tables: &[LakeTable]) -> anyhow::Result<Self> {
        Self::with(Reader::of(data_dir, tables))
    }

    /// Begins to look at these tables, wherever they are. They need not be there yet.
    pub(crate) fn of_lake(settings: &LakeSettings, tables: &[LakeTable]) -> anyhow::Result<Self> {
        Self::with(Reader::of_lake(settings, tables))
    }

    fn with(mut reader: Reader) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut watch = Self {
            commits: Arc::default(),
            failure: Arc::default(),
            full_looks: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let (commits, failure) = (watch.commits.clone(), watch.failure.clone());
        let (full_looks, stop) = (watch.full_looks.clone(), watch.stop.clone());
        let fail = move |error: &anyhow::Error| *failure.lock() = Some(format!("{error:#}"));
        watch.thread = Some(std::thread::spawn(move || {
            let mut stopped_at = None;
            // A last look after the stop: what landed before it counts.
            loop {
                if stop.load(Ordering::Relaxed) {
                    stopped_at.get_or_insert_with(Instant::now);
                }
                let mut new = Vec::new();
                let looked = runtime.block_on(reader.look(&mut new));
                commits.lock().append(&mut new);
                match looked {
                    Ok(()) => {
                        full_looks.fetch_add(1, Ordering::Relaxed);
                        if stopped_at.is_some() {
                            return;
                        }
                    }
                    Err(LookError::NotNow(error)) => {
                        if stopped_at.is_some_and(|stopped| stopped.elapsed() > LAST_LOOK_PATIENCE) {
                            fail(&error);
                            return;
                        }
                    }
                    Err(LookError::Broken(error)) => {
                        fail(&error);
                        return;
                    }
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }));
        Ok(watch)
    }

    /// What `ask` finds in the commits seen so far, oldest first.
    ///
    /// # Errors
    /// When the tables can't be read any more: from then on always.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&[SeenCommit]) -> T) -> anyhow::Result<T> {
        if let Some(failure) = self.failure.lock().clone() {
            return Err(anyhow!(failure));
        }
        Ok(ask(&self.commits.lock()))
    }

    /// Waits for a look at all tables that has begun after this call: what had landed before it is seen then.
    ///
    /// # Errors
    /// When the tables can't be read any more, or not within `patience`.
    pub(crate) fn wait_for_full_look(&self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        // The first to end may have begun before.
        let wanted = self.full_looks.load(Ordering::Relaxed) + 2;
        while self.full_looks.load(Ordering::Relaxed) < wanted {
            self.ask(|_| ())?;
            ensure!(
                Instant::now() < deadline,
                "the catalog has not been read as a whole within {patience:?}"
            );
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
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
        let mut new_commits = |table, seen_at_ms| {
            let metadata: Metadata = serde_json::from_slice(json).unwrap();
            reader.new_commits(table, metadata.snapshots, seen_at_ms).unwrap()
        };
        let commits = new_commits(LakeTable::RawEvents, 99);
        assert_eq!(
            commits.iter().map(|commit| (commit.rows, commit.files)).collect::<Vec<_>>(),
            [(4, 2), (5, 0)]
        );
        assert!(commits.iter().all(|commit| commit.seen_at_ms == 99 && commit.ledger.is_none()));
        assert!(new_commits(LakeTable::RawEvents, 100).is_empty());
        assert_eq!(new_commits(LakeTable::VideoStats1Min, 100).len(), 2);
    }

    #[test]
    fn a_failure_stays_for_everybody_who_asks() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("catalog.db"), [b'x'; 4_096]).unwrap();
        let watch = LakeWatch::start(directory.path()).unwrap();
        let error = watch.wait_for_full_look(LAST_LOOK_PATIENCE).unwrap_err().to_string();
        assert!(error.contains("not a database"), "{error}");
        for _ in 0..2 {
            assert_eq!(watch.ask(<[SeenCommit]>::len).unwrap_err().to_string(), error);
        }
        assert_eq!(watch.finish().unwrap_err().to_string(), error);
    }

    #[test]
    fn a_full_look_has_begun_after_the_wait_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let watch = LakeWatch::start(&directory.path().join("not there yet")).unwrap();
        let before = watch.full_looks.load(Ordering::Relaxed);
        watch.wait_for_full_look(LAST_LOOK_PATIENCE).unwrap();
        assert!(watch.full_looks.load(Ordering::Relaxed) >= before + 2);
        let impatient = watch.wait_for_full_look(Duration::ZERO).unwrap_err().to_string();
        assert!(impatient.contains("within 0ns"), "{impatient}");
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
            live_files: 0,
        };
        assert_eq!(commit.next_offsets("t"), HashMap::from([(3, 17)]));
        assert!(commit.next_offsets("other").is_empty());
    }
}
