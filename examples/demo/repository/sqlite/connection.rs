//! One SQLite connection, used from async code without blocking it.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Mutex;

use super::Error;

/// A connection that does one piece of work at a time, on a thread that may block.
///
/// # Cancel safety
///
/// Work that has begun runs to its end, also when nobody waits for it any more: a transaction is
/// committed or rolled back, never left open.
#[derive(Clone)]
pub(crate) struct Handle {
    connection: Arc<Mutex<Connection>>,
}

impl Handle {
    /// Opens the file, which is there.
    ///
    /// `busy` is how long a statement waits for the write lock of another connection or process.
    pub(crate) fn open(path: &Path, busy: Duration) -> rusqlite::Result<Self> {
        // One that is made now would have nothing in it, and others would take it for theirs.
        let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs `work` on the connection, after the work of those who came before.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.connection).lock_owned());
        let mut connection = turn.await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(move || work(&mut connection))
            .await
            .map_err(Error::Panicked)?
            .map_err(Error::from)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Which file a path leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// How long a request waits for its turn at a connection before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(2);
