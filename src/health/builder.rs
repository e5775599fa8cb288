//! The description of a service's health, checked when it is built.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;

use super::beat::{Beat, LiveCheck};
use super::build_info::BuildInfo;
use super::dependency::Dependency;
use super::driver::{Driver, Job};
use super::graph::{self, Graph};
use super::handle::Health;
use super::plan::Plan;
use super::report::{Alive, Identity, Report};
use super::shared::{Shared, ViewerFn};
use crate::clock::{Clock, Instant};
use crate::config::ConfigError;

/// Describes a service: from [`Health::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct HealthBuilder {
    name: String,
    version: String,
    release: Option<String>,
    commit: Option<String>,
    dependencies: Vec<Dependency>,
    alive: Vec<LiveCheck>,
    viewers: Option<Box<ViewerFn>>,
    max_age: Duration,
    concurrency: usize,
    jitter_percent: u32,
    clock: Clock,
}

impl HealthBuilder {
    pub(super) fn new(name: String, version: String) -> Self {
        Self {
            name,
            version,
            release: None,
            commit: None,
            dependencies: Vec::new(),
            alive: Vec::new(),
            viewers: None,
            max_age: Duration::from_secs(15),
            concurrency: 16,
            jitter_percent: 10,
            clock: Clock::new(),
        }
    }

    pub(super) fn of(build: BuildInfo) -> Self {
        Self {
            release: build.release.map(str::to_owned),
            commit: build.commit.map(str::to_owned),
            ..Self::new(build.name.to_owned(), build.version.to_owned())
        }
    }

    /// Which release runs, where the version does not tell: an image tag, a build number. 1 to 128
    /// bytes. Default: the version, and after a `+` the beginning of the commit if that is known.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// The commit that was built: 1 to 128 bytes. [`Health::for_build`] finds it by itself.
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// Adds a dependency. Documents list them in the order in which they were added; all together,
    /// with live checks, there may be 1,024.
    pub fn dependency(mut self, dependency: Dependency) -> Self {
        self.dependencies.push(dependency);
        self
    }

    /// Makes `/livez` depend on a beat.
    pub fn beat(mut self, beat: &Beat) -> Self {
        self.alive.push(LiveCheck::beat(beat));
        self
    }

    /// Makes `/livez` depend on a function, which the driver calls about once a second. It must
    /// return at once, since every probe waits for it. It cannot be async, so it cannot ask a
    /// database, whose slowness would otherwise restart every replica:
    ///
    /// ```
    /// use bartizan::health::Health;
    ///
    /// let builder = Health::builder("orders", "1.4.2").live_check("disk", || true);
    /// ```
    ///
    /// ```compile_fail,E0271
    /// use bartizan::health::Health;
    ///
    /// let builder = Health::builder("orders", "1.4.2").live_check("disk", async || true);
    /// ```
    ///
    /// A function that panics has failed.
    pub fn live_check(
        mut self,
        name: impl Into<Arc<str>>,
        passes: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.alive.push(LiveCheck::Function {
            name: name.into(),
            passes: Box::new(passes),
        });
        self
    }

    /// Who sees details: names, measurements, version, uptime, and the texts that probes gave for
    /// the public. Default: nobody. Others see the status and the reason codes.
    ///
    /// The closure runs for each request to a health path, so it must be quick. If it panics, the
    /// viewer is not admitted.
    pub fn details_for(mut self, admits: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.viewers = Some(Box::new(admits));
        self
    }

    /// How long the driver may be silent before readiness becomes 503 (`stale`): default 15 s, at
    /// least 3 s. It speaks every second while it is polled.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many probes may run at once: default 16, at least 1. A run past its soft deadline does
    /// not count, so that what hangs does not hold up the rest.
    pub const fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs;
        self
    }

    /// By how many per cent intervals are spread in either direction, so that replicas do not probe
    /// in step: default 10, at most 50. The first run is always immediate.
    pub const fn jitter_percent(mut self, percent: u32) -> Self {
        self.jitter_percent = percent;
        self
    }

    /// Reads time from `clock`, for tests. Default: the system's, or tokio's paused time.
    ///
    /// Probes, intervals, deadlines and freshness go by its monotonic time, timestamps alone by its
    /// wall. The driver itself sleeps in the runtime's time: move both.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The handle, and the future that probes: give the latter to the runtime, or every reader is
    /// told that nobody does.
    ///
    /// # Errors
    ///
    /// A name that is empty, odd, or given twice; a dependency on an unknown name; a circle of
    /// dependencies, named by its path; a number outside of its documented range.
    pub fn build(self) -> Result<(Health, Driver), ConfigError> {
        self.validate()?;
        let nodes: Vec<_> = (self.dependencies.iter())
            .map(|dependency| (dependency.name.clone(), dependency.depends_on.clone()))
            .collect();
        let graph = Graph::new(&nodes)?;
        let live_names = self.alive.iter().map(|check| &**check.name());
        let names = nodes.iter().map(|(name, _)| name.as_str());
        graph::unique_names(names.chain(live_names))?;

        let timings: Vec<_> = (self.dependencies.iter())
            .map(|dependency| (dependency.scope, dependency.timing()))
            .collect();
        let soonest = (timings.iter())
            .map(|(_, timing)| timing.interval_failing)
            .min();
        let plan = Plan::new(graph, timings, self.concurrency, self.jitter_percent);
        let report = Report {
            identity: Arc::new(Identity {
                release: (self.release)
                    .unwrap_or_else(|| release(&self.version, self.commit.as_deref())),
                name: self.name,
                version: self.version,
                commit: self.commit,
            }),
            generation: 0,
            started: false,
            stale: false,
            draining: false,
            maintenance: false,
            uptime: Duration::ZERO,
            time: SystemTime::UNIX_EPOCH,
            checks: plan.checks(Instant::from_nanos(0)),
            alive: (self.alive.iter())
                .map(|check| Alive {
                    name: Arc::clone(check.name()),
                    passes: true,
                })
                .collect(),
        };
        let shared = Arc::new(Shared::new(
            self.clock,
            report,
            self.max_age,
            seconds_rounded_up(soonest.unwrap_or(DEFAULT_RETRY)),
            self.viewers,
        ));
        let jobs = self.dependencies.into_iter().map(Job::new).collect();
        let driver = Driver::new(Arc::clone(&shared), plan, jobs, self.alive);
        Ok((Health { shared }, driver))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let identity = [
            ("service name", Some(&self.name)),
            ("service version", Some(&self.version)),
            ("release", self.release.as_ref()),
            ("commit", self.commit.as_ref()),
        ];
        for (field, value) in identity {
            let Some(value) = value else { continue };
            if value.is_empty() || value.len() > MAX_IDENTITY {
                let head: String = value.chars().take(MAX_IDENTITY).collect();
                return Err(ConfigError::new(field, head, "use 1 to 128 bytes"));
            }
        }
        if self.max_age < MIN_MAX_AGE {
            let value = format!("{:?}", self.max_age);
            return Err(ConfigError::new(
                "max_age",
                value,
                "use at least 3 s: the driver speaks every second",
            ));
        }
        if self.concurrency == 0 {
            return Err(ConfigError::new(
                "concurrency",
                "0",
                "use at least 1, or nothing is probed",
            ));
        }
        if self.jitter_percent > 50 {
            let value = self.jitter_percent.to_string();
            return Err(ConfigError::new("jitter_percent", value, "use 0 to 50"));
        }
        self.alive.iter().try_for_each(LiveCheck::validate)?;
        self.dependencies.iter().try_for_each(Dependency::validate)
    }
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthBuilder")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("dependencies", &self.dependencies)
            .field("alive", &self.alive)
            .finish_non_exhaustive()
    }
}

/// `1.4.2+3f9c2ab`.
fn release(version: &str, commit: Option<&str>) -> String {
    match commit {
        None => version.to_owned(),
        Some(commit) => {
            let short: String = commit.chars().take(SHORT_COMMIT).collect();
            format!("{version}+{short}")
        }
    }
}

/// Never 0, which would ask for a retry at once.
fn seconds_rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

const DEFAULT_RETRY: Duration = Duration::from_secs(2);
const MIN_MAX_AGE: Duration = Duration::from_secs(3);
const SHORT_COMMIT: usize = 7;
const MAX_IDENTITY: usize = 128;
