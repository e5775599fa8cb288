//! What PostgreSQL is asked.

use std::time::Duration;

use bartizan::health::{Dependency, Observation, ProbeError, Reason, probe};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::Repository;
use crate::repository::rows::carry;

impl Repository {
    /// The dependencies `database` and `ledger`: shared, since every demo sees the same.
    pub(in crate::repository) fn dependencies(&self) -> [Dependency; 2] {
        // Can we write? Waits in the line for the write lock, and takes nothing.
        let options = (*self.pool.connect_options()).clone();
        let options = options.options([("lock_timeout", "400ms")]);
        let database =
            probe::postgres(options).query("SELECT FROM demo_transactions LIMIT 0 FOR UPDATE");
        let pool = self.pool.clone();
        let ledger = move || {
            let pool = pool.clone();
            async move { books_balance(&pool).await }
        };
        let often = |dependency: Dependency| {
            let dependency = dependency.interval(Duration::from_secs(2));
            dependency.interval_failing(Duration::from_secs(1))
        };
        [
            often(Dependency::shared("database", database)),
            often(Dependency::shared("ledger", ledger)).depends_on(["database"]),
        ]
    }
}

/// Do the books balance? Holds the newest rows against the running balance.
async fn books_balance(pool: &PgPool) -> Result<Observation, ProbeError> {
    let newest = "SELECT t.amount, t.balance,
            coalesce((SELECT p.balance FROM demo_transactions p
                WHERE p.username = t.username AND p.id < t.id ORDER BY p.id DESC LIMIT 1), 0.0)
        FROM demo_transactions t ORDER BY t.id DESC LIMIT 1000";
    let rows = sqlx::query(newest).fetch_all(pool).await;
    let adds_up = |row: &PgRow| {
        let [amount, balance, before]: [f64; 3] = [row.get(0), row.get(1), row.get(2)];
        carry(before, amount).to_bits() == balance.to_bits()
    };
    match rows.map_err(ProbeError::caused_by)?.iter().all(adds_up) {
        true => Ok(Observation::new()),
        false => Err(ProbeError::new(Reason::Failed).public("a balance does not add up")),
    }
}
