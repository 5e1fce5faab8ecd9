//! What the janitor asks of a store: its files with their age, and that some be deleted.

use async_trait::async_trait;
use futures::stream::BoxStream;
use pulselake_store::{Deleted, StoreError, StoredFile, Warehouse};

/// A store of files.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// All files below a location, however deep, in any order, temporary ones too. A place that is not there has none.
    fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>>;

    /// Deletes files. One that is not there counts as deleted; one that can't be deleted stops none of the others.
    async fn delete(&self, locations: Vec<String>) -> Deleted;
}

#[async_trait]
impl FileStore for Warehouse {
    fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>> {
        Warehouse::list(self, location)
    }

    async fn delete(&self, locations: Vec<String>) -> Deleted {
        Warehouse::delete(self, locations).await
    }
}
