//! Transactions and the event log in PostgreSQL, which several demos share.

use std::fmt;
use std::time::Duration;

use bartizan::event_stream::{NewEvent, PostgresStore};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::Error;
use super::rows::{Transaction, carry};

mod probes;

/// The open database. Clones share it.
#[derive(Clone)]
pub(crate) struct Repository {
    pool: PgPool,
    log: PostgresStore,
    session_key: [u8; 32],
}

impl Repository {
    pub(super) async fn connect(url: &str) -> Result<Self, Error> {
        let options: PgConnectOptions = url.parse()?;
        let options = options.application_name("bartizan-demo");
        // Who waits for a lock for longer than this is told to come again.
        let limits = [("lock_timeout", "1s"), ("statement_timeout", "5s")];
        let options = options.options(limits);
        // A pool that is refused asks again until its time is over, and forgets why it was refused.
        let first = tokio::time::timeout(PATIENCE, options.connect()).await;
        first
            .map_err(|late| sqlx::Error::Io(late.into()))??
            .close()
            .await?;
        let pool = PgPoolOptions::new()
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        let log = PostgresStore::new(pool.clone()).notify(true);
        log.migrate().await?;
        pool.execute(sqlx::raw_sql(include_str!("schema.sql")))
            .await?;
        tokio::spawn(log.pruner());
        let key = "SELECT value FROM demo_meta WHERE key = 'session key'";
        let key: Vec<u8> = sqlx::query_scalar(key).fetch_one(&pool).await?;
        let session_key = key.try_into().map_err(|_| sqlx::Error::RowNotFound)?;
        Ok(Self {
            pool,
            log,
            session_key,
        })
    }

    pub(super) fn log(&self) -> &PostgresStore {
        &self.log
    }

    pub(super) const fn session_key(&self) -> &[u8; 32] {
        &self.session_key
    }

    /// Writes a transaction and its event, in one transaction of PostgreSQL.
    pub(super) async fn record(
        &self,
        user: String,
        amount: f64,
        memo: Option<String>,
    ) -> Result<Transaction, Error> {
        let mut tx = self.pool.begin().await?;
        // One after the other, for each user: a balance is carried on from the one before.
        let turn = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))";
        sqlx::query(turn).bind(&user).execute(&mut *tx).await?;
        let before = "SELECT balance FROM demo_transactions
             WHERE username = $1 ORDER BY id DESC LIMIT 1";
        let before = sqlx::query_scalar(before)
            .bind(&user)
            .fetch_optional(&mut *tx);
        let balance = carry(before.await?.unwrap_or(0.0), amount);
        let insert = "INSERT INTO demo_transactions (username, amount, memo, balance)
             VALUES ($1, $2, $3, $4) RETURNING id, username, amount, memo, \
             to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
        let row = sqlx::query(insert)
            .bind(user)
            .bind(amount)
            .bind(memo)
            .bind(balance);
        let row = of_row(&row.fetch_one(&mut *tx).await?)?;
        self.log.append_in(&mut tx, row.created()).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Appends an event that tells of nothing in the books.
    pub(super) async fn append(&self, event: NewEvent) -> Result<(), Error> {
        self.log.append(event).await?;
        Ok(())
    }

    /// The newest transactions of `user`, newest first.
    pub(super) async fn newest(&self, user: String, limit: u32) -> Result<Vec<Transaction>, Error> {
        let newest = "SELECT id, username, amount, memo, \
             to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
             FROM demo_transactions WHERE username = $1 ORDER BY id DESC LIMIT $2";
        let rows = sqlx::query(newest).bind(user).bind(i64::from(limit));
        let rows = rows.fetch_all(&self.pool).await?;
        Ok(rows.iter().map(of_row).collect::<sqlx::Result<_>>()?)
    }

    /// Locks out writers for `time`, on a connection of its own; readers go on.
    pub(super) async fn hold_write_lock(&self, time: Duration) -> Result<(), Error> {
        let mut held = self.pool.begin().await?;
        let lock = "LOCK TABLE demo_transactions, bartizan_events IN EXCLUSIVE MODE";
        held.execute(lock).await?;
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            drop(held); // which rolls back
        });
        Ok(())
    }
}

fn of_row(row: &PgRow) -> sqlx::Result<Transaction> {
    Ok(Transaction {
        id: row.try_get(0)?,
        user: row.try_get(1)?,
        amount: row.try_get(2)?,
        memo: row.try_get(3)?,
        at: row.try_get(4)?,
    })
}

impl fmt::Debug for Repository {
    /// Options hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").finish_non_exhaustive()
    }
}

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);
