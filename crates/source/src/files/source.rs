//! The file source: one partition a file.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::bounded;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::expand::{FileKind, InputFile, expand, fingerprint, unreadable};
use super::gate::Gate;
use super::reader::FileReader;
use super::work::{FileFacts, Work};
use crate::static_assignment::StaticAssignment;
use crate::{
    AssignmentEvent, OffsetBounds, PartitionReader, Progress, Source, SourceError, SourceIdentity,
    UNKNOWN_END,
};

/// Settings of a [`FileSource`].
#[derive(Clone, Debug)]
pub struct FileSourceSettings {
    /// Files, directories or patterns: `.ndjson`, `.jsonl`, `.json` (plain, `.gz`, `.zst`) and `.parquet`.
    pub paths: Vec<String>,
    /// The name that stands for the topic.
    pub topic: String,
    /// Longest line that is handed over whole, bytes. A longer one is handed over cut to this length, so it has to
    /// be above what the decoder takes: then such a line is always rejected as too large, never taken for whole.
    pub max_line_bytes: usize,
    /// How many files are read at the same time.
    pub max_open_files: usize,
    /// Memory for what is read ahead, all open files together, bytes.
    pub prefetch_max_bytes: usize,
}

impl Default for FileSourceSettings {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            topic: "content_events".to_owned(),
            max_line_bytes: 64 << 20,
            max_open_files: 16,
            prefetch_max_bytes: 64 << 20,
        }
    }
}

/// Files read as the partitions of a topic.
pub struct FileSource {
    settings: FileSourceSettings,
    identity: SourceIdentity,
    assignment: StaticAssignment,
    files: Vec<Partition>,
    gate: Arc<Gate>,
}

struct Partition {
    file: InputFile,
    facts: Arc<FileFacts>,
    /// The cancellation of its latest reader: a new one takes the partition over.
    reader: Mutex<Arc<AtomicBool>>,
}

/// Chunks on their way from a file's thread to its reader, beside the one being filled and the one being taken.
const CHUNKS_IN_CHANNEL: usize = 2;

impl FileSource {
    /// Lists the files behind the paths. None of them is opened yet.
    pub fn open_paths(settings: FileSourceSettings) -> Result<Self, SourceError> {
        let files = expand(&settings.paths)?;
        let count = i32::try_from(files.len()).map_err(|_| SourceError::Settings {
            setting: "files.paths".to_owned(),
            detail: format!("names {} files, too many for one run", files.len()),
        })?;
        Ok(Self {
            identity: SourceIdentity { cluster_id: fingerprint(&files), topic: settings.topic.clone() },
            assignment: StaticAssignment::new((0..count).collect()),
            gate: Arc::new(Gate::new(settings.max_open_files)),
            files: files
                .into_iter()
                .map(|file| Partition { file, facts: Arc::default(), reader: Mutex::default() })
                .collect(),
            settings,
        })
    }

    /// The path behind each partition, in order.
    pub fn paths(&self) -> impl Iterator<Item = &std::path::Path> {
        self.files.iter().map(|partition| partition.file.path.as_path())
    }

    fn partition(&self, number: i32) -> Result<&Partition, SourceError> {
        let index = usize::try_from(number).ok();
        index.and_then(|at| self.files.get(at)).ok_or_else(|| SourceError::UnknownPartition {
            topic: self.settings.topic.clone(),
            partition: number,
        })
    }

    fn chunk_bytes(&self) -> usize {
        const SMALLEST: usize = 16 << 10;
        const LARGEST: usize = 1 << 20;
        let open = self.settings.max_open_files.clamp(1, self.files.len().max(1));
        (self.settings.prefetch_max_bytes / open / (CHUNKS_IN_CHANNEL + 2)).clamp(SMALLEST, LARGEST)
    }
}

impl Source for FileSource {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn next_event(&self, wait: Duration) -> Option<AssignmentEvent> {
        self.assignment.next_event(wait)
    }

    /// `high` is exact for Parquet; for text it is [`UNKNOWN_END`] until a reader has been at the end, for counting
    /// lines means reading the file. A reader opened beyond the end fails all the same.
    fn bounds(&self, partition: i32) -> Result<OffsetBounds, SourceError> {
        let found = self.partition(partition)?;
        let high = match found.file.kind {
            FileKind::Parquet => {
                let path = &found.file.path;
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| {
                    SourceError::DamagedFile { path: path.clone(), position: 0, detail: error.to_string() }
                })?;
                builder.metadata().file_metadata().num_rows()
            }
            FileKind::Lines | FileKind::GzipLines | FileKind::ZstdLines => {
                found.facts.line_count().unwrap_or(UNKNOWN_END)
            }
        };
        Ok(OffsetBounds { low: 0, high })
    }

    fn open(
        &self,
        partition: i32,
        from_offset: i64,
        stop_at: Option<i64>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        if self.assignment.is_closed() {
            return Err(SourceError::Closed);
        }
        let found = self.partition(partition)?;
        if from_offset < 0 {
            return Err(SourceError::OffsetOutOfRange {
                topic: self.settings.topic.clone(),
                partition,
                offset: from_offset,
                detail: "offsets begin at 0".to_owned(),
            });
        }
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let earlier = std::mem::replace(&mut *found.reader.lock(), is_cancelled.clone());
        earlier.store(true, Ordering::Release);
        self.gate.look_again();
        let (chunks, receiver) = bounded(CHUNKS_IN_CHANNEL);
        let work = Work {
            file: found.file.clone(),
            facts: found.facts.clone(),
            gate: self.gate.clone(),
            is_cancelled: is_cancelled.clone(),
            topic: self.settings.topic.clone(),
            partition,
            from_offset,
            stop_at,
            max_line_bytes: self.settings.max_line_bytes,
            chunk_bytes: self.chunk_bytes(),
            chunks,
        };
        let is_finished = stop_at.is_some_and(|stop| from_offset >= stop);
        if !is_finished {
            std::thread::Builder::new().name(format!("file-{partition}")).spawn(move || work.run()).map_err(
                |error| SourceError::File {
                    path: found.file.path.clone(),
                    detail: format!("no thread could be started to read it: {error}"),
                },
            )?;
        }
        Ok(Box::new(FileReader {
            topic: self.settings.topic.clone(),
            partition,
            position: from_offset,
            chunks: receiver,
            current: None,
            pending: None,
            is_finished,
            is_cancelled,
            gate: self.gate.clone(),
        }))
    }

    fn note_progress(&self, _positions: &[(i32, i64)]) {}

    fn has_broker_time(&self) -> bool {
        false
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn progress(&self) -> Option<Progress> {
        let mut sum = Progress::default();
        for Partition { file, facts, .. } in &self.files {
            sum.done_bytes += facts.done_bytes.load(Ordering::Relaxed).min(file.size_bytes);
            sum.total_bytes += file.size_bytes;
        }
        Some(sum)
    }

    fn close(&self) {
        self.assignment.close();
        for partition in &self.files {
            partition.reader.lock().store(true, Ordering::Release);
        }
        self.gate.look_again();
    }
}
