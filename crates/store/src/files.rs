//! Files of any store, each reached by the scheme of its own location: a table may lie elsewhere than the warehouse.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::local::LocalStorage;
use crate::s3::{S3Storage, is_s3};
use crate::{StoreError, StoreSettings, StoredFile, listing};

/// Local files deleted at once: one disk is not faster with many.
const LOCAL_DELETES_AT_ONCE: usize = 4;

/// The files that some settings (and what a catalog hands out with a table) open. Cheap to clone; clones, and what was
/// opened by them, go on with the newest keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "StoreSettings", into = "StoreSettings")]
pub struct Files {
    fsync: bool,
    local: LocalStorage,
    s3: Arc<RwLock<S3Storage>>,
}

/// What became of files that were to be deleted.
#[derive(Debug, Default)]
pub struct Deleted {
    /// How many are gone; those that were not there count too.
    pub deleted: u64,
    /// The others, and why.
    pub failed: Vec<StoreError>,
}

impl TryFrom<StoreSettings> for Files {
    type Error = StoreError;

    fn try_from(settings: StoreSettings) -> std::result::Result<Self, StoreError> {
        let StoreSettings { fsync, s3 } = settings;
        let s3 = Arc::new(RwLock::new(S3Storage::new(s3)?));
        Ok(Self { fsync, local: LocalStorage::new(fsync), s3 })
    }
}

impl From<Files> for StoreSettings {
    fn from(files: Files) -> Self {
        Self { fsync: files.fsync, s3: files.s3().into() }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Files").field("local", &self.local).field("s3", &self.s3()).finish()
    }
}

impl Files {
    /// Files by these settings, where `vended` (what came with a table) doesn't say otherwise.
    pub fn new(
        settings: &StoreSettings,
        vended: &HashMap<String, String>,
    ) -> std::result::Result<Self, StoreError> {
        let s3 = settings.s3.clone().overridden_by(vended)?;
        Self::try_from(StoreSettings { fsync: settings.fsync, s3 })
    }

    /// Lets these files, and what was opened by them, be reached as `newer` are from now on. What is on its way to a file
    /// ends with the former keys.
    pub fn renew(&self, newer: &Self) {
        *self.s3.write() = newer.s3();
    }

    fn s3(&self) -> S3Storage {
        self.s3.read().clone()
    }

    /// For the iceberg crate. The secrets are inside, where `Debug` doesn't show them, and not among its properties.
    pub fn file_io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(FilesFactory { files: self.clone() })).build()
    }

    /// All files below a location, in no particular order; a place that is not there is empty.
    pub fn list(&self, location: &str) -> BoxStream<'static, std::result::Result<StoredFile, StoreError>> {
        let listed = match self.of(location) {
            Ok(_) if is_s3(location) => self.s3().list(location),
            Ok(_) => listing::list_local(location.to_string()),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        };
        let location = location.to_string();
        listed
            .map_err(move |source| StoreError::List { location: location.clone(), source: Box::new(source) })
            .boxed()
    }

    /// Deletes files, some at a time. One that can't be deleted stops none of the others.
    pub async fn delete(&self, locations: Vec<String>) -> Deleted {
        let all_on_s3 = locations.iter().all(|location| is_s3(location));
        let at_once = if all_on_s3 { self.s3().concurrent_deletes() } else { LOCAL_DELETES_AT_ONCE };
        let deletions = futures::stream::iter(locations).map(|location| async move {
            let deleted = Storage::delete(self, &location).await;
            deleted.map_err(|source| StoreError::Delete { location, source: Box::new(source) })
        });
        let collect = |mut outcome: Deleted, deletion| async move {
            match deletion {
                Ok(()) => outcome.deleted += 1,
                Err(error) => outcome.failed.push(error),
            }
            outcome
        };
        deletions.buffer_unordered(at_once).fold(Deleted::default(), collect).await
    }

    fn of(&self, location: &str) -> Result<Arc<dyn Storage>> {
        if is_s3(location) {
            return Ok(Arc::new(self.s3()));
        }
        match location.split_once("://").map(|(scheme, _)| scheme) {
            None | Some("file") => Ok(Arc::new(self.local.clone())),
            Some(_) => Err(StoreError::UnknownStore { location: location.to_string() }.into()),
        }
    }
}

/// Gives one [`Files`] to the iceberg crate; properties come before its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FilesFactory {
    files: Files,
}

#[typetag::serde(name = "PulselakeFilesFactory")]
impl StorageFactory for FilesFactory {
    fn build(&self, config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        if config.props().is_empty() {
            return Ok(Arc::new(self.files.clone()));
        }
        Ok(Arc::new(Files::new(&self.files.clone().into(), config.props())?))
    }
}

/// Files that can't be reached: whoever asks for one gets told why.
pub(crate) fn unusable(reason: &StoreError) -> FileIO {
    FileIOBuilder::new(Arc::new(UnusableFactory { reason: reason.to_string() })).build()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct UnusableFactory {
    reason: String,
}

#[typetag::serde(name = "PulselakeUnusableFactory")]
impl StorageFactory for UnusableFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Err(Error::new(ErrorKind::DataInvalid, self.reason.clone()))
    }
}

#[async_trait]
#[typetag::serde(name = "PulselakeFiles")]
impl Storage for Files {
    async fn exists(&self, location: &str) -> Result<bool> {
        self.of(location)?.exists(location).await
    }

    async fn metadata(&self, location: &str) -> Result<FileMetadata> {
        self.of(location)?.metadata(location).await
    }

    async fn read(&self, location: &str) -> Result<Bytes> {
        self.of(location)?.read(location).await
    }

    async fn reader(&self, location: &str) -> Result<Box<dyn FileRead>> {
        self.of(location)?.reader(location).await
    }

    async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        self.of(location)?.write(location, bytes).await
    }

    async fn writer(&self, location: &str) -> Result<Box<dyn FileWrite>> {
        self.of(location)?.writer(location).await
    }

    async fn delete(&self, location: &str) -> Result<()> {
        self.of(location)?.delete(location).await
    }

    async fn delete_prefix(&self, location: &str) -> Result<()> {
        self.of(location)?.delete_prefix(location).await
    }

    async fn delete_stream(&self, locations: BoxStream<'static, String>) -> Result<()> {
        let at_once = self.s3().concurrent_deletes();
        let each = |location: String| async move { Storage::delete(self, &location).await };
        locations.map(Ok).try_for_each_concurrent(at_once, each).await
    }

    fn new_input(&self, location: &str) -> Result<InputFile> {
        self.of(location)?;
        Ok(InputFile::new(Arc::new(self.clone()), location.to_string()))
    }

    fn new_output(&self, location: &str) -> Result<OutputFile> {
        self.of(location)?;
        Ok(OutputFile::new(Arc::new(self.clone()), location.to_string()))
    }
}
