//! How much may pass: a sustained rate, and how much of it at once.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::ConfigError;

/// A sustained rate and a burst: "50 a second, and up to 100 at once".
///
/// A bucket holds `burst` cells. A request takes one (or its [cost](super::Policy::cost)), and they
/// come back one by one at the sustained rate. So in any stretch of time `t` at most
/// `burst + rate x t` pass, and there is no window whose edge lets twice the quota through.
///
/// Cells come back at whole nanoseconds, rounded so that the rate is never exceeded.
///
/// Clients are told the size of the bucket, and the time in which all of it comes back: 5 a second with a burst
/// of 20 is `q=20;w=4`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use bartizan::rate_limit::Quota;
///
/// const API: Quota = Quota::per_second(50).burst(100);
/// const EXPORTS: Quota = Quota::per(5, Duration::from_secs(2));
///
/// assert_eq!(API.interval(), Duration::from_millis(20));
/// assert_eq!(EXPORTS.cells(), 5);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    /// Nanoseconds until one cell is back: at least 1.
    interval: u64,
    /// Cells of a full bucket: at least 1. They come back within `MAX_SPAN`, rounding apart.
    burst: u64,
}

impl Quota {
    /// `count` per second, all of them at once if need be.
    ///
    /// # Panics
    ///
    /// If `count` is zero or more than 10^9; in a `const`, at compile time.
    #[must_use]
    #[track_caller]
    pub const fn per_second(count: u64) -> Self {
        Self::per(count, Duration::from_secs(1))
    }

    /// `count` per minute, all of them at once if need be.
    ///
    /// # Panics
    ///
    /// If `count` is zero or more than one a nanosecond; in a `const`, at compile time.
    #[must_use]
    #[track_caller]
    pub const fn per_minute(count: u64) -> Self {
        Self::per(count, Duration::from_secs(60))
    }

    /// `count` per hour, all of them at once if need be.
    ///
    /// # Panics
    ///
    /// If `count` is zero or more than one a nanosecond; in a `const`, at compile time.
    #[must_use]
    #[track_caller]
    pub const fn per_hour(count: u64) -> Self {
        Self::per(count, Duration::from_secs(3600))
    }

    /// `count` per day of 24 hours, all of them at once if need be.
    ///
    /// # Panics
    ///
    /// If `count` is zero or more than one a nanosecond; in a `const`, at compile time.
    #[must_use]
    #[track_caller]
    pub const fn per_day(count: u64) -> Self {
        Self::per(count, Duration::from_secs(86_400))
    }

    /// `count` per `window`, all of them at once if need be.
    ///
    /// # Panics
    ///
    /// If the two make no quota; see [`try_per`](Self::try_per), which is for values that are not
    /// known at compile time.
    #[must_use]
    #[track_caller]
    pub const fn per(count: u64, window: Duration) -> Self {
        match Self::checked(count, window) {
            Ok(quota) => quota,
            Err(fault) => panic!("{}", fault.fix()),
        }
    }

    /// The same rate with room for `cells` at once; it may be less or more than a window's worth.
    ///
    /// # Panics
    ///
    /// If `cells` is zero or takes more than 100 years to come back; see
    /// [`try_burst`](Self::try_burst).
    #[must_use]
    #[track_caller]
    pub const fn burst(self, cells: u64) -> Self {
        match self.checked_burst(cells) {
            Ok(quota) => quota,
            Err(fault) => panic!("{}", fault.fix()),
        }
    }

    /// [`per`](Self::per) for numbers that come from a file, a flag or a database.
    ///
    /// # Errors
    ///
    /// If `count` or `window` is zero, if there is more than one cell a nanosecond, or if `window`
    /// is longer than 100 years.
    pub fn try_per(count: u64, window: Duration) -> Result<Self, ConfigError> {
        Self::checked(count, window).map_err(|fault| {
            ConfigError::new("quota", format!("{count} per {window:?}"), fault.fix())
        })
    }

    /// [`burst`](Self::burst) for numbers that come from a file, a flag or a database.
    ///
    /// # Errors
    ///
    /// If `cells` is zero, or takes more than 100 years to come back at this rate.
    pub fn try_burst(self, cells: u64) -> Result<Self, ConfigError> {
        self.checked_burst(cells)
            .map_err(|fault| ConfigError::new("burst", cells.to_string(), fault.fix()))
    }

    /// The number of cells in a full bucket: what may pass at once, and the most one request may
    /// cost.
    #[must_use]
    pub const fn cells(self) -> u64 {
        self.burst
    }

    /// The time after which one more cell is back.
    #[must_use]
    pub const fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The time in which an empty bucket fills.
    #[must_use]
    pub const fn window(self) -> Duration {
        Duration::from_nanos(self.span(self.burst))
    }

    /// Nanoseconds until `cells` are back. Does not overflow for up to a bucket of them.
    pub(super) const fn span(self, cells: u64) -> u64 {
        self.interval.saturating_mul(cells)
    }

    /// The same burst at a rate that is a whole number of `nanos` nanoseconds a cell, and no higher.
    #[allow(dead_code, reason = "for stores whose time is coarser")]
    pub(super) const fn in_steps_of(mut self, nanos: u64) -> Self {
        self.interval = self.interval.div_ceil(nanos).saturating_mul(nanos);
        self
    }

    /// One of `parts` equal parts, with a burst of at least one cell and of `least` cells.
    #[allow(dead_code, reason = "for stores that fall back on a part")]
    pub(super) fn share(self, parts: NonZeroU32, least: u64) -> Self {
        let parts = u64::from(parts.get());
        Self {
            interval: self.interval.saturating_mul(parts),
            burst: (self.burst / parts).max(least).max(1),
        }
    }

    /// The window in whole seconds, at least 1, as it was meant: the rounding of `interval` adds
    /// less than a nanosecond per cell, which must not make 7 per second a window of 2 s.
    pub(super) const fn window_seconds(self) -> u64 {
        let meant = self.span(self.burst).saturating_sub(self.burst);
        let seconds = meant.div_ceil(1_000_000_000);
        if seconds == 0 { 1 } else { seconds }
    }

    const fn checked(count: u64, window: Duration) -> Result<Self, Fault> {
        let nanos = window.as_nanos();
        if count == 0 {
            Err(Fault::NoCells)
        } else if nanos == 0 {
            Err(Fault::NoWindow)
        } else if count as u128 > nanos {
            Err(Fault::TooFast)
        } else if nanos > MAX_SPAN {
            Err(Fault::TooLong)
        } else {
            let quota = Self {
                interval: nanos.div_ceil(count as u128) as u64,
                burst: 1,
            };
            quota.checked_burst(count)
        }
    }

    const fn checked_burst(self, cells: u64) -> Result<Self, Fault> {
        if cells == 0 {
            Err(Fault::NoCells)
        } else if self.interval as u128 * cells as u128 > MAX_SPAN + cells as u128 {
            Err(Fault::TooLong)
        } else {
            Ok(Self {
                burst: cells,
                ..self
            })
        }
    }
}

/// Why numbers make no quota.
#[derive(Clone, Copy)]
enum Fault {
    NoCells,
    NoWindow,
    TooFast,
    TooLong,
}

impl Fault {
    const fn fix(self) -> &'static str {
        match self {
            Self::NoCells => "a quota of zero refuses everything: use at least 1",
            Self::NoWindow => "a window of no time has no rate: use at least 1 ns",
            Self::TooFast => "the finest rate is one per nanosecond: lower the count",
            Self::TooLong => "it takes over 100 years to come back: lower the burst or the window",
        }
    }
}

/// 100 years in nanoseconds, a sixth of what 64 bits hold.
const MAX_SPAN: u128 = 100 * 365 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_its_own_burst_unless_set() {
        let quota = Quota::per_minute(30);
        assert_eq!((quota.cells(), quota.interval().as_secs()), (30, 2));
        let small = quota.burst(3);
        assert_eq!((small.cells(), small.interval().as_secs()), (3, 2));
        assert_eq!(Quota::per_hour(1).interval().as_secs(), 3600);
        assert_eq!(Quota::per_day(1).window().as_secs(), 86_400);
    }

    #[test]
    fn the_rate_is_rounded_so_that_it_is_never_exceeded() {
        assert_eq!(Quota::per_second(3).interval().as_nanos(), 333_333_334);
        assert_eq!(Quota::per_second(700_000_000).interval().as_nanos(), 2);
    }

    #[test]
    fn the_window_in_seconds_is_the_one_that_was_meant() {
        for count in [1, 3, 7, 50, 999, 1_000_000] {
            assert_eq!(Quota::per_second(count).window_seconds(), 1, "{count}");
            assert_eq!(Quota::per_day(count).window_seconds(), 86_400, "{count}");
        }
        assert_eq!(Quota::per_second(50).burst(100).window_seconds(), 2);
        assert_eq!(Quota::per_second(50).burst(1).window_seconds(), 1);
    }

    #[test]
    fn numbers_that_make_no_quota_are_refused_with_field_value_and_fix() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        for (count, window) in [
            (0, Duration::from_secs(1)),
            (1, Duration::ZERO),
            (1_000_000_001, Duration::from_secs(1)),
            (u64::MAX, Duration::from_secs(1)),
            (1, century + Duration::from_nanos(1)),
            (1, Duration::MAX),
        ] {
            let error = Quota::try_per(count, window).unwrap_err();
            assert_eq!(error.field(), "quota");
            assert_eq!(error.value(), format!("{count} per {window:?}"));
        }
        assert_eq!(Quota::try_per(1, century), Ok(Quota::per(1, century)));
        let error = Quota::per_hour(1).try_burst(u64::MAX).unwrap_err();
        assert_eq!(error.value(), u64::MAX.to_string());
        assert!(error.to_string().contains("lower the burst"));
        assert!(Quota::per_hour(1).try_burst(0).is_err());
    }

    #[test]
    #[should_panic(expected = "use at least 1")]
    fn a_quota_of_zero_panics_where_it_is_written() {
        let _ = Quota::per_second(0);
    }
}
