//! What is known about the service at one moment: the model that every page is rendered from.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::probe::outcome::Outcome;
use super::{Reason, Status};

/// Whose trouble a dependency's failure is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scope {
    /// Only this instance sees it (its disk, its cache): a failure takes the instance out.
    Local,
    /// Every replica sees it (the one database): a failure is a warning, since taking every
    /// instance out would turn a fault into an outage.
    Shared,
}

impl Scope {
    /// `local` or `shared`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shared => "shared",
        }
    }
}

/// Who the service is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) commit: Option<String>,
}

/// The state of the service at one moment.
///
/// From [`Health::current`](super::Health::current) and [`Health::subscribe`](super::Health::subscribe).
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) identity: Arc<Identity>,
    pub(super) generation: u64,
    pub(super) started: bool,
    pub(super) stale: bool,
    pub(super) draining: bool,
    pub(super) maintenance: bool,
    pub(super) uptime: Duration,
    pub(super) time: SystemTime,
    pub(super) checks: Vec<Check>,
    pub(super) alive: Vec<Alive>,
}

impl Report {
    /// The status of the whole: what `/health` says.
    ///
    /// The worst of the dependencies, where a shared one counts as a warning at most and a blocked
    /// one as nothing: a child never makes its root cause worse.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.stale || self.draining || self.maintenance || !self.started {
            return Status::Fail;
        }
        self.checks
            .iter()
            .map(Check::weight)
            .max()
            .unwrap_or(Status::Pass)
    }

    /// Whether requests should be sent here: what `/readyz` says.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status() != Status::Fail
    }

    /// Whether the process should go on living: what `/livez` says. No missing knowledge makes it
    /// false, only a live check that fails.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stale || self.alive.iter().all(|check| check.passes)
    }

    /// Whether every dependency has had its first result: what `/startupz` says. Once true, it stays
    /// true.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Whether this instance is shutting down.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether an operator took this instance out.
    #[must_use]
    pub const fn is_in_maintenance(&self) -> bool {
        self.maintenance
    }

    /// Whether nobody probes any more: the driver was dropped.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// Counts the transitions since start: a reader that sees a gap has missed some.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Why the status is not `pass`: each code once, the instance's own first.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let own = [
            (self.stale, Reason::Stale),
            (self.draining, Reason::Draining),
            (self.maintenance, Reason::Maintenance),
            (!self.started && !self.stale, Reason::Pending),
        ];
        let own = own
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, reason)| reason);
        let believed = |check: &&Check| !self.stale && !check.is_blocked();
        let theirs = self.checks.iter().filter(believed);
        let mut reasons = Vec::new();
        for reason in own.chain(theirs.filter_map(|check| check.reason)) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// The dependencies that are down by themselves, as declared: those to look at first.
    pub fn root_causes(&self) -> impl Iterator<Item = &str> {
        let is_root = |check: &&Check| !self.stale && check.is_root();
        let roots = self.checks.iter().filter(is_root);
        roots.map(|check| &*check.name)
    }

    /// The dependencies, as declared.
    pub fn dependencies(&self) -> impl ExactSizeIterator<Item = &Check> {
        self.checks.iter()
    }

    /// Dates each status: from `before` where it is the same, from now where it is new.
    pub(super) fn date_changes(&mut self, before: &Self) {
        for (is, was) in self.checks.iter_mut().zip(&before.checks) {
            let same = is.status == was.status && is.is_blocked() == was.is_blocked();
            is.since = if same { was.since } else { Some(self.time) };
        }
    }

    /// Nobody probes any more: what was known is not to be believed.
    pub(super) fn expire(&mut self) {
        self.stale = true;
        for check in &mut self.checks {
            check.status = Status::Fail;
            check.reason = Some(Reason::Stale);
            check.blocked_by.clear();
        }
    }

    /// Whether a reader of `self` knows what a reader of `other` does, measurements aside.
    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        let flags = |report: &Self| {
            (
                report.started,
                report.stale,
                report.draining,
                report.maintenance,
            )
        };
        flags(self) == flags(other)
            && self.checks.len() == other.checks.len()
            && (self.checks.iter().zip(&other.checks)).all(|(a, b)| a.state() == b.state())
            && (self.alive.iter().zip(&other.alive)).all(|(a, b)| a.passes == b.passes)
    }
}

/// The state of one dependency at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub(super) name: Arc<str>,
    pub(super) scope: Scope,
    pub(super) depends_on: Arc<[Arc<str>]>,
    pub(super) status: Status,
    pub(super) reason: Option<Reason>,
    pub(super) blocked_by: Vec<Arc<str>>,
    pub(super) failures: u32,
    pub(super) last: Option<(Outcome, SystemTime)>,
    /// Since when its status has been what it is. Set when the report is published.
    pub(super) since: Option<SystemTime>,
}

impl Check {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose trouble its failure is.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The dependencies it rests on, as declared.
    pub fn depends_on(&self) -> impl ExactSizeIterator<Item = &str> {
        self.depends_on.iter().map(|name| &**name)
    }

    /// How it is: its confirmed state, not merely its last result.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Why it is not `pass`.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The dependencies it is blocked by.
    pub fn blocked_by(&self) -> impl ExactSizeIterator<Item = &str> {
        self.blocked_by.iter().map(|name| &**name)
    }

    /// How long its last run took; `None` before the first, and when it did not answer.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.last.as_ref().and_then(|(outcome, _)| outcome.latency)
    }

    /// How many of its last results in a row were failures.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.reason == Some(Reason::Blocked)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.reason == Some(Reason::Pending)
    }

    /// Down by itself. What is not known yet has not been seen to be down.
    pub(super) fn is_root(&self) -> bool {
        self.status == Status::Fail && !self.is_blocked() && !self.is_pending()
    }

    /// What it contributes to the whole.
    pub(super) fn weight(&self) -> Status {
        match (self.scope, self.status) {
            _ if self.is_blocked() => Status::Pass,
            (Scope::Shared, Status::Fail) => Status::Warn,
            (_, status) => status,
        }
    }

    fn state(&self) -> (Status, Option<Reason>) {
        (self.status, self.reason)
    }
}

/// The state of one live check.
#[derive(Clone, Debug)]
pub(super) struct Alive {
    pub(super) name: Arc<str>,
    pub(super) passes: bool,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A started service with one check per `(scope, status, reason)`, named `d0`, `d1`, ...
    pub(in crate::health) fn report(checks: &[(Scope, Status, Option<Reason>)]) -> Report {
        let check = |(index, &(scope, status, reason)): (usize, &(_, _, _))| Check {
            name: format!("d{index}").into(),
            scope,
            depends_on: Arc::default(),
            status,
            reason,
            blocked_by: Vec::new(),
            failures: 0,
            last: None,
            since: None,
        };
        Report {
            identity: Arc::new(Identity {
                name: "orders".into(),
                version: "1.4.2".into(),
                release: "1.4.2+3f9c2ab".into(),
                commit: Some("3f9c2ab81e".into()),
            }),
            generation: 1,
            started: true,
            stale: false,
            draining: false,
            maintenance: false,
            uptime: Duration::from_millis(1500),
            time: SystemTime::UNIX_EPOCH,
            checks: checks.iter().enumerate().map(check).collect(),
            alive: Vec::new(),
        }
    }

    use Scope::{Local, Shared};
    use Status::{Fail, Pass, Warn};

    #[test]
    fn all_shared_down_is_a_warning_and_one_local_down_is_a_failure() {
        let refused = Some(Reason::Refused);
        assert_eq!(report(&[]).status(), Pass);
        assert_eq!(
            report(&[(Shared, Fail, refused), (Shared, Fail, refused)]).status(),
            Warn
        );
        assert_eq!(
            report(&[(Shared, Fail, refused), (Local, Fail, refused)]).status(),
            Fail
        );
        assert_eq!(
            report(&[(Local, Warn, None), (Local, Pass, None)]).status(),
            Warn
        );
    }

    #[test]
    fn a_blocked_child_never_makes_its_root_cause_worse() {
        let root = (Shared, Fail, Some(Reason::Timeout));
        let child = (Local, Fail, Some(Reason::Blocked));
        let report = report(&[child, root, child]);
        assert_eq!(report.status(), Warn);
        assert_eq!(report.root_causes().collect::<Vec<_>>(), ["d1"]);
        assert_eq!(report.reasons(), [Reason::Timeout]);
    }

    #[test]
    fn what_is_not_known_is_not_ready_and_still_live() {
        let mut pending = report(&[(Local, Fail, Some(Reason::Pending))]);
        pending.started = false;
        assert_eq!(pending.reasons(), [Reason::Pending]);
        assert!(!pending.is_ready() && pending.is_live());
        assert_eq!(pending.root_causes().count(), 0);
    }
}
