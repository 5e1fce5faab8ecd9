//! Another program that holds the catalog's SQLite database locked: nobody else reads or writes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};

/// How long the engine's own locks are waited for: it commits many times a second, each time for some milliseconds.
const GET_HOLD_OF: Duration = Duration::from_secs(30);

/// The lock, for as long as this lives.
#[derive(Debug)]
pub(crate) struct CatalogLock {
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
    /// `None` once it is let go.
    connection: Option<SqliteConnection>,
}

impl CatalogLock {
    /// Takes the lock of a database that is there; returns when it is held.
    ///
    /// # Errors
    /// When there is no such database, or others hold it for 30 s.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options =
            SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(GET_HOLD_OF);
        let locked = async {
            let mut connection = options.connect().await?;
            connection.execute("BEGIN EXCLUSIVE").await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection =
            runtime.block_on(locked).with_context(|| format!("can't lock the catalog {}", path.display()))?;
        Ok(Self { path: path.to_owned(), runtime, connection: Some(connection) })
    }

    /// Lets go of it; nothing was changed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        self.let_go().with_context(|| format!("can't unlock the catalog {}", self.path.display()))
    }

    fn let_go(&mut self) -> sqlx::Result<()> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        self.runtime.block_on(async {
            connection.execute("ROLLBACK").await?;
            connection.close().await
        })
    }
}

impl Drop for CatalogLock {
    fn drop(&mut self) {
        // Closing the connection lets go of it as well.
        let _ = self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn can_write(path: &Path) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_millis(50));
        runtime
            .block_on(async {
                let mut connection = options.connect().await?;
                connection.execute("INSERT INTO things VALUES (1)").await
            })
            .is_ok()
    }

    #[test]
    fn nobody_writes_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        assert!(CatalogLock::take(&path).is_err(), "there is no database yet");
        assert!(!path.exists(), "a database was made");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection =
                SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
            connection.execute("CREATE TABLE things (id INTEGER)").await.unwrap();
            connection.close().await.unwrap();
        });
        for release in [true, false] {
            assert!(can_write(&path));
            let lock = CatalogLock::take(&path).unwrap();
            assert!(!can_write(&path));
            if release { lock.release().unwrap() } else { drop(lock) }
        }
        assert!(can_write(&path));
    }
}
