//! Writing transactions, each with its event, and listing them.

use bartizan::event_stream::NewEvent;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};

use super::connection::Handle;
use super::events::append;
use super::{Error, Repository};
use crate::repository::rows::{Transaction, carry};

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
                of_row,
            )?;
            let position = append(db, &row.created())?;
            db.execute(
                "UPDATE transactions SET position = ?1 WHERE id = ?2",
                params![position, row.id],
            )?;
            Ok(row)
        })
        .await
    }

    /// Appends an event that tells of nothing in the books.
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record).
    pub(crate) async fn append(&self, event: NewEvent) -> Result<(), Error> {
        self.append_on(&self.writer, event).await
    }

    /// The same, and never waits for the lock: nothing of the API waits behind this.
    pub(crate) async fn append_at_once(&self, event: NewEvent) -> Result<(), Error> {
        self.append_on(&self.patient, event).await
    }

    async fn append_on(&self, connection: &Handle, event: NewEvent) -> Result<(), Error> {
        let appended = self.write_on(connection, move |db| append(db, &event));
        appended.await.map(|_| ())
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
                .query_map(params![user, limit], of_row)?
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

fn of_row(row: &Row<'_>) -> rusqlite::Result<Transaction> {
    Ok(Transaction {
        id: row.get(0)?,
        user: row.get(1)?,
        amount: row.get(2)?,
        memo: row.get(3)?,
        at: row.get(4)?,
    })
}
