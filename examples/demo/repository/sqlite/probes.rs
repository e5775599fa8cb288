//! What the repository's health depends on, and how each of them is asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan::health::{Dependency, Observation, Probe, ProbeError, Reason, probe};

use super::connection::{FileId, Handle};
use super::{Error, Repository};
use crate::repository::rows::carry;

impl Repository {
    /// The dependencies `database`, `ledger` and `disk`.
    ///
    /// All are local: the file belongs to this instance, and another one may well work.
    ///
    /// # Errors
    ///
    /// SQLite's own, when the probes' connections cannot be opened.
    pub(crate) fn dependencies(&self) -> rusqlite::Result<[Dependency; 3]> {
        let database = WriteLock {
            connection: Handle::open(&self.path, LOCK_WAIT)?,
            path: Arc::clone(&self.path),
            opened: self.file,
        };
        let ledger = Ledger(Handle::open(&self.path, LOCK_WAIT)?);
        let directory = self.path.parent().map(PathBuf::from).unwrap_or_default();
        let often = |dependency: Dependency| {
            let dependency = dependency.interval(Duration::from_secs(2));
            dependency.interval_failing(Duration::from_secs(1))
        };
        Ok([
            often(Dependency::local("database", database)),
            often(Dependency::local("ledger", ledger)).depends_on(["database"]),
            Dependency::local("disk", probe::disk(directory))
                .warn_below(256.0 * MIB)
                .fail_below(16.0 * MIB),
        ])
    }
}

/// Can we write, to what others find under that name? Takes the write lock and gives it back, on a
/// connection of its own.
struct WriteLock {
    connection: Handle,
    path: Arc<PathBuf>,
    opened: Option<FileId>,
}

impl Probe for WriteLock {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let path = Arc::clone(&self.path);
        let found = self.connection.run(move |db| {
            db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            Ok(FileId::of(&path))
        });
        let found = found.await.map_err(told)?;
        // SQLite goes on with a file that has been removed, and what it takes then is lost.
        if found.is_none() || found != self.opened {
            return Err(ProbeError::new(Reason::Failed).public("the file is gone, or is another"));
        }
        Ok(Observation::new())
    }
}

/// Do the books balance? Holds the newest rows against the running balance and against the log.
struct Ledger(Handle);

impl Probe for Ledger {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let wrong = self.0.run(|db| first_wrong_row(db)).await.map_err(told)?;
        match wrong {
            None => Ok(Observation::new()),
            Some(_) => Err(ProbeError::new(Reason::Failed).public("a balance does not add up")),
        }
    }
}

/// The newest row that contradicts the user's row before it, or whose event is missing.
fn first_wrong_row(db: &rusqlite::Connection) -> rusqlite::Result<Option<i64>> {
    // One read transaction, so that rows and log are of the same moment.
    let mut rows = db.prepare(
        "SELECT t.id, t.amount, t.balance,
                coalesce((SELECT p.balance FROM transactions p
                          WHERE p.user = t.user AND p.id < t.id ORDER BY p.id DESC LIMIT 1), 0.0),
                EXISTS (SELECT 1 FROM events e WHERE e.position = t.position AND e.user = t.user)
                OR t.position < (SELECT min(position) FROM events)
         FROM transactions t ORDER BY t.id DESC LIMIT ?1",
    )?;
    let checked = rows.query_map([ROWS_CHECKED], |row| {
        let (amount, balance, before): (f64, f64, f64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let adds_up = carry(before, amount).to_bits() == balance.to_bits();
        Ok((adds_up && row.get(4)?, row.get(0)?))
    })?;
    for row in checked {
        if let (false, id) = row? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The lock has a reason of its own; anything else is told by what caused it.
fn told(error: Error) -> ProbeError {
    match error {
        Error::Busy => ProbeError::new(Reason::Locked),
        error => ProbeError::caused_by(error),
    }
}

/// Below half of the soft deadline of a second, so that a lock held by another is told as that
/// rather than as slowness.
const LOCK_WAIT: Duration = Duration::from_millis(400);

/// Rows that one check of the ledger looks at: the newest, so that its cost does not grow.
const ROWS_CHECKED: i64 = 1000;

const MIB: f64 = 1024.0 * 1024.0;
