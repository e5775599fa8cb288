//! How well something is, and why it is not better.

use std::fmt;

/// How well a dependency, or the whole service, is: ordered from best to worst.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Status {
    /// Works.
    Pass,
    /// Works, with a concern that someone should look at. Still a plain 200.
    Warn,
    /// Does not work.
    Fail,
}

impl Status {
    /// `pass`, `warn` or `fail`: the words of every JSON document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is not well: a code that anyone may see, since it names no host, user or query.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// The other side does not accept our credentials.
    Auth,
    /// A dependency that this one depends on is down; this one was not probed.
    Blocked,
    /// The probe itself warned.
    Degraded,
    /// A name did not resolve.
    Dns,
    /// This instance is shutting down.
    Draining,
    /// It failed for a reason that has no code.
    Failed,
    /// A measured value is beyond its limit: above it, or below what must be left.
    Limit,
    /// Someone else holds the lock.
    Locked,
    /// An operator took this instance out.
    Maintenance,
    /// The probe panicked.
    Panic,
    /// Not known yet: the first result is still to come.
    Pending,
    /// No connection of the pool was free: a warning, not a failure. The service is busy, and to
    /// send its requests elsewhere would only make others so.
    PoolExhausted,
    /// The connection was refused.
    Refused,
    /// The connection broke.
    Reset,
    /// It answered, but took more than half of its soft deadline.
    Slow,
    /// The last result is too old to be believed.
    Stale,
    /// No answer within the soft deadline, or the other side gave up waiting.
    Timeout,
    /// There is no route to the other side.
    Unreachable,
}

impl Reason {
    /// The code: lower case, words joined by `_`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Blocked => "blocked",
            Self::Degraded => "degraded",
            Self::Dns => "dns",
            Self::Draining => "draining",
            Self::Failed => "failed",
            Self::Limit => "limit",
            Self::Locked => "locked",
            Self::Maintenance => "maintenance",
            Self::Panic => "panic",
            Self::Pending => "pending",
            Self::PoolExhausted => "pool_exhausted",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Slow => "slow",
            Self::Stale => "stale",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
