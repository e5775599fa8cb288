//! How many reports are passed on in one second, in one atomic.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Instant;

/// A count of this second's reports: the number of the second above, the count below.
#[derive(Debug, Default)]
pub(super) struct Budget {
    state: AtomicU64,
}

impl Budget {
    /// Takes one report of this second's share of `per_second`, if there is one.
    pub(super) fn take(&self, now: Instant, per_second: u32) -> bool {
        let step = |state| step(state, second(now), per_second);
        let taken = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        taken.is_ok()
    }

    /// Whether this second's share is used up, so that a body need not even be read.
    pub(super) fn is_spent(&self, now: Instant, per_second: u32) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        step(state, second(now), per_second).is_none()
    }
}

/// The state after one more report in `second`; `None` when its share is used up.
///
/// A second that differs, also one that lies back, starts a new count.
fn step(state: u64, second: u32, per_second: u32) -> Option<u64> {
    let [known, count] = [(state >> 32) as u32, state as u32];
    let count = if known == second { count } else { 0 };
    (count < per_second).then_some((u64::from(second) << 32) | (u64::from(count) + 1))
}

/// The number of the second, which wraps after 136 years.
fn second(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_share() {
        let budget = Budget::default();
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        assert!(!budget.is_spent(at(5_000), 2));
        assert!(budget.take(at(5_000), 2));
        assert!(budget.take(at(5_999), 2));
        assert!(!budget.take(at(5_999), 2) && budget.is_spent(at(5_999), 2));
        assert!(!budget.is_spent(at(6_000), 2) && budget.take(at(6_000), 2));
        assert!(budget.is_spent(at(7_000), 0) && !budget.take(at(7_000), 0));
    }

    #[test]
    fn threads_never_take_more_than_the_share() {
        let budget = Budget::default();
        let now = Instant::from_nanos(1_000_000_000);
        let take = || (0..100).filter(|_| budget.take(now, 100)).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 100);
    }
}
