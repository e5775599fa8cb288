//! Forgetting the oldest, a bounded number at a time.

use std::future::Future;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::time::sleep;

use super::log::PostgresStore;
use super::row::{Place, place};
use crate::event_stream::id::EventId;
use crate::event_stream::store::EventStore;
use crate::rand;
use crate::trace::emit;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) events: u64,
    pub(super) age: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            events: 1_000_000,
            age: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl PostgresStore {
    /// Forgets what is beyond [`keep_events`](Self::keep_events) and [`keep_for`](Self::keep_for),
    /// the oldest first, and answers how many events that were.
    ///
    /// Each statement deletes at most 1,000. An event that a transaction which still runs might
    /// precede is left for the next time.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or the role may not. What was deleted until then stays
    /// so.
    pub async fn prune(&self) -> sqlx::Result<u64> {
        let expired = sqlx::query(AssertSqlSafe(self.statements.expired()))
            .bind(i64::try_from(self.keep.events).unwrap_or(i64::MAX))
            .bind(self.keep.age.as_secs_f64().min(LONGEST))
            .fetch_optional(&self.pool)
            .await?;
        match expired.map(|row| place(&row, 0)).transpose()?.flatten() {
            Some(last) => self.forget(last).await,
            None => Ok(0),
        }
    }

    /// Forgets every event up to and including `id`, and answers how many events that were. Readers
    /// behind it are told. An id of another epoch forgets nothing.
    ///
    /// # Errors
    ///
    /// Those of [`prune`](Self::prune).
    pub async fn trim(&self, id: EventId) -> sqlx::Result<u64> {
        match self.bounds().await?.epoch() == id.epoch() {
            true => self.forget(Place::of(id.position())).await,
            false => Ok(0),
        }
    }

    /// Prunes about once a minute: poll it as long as the process serves, as with `tokio::spawn`.
    /// It may run in several processes. A failure is tried again the next time.
    pub fn pruner(&self) -> impl Future<Output = ()> + Send + use<> {
        let store = self.clone();
        async move {
            loop {
                if let Err(error) = store.prune().await {
                    emit!(warn, {}, "the event log cannot be pruned: trying again");
                    emit!(debug, { error = error }, "pruning the event log failed");
                }
                sleep(rand::jitter(PAUSE, 20)).await;
            }
        }
    }

    async fn forget(&self, last: Place) -> sqlx::Result<u64> {
        let mut forgotten = 0;
        loop {
            let deleted = sqlx::query(AssertSqlSafe(self.statements.delete()))
                .bind(last.tx)
                .bind(last.id)
                .bind(BATCH)
                .execute(&self.pool)
                .await?
                .rows_affected();
            forgotten += deleted;
            if deleted < BATCH.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }
}

/// Events that one statement deletes: some milliseconds of locks.
const BATCH: i64 = 1000;

/// Seconds; the server's times reach a little farther back.
const LONGEST: f64 = 1000.0 * 365.25 * 86_400.0;

const PAUSE: Duration = Duration::from_secs(60);
