//! What lies below a place: every file, whoever made it, spelled as Iceberg's metadata would spell it.

use std::io::ErrorKind as IoKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::Result;
use tokio::sync::mpsc::{Sender, channel};
use walkdir::{DirEntry, WalkDir};

use crate::local;

/// Entries on their way from the disk to a slower reader.
const ENTRIES_AHEAD: usize = 1024;

/// A file found in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Full location, with the scheme and in the spelling of the prefix that was listed.
    pub location: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last written, in milliseconds since 1970, by the store's clock.
    pub modified_at_ms: i64,
    /// It is still being written, or its writer died. Never on S3, where such files can't be seen.
    pub is_temporary: bool,
}

/// All files below a local directory. Symbolic links are neither followed nor listed (but `location` itself may be one);
/// a directory that is not there is empty, and what vanishes meanwhile is passed over.
pub(crate) fn list_local(location: String) -> BoxStream<'static, Result<StoredFile>> {
    let opened = async move {
        let (sender, mut receiver) = channel(ENTRIES_AHEAD);
        // Ends with the last file, or when nobody listens any more.
        tokio::task::spawn_blocking(move || walk(&location, &sender));
        futures::stream::poll_fn(move |context| receiver.poll_recv(context))
    };
    futures::stream::once(opened).flatten().boxed()
}

fn walk(location: &str, sender: &Sender<Result<StoredFile>>) {
    let root = match local::local_path(location) {
        Ok(root) => root,
        Err(error) => {
            drop(sender.blocking_send(Err(error)));
            return;
        }
    };
    for entry in WalkDir::new(&root).min_depth(1) {
        let found = match entry {
            Ok(entry) => stored_file(location, &root, &entry),
            Err(error) => failure(&root, error),
        };
        if let Some(found) = found
            && sender.blocking_send(found).is_err()
        {
            return;
        }
    }
}

fn stored_file(location: &str, root: &Path, entry: &DirEntry) -> Option<Result<StoredFile>> {
    if !entry.file_type().is_file() {
        return None;
    }
    let Some(below) = entry.path().strip_prefix(root).ok().and_then(Path::to_str) else {
        tracing::warn!(
            "{} is left alone: its name is not UTF-8, so no table can refer to it",
            entry.path().display()
        );
        return None;
    };
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return failure(root, error),
    };
    let modified = metadata.modified().map(|time| match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    });
    let file = modified.map(|modified_at_ms| StoredFile {
        location: format!("{}/{below}", location.trim_end_matches('/')),
        size_bytes: metadata.len(),
        modified_at_ms,
        is_temporary: entry.file_name().to_str().is_some_and(local::is_temporary_name),
    });
    Some(file.map_err(|error| local::failed("look at", entry.path(), error)))
}

/// The error to report, if it is one: a file that is gone is not.
fn failure(root: &Path, error: walkdir::Error) -> Option<Result<StoredFile>> {
    let path = error.path().unwrap_or(root).to_path_buf();
    let error = error.into_io_error()?;
    (error.kind() != IoKind::NotFound).then(|| Err(local::failed("list", &path, error)))
}
