//! What a store answers: one verdict for each window it was asked about.

use std::time::Duration;

use smallvec::SmallVec;

use super::store::Check;

/// The answer to one request: it passes only if every enforced window lets it.
#[derive(Clone, Debug)]
pub struct Decision {
    allowed: bool,
    verdicts: SmallVec<[Verdict; 4]>,
}

impl Decision {
    /// The decision that follows from one verdict for each of `checks`, in their order.
    ///
    /// A check without a verdict counts as refused.
    #[must_use]
    pub fn new(checks: &[Check<'_>], verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut verdicts: SmallVec<[Verdict; 4]> =
            verdicts.into_iter().take(checks.len()).collect();
        for check in &checks[verdicts.len()..] {
            let quota = check.quota();
            verdicts.push(Verdict::refused(quota.cells(), 0, quota.interval()));
        }
        let allowed = checks
            .iter()
            .zip(&verdicts)
            .all(|(check, verdict)| check.is_shadow() || verdict.has_passed());
        Self { allowed, verdicts }
    }

    /// The decision about a single check.
    pub(super) fn of_one(check: &Check<'_>, verdict: Verdict) -> Self {
        let mut verdicts = SmallVec::new();
        verdicts.push(verdict);
        Self {
            allowed: check.is_shadow() || verdict.has_passed(),
            verdicts,
        }
    }

    /// The decision about checks that have all passed, but for shadows.
    pub(super) fn passed(verdicts: SmallVec<[Verdict; 4]>) -> Self {
        Self {
            allowed: true,
            verdicts,
        }
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// One verdict for each check, in the order of the checks.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }
}

/// What one window says to one request, and how full it is after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    limit: u64,
    remaining: u64,
    /// In nanoseconds, as `full`: verdicts are copied about, so they are small.
    next: u64,
    full: u64,
    outcome: Outcome,
}

/// What a window says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The cells are there.
    Passed,
    /// The cells will be there after this time, which is never zero.
    Refused(Duration),
    /// The request costs more than the bucket ever holds: waiting is of no use.
    TooCostly,
    /// Nobody knows: the store cannot be reached, and refuses meanwhile. It is worth trying again
    /// after this time.
    Unavailable(Duration),
}

impl Verdict {
    /// A window of `limit` cells lets the request pass and has `remaining` left.
    #[must_use]
    pub const fn passed(limit: u64, remaining: u64) -> Self {
        Self::new(limit, remaining, Outcome::Passed)
    }

    /// A window refuses the request, which may be repeated after `wait`; zero counts as 1 ns.
    #[must_use]
    pub const fn refused(limit: u64, remaining: u64, wait: Duration) -> Self {
        let wait = if wait.is_zero() {
            Duration::from_nanos(1)
        } else {
            wait
        };
        Self::new(limit, remaining, Outcome::Refused(wait))
    }

    /// A window can never let the request pass.
    #[must_use]
    pub const fn too_costly(limit: u64, remaining: u64) -> Self {
        Self::new(limit, remaining, Outcome::TooCostly)
    }

    /// The store of a window of `limit` cells cannot be reached and refuses meanwhile.
    #[must_use]
    pub const fn unavailable(limit: u64, wait: Duration) -> Self {
        Self::new(limit, 0, Outcome::Unavailable(wait))
    }

    /// The same verdict, with the time until one more cell is back and the time until all are.
    #[must_use]
    pub const fn resets(self, next: Duration, full: Duration) -> Self {
        self.resets_in(saturated(next), saturated(full))
    }

    pub(super) const fn resets_in(mut self, next: u64, full: u64) -> Self {
        self.next = next;
        self.full = full;
        self
    }

    /// What the window says to the request.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the window lets the request pass.
    #[must_use]
    pub const fn has_passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed)
    }

    /// How many cells a full bucket has.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// How many whole cells are left. Of a refused request, those that it did not take.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The time until one more cell is back; zero when the bucket is full.
    #[must_use]
    pub const fn next(&self) -> Duration {
        Duration::from_nanos(self.next)
    }

    /// The time until the bucket is full.
    #[must_use]
    pub const fn full(&self) -> Duration {
        Duration::from_nanos(self.full)
    }

    const fn new(limit: u64, remaining: u64, outcome: Outcome) -> Self {
        Self {
            limit,
            remaining,
            next: 0,
            full: 0,
            outcome,
        }
    }
}

/// `duration` in nanoseconds, at most 584 years.
const fn saturated(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::quota::Quota;

    const QUOTA: Quota = Quota::per_second(5);

    #[test]
    fn every_enforced_window_must_pass_and_a_shadow_need_not() {
        let enforced = Check::new("api", "api", 1, QUOTA);
        let shadow = Check::new("trial", "trial", 1, QUOTA).shadow();
        let (yes, no) = (
            Verdict::passed(5, 4),
            Verdict::refused(5, 0, Duration::ZERO),
        );
        let checks = [enforced, shadow];
        assert!(Decision::new(&checks, [yes, no]).is_allowed());
        assert!(!Decision::new(&checks, [no, yes]).is_allowed());
        assert!(Decision::new(&[], []).is_allowed());
    }

    #[test]
    fn a_missing_verdict_refuses_and_a_refusal_never_waits_for_nothing() {
        let checks = [Check::new("api", "api", 1, QUOTA)];
        let decision = Decision::new(&checks, []);
        assert!(!decision.is_allowed());
        let wait = Outcome::Refused(Duration::from_millis(200));
        assert_eq!(decision.verdicts()[0].outcome(), wait);
        assert_eq!(
            Verdict::refused(1, 0, Duration::ZERO).outcome(),
            Outcome::Refused(Duration::from_nanos(1))
        );
    }
}
