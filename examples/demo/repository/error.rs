//! Why the repository could not do its work.

use std::fmt;

use rusqlite::ErrorCode;

/// A failure, and where it came from.
#[derive(Debug)]
pub(crate) enum Error {
    /// Somebody else holds the write lock, or too many wait for it: worth another try.
    Busy,
    /// SQLite's own refusal, but for [`Busy`](Self::Busy).
    Sqlite(rusqlite::Error),
    /// The work panicked.
    Panicked(tokio::task::JoinError),
    /// PostgreSQL refused or is away. Whether it has written is open.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Error),
    /// The log in Redis refused or is away. What an event tells of is written.
    #[cfg(feature = "redis")]
    Redis(redis::RedisError),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match (code.as_deref(), &error) {
            // A lock that was not given in time, and a pool whose connections all wait for one.
            (Some("55P03"), _) | (_, sqlx::Error::PoolTimedOut) => Self::Busy,
            _ => Self::Postgres(error),
        }
    }
}

#[cfg(feature = "redis")]
impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the database is locked",
            Self::Sqlite(_) => "the database refused",
            Self::Panicked(_) => "the database's thread panicked",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "the database refused or is away",
            #[cfg(feature = "redis")]
            Self::Redis(_) => "the event log refused or is away",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy => None,
            Self::Sqlite(error) => Some(error),
            Self::Panicked(error) => Some(error),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => Some(error),
            #[cfg(feature = "redis")]
            Self::Redis(error) => Some(error),
        }
    }
}
