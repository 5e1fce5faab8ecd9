//! Files on S3, or on what is compatible with it, for Iceberg.
//!
//! S3 itself makes a whole object visible at once, so a reader sees all of a file or nothing. What an answer's loss leaves
//! unknown is asked for again, within the bounds of [`crate::S3Limits`]; after that the error says whether waiting may help.

mod client;
mod explain;
mod place;
mod upload;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use object_store::{GetOptions, GetRange, ObjectStore};
use serde::{Deserialize, Serialize};

use explain::Reason;
use place::{Place, split};
pub(crate) use place::{is_s3, require_place};
use upload::S3FileWrite;

use crate::{S3Settings, StoreError, StoredFile};

/// Makes [`S3Storage`]; properties of the table come before the settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct S3StorageFactory {
    /// Of the user.
    pub settings: S3Settings,
}

#[typetag::serde(name = "PulselakeS3StorageFactory")]
impl StorageFactory for S3StorageFactory {
    fn build(&self, config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        let settings = self.settings.clone().overridden_by(config.props())?;
        Ok(Arc::new(S3Storage::new(settings)?))
    }
}

/// Objects by `s3://bucket/key` (also `s3a`, `s3n`), in any bucket that the credentials open.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "S3Settings", into = "S3Settings")]
pub struct S3Storage {
    settings: Arc<S3Settings>,
}

impl From<S3Storage> for S3Settings {
    fn from(storage: S3Storage) -> Self {
        storage.settings.as_ref().clone()
    }
}

impl TryFrom<S3Settings> for S3Storage {
    type Error = StoreError;

    fn try_from(settings: S3Settings) -> std::result::Result<Self, StoreError> {
        Self::new(settings)
    }
}

impl S3Storage {
    /// Objects by these settings, completed by the environment. Asks nobody yet.
    pub fn new(settings: S3Settings) -> std::result::Result<Self, StoreError> {
        let complete = settings.or_environment(|name| std::env::var(name).ok())?;
        complete.validate()?;
        Ok(Self { settings: Arc::new(complete) })
    }

    /// All objects below a location, page by page.
    pub(crate) fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile>> {
        let place = match Place::new(location, self.settings.clone()) {
            Ok(place) => place,
            Err(error) => return futures::stream::once(async { Err(error.into()) }).boxed(),
        };
        let client = match place.client() {
            Ok(client) => client,
            Err(error) => return futures::stream::once(async { Err(error.into()) }).boxed(),
        };
        let listed = client.list(Some(&place.key));
        listed
            .map(move |object| match object {
                Ok(object) => Ok(StoredFile {
                    location: place.location_of(&object.location),
                    size_bytes: object.size,
                    modified_at_ms: object.last_modified.timestamp_millis(),
                    is_temporary: false,
                }),
                Err(object_store::Error::InvalidPath { source }) => {
                    let text = format!(
                        "cannot list {}: {source}; rename that object, which no location can name",
                        place.location
                    );
                    Err(Error::new(ErrorKind::DataInvalid, text))
                }
                Err(error) => Err(place.failed("list", &error)),
            })
            .boxed()
    }

    fn file(&self, location: &str) -> std::result::Result<Place, StoreError> {
        Place::of_file(location, self.settings.clone())
    }

    /// Its size; `Err` is why S3 doesn't tell.
    async fn size(place: &Place) -> Result<std::result::Result<u64, Reason>> {
        let client = place.client()?;
        let bare = match client.head(&place.key).await {
            Ok(object) => return Ok(Ok(object.size)),
            Err(error) => Reason::of(&error),
        };
        if !bare.is_bare() {
            return Ok(Err(bare));
        }
        // The answer to a request for the head has no words; a missing file, a missing bucket and a wrong key look alike.
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        match client.get_opts(&place.key, options).await {
            Ok(appeared) => Ok(Ok(appeared.meta.size)),
            Err(error) => Ok(Err(Reason::of(&error))),
        }
    }

    async fn delete_file(&self, location: &str) -> Result<()> {
        let place = self.file(location)?;
        match place.client()?.delete(&place.key).await {
            Err(error) if !Reason::of(&error).is_missing_file() => Err(place.failed("delete", &error)),
            _ => Ok(()),
        }
    }

    /// Deletes files, some at a time; the first error ends it.
    async fn delete_all(&self, locations: BoxStream<'_, Result<String>>) -> Result<()> {
        let at_once = self.settings.limits.concurrent_deletes;
        locations
            .try_for_each_concurrent(at_once, |location| async move { self.delete_file(&location).await })
            .await
    }

    pub(crate) fn concurrent_deletes(&self) -> usize {
        self.settings.limits.concurrent_deletes
    }
}

/// An object, read by position.
#[derive(Debug)]
struct S3FileRead {
    place: Place,
}

#[async_trait]
impl FileRead for S3FileRead {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let bytes = fetch(&self.place, options).await?;
        if bytes.len() as u64 != wanted {
            let text = format!(
                "cannot read {}: bytes {} to {} were asked for, {} came; the file is shorter than its metadata says",
                self.place.location,
                range.start,
                range.end,
                bytes.len()
            );
            return Err(Error::new(ErrorKind::DataInvalid, text));
        }
        Ok(bytes)
    }
}

/// The bytes of an object, or of a range of it.
async fn fetch(place: &Place, options: GetOptions) -> Result<Bytes> {
    let client = place.client()?;
    let fetched = async { client.get_opts(&place.key, options).await?.bytes().await };
    fetched.await.map_err(|error| place.failed("read", &error))
}

#[async_trait]
#[typetag::serde(name = "PulselakeS3Storage")]
impl Storage for S3Storage {
    async fn exists(&self, location: &str) -> Result<bool> {
        let place = self.file(location)?;
        match Self::size(&place).await? {
            Ok(_) => Ok(true),
            Err(reason) if reason.is_missing_file() => Ok(false),
            Err(reason) => Err(place.failed_for(reason, "look for")),
        }
    }

    async fn metadata(&self, location: &str) -> Result<FileMetadata> {
        let place = self.file(location)?;
        match Self::size(&place).await? {
            Ok(size) => Ok(FileMetadata { size }),
            Err(reason) => Err(place.failed_for(reason, "look at")),
        }
    }

    async fn read(&self, location: &str) -> Result<Bytes> {
        fetch(&self.file(location)?, GetOptions::default()).await
    }

    async fn reader(&self, location: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(S3FileRead { place: self.file(location)? }))
    }

    async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        upload::write_whole(&self.file(location)?, bytes).await
    }

    async fn writer(&self, location: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(S3FileWrite::new(self.file(location)?)?))
    }

    async fn delete(&self, location: &str) -> Result<()> {
        self.delete_file(location).await
    }

    async fn delete_prefix(&self, location: &str) -> Result<()> {
        let (_, prefix) = split(location)?;
        if prefix.trim_matches('/').is_empty() {
            let reason = "this would empty the whole bucket; name a prefix in it";
            return Err(StoreError::BadLocation { location: location.to_string(), reason }.into());
        }
        let below = self.list(location).map_ok(|file| file.location);
        self.delete_all(below.boxed()).await
    }

    async fn delete_stream(&self, locations: BoxStream<'static, String>) -> Result<()> {
        self.delete_all(locations.map(Ok).boxed()).await
    }

    fn new_input(&self, location: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), location.to_string()))
    }

    fn new_output(&self, location: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), location.to_string()))
    }
}
