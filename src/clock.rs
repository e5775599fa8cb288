//! The only place that reads time, with `coarse` behind it.
//!
//! Everything that decides takes `now` as an argument; everything that has to know the time asks a
//! [`Clock`]. The default clock is monotonic: a wall clock that jumps changes nothing but rendered
//! timestamps. Inside a tokio runtime whose time is paused it follows that paused time, so a test
//! moves every timer and every decision of this crate with `tokio::time::advance`.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the one file that may read a clock"
)]

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::coarse;

/// What a room asks for the time: the system's monotonic clock unless a test says otherwise.
///
/// Cloning is cheap, and clones of a manual clock move together.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use bartizan::clock::Clock;
///
/// let clock = Clock::manual();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now().since(before), Duration::from_secs(3));
/// ```
#[derive(Clone, Default)]
pub struct Clock {
    /// `None` reads the system's.
    manual: Option<Arc<Manual>>,
}

struct Manual {
    nanos: AtomicU64,
    /// How far the wall has been set off its course, in microseconds.
    wall_off: AtomicI64,
}

impl Manual {
    /// The wall as it goes by itself.
    fn course(&self) -> SystemTime {
        let since = self.nanos.load(Ordering::Relaxed).saturating_sub(ORIGIN);
        SystemTime::UNIX_EPOCH + MANUAL_WALL + Duration::from_nanos(since)
    }
}

impl Clock {
    /// The system's monotonic clock, or tokio's paused time inside a runtime under test.
    #[must_use]
    pub const fn new() -> Self {
        Self { manual: None }
    }

    /// A clock that stands still until [`advance`](Self::advance) or [`rewind`](Self::rewind)
    /// moves it: for tests.
    #[must_use]
    pub fn manual() -> Self {
        Self {
            manual: Some(Arc::new(Manual {
                nanos: AtomicU64::new(ORIGIN),
                wall_off: AtomicI64::new(0),
            })),
        }
    }

    /// Moves a manual clock forward. The system's clock cannot be moved: nothing happens.
    pub fn advance(&self, by: Duration) {
        self.update(|now| now.saturating_add(nanos(by)));
    }

    /// Moves a manual clock backward, as no monotonic clock should and some do.
    pub fn rewind(&self, by: Duration) {
        self.update(|now| now.saturating_sub(nanos(by)));
    }

    /// Sets the wall of a manual clock, as an operator or NTP does: [`now`](Self::now) does not
    /// notice. The system's clock cannot be set: nothing happens.
    pub fn set_wall(&self, to: SystemTime) {
        if let Some(manual) = &self.manual {
            let micros = |off: Duration| i64::try_from(off.as_micros()).unwrap_or(i64::MAX);
            let off = match to.duration_since(manual.course()) {
                Ok(ahead) => micros(ahead),
                Err(behind) => -micros(behind.duration()),
            };
            manual.wall_off.store(off, Ordering::Relaxed);
        }
    }

    /// The current instant.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.manual {
            Some(manual) => Instant(manual.nanos.load(Ordering::Relaxed)),
            None => Instant::system(),
        }
    }

    /// The wall clock, for rendered timestamps only.
    ///
    /// A manual clock counts from 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        match &self.manual {
            Some(manual) => {
                let course = manual.course();
                let off = manual.wall_off.load(Ordering::Relaxed);
                let by = Duration::from_micros(off.unsigned_abs());
                let set = match off {
                    0.. => course.checked_add(by),
                    _ => course.checked_sub(by),
                };
                set.unwrap_or(course)
            }
            None => SystemTime::now(),
        }
    }

    fn update(&self, change: impl Fn(u64) -> u64) {
        if let Some(manual) = &self.manual {
            let nanos = &manual.nanos;
            let _ = nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                Some(change(now))
            });
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.manual {
            Some(_) => "Clock::manual",
            None => "Clock::new",
        })
    }
}

/// A point in time, in nanoseconds of this process's monotonic clock.
///
/// Sums and differences saturate: no reading of any clock makes arithmetic wrap or panic.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The instant that lies `nanos` nanoseconds after the clock's origin: for tests and models.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin, which lies before the start of the process.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that passed from `earlier` to `self`: zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    fn system() -> Self {
        static START: OnceLock<tokio::time::Instant> = OnceLock::new();
        let now = tokio::time::Instant::now();
        let start = *START.get_or_init(|| now);
        // A paused runtime may stand before the first reading: count both ways from ORIGIN.
        Self(match now.checked_duration_since(start) {
            Some(later) => ORIGIN.saturating_add(nanos(later)),
            None => ORIGIN.saturating_sub(nanos(start.duration_since(now))),
        })
    }
}

/// The end of a span of time, made to be asked about far more often than it is set.
///
/// Where the system has a clock that costs a third of a precise one (Linux: `CLOCK_MONOTONIC_COARSE`,
/// a few milliseconds behind), that is the one that is asked; but not in the paused time of a runtime
/// under test, which no clock of the system knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Manual(Instant),
    Precise(tokio::time::Instant),
    Coarse(Duration),
    /// Further off than can be said.
    Never,
}

#[allow(dead_code, reason = "each room can be built alone and uses its part")]
impl Clock {
    /// The moment that lies `span` ahead.
    pub(crate) fn deadline(&self, span: Duration) -> Deadline {
        if self.manual.is_some() {
            return Deadline::Manual(self.now().after(span));
        }
        let before = std::time::Instant::now();
        let now = tokio::time::Instant::now();
        // Time that is not paused lies between two readings of the system's.
        let is_real = before <= now.into_std() && now.into_std() <= std::time::Instant::now();
        match coarse::now().filter(|_| is_real) {
            Some(coarse) => Deadline::Coarse(coarse.saturating_add(span)),
            None => (now.checked_add(span)).map_or(Deadline::Never, Deadline::Precise),
        }
    }
}

#[allow(dead_code, reason = "each room can be built alone and uses its part")]
impl Deadline {
    /// Whether it lies in the past by the clock that it was taken from.
    #[inline]
    pub(crate) fn has_passed(&self, clock: &Clock) -> bool {
        match self {
            Self::Coarse(at) => coarse::now().is_some_and(|now| now > *at),
            Self::Precise(at) => tokio::time::Instant::now() > *at,
            Self::Manual(at) => clock.now() > *at,
            Self::Never => false,
        }
    }
}

/// Time that only passes, made of the readings of a clock that may step back.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    read: Option<Instant>,
    passed: Duration,
}

impl Forward {
    /// The time that has passed since the first reading. A step back is no time.
    #[allow(dead_code, reason = "each room can be built alone and uses its part")]
    pub(crate) fn passed(&mut self, now: Instant) -> Duration {
        let step = self.read.map_or(Duration::ZERO, |read| now.since(read));
        self.read = Some(now);
        self.passed = self.passed.saturating_add(step);
        self.passed
    }
}

/// `duration` in nanoseconds, saturating after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A year of room below the first reading, so that earlier instants can be told apart.
const ORIGIN: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// 2026-01-01T00:00:00Z as seconds of the Unix epoch.
const MANUAL_WALL: Duration = Duration::from_secs(1_767_225_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_both_ways_and_never_wraps() {
        let clock = Clock::manual();
        let start = clock.now();
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now().since(start), Duration::from_millis(5));
        clock.rewind(Duration::MAX);
        assert_eq!(clock.now().as_nanos(), 0);
        assert_eq!(clock.now().since(start), Duration::ZERO);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now().after(Duration::MAX).as_nanos(), u64::MAX);
    }

    #[test]
    fn a_wall_that_is_set_moves_no_instant() {
        let clock = Clock::manual();
        let (now, wall) = (clock.now(), clock.wall());
        let day = Duration::from_secs(86_400);
        for set in [wall + day, wall - day, SystemTime::UNIX_EPOCH - day] {
            clock.set_wall(set);
            assert_eq!(clock.wall(), set);
        }
        assert_eq!(clock.now(), now);
        clock.set_wall(wall);
        clock.advance(day);
        assert_eq!(clock.wall(), wall + day);
        Clock::new().set_wall(SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn a_step_back_is_no_time_and_what_follows_counts_again() {
        let at = Instant::from_nanos;
        let mut time = Forward::default();
        for (reading, passed) in [(50, 0), (60, 10), (20, 10), (25, 15), (25, 15), (100, 90)] {
            assert_eq!(time.passed(at(reading)), Duration::from_nanos(passed));
        }
    }

    /// Waits for it: the cheap clock lags behind, and does not stand still.
    #[test]
    fn a_deadline_passes_in_its_time_and_not_before() {
        let clock = Clock::new();
        let began = clock.now();
        let span = Duration::from_millis(50);
        let deadline = clock.deadline(span);
        assert_eq!(
            matches!(deadline, Deadline::Coarse(_)),
            coarse::now().is_some()
        );
        while !deadline.has_passed(&clock) {
            let waited = clock.now().since(began);
            assert!(waited < Duration::from_secs(60), "it never passes");
            std::thread::yield_now();
        }
        assert!(clock.now().since(began) >= span / 2);
        assert!(!clock.deadline(Duration::MAX).has_passed(&clock));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_paused_time_goes_by_that_time() {
        let clock = Clock::new();
        for passed in [false, true] {
            let deadline = clock.deadline(Duration::from_secs(15));
            assert!(!deadline.has_passed(&clock));
            let almost = Duration::from_secs(if passed { 16 } else { 14 });
            tokio::time::advance(almost).await;
            assert_eq!(deadline.has_passed(&clock), passed);
        }
        assert!(!clock.deadline(Duration::MAX).has_passed(&clock));
    }

    #[test]
    fn a_deadline_of_a_manual_clock_goes_by_that_clock() {
        let clock = Clock::manual();
        let deadline = clock.deadline(Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert!(!deadline.has_passed(&clock));
        clock.advance(Duration::from_nanos(1));
        assert!(deadline.has_passed(&clock));
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_follows_a_paused_runtime() {
        let clock = Clock::new();
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.now().since(start), Duration::from_secs(3600));
    }

    #[test]
    fn the_wall_of_a_manual_clock_is_a_known_day() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(1));
        let since = clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), 1_767_225_601);
    }
}
