//! Transactions and the event log in one embedded SQLite file.
//!
//! 1. The file is in WAL mode with normal locking: readers never wait, and other processes may open
//!    it. There is one writer, here as everywhere in SQLite.
//! 2. A transaction and its event are written together or not at all.
//! 3. The epoch of the log and the key of the sessions live in the file, so that both survive a
//!    restart, and neither survives the loss of the file.
//! 4. It implements `EventStore` and the probes as any host would for its own database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan::event_stream::Epoch;
use rusqlite::Connection;
use tokio::sync::watch;

use self::connection::{FileId, Handle};
use super::Error;

mod connection;
mod events;
mod lock;
mod probes;
mod transactions;

#[cfg(test)]
mod tests;

/// The open database. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    path: Arc<PathBuf>,
    /// What was found there when it was opened.
    file: Option<FileId>,
    epoch: Epoch,
    session_key: [u8; 32],
    writer: Handle,
    /// Writes what may come later, and so never waits for the lock.
    patient: Handle,
    /// What the API reads.
    reader: Handle,
    /// What the event log reads: a long replay does not hold up the API.
    log: Handle,
    /// Feeds the log's hints, after each commit.
    committed: watch::Sender<()>,
}

impl Repository {
    /// Opens `demo.sqlite3` in `dir`, and makes what is missing.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is no database, or is that of another version of the demo.
    pub(crate) fn open(dir: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let path = dir.join(FILE);
        let db = Connection::open(&path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // Only a new file is written to: one whose lock somebody holds can still be opened.
        match db.pragma_query_value(None, "user_version", |row| row.get(0))? {
            SCHEMA => {}
            0 => db.execute_batch(include_str!("schema.sql"))?,
            other => {
                return Err(format!("{FILE} is of version {other}, and not of {SCHEMA}").into());
            }
        }
        let meta = "SELECT value FROM meta WHERE key = ?1";
        let epoch: i64 = db.query_row(meta, ["epoch"], |row| row.get(0))?;
        let session_key = db.query_row(meta, ["session key"], |row| row.get(0))?;
        Ok(Self {
            epoch: Epoch::new(u64::from_ne_bytes(epoch.to_ne_bytes())),
            session_key,
            writer: Handle::open(&path, BUSY)?,
            patient: Handle::open(&path, Duration::ZERO)?,
            reader: Handle::open(&path, BUSY)?,
            log: Handle::open(&path, BUSY)?,
            committed: watch::Sender::new(()),
            file: FileId::of(&path),
            path: Arc::new(path),
        })
    }

    /// The key that signs session cookies.
    pub(crate) const fn session_key(&self) -> &[u8; 32] {
        &self.session_key
    }
}

/// What `schema.sql` writes down as its version.
const SCHEMA: i64 = 2;

/// The name of the database's file in the data directory.
const FILE: &str = "demo.sqlite3";

/// How long a statement waits for another's write lock before the caller is told to come again.
const BUSY: Duration = Duration::from_secs(1);
