//! The decision: the generic cell rate algorithm, on one number per key.
//!
//! The number is the *theoretical arrival time* (TAT): when the bucket will be full again. A bucket
//! that is full has one in the past. A request that takes `n` cells moves it `n` intervals further,
//! and may move it at most one window beyond now; what is missing is exactly how long to wait.
//!
//! All times are nanoseconds of one clock and everything saturates: at the end of time requests are
//! refused, not waved through.

use super::quota::Quota;

/// What taking cells from a bucket comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Take {
    /// They are there; this is the new TAT.
    Passed(u64),
    /// They are there after so many nanoseconds, at least 1 and at most the window.
    Wait(u64),
    /// The bucket is smaller than that.
    Never,
}

/// Takes `cost` cells from the bucket whose TAT is `tat`. A cost of zero passes and changes nothing.
pub(super) fn take(quota: Quota, tat: u64, now: u64, cost: u64) -> Take {
    if cost > quota.cells() {
        return Take::Never;
    }
    if cost == 0 {
        return Take::Passed(tat);
    }
    let ceiling = ceiling(quota, now);
    let base = tat.clamp(now, ceiling);
    let price = quota.span(cost);
    let room = ceiling - base;
    if price <= room {
        Take::Passed(base + price)
    } else {
        Take::Wait(price - room)
    }
}

/// What `take` comes to where a TAT beyond the window is no mistake, but that of a longer window, which has
/// to come closer first.
pub(super) fn put_off(quota: Quota, tat: u64, now: u64, take: Take) -> Take {
    match take {
        Take::Wait(nanos) => {
            let beyond = tat.saturating_sub(ceiling(quota, now));
            Take::Wait(nanos.saturating_add(beyond))
        }
        take => take,
    }
}

/// Puts `cells` back. A bucket does not get fuller than full.
pub(super) fn refund(quota: Quota, tat: u64, cells: u64) -> u64 {
    tat.saturating_sub(quota.span(cells))
}

/// The latest TAT a bucket may have: that of one emptied right now.
///
/// A later one was written under a clock that has since gone back. It counts as the ceiling, and is
/// to be [written back](healed) as such, so that the caller waits a window and not the jump.
pub(super) fn ceiling(quota: Quota, now: u64) -> u64 {
    now.saturating_add(quota.span(quota.cells()))
}

/// The TAT to write in place of one that is later than can be.
pub(super) fn healed(quota: Quota, tat: u64, now: u64) -> Option<u64> {
    let ceiling = ceiling(quota, now);
    (tat > ceiling).then_some(ceiling)
}

/// How full a bucket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Level {
    /// Whole cells that could be taken now.
    pub(super) remaining: u64,
    /// Nanoseconds until there is one more; zero when full.
    pub(super) next: u64,
    /// Nanoseconds until the bucket is full.
    pub(super) full: u64,
}

/// How full the bucket is whose TAT is `tat`.
pub(super) fn level(quota: Quota, tat: u64, now: u64) -> Level {
    let window = quota.span(quota.cells());
    let full = tat.saturating_sub(now).min(window);
    let interval = quota.span(1);
    let room = window - full;
    Level {
        remaining: room / interval,
        next: if full == 0 {
            0
        } else {
            interval - room % interval
        },
        full,
    }
}

#[cfg(test)]
#[path = "gcra_tests.rs"]
mod tests;
