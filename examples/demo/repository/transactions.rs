//! Writing transactions and announcements, each with its event, and listing them.

use std::time::{SystemTime, UNIX_EPOCH};

use bartizan::event_stream::NewEvent;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::connection::Handle;
use super::events::append;
use super::{Error, Repository};

/// A transaction, as the API and the event `transaction.created` show it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Transaction {
    /// Rises with each transaction.
    pub(crate) id: i64,
    /// Whose it is.
    pub(crate) user: String,
    /// Any finite number.
    pub(crate) amount: f64,
    /// What the user wrote beside it.
    pub(crate) memo: Option<String>,
    /// When it was written: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

/// An announcement, as the API and the event `announcement` show it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Announcement {
    /// What is announced.
    pub(crate) text: String,
    /// When it was written: RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

impl Repository {
    /// Writes a transaction and its event, in one SQLite transaction.
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
        self.write(move |db| {
            let before =
                "SELECT balance FROM transactions WHERE user = ?1 ORDER BY id DESC LIMIT 1";
            let before = db.query_row(before, [&user], |row| row.get(0)).optional()?;
            let row = db.query_row(
                "INSERT INTO transactions (user, amount, memo, balance, position)
                 VALUES (?1, ?2, ?3, ?4, 0) RETURNING id, user, amount, memo, at",
                params![user, amount, memo, carry(before.unwrap_or(0.0), amount)],
                Transaction::of_row,
            )?;
            let created = event("transaction.created", &row)?.for_user(row.user.as_str());
            let position = append(db, &created)?;
            db.execute(
                "UPDATE transactions SET position = ?1 WHERE id = ?2",
                params![position, row.id],
            )?;
            Ok(row)
        })
        .await
    }

    /// Appends a public announcement to the log.
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record).
    pub(crate) async fn announce(&self, text: String) -> Result<Announcement, Error> {
        self.write(move |db| {
            let at = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
            let at = db.query_row(at, [], |row| row.get(0))?;
            let announcement = Announcement { text, at };
            append(db, &event("announcement", &announcement)?)?;
            Ok(announcement)
        })
        .await
    }

    /// Appends a change of health, dated when it happened, as the public event `health.changed`.
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record), at once: nothing of the API waits behind this.
    pub(crate) async fn tell(&self, change: impl Serialize, at: SystemTime) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Dated<T> {
            #[serde(flatten)]
            change: T,
            at: String,
        }
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let change = serde_json::to_value(change).unwrap_or_default();
        self.write_on(&self.patient, move |db| {
            let at = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?1, 'unixepoch')";
            let at = db.query_row(at, [since.as_secs_f64()], |row| row.get(0))?;
            append(db, &event("health.changed", &Dated { change, at })?)?;
            Ok(())
        })
        .await
    }

    /// The newest transactions of `user`, newest first.
    ///
    /// # Errors
    ///
    /// SQLite's own; readers do not wait for the write lock.
    pub(crate) async fn newest(&self, user: String, limit: u32) -> Result<Vec<Transaction>, Error> {
        self.reader
            .run(move |db| {
                db.prepare(
                    "SELECT id, user, amount, memo, at FROM transactions
                     WHERE user = ?1 ORDER BY id DESC LIMIT ?2",
                )?
                .query_map(params![user, limit], Transaction::of_row)?
                .collect()
            })
            .await
    }

    /// One SQLite transaction under the write lock; the log's readers are told once it is committed.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_on(&self.writer, work).await
    }

    async fn write_on<T, F>(&self, connection: &Handle, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let committed = self.committed.clone();
        connection
            .run(move |db| {
                let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let done = work(&transaction)?;
                transaction.commit()?;
                committed.send_replace(());
                Ok(done)
            })
            .await
    }
}

impl Transaction {
    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            user: row.get(1)?,
            amount: row.get(2)?,
            memo: row.get(3)?,
            at: row.get(4)?,
        })
    }
}

/// The balance after `amount`. Any finite amount is accepted, so a balance stops at the largest
/// number rather than becoming infinite.
pub(super) fn carry(balance: f64, amount: f64) -> f64 {
    (balance + amount).clamp(f64::MIN, f64::MAX)
}

/// The event `kind` that shows `data`, as [`append`] takes it.
fn event(kind: &str, data: &impl Serialize) -> rusqlite::Result<NewEvent> {
    NewEvent::json(kind, data)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
