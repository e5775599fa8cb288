//! One SQLite connection, used from async code without blocking it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Mutex;

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
    /// Opens the file, or makes it.
    ///
    /// `busy` is how long a statement waits for the write lock of another connection or process.
    pub(crate) fn open(path: &Path, busy: Duration) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
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

/// Why the repository could not do its work.
#[derive(Debug)]
pub(crate) enum Error {
    /// Somebody else holds the write lock, or too many wait for it: worth another try.
    Busy,
    /// SQLite's own refusal, but for [`Busy`](Self::Busy).
    Sqlite(rusqlite::Error),
    /// The work panicked.
    Panicked(tokio::task::JoinError),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the database is locked",
            Self::Sqlite(_) => "the database refused",
            Self::Panicked(_) => "the database's thread panicked",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy => None,
            Self::Sqlite(error) => Some(error),
            Self::Panicked(error) => Some(error),
        }
    }
}

/// How long a request waits for its turn at a connection before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(2);
