//! A dependency: its probe, whose trouble it is, and how it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Timing;
use super::probe::contract::{ErasedProbe, Probe};
use super::probe::outcome::Limits;
use super::report::Scope;
use crate::config::ConfigError;

/// Something the service needs, and how to find out whether it is there.
///
/// The choice between [`local`](Self::local) and [`shared`](Self::shared) is the one that decides
/// what an orchestrator does, so there is no default.
///
/// ```
/// use std::time::Duration;
/// use bartizan::health::{Dependency, probe};
///
/// async fn ping() -> Result<(), std::io::Error> {
///     Ok(())
/// }
///
/// let database = Dependency::shared("database", ping)
///     .interval(Duration::from_secs(10))
///     .warn_above(250.0);
/// let ledger = Dependency::shared("ledger", ping).depends_on(["database"]);
/// let spool = Dependency::local("spool", probe::blocking(|| std::fs::metadata("/").map(drop)));
/// ```
///
/// A result is believed for three intervals and a hard deadline; after that, should the driver be so
/// far behind, the dependency fails as [`stale`](super::Reason::Stale).
#[must_use = "a dependency does nothing until it is given to a builder"]
pub struct Dependency {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) probe: Arc<dyn ErasedProbe>,
    pub(super) depends_on: Vec<String>,
    interval: Duration,
    interval_failing: Option<Duration>,
    soft: Duration,
    hard: Duration,
    fall: u32,
    rise: u32,
    warn_above: Option<f64>,
    fail_above: Option<f64>,
    warn_below: Option<f64>,
    fail_below: Option<f64>,
}

impl Dependency {
    /// What only this instance sees: its disk, its sidecar, its warm cache. While it is down, this
    /// instance is not ready (503) and others take its requests.
    ///
    /// A name is 1 to 64 letters, digits, `.`, `_` or `-`.
    pub fn local(name: impl Into<String>, probe: impl Probe) -> Self {
        Self::new(name.into(), Scope::Local, probe)
    }

    /// What every replica sees: the one database, the payment provider. While it is down, the
    /// service is `warn`, a plain 200: a 503 from every replica at once would take all of them out
    /// and help nobody.
    ///
    /// A name is 1 to 64 letters, digits, `.`, `_` or `-`.
    pub fn shared(name: impl Into<String>, probe: impl Probe) -> Self {
        Self::new(name.into(), Scope::Shared, probe)
    }

    fn new(name: String, scope: Scope, probe: impl Probe) -> Self {
        Self {
            name,
            scope,
            probe: Arc::new(probe),
            depends_on: Vec::new(),
            interval: Duration::from_secs(5),
            interval_failing: None,
            soft: Duration::from_secs(1),
            hard: Duration::from_secs(10),
            fall: 2,
            rise: 2,
            warn_above: None,
            fail_above: None,
            warn_below: None,
            fail_below: None,
        }
    }

    /// The dependencies this one rests on. While one of them is down, this one is `blocked`: not
    /// probed, not announced, and without weight in the whole.
    pub fn depends_on<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.depends_on.extend(names.into_iter().map(Into::into));
        self
    }

    /// The time from the end of one run to the beginning of the next, while all is well: default
    /// 5 s, at least 10 ms. It is spread by the builder's jitter.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The same from the first failure to recovery: default 2 s, or the interval if that is less.
    pub const fn interval_failing(mut self, interval: Duration) -> Self {
        self.interval_failing = Some(interval);
        self
    }

    /// After this long without an answer the run counts as failed (`timeout`), and it goes on:
    /// default 1 s. A run that takes more than half of it is a warning (`slow`).
    pub const fn soft_deadline(mut self, deadline: Duration) -> Self {
        self.soft = deadline;
        self
    }

    /// After this long the run is dropped: default 10 s, at least the soft deadline. Until then no
    /// other run of this probe begins, so what hangs holds one connection.
    pub const fn hard_deadline(mut self, deadline: Duration) -> Self {
        self.hard = deadline;
        self
    }

    /// How many results in a row it takes to get worse: 1 to 100, default 2. The first result after
    /// start counts at once. What [depends on](Self::depends_on) others takes up to twice as many
    /// to fail, while it is not clear that the cause is not one of them.
    pub const fn fall(mut self, results: u32) -> Self {
        self.fall = results;
        self
    }

    /// How many results in a row it takes to get better: 1 to 100, default 2. The first success
    /// after start counts at once.
    pub const fn rise(mut self, results: u32) -> Self {
        self.rise = results;
        self
    }

    /// Warns (`limit`) when the observed value, or without one the run's time in milliseconds, is
    /// above this.
    pub const fn warn_above(mut self, limit: f64) -> Self {
        self.warn_above = Some(limit);
        self
    }

    /// Fails (`limit`) when the observed value, or without one the run's time in milliseconds, is
    /// above this.
    pub const fn fail_above(mut self, limit: f64) -> Self {
        self.fail_above = Some(limit);
        self
    }

    /// Warns (`limit`) when the observed value is below this: free bytes, idle connections.
    pub const fn warn_below(mut self, limit: f64) -> Self {
        self.warn_below = Some(limit);
        self
    }

    /// Fails (`limit`) when the observed value is below this.
    pub const fn fail_below(mut self, limit: f64) -> Self {
        self.fail_below = Some(limit);
        self
    }

    pub(super) fn timing(&self) -> Timing {
        let default = Duration::from_secs(2).min(self.interval);
        Timing {
            interval: self.interval,
            interval_failing: self.interval_failing.unwrap_or(default),
            soft: self.soft,
            hard: self.hard,
            fall: self.fall,
            rise: self.rise,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            warn_above: self.warn_above,
            fail_above: self.fail_above,
            warn_below: self.warn_below,
            fail_below: self.fail_below,
            slow: self.soft / 2,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field: &str, value: String, fix: &'static str| {
            Err(ConfigError::new(
                format!("{field} of dependency {:?}", self.name),
                value,
                fix,
            ))
        };
        let timing = self.timing();
        for (field, interval) in [
            ("interval", timing.interval),
            ("interval_failing", timing.interval_failing),
        ] {
            if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
                return refuse(field, format!("{interval:?}"), "use 10 ms to 1 day");
            }
        }
        if self.soft.is_zero() || self.soft > self.hard || self.hard > MAX_INTERVAL {
            return refuse(
                "deadlines",
                format!("soft {:?}, hard {:?}", self.soft, self.hard),
                "use a soft deadline above zero and a hard one from there to 1 day",
            );
        }
        for (field, results) in [("fall", self.fall), ("rise", self.rise)] {
            if !(1..=100).contains(&results) {
                return refuse(field, results.to_string(), "use 1 to 100");
            }
        }
        for (field, low, high) in [
            (
                "warn_above and fail_above",
                self.warn_above,
                self.fail_above,
            ),
            (
                "fail_below and warn_below",
                self.fail_below,
                self.warn_below,
            ),
        ] {
            let finite = |limit: Option<f64>| limit.is_none_or(f64::is_finite);
            let ordered = low.zip(high).is_none_or(|(low, high)| low <= high);
            if !(finite(low) && finite(high) && ordered) {
                return refuse(
                    field,
                    format!("{low:?} and {high:?}"),
                    "use finite numbers, the first not above the second: a warning comes before a failure",
                );
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .field("depends_on", &self.depends_on)
            .finish_non_exhaustive()
    }
}

const MIN_INTERVAL: Duration = Duration::from_millis(10);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
