//! The API's own way into the tables. It is opened in the API's runtime and used there alone: reading for people must not
//! take time or connections from the stream.

use pulselake_lake::{Lake, LakeError, LakeSettings, OpenMode};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::ApiError;

/// Reads of tables at the same time.
const CONCURRENT_READS: usize = 2;

/// Opened when it is first needed.
pub(crate) struct LakeReader {
    settings: LakeSettings,
    lake: OnceCell<Lake>,
    permits: Semaphore,
}

impl LakeReader {
    pub(crate) fn new(settings: LakeSettings) -> Self {
        Self { settings, lake: OnceCell::new(), permits: Semaphore::new(CONCURRENT_READS) }
    }

    /// The lake, and the permit to read from it while it is held.
    pub(crate) async fn lake(&self) -> Result<(Lake, SemaphorePermit<'_>), ApiError> {
        let permit = self.permits.acquire().await.map_err(|_| unreadable("the API is ending"))?;
        let opening = || Lake::open(&self.settings, OpenMode::MustExist);
        let lake = self.lake.get_or_try_init(opening).await.map_err(|error| lake_error(&error))?;
        Ok((lake.clone(), permit))
    }
}

/// A table that can't be read now.
pub(crate) fn lake_error(error: &LakeError) -> ApiError {
    unreadable(&error.to_string())
}

/// The same, for whatever reason.
pub(crate) fn unreadable(reason: &str) -> ApiError {
    ApiError::unavailable("tables_unavailable", format!("the tables can't be read now, try again: {reason}"))
}
