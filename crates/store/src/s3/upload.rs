//! A file on its way to S3: small ones go by one request at the end, larger ones part by part meanwhile.
//!
//! A reader sees nothing of it before `close`, then all. Parts travel at once, as many as the settings allow, so a writer
//! never holds more than that and one part more. An upload that failed or was dropped is aborted, so that its parts don't
//! stay and cost; only a process that ends meanwhile leaves them, for the bucket's life-cycle rule.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::io::FileWrite;
use iceberg::{Error, ErrorKind, Result};
use object_store::{
    Attribute, Attributes, GetOptions, MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload,
    PutPayloadMut,
};
use pulselake_commit::failpoint;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::explain::Reason;
use super::place::Place;
use crate::points::{self, injected_failure, publishing_point};

/// The user attribute by which an object is known to be of one upload.
const UPLOAD_ID: &str = "pulselake-upload";

/// How long an abort waits for parts on their way before it stops them.
const PARTS_END_WITHIN: Duration = Duration::from_secs(5);

/// Pieces from this size on are sent as they are, smaller ones copied together.
const COPIED_BELOW_BYTES: usize = 64 << 10;

/// Writes a whole file at once.
pub(super) async fn write_whole(place: &Place, bytes: Bytes) -> Result<()> {
    if bytes.len() > place.settings.limits.part_size_bytes {
        let mut file = S3FileWrite::new(place.clone())?;
        file.append(bytes).await?;
        return file.close().await;
    }
    put(place, bytes.into()).await
}

async fn put(place: &Place, payload: PutPayload) -> Result<()> {
    let point = publishing_point(&place.location);
    let send = || {
        let (to, whole) = (place.clone(), payload.clone());
        async move {
            let sent = to.client()?.put(&to.key, whole).await;
            sent.map(drop).map_err(|error| to.failed("write", &error))
        }
    };
    failpoint::request(point, send, injected_failure(point)).await
}

/// A file being written.
#[derive(Debug)]
pub(super) struct S3FileWrite {
    place: Place,
    /// What has not been given to a part yet; less than one.
    buffer: PutPayloadMut,
    parts: Parts,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    /// Also while a step is under way: one that the caller stopped waiting for leaves a file with a gap.
    Failed,
}

/// The parts of a file that is larger than one.
#[derive(Debug)]
struct Parts {
    upload: Option<Arc<Upload>>,
    on_their_way: JoinSet<object_store::Result<()>>,
    runtime: Handle,
}

/// A multi-part upload that S3 knows.
#[derive(Debug)]
struct Upload {
    /// Marks the finished object.
    id: String,
    remote: Mutex<Box<dyn MultipartUpload>>,
}

impl S3FileWrite {
    pub(super) fn new(place: Place) -> Result<Self> {
        let runtime = super::client::runtime()?;
        let parts = Parts { upload: None, on_their_way: JoinSet::new(), runtime };
        Ok(Self { place, buffer: PutPayloadMut::new(), parts, state: State::Open })
    }

    fn require_open(&self) -> Result<()> {
        if self.state == State::Open {
            return Ok(());
        }
        let text = format!("{} is closed already, or a write to it failed", self.place.location);
        Err(Error::new(ErrorKind::Unexpected, text))
    }

    /// Takes bytes over, and sends the parts that are full.
    async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        let part_size = self.place.settings.limits.part_size_bytes;
        while self.buffer.content_length() + bytes.len() > part_size {
            // Parts are of one size: some stores refuse others.
            let head = bytes.split_to(part_size - self.buffer.content_length());
            self.take(head);
            self.send_part().await?;
        }
        self.take(bytes);
        Ok(())
    }

    fn take(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED_BELOW_BYTES {
            self.buffer.extend_from_slice(&bytes);
        } else {
            self.buffer.push(bytes);
        }
    }

    async fn send_part(&mut self) -> Result<()> {
        let upload = match &self.parts.upload {
            Some(upload) => upload.clone(),
            None => self.begin().await?,
        };
        while self.parts.on_their_way.len() >= self.place.settings.limits.concurrent_parts {
            self.await_a_part().await?;
        }
        let payload = std::mem::take(&mut self.buffer).freeze();
        let part = upload.remote.lock().await.put_part(payload);
        self.parts.on_their_way.spawn_on(part, &self.parts.runtime);
        Ok(())
    }

    async fn begin(&mut self) -> Result<Arc<Upload>> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let attributes = Attributes::from_iter([(Attribute::Metadata(UPLOAD_ID.into()), id.clone())]);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let place = self.place.clone();
        let begun = place.client()?.put_multipart_opts(&place.key, options).await;
        let remote = begun.map_err(|error| place.failed("begin writing", &error))?;
        let upload = Arc::new(Upload { id, remote: Mutex::new(remote) });
        self.parts.upload = Some(upload.clone());
        Ok(upload)
    }

    /// Waits until a part is there; does nothing where none is on its way.
    async fn await_a_part(&mut self) -> Result<()> {
        match self.parts.on_their_way.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.place.failed("write a part of", &error)),
            Some(Err(error)) => {
                let text = format!("writing a part of {} did not finish: {error}", self.place.location);
                Err(Error::new(ErrorKind::Unexpected, text).with_retryable(true))
            }
        }
    }

    async fn publish(&mut self) -> Result<()> {
        let Some(upload) = self.parts.upload.clone() else {
            let whole = std::mem::take(&mut self.buffer).freeze();
            return put(&self.place, whole).await;
        };
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        while !self.parts.on_their_way.is_empty() {
            self.await_a_part().await?;
        }
        let point = publishing_point(&self.place.location);
        let send = || complete(self.place.clone(), upload.clone());
        failpoint::request(point, send, injected_failure(point)).await
    }

    /// Takes back what S3 has of a file that failed.
    async fn give_up(&mut self) {
        self.buffer = PutPayloadMut::new();
        let Some(upload) = self.parts.upload.take() else { return };
        let on_their_way = std::mem::take(&mut self.parts.on_their_way);
        // On the runtime of the connections, so that it is done also where the caller gives up waiting.
        let aborting = self.parts.runtime.spawn(abort(self.place.clone(), upload, on_their_way));
        drop(aborting.await);
    }
}

/// Makes the object of its parts. Done already: nothing changes.
async fn complete(place: Place, upload: Arc<Upload>) -> Result<()> {
    let answer = upload.remote.lock().await.complete().await;
    let Err(error) = answer else { return Ok(()) };
    // The answer to an earlier try may have been lost, and then S3 knows the upload no more.
    if is_complete(&place, &upload).await {
        return Ok(());
    }
    Err(place.failed("finish writing", &error))
}

async fn is_complete(place: &Place, upload: &Upload) -> bool {
    let Ok(client) = place.client() else { return false };
    let options = GetOptions { head: true, ..GetOptions::default() };
    let Ok(found) = client.get_opts(&place.key, options).await else { return false };
    let mark = found.attributes.get(&Attribute::Metadata(UPLOAD_ID.into()));
    mark.is_some_and(|id| id.as_ref() == upload.id)
}

async fn abort(place: Place, upload: Arc<Upload>, mut parts: JoinSet<object_store::Result<()>>) {
    // A part that S3 finishes after the abort may stay: so they get the time to end before it.
    let all_ended = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(PARTS_END_WITHIN, all_ended).await.is_err() {
        parts.shutdown().await;
    }
    if let Err(error) = upload.remote.lock().await.abort().await {
        if Reason::of(&error).is_missing_upload() {
            return;
        }
        let failure = place.failed("abort the upload of", &error);
        tracing::warn!(
            "{}; its parts stay, invisible, until the bucket's rule for incomplete uploads removes them",
            failure.message()
        );
    }
}

impl Drop for S3FileWrite {
    fn drop(&mut self) {
        let Some(upload) = self.parts.upload.take() else { return };
        if self.state == State::Closed {
            return;
        }
        let on_their_way = std::mem::take(&mut self.parts.on_their_way);
        self.parts.runtime.spawn(abort(self.place.clone(), upload, on_their_way));
    }
}

#[async_trait]
impl FileWrite for S3FileWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.require_open()?;
        self.state = State::Failed;
        // The bytes leave later, with a part; the point is passed for each piece, as with local files.
        let taken =
            failpoint::request(points::WRITE, || async { Ok(()) }, injected_failure(points::WRITE)).await;
        let written = match taken {
            Ok(()) => self.append(bytes).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => self.state = State::Open,
            Err(_) => self.give_up().await,
        }
        written
    }

    async fn close(&mut self) -> Result<()> {
        if self.state == State::Closed {
            return Ok(());
        }
        self.require_open()?;
        self.state = State::Failed;
        let published = self.publish().await;
        match published {
            Ok(()) => self.state = State::Closed,
            Err(_) => self.give_up().await,
        }
        published
    }
}
