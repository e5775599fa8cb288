//! What a host chooses for the time in which the server cannot be reached.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use redis::RedisError;

/// What becomes of requests while the server cannot be reached. There is no default: see
/// [`RedisStore`](super::RedisStore#when-the-server-cannot-be-reached).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outage {
    /// They are refused, with 503.
    Deny,
    /// They pass, unmetered.
    Allow,
    /// This process meters them by itself, each bucket with a share of its quota.
    Local(Share),
}

/// One of so many equal parts of a quota.
///
/// ```
/// use bartizan::rate_limit::{Outage, Share};
///
/// // Four instances behind a balancer that spreads requests evenly.
/// const OUTAGE: Outage = Outage::Local(Share::one_of(4));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share(NonZeroU32);

impl Share {
    /// What one of `instances` gets: the rate divided by it, and a burst of as much of the quota's,
    /// rounded down to whole cells; but at least one cell, or what a request costs.
    ///
    /// # Panics
    ///
    /// If `instances` is zero; in a `const`, at compile time.
    #[must_use]
    pub const fn one_of(instances: u32) -> Self {
        match NonZeroU32::new(instances) {
            Some(parts) => Self(parts),
            None => panic!("a share of a fleet of none: use 1 or more"),
        }
    }

    pub(super) const fn parts(self) -> NonZeroU32 {
        self.0
    }
}

/// The server did not answer in time, or with an error.
#[derive(Debug)]
pub struct Unreachable {
    /// Nothing if the time was over.
    source: Option<RedisError>,
}

impl Unreachable {
    /// What came of something that had a deadline.
    pub(super) fn unless<T>(told: Option<Result<T, RedisError>>) -> Result<T, Self> {
        match told {
            Some(Ok(told)) => Ok(told),
            Some(Err(error)) => Err(Self {
                source: Some(error),
            }),
            None => Err(Self { source: None }),
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Some(_) => "Redis did not do what it was told",
            None => "Redis did not answer in time",
        })
    }
}

impl Error for Unreachable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
