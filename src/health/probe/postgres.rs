//! Whether a PostgreSQL server answers a query.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions, Executor};

use super::super::Reason;
use super::contract::Probe;
use super::error::ProbeError;
use super::observation::Observation;
use crate::clock::Clock;

/// Makes a probe that asks a PostgreSQL server `SELECT 1` over a connection of its own.
///
/// 1. The connection is made by the first run and kept while it works; a run that is dropped, or
///    finds it broken, closes it, and the next one connects again. So the server may be down when the service
///    starts, and what hangs holds one connection. The application's pool is never asked.
/// 2. The server itself gives up after [`statement_timeout`](Postgres::statement_timeout), since a
///    query whose client has gone away runs on.
/// 3. What is observed is the time of the query alone (`queryTime`, in ms), and the dependency's
///    limits apply to that; the latency of the run includes connecting, where that was needed.
/// 4. A refused password fails as `auth`, a server without a free connection warns
///    (`pool_exhausted`), one that is starting fails as `refused`, one that stops as `reset`.
///
/// TLS is used as `options` say if a feature of sqlx for it is on, which is the host's choice. The
/// time limit is set as a parameter of the connection (`options`), which PgBouncer before 1.20 has to
/// be told to accept.
///
/// ```
/// use bartizan::health::{Dependency, probe};
/// use sqlx::postgres::PgConnectOptions;
///
/// # fn main() -> Result<(), sqlx::Error> {
/// let options: PgConnectOptions = "postgres://orders@db.internal/orders".parse()?;
/// let database = Dependency::shared("database", probe::postgres(options)).warn_above(100.0);
/// # Ok(())
/// # }
/// ```
pub fn postgres(options: PgConnectOptions) -> Postgres {
    let named = options.get_application_name().is_some();
    let options = if named {
        options
    } else {
        options.application_name("bartizan-health")
    };
    Postgres {
        options: options.disable_statement_logging(),
        query: "SELECT 1",
        statement_timeout: Duration::from_millis(900),
        kept: Mutex::new(None),
        clock: Clock::new(),
    }
}

/// The probe of [`postgres`].
pub struct Postgres {
    options: PgConnectOptions,
    query: &'static str,
    statement_timeout: Duration,
    /// Nothing while a run has it in its hands.
    kept: Mutex<Option<PgConnection>>,
    clock: Clock,
}

impl Postgres {
    /// What is asked instead of `SELECT 1`: one statement that reads, such as the existence of a
    /// table that the service cannot do without. Its rows are thrown away.
    #[must_use]
    pub const fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    /// When the server gives up (`timeout`), in whole milliseconds, at least one: default 900 ms,
    /// below the default [soft deadline](super::super::Dependency::soft_deadline) of a second. Keep
    /// it below the deadline that the dependency has.
    #[must_use]
    pub const fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let limit = limit(self.statement_timeout).to_string();
        let options = self.options.clone();
        let options = options.options([("statement_timeout", limit)]);
        options.connect().await
    }

    fn kept(&self) -> MutexGuard<'_, Option<PgConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe for Postgres {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let kept = self.kept().take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await.map_err(told)?,
        };
        let begun = self.clock.now();
        let answer = connection.execute(sqlx::raw_sql(self.query)).await;
        let took = self.clock.now().since(begun);
        if answer.as_ref().err().is_none_or(leaves_connection) {
            *self.kept() = Some(connection);
        }
        answer.map_err(told)?;
        Ok(Observation::new()
            .value(took.as_secs_f64() * 1000.0, "ms")
            .measurement("queryTime"))
    }
}

impl fmt::Debug for Postgres {
    /// Options hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("query", &self.query)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// A time limit in the server's milliseconds: zero would mean none, and more than an `int` is refused.
fn limit(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).map_or(i32::MAX, |limit| limit.max(1))
}

/// Whether the server refused the query and nothing else.
fn leaves_connection(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}

/// The server's code decides, where it sent one: its words depend on its locale.
fn told(error: sqlx::Error) -> ProbeError {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref().and_then(reason) {
        Some(reason) => ProbeError::because(reason, error),
        None => ProbeError::from(error),
    }
}

/// The reason that an SQLSTATE gives, as listed in appendix A of PostgreSQL's manual.
fn reason(code: &str) -> Option<Reason> {
    Some(match code {
        "42501" => Reason::Auth,
        _ if code.starts_with("28") => Reason::Auth,
        "53300" => Reason::PoolExhausted,
        "55P03" => Reason::Locked,
        "57014" => Reason::Timeout,
        // Starting, or recovering.
        "57P03" => Reason::Refused,
        // Stopping, or crashed.
        "57P01" | "57P02" => Reason::Reset,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_code_decides_whatever_language_it_speaks() {
        for (code, expected) in [
            ("28P01", Some(Reason::Auth)),
            ("28000", Some(Reason::Auth)),
            ("53300", Some(Reason::PoolExhausted)),
            ("57014", Some(Reason::Timeout)),
            ("57P01", Some(Reason::Reset)),
            ("57P03", Some(Reason::Refused)),
            ("42P01", None),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
    }

    #[test]
    fn a_time_limit_is_one_that_the_server_takes_and_never_none() {
        for (timeout, told) in [
            (Duration::ZERO, 1),
            (Duration::from_micros(1_500), 1),
            (Duration::from_millis(900), 900),
            (Duration::MAX, i32::MAX),
        ] {
            assert_eq!(limit(timeout), told, "{timeout:?}");
        }
    }

    #[test]
    fn a_password_is_not_in_what_debug_shows() {
        let options = PgConnectOptions::new_without_pgpass().password("hunter2");
        assert!(!format!("{:?}", postgres(options)).contains("hunter2"));
    }
}
