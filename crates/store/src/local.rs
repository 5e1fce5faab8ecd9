//! Local files for Iceberg, written so that a crash leaves a whole file or none.
//!
//! A write goes to a temporary file in the same directory (its name begins with a dot), is synced, then renamed, then
//! the directory is synced. Nobody lists directories to find data, so a temporary file left by a crash is invisible;
//! the janitor removes it. All blocking calls run on the runtime's blocking threads.

use std::fs::{self, File};
use std::io::{self, ErrorKind as IoKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use pulselake_commit::failpoint;

use crate::points::{self, injected_failure, publishing_point};

/// Makes [`LocalStorage`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalStorageFactory {
    /// Whether files and directories are synced to disk before they count as written.
    pub fsync: bool,
}

#[typetag::serde(name = "PulselakeLocalStorageFactory")]
impl StorageFactory for LocalStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(LocalStorage { fsync: self.fsync }))
    }
}

/// Files of this machine, by `file:///absolute/path` (or the bare path).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalStorage {
    fsync: bool,
}

impl LocalStorage {
    /// Local files; `fsync`: whether files and directories are synced before they count as written.
    pub fn new(fsync: bool) -> Self {
        Self { fsync }
    }
}

/// Whether this is the name of a file that is still being written, or was when its writer died.
pub fn is_temporary_name(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The local path that a location names; as Iceberg writes locations, nothing in them is percent-encoded.
pub fn local_path(location: &str) -> Result<PathBuf> {
    let path = match location.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(after_host) if after_host.starts_with('/') => after_host,
            Some(_) => return Err(foreign(location)),
            None => rest,
        },
        None => location,
    };
    if !path.starts_with('/') {
        return Err(foreign(location));
    }
    Ok(PathBuf::from(path))
}

fn foreign(location: &str) -> Error {
    Error::new(
        ErrorKind::FeatureUnsupported,
        format!("{location} is not a local file; local files are file:///absolute/path"),
    )
}

/// What to do about a system error, as the end of a message; empty where its own words suffice.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        IoKind::StorageFull | IoKind::QuotaExceeded => "; free space there, nothing was committed",
        IoKind::ReadOnlyFilesystem => "; mount it read-write or set another warehouse",
        IoKind::PermissionDenied => "; give the user that runs pulselake write access",
        IoKind::NotADirectory | IoKind::AlreadyExists => {
            "; a part of this path is a file: set another warehouse or move the file away"
        }
        IoKind::FileTooLarge => "; raise the limit on file sizes (ulimit -f, or the file system's own)",
        IoKind::NotFound => "; it was deleted or moved: restore it",
        _ => "",
    }
}

/// Whether an error of this kind may go away without a change of the settings.
pub fn may_pass(kind: IoKind) -> bool {
    !matches!(
        kind,
        IoKind::NotFound | IoKind::NotADirectory | IoKind::AlreadyExists | IoKind::PermissionDenied
    )
}

pub(crate) fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("cannot {action} {}: {error}{}", path.display(), advice(&error));
    let kind = if error.kind() == IoKind::NotFound { ErrorKind::DataInvalid } else { ErrorKind::Unexpected };
    Error::new(kind, text).with_retryable(may_pass(error.kind())).with_source(error)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Unexpected, format!("file operation did not finish: {error}"))
            .with_retryable(true)
    })?
}

/// Creates a directory and its parents, and makes the new names durable.
fn create_directories(directory: &Path, fsync: bool) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(directory)?;
    if fsync {
        // The name of each new directory is an entry of its parent.
        for parent in missing.iter().filter_map(|created| created.parent()) {
            sync_directory(parent)?;
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file under its temporary name; removed on drop unless it was published.
#[derive(Debug)]
struct TemporaryFile {
    file: Option<File>,
    temporary: PathBuf,
    target: PathBuf,
    fsync: bool,
}

impl TemporaryFile {
    fn create(target: PathBuf, fsync: bool) -> Result<Self> {
        let directory = target.parent().ok_or_else(|| foreign(&target.display().to_string()))?;
        create_directories(directory, fsync)
            .map_err(|error| failed("create the directory", directory, error))?;
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = directory.join(format!(".{name}.{}.tmp", uuid::Uuid::new_v4().simple()));
        let file = File::create_new(&temporary).map_err(|error| failed("create", &target, error))?;
        Ok(Self { file: Some(file), temporary, target, fsync })
    }

    fn open_file(&self) -> Result<&File> {
        let closed = || format!("{} is closed already", self.target.display());
        self.file.as_ref().ok_or_else(|| Error::new(ErrorKind::Unexpected, closed()))
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.open_file()?.write_all_at(bytes, position).map_err(|error| failed("write", &self.target, error))
    }

    /// Makes the file visible. Asking again changes nothing.
    fn publish(&mut self) -> Result<()> {
        let Some(file) = self.file.as_ref() else { return Ok(()) };
        if self.fsync {
            file.sync_all().map_err(|error| failed("sync", &self.target, error))?;
        }
        fs::rename(&self.temporary, &self.target)
            .map_err(|error| failed("rename into place", &self.target, error))?;
        self.file = None;
        if self.fsync
            && let Some(directory) = self.target.parent()
        {
            sync_directory(directory)
                .map_err(|error| failed("sync the directory of", &self.target, error))?;
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Best effort: a leftover is invisible and the janitor's.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A local file being written; visible only after `close`.
#[derive(Debug)]
struct LocalFileWrite {
    /// Empty once a write has failed.
    file: Arc<Mutex<Option<TemporaryFile>>>,
    point: &'static str,
    /// Bytes written.
    length: u64,
}

impl LocalFileWrite {
    fn new(file: TemporaryFile) -> Self {
        let point = publishing_point(&file.target.to_string_lossy());
        Self { file: Arc::new(Mutex::new(Some(file))), point, length: 0 }
    }
}

async fn with_file(
    shared: Arc<Mutex<Option<TemporaryFile>>>,
    work: impl FnOnce(&mut TemporaryFile) -> Result<()> + Send + 'static,
) -> Result<()> {
    blocking(move || {
        let mut slot = shared.lock();
        let mut file = slot.take().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "file is closed already, or a write to it failed")
        })?;
        work(&mut file)?;
        *slot = Some(file);
        Ok(())
    })
    .await
}

#[async_trait]
impl FileWrite for LocalFileWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let (position, point) = (self.length, points::WRITE);
        let send = || {
            let (shared, part) = (self.file.clone(), bytes.clone());
            with_file(shared, move |file| file.write_at(&part, position))
        };
        failpoint::request(point, send, injected_failure(point)).await?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let send = || with_file(self.file.clone(), TemporaryFile::publish);
        failpoint::request(self.point, send, injected_failure(self.point)).await
    }
}

/// An open local file, read by position.
#[derive(Debug)]
struct LocalFileRead {
    file: Arc<File>,
    path: PathBuf,
}

#[async_trait]
impl FileRead for LocalFileRead {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let (file, path) = (self.file.clone(), self.path.clone());
        blocking(move || {
            let mut buffer = vec![0; range.end.saturating_sub(range.start) as usize];
            file.read_exact_at(&mut buffer, range.start).map_err(|error| failed("read", &path, error))?;
            Ok(Bytes::from(buffer))
        })
        .await
    }
}

#[async_trait]
#[typetag::serde(name = "PulselakeLocalStorage")]
impl Storage for LocalStorage {
    async fn exists(&self, location: &str) -> Result<bool> {
        let path = local_path(location)?;
        blocking(move || path.try_exists().map_err(|error| failed("look for", &path, error))).await
    }

    async fn metadata(&self, location: &str) -> Result<FileMetadata> {
        let path = local_path(location)?;
        blocking(move || {
            let size = fs::metadata(&path).map_err(|error| failed("look at", &path, error))?.len();
            Ok(FileMetadata { size })
        })
        .await
    }

    async fn read(&self, location: &str) -> Result<Bytes> {
        let path = local_path(location)?;
        blocking(move || fs::read(&path).map(Bytes::from).map_err(|error| failed("read", &path, error))).await
    }

    async fn reader(&self, location: &str) -> Result<Box<dyn FileRead>> {
        let path = local_path(location)?;
        blocking(move || {
            let file = File::open(&path).map_err(|error| failed("open", &path, error))?;
            Ok(Box::new(LocalFileRead { file: Arc::new(file), path }) as Box<dyn FileRead>)
        })
        .await
    }

    async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        let (path, fsync) = (local_path(location)?, self.fsync);
        let point = publishing_point(&path.to_string_lossy());
        let send = || {
            let (target, whole) = (path.clone(), bytes.clone());
            blocking(move || {
                let mut file = TemporaryFile::create(target, fsync)?;
                file.write_at(&whole, 0)?;
                file.publish()
            })
        };
        failpoint::request(point, send, injected_failure(point)).await
    }

    async fn writer(&self, location: &str) -> Result<Box<dyn FileWrite>> {
        let (path, fsync) = (local_path(location)?, self.fsync);
        blocking(move || {
            let file = TemporaryFile::create(path, fsync)?;
            Ok(Box::new(LocalFileWrite::new(file)) as Box<dyn FileWrite>)
        })
        .await
    }

    async fn delete(&self, location: &str) -> Result<()> {
        let path = local_path(location)?;
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != IoKind::NotFound => Err(failed("delete", &path, error)),
            _ => Ok(()),
        })
        .await
    }

    async fn delete_prefix(&self, location: &str) -> Result<()> {
        let path = local_path(location)?;
        blocking(move || match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != IoKind::NotFound => Err(failed("delete", &path, error)),
            _ => Ok(()),
        })
        .await
    }

    async fn delete_stream(&self, mut locations: BoxStream<'static, String>) -> Result<()> {
        while let Some(location) = locations.next().await {
            self.delete(&location).await?;
        }
        Ok(())
    }

    fn new_input(&self, location: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), location.to_string()))
    }

    fn new_output(&self, location: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), location.to_string()))
    }
}
