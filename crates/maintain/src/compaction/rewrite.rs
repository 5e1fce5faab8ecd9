//! Executes one group: reads its files with their deletes applied, sorts and folds where the policy asks for it, writes
//! new files, and checks that they hold the same rows.
//!
//! It runs in a thread of its own: the runtime's workers, on which ingestion depends, only carry its I/O. Nothing is
//! visible in the table before the files are committed; on any error they are deleted again.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use iceberg::spec::{DataFile, Struct};
use iceberg::table::Table;
use pulselake_commit::failpoint;
use pulselake_read::{BytesRead, Deletes, FileScan, PlannedFile, RowCounts};
use tokio::sync::oneshot;

use super::budget::{Budget, MemoryMeter, MemorySlot};
use super::commit_group::BEFORE_OUTPUT_CLOSE;
use super::error::CompactionError;
use super::facts::sort_order_of;
use super::fold::{Folder, Totals};
use super::merge::SortedStream;
use super::output::{Output, OutputShape, delete_quietly};
use super::policy::TablePolicy;
use super::runs::{Sorter, SpillPlace};
use super::sort_key::SortKey;
use super::throttle::{CancelToken, Pacer, Throttle};

/// Is told after each batch that it was read.
pub(crate) type OnBatch = Arc<dyn Fn() + Send + Sync>;

/// One group to rewrite.
pub(crate) struct GroupJob {
    /// The table as it was planned.
    pub table: Table,
    /// The data files, in the order of their rows.
    pub files: Vec<PlannedFile>,
    /// Their partition, of the table's current spec.
    pub partition: Struct,
    /// Its path, for messages and locations.
    pub partition_path: String,
    pub policy: Arc<TablePolicy>,
    pub budget: Budget,
    pub meter: MemoryMeter,
    pub throttle: Throttle,
    pub cancel: CancelToken,
    pub bytes_read: BytesRead,
    pub on_batch: OnBatch,
}

/// What became of a group.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub files: Vec<DataFile>,
    pub counts: RowCounts,
    pub rows_written: u64,
    /// When the first file was begun, milliseconds since the epoch.
    pub begun_at_ms: i64,
    pub cpu_ms: Option<u64>,
}

/// Stops the thread of a rewrite that nobody waits for any more.
struct StopOnDrop(CancelToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Rewrites a group in its own thread.
pub(crate) async fn rewrite_group(job: GroupJob) -> Result<Rewritten, CompactionError> {
    let abandoned = StopOnDrop(CancelToken::default());
    let (sender, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let (stop, file_io) = (abandoned.0.clone(), job.table.file_io().clone());
    let work = move || {
        let mut result = runtime.block_on(job.run(stop));
        if let Ok(rewritten) = &mut result {
            rewritten.cpu_ms = thread_cpu_ms();
        }
        if let Err(Ok(unwanted)) = sender.send(result) {
            let files = unwanted.files.iter().map(DataFile::file_path);
            runtime.block_on(delete_quietly(&file_io, files));
        }
    };
    let failed = |reason: String| CompactionError::Thread { reason };
    std::thread::Builder::new()
        .name("compaction".to_string())
        .spawn(work)
        .map_err(|error| failed(error.to_string()))?;
    receiver.await.map_err(|_| failed("it panicked; see the log".to_string()))?
}

/// Processor time of this thread so far, milliseconds.
fn thread_cpu_ms() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1_000_000)
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The reading half of a job.
struct Source<'a> {
    job: &'a GroupJob,
    deletes: Deletes,
    shape: &'a OutputShape,
    memory: MemorySlot,
    counts: RowCounts,
}

impl Source<'_> {
    async fn open(&self, file: &PlannedFile) -> Result<FileScan, CompactionError> {
        let schema = self.shape.arrow_schema.clone();
        let (options, counter) = (self.job.budget.scan(), self.job.bytes_read.clone());
        Ok(FileScan::open(&self.job.table, file, schema, &self.deletes, options, counter).await?)
    }

    async fn next(
        &mut self,
        scan: &mut FileScan,
        pacer: &mut Pacer,
    ) -> Result<Option<RecordBatch>, CompactionError> {
        pacer.step()?;
        let batch = scan.next().await?;
        let bytes = batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        self.memory.set(scan.buffered_bytes() + bytes + self.deletes.memory_bytes());
        (self.job.on_batch)();
        Ok(batch)
    }

    fn close(&mut self, scan: &FileScan) {
        self.counts.read += scan.counts().read;
        self.counts.deleted += scan.counts().deleted;
        self.memory.set(self.deletes.memory_bytes());
    }
}

impl GroupJob {
    async fn run(self, abandoned: CancelToken) -> Result<Rewritten, CompactionError> {
        let shape = self.shape()?;
        let begun_at_ms = now_ms();
        let mut output = Output::new(shape.clone(), self.table.file_io().clone(), &self.meter);
        let mut pacer = Pacer::new(self.throttle.clone(), vec![self.cancel.clone(), abandoned]);
        match self.fill(&shape, &mut output, &mut pacer).await {
            Ok((files, counts)) => {
                let rows_written = files.iter().map(DataFile::record_count).sum();
                Ok(Rewritten { files, counts, rows_written, begun_at_ms, cpu_ms: None })
            }
            Err(error) => {
                output.abort().await;
                Err(error)
            }
        }
    }

    fn table_name(&self) -> String {
        self.table.identifier().to_string()
    }

    fn shape(&self) -> Result<OutputShape, CompactionError> {
        let metadata = self.table.metadata();
        let schema = metadata.current_schema().clone();
        let arrow_schema = iceberg::arrow::schema_to_arrow_schema(&schema)
            .map_err(CompactionError::store("read the schema of", &self.table_name()))?;
        let directory = match self.partition_path.is_empty() {
            true => format!("{}/data", metadata.location()),
            false => format!("{}/data/{}", metadata.location(), self.partition_path),
        };
        Ok(OutputShape {
            directory,
            schema,
            arrow_schema: Arc::new(arrow_schema),
            partition: self.partition.clone(),
            spec_id: metadata.default_partition_spec_id(),
            sort_order_id: sort_order_of(metadata, &self.policy),
            policy: self.policy.clone(),
            row_group_bytes: self.budget.row_group_bytes(),
        })
    }

    async fn fill(
        &self,
        shape: &OutputShape,
        output: &mut Output,
        pacer: &mut Pacer,
    ) -> Result<(Vec<DataFile>, RowCounts), CompactionError> {
        let deletes = Deletes::new(&self.table, &self.files, self.bytes_read.clone())?;
        let counts = RowCounts::default();
        let mut source = Source { job: self, deletes, shape, memory: self.meter.slot(), counts };
        let expected_rows = match self.policy.changes_order() {
            true => self.write_sorted(&mut source, output, pacer).await?,
            false => self.write_in_order(&mut source, output, pacer).await?,
        };
        if failpoint::reach(BEFORE_OUTPUT_CLOSE).await.is_some() {
            return Err(CompactionError::Injected { point: BEFORE_OUTPUT_CLOSE });
        }
        let files = output.finish().await?;
        let planned: u64 = self.files.iter().map(|file| file.data.file().record_count()).sum();
        self.check("rows read", planned, source.counts.read)?;
        self.check("rows written", expected_rows, files.iter().map(DataFile::record_count).sum())?;
        Ok((files, source.counts))
    }

    /// Copies the rows; returns how many must have been written.
    async fn write_in_order(
        &self,
        source: &mut Source<'_>,
        output: &mut Output,
        pacer: &mut Pacer,
    ) -> Result<u64, CompactionError> {
        for file in &self.files {
            let mut scan = source.open(file).await?;
            self.sortable_bytes(source)?;
            while let Some(batch) = source.next(&mut scan, pacer).await? {
                output.write(&batch).await?;
            }
            source.close(&scan);
        }
        Ok(source.counts.read - source.counts.deleted)
    }

    /// Sorts and folds the rows; returns how many must have been written.
    async fn write_sorted(
        &self,
        source: &mut Source<'_>,
        output: &mut Output,
        pacer: &mut Pacer,
    ) -> Result<u64, CompactionError> {
        let (schema, table) = (source.shape.arrow_schema.clone(), self.table_name());
        let unsuitable = |error: arrow::error::ArrowError| CompactionError::Unsuitable {
            table: table.clone(),
            reason: error.to_string(),
        };
        let fold_key = self.policy.fold.iter().flat_map(|rule| &rule.key);
        let key = SortKey::new(&schema, self.policy.sort_by.iter().chain(fold_key)).map_err(unsuitable)?;
        let key = Arc::new(key);
        let mut folder = match &self.policy.fold {
            None => None,
            Some(rule) => Some(Folder::new(rule, &schema).map_err(unsuitable)?),
        };
        let place = SpillPlace {
            directory: self.budget.spill_directory.clone(),
            batch_bytes: self.budget.run_batch_bytes(),
            table: table.clone(),
        };
        let limit = self.sortable_bytes(source)?;
        let mut sorter = Sorter::new(key.clone(), schema.clone(), place.clone(), limit, &self.meter);
        let failed = |error| CompactionError::arrow("fold", &table)(error);
        let (mut before, mut after) = (Totals::default(), Totals::default());
        for file in &self.files {
            let mut scan = source.open(file).await?;
            sorter.set_limit(self.sortable_bytes(source)?);
            while let Some(batch) = source.next(&mut scan, pacer).await? {
                if let Some(fold) = &folder {
                    fold.count(&batch, &mut before).map_err(failed)?;
                }
                sorter.push(batch)?;
            }
            source.close(&scan);
        }
        let kept = source.counts.read - source.counts.deleted;
        let fan_in = self.budget.fan_in();
        let mut sorted =
            SortedStream::open(sorter.finish()?, &key, &schema, &place, fan_in, &self.meter, pacer)?;
        while let Some(batch) = sorted.next()? {
            pacer.step()?;
            let Some(fold) = &mut folder else {
                after.rows += batch.num_rows() as u64;
                output.write(&batch).await?;
                continue;
            };
            if let Some(folded) = fold.push(&batch).map_err(failed)? {
                fold.count(&folded, &mut after).map_err(failed)?;
                output.write(&folded).await?;
            }
        }
        let Some(mut fold) = folder else { return Ok(kept) };
        if let Some(last) = fold.finish() {
            fold.count(&last, &mut after).map_err(failed)?;
            output.write(&last).await?;
        }
        self.check("rows to fold", kept, before.rows)?;
        if before.sums != after.sums && before.rows > 0 {
            return Err(self.differ(format!("sums before folding {:?}, after {:?}", before.sums, after.sums)));
        }
        Ok(after.rows)
    }

    /// What may be held to be sorted, beside the deletes loaded so far.
    fn sortable_bytes(&self, source: &Source<'_>) -> Result<usize, CompactionError> {
        let needed = source.deletes.memory_bytes();
        self.budget.sort_bytes(needed).ok_or_else(|| CompactionError::TooManyDeletes {
            table: self.table_name(),
            partition: self.partition_path.clone(),
            needed_bytes: needed as u64,
            raise_to_bytes: 4 * needed as u64,
        })
    }

    fn check(&self, what: &str, expected: u64, found: u64) -> Result<(), CompactionError> {
        match expected == found {
            true => Ok(()),
            false => Err(self.differ(format!("{what}: expected {expected}, found {found}"))),
        }
    }

    fn differ(&self, what: String) -> CompactionError {
        CompactionError::RowsDiffer { table: self.table_name(), partition: self.partition_path.clone(), what }
    }
}
