//! The demo's repository: transactions, and the event log.
//!
//! 1. A transaction and its event are written together or not at all: in the embedded SQLite file, or
//!    with `--database-url` in PostgreSQL, where several demos share both.
//! 2. With `--redis-url` alone the events are written to Redis as well, and read from there: several
//!    demos share the log. That is two writes. A process that is killed between them leaves a
//!    transaction without an event, of neither of which it has told its client. Who minds has one
//!    database.
//! 3. The key of the sessions is kept beside the log, so that all demos on it know each other's.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bartizan::event_stream::NewEvent;
use bartizan::health::Dependency;
use serde::Serialize;

pub(crate) use self::error::Error;
pub(crate) use self::log::Log;
pub(crate) use self::rows::{Announcement, Transaction};

mod error;
mod log;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod rows;
mod sqlite;

/// The open repository. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    books: Books,
    /// Where the events go as well, and are read.
    #[cfg(feature = "redis")]
    shared: Option<redis::Shared>,
}

#[derive(Clone, Debug)]
enum Books {
    Sqlite(sqlite::Repository),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Repository),
}

impl Repository {
    /// The one embedded in the directory `dir`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is no database, or is that of another version of the demo.
    pub(crate) fn open(dir: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let books = Books::Sqlite(sqlite::Repository::open(dir)?);
        Ok(Self {
            books,
            #[cfg(feature = "redis")]
            shared: None,
        })
    }

    /// The one in the PostgreSQL database at `url`, whose tables are made if they are missing.
    ///
    /// # Errors
    ///
    /// That is no URL, or the database cannot be reached.
    #[cfg(feature = "postgres")]
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let books = Books::Postgres(postgres::Repository::connect(url).await?);
        Ok(Self {
            books,
            #[cfg(feature = "redis")]
            shared: None,
        })
    }

    /// The same, with its events in Redis.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached.
    #[cfg(feature = "redis")]
    pub(crate) async fn sharing_events(self, client: ::redis::Client) -> Result<Self, Error> {
        let shared = Some(redis::Shared::connect(client).await?);
        Ok(Self { shared, ..self })
    }

    /// The key that signs session cookies.
    pub(crate) fn session_key(&self) -> &[u8; 32] {
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            return shared.session_key();
        }
        match &self.books {
            Books::Sqlite(db) => db.session_key(),
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => db.session_key(),
        }
    }

    /// The log that the hub reads.
    pub(crate) fn log(&self) -> Log {
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            return Log::Redis(shared.log().clone());
        }
        match &self.books {
            Books::Sqlite(db) => Log::Sqlite(db.clone()),
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => Log::Postgres(db.log().clone()),
        }
    }

    /// What the books depend on: `database`, `ledger`, and `disk` where they are embedded.
    ///
    /// # Errors
    ///
    /// SQLite's own, when the probes' connections cannot be opened.
    pub(crate) fn dependencies(&self) -> Result<Vec<Dependency>, Error> {
        Ok(match &self.books {
            Books::Sqlite(db) => db.dependencies()?.into(),
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => db.dependencies().into(),
        })
    }

    /// Writes a transaction and its event.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while somebody else holds the write lock; then nothing was written.
    pub(crate) async fn record(
        &self,
        user: String,
        amount: f64,
        memo: Option<String>,
    ) -> Result<Transaction, Error> {
        let row = match &self.books {
            Books::Sqlite(db) => db.record(user, amount, memo).await,
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => db.record(user, amount, memo).await,
        }?;
        self.share(&row.created()).await?;
        Ok(row)
    }

    /// Appends a public announcement to the log.
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record).
    pub(crate) async fn announce(&self, text: String) -> Result<Announcement, Error> {
        let announcement = Announcement::now(text);
        let made = announcement.made();
        if !self.share(&made).await? {
            match &self.books {
                Books::Sqlite(db) => db.append(made).await,
                #[cfg(feature = "postgres")]
                Books::Postgres(db) => db.append(made).await,
            }?;
        }
        Ok(announcement)
    }

    /// Appends a change of health, dated when it happened, as the public event `health.changed`.
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record), at once: nothing of the API waits behind this.
    pub(crate) async fn tell(&self, change: impl Serialize, at: SystemTime) -> Result<(), Error> {
        let changed = rows::changed(change, at);
        if !self.share(&changed).await? {
            match &self.books {
                Books::Sqlite(db) => db.append_at_once(changed).await,
                #[cfg(feature = "postgres")]
                Books::Postgres(db) => db.append(changed).await,
            }?;
        }
        Ok(())
    }

    /// The newest transactions of `user`, newest first.
    ///
    /// # Errors
    ///
    /// The database's own; readers do not wait for the write lock.
    pub(crate) async fn newest(&self, user: String, limit: u32) -> Result<Vec<Transaction>, Error> {
        match &self.books {
            Books::Sqlite(db) => db.newest(user, limit).await,
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => db.newest(user, limit).await,
        }
    }

    /// Holds the write lock for `time`, on a connection of its own; answers once it is held.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when somebody else holds it for a second.
    pub(crate) async fn hold_write_lock(&self, time: Duration) -> Result<(), Error> {
        match &self.books {
            Books::Sqlite(db) => db.hold_write_lock(time).await,
            #[cfg(feature = "postgres")]
            Books::Postgres(db) => db.hold_write_lock(time).await,
        }
    }

    /// Appends to the log in Redis, if that is where the log is.
    async fn share(&self, event: &NewEvent) -> Result<bool, Error> {
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            shared.append(event.clone()).await?;
            return Ok(true);
        }
        let _ = event;
        Ok(false)
    }
}
