//! Liveness without I/O: beats, and checks that cannot wait.
//!
//! A liveness probe that asks a database restarts every replica when the database is slow. So a live
//! check cannot be a probe: it is a counter that a loop of the host keeps moving, or a function that
//! is not async.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::panic::caught;
use super::report::Alive;
use crate::clock::Instant;
use crate::config::ConfigError;

/// A sign of life that a loop of the host gives each time round.
///
/// When it has not come for its longest silence, `/livez` answers 503 and the orchestrator restarts
/// the process. Silence is counted by the driver, about once a second, and only while the driver
/// itself runs: a machine that was suspended does not restart its services when it wakes.
///
/// ```
/// use std::time::Duration;
/// use bartizan::health::{Beat, Health};
///
/// let beat = Beat::new("consumer", Duration::from_secs(30));
/// let (health, driver) = Health::builder("orders", "1.4.2").beat(&beat).build()?;
/// // in the consumer's loop:
/// beat.tick();
/// # Ok::<(), bartizan::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Beat {
    name: Arc<str>,
    max_silence: Duration,
    count: Arc<AtomicU64>,
}

impl Beat {
    /// A beat that may be silent for `max_silence`, counted from the first poll of the driver: at
    /// least 3 s. Its name follows the rule of a dependency's, and is unlike each of theirs.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, max_silence: Duration) -> Self {
        Self {
            name: name.into(),
            max_silence,
            count: Arc::default(),
        }
    }

    /// Still alive. One relaxed atomic addition.
    pub fn tick(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.max_silence >= MIN_SILENCE {
            return Ok(());
        }
        Err(ConfigError::new(
            format!("longest silence of beat {:?}", self.name),
            format!("{:?}", self.max_silence),
            "use at least 3 s: it is looked at every second",
        ))
    }
}

/// Something that says whether the process should go on living.
pub(super) enum LiveCheck {
    Beat { beat: Beat, silence: Silence },
    Function { name: Arc<str>, passes: Box<LiveFn> },
}

type LiveFn = dyn Fn() -> bool + Send + Sync;

impl LiveCheck {
    pub(super) fn beat(beat: &Beat) -> Self {
        Self::Beat {
            beat: beat.clone(),
            silence: Silence::default(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Beat { beat, .. } => &beat.name,
            Self::Function { name, .. } => name,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Beat { beat, .. } => beat.validate(),
            Self::Function { .. } => Ok(()),
        }
    }

    /// Looks once. A function that panics has not said that it is alive.
    pub(super) fn look(&mut self, now: Instant) -> Alive {
        let passes = match self {
            Self::Beat { beat, silence } => {
                let silent = silence.after(beat.count.load(Ordering::Relaxed), now);
                silent <= beat.max_silence
            }
            Self::Function { passes, .. } => caught(passes).unwrap_or(false),
        };
        Alive {
            name: Arc::clone(self.name()),
            passes,
        }
    }
}

impl fmt::Debug for LiveCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveCheck").field(self.name()).finish()
    }
}

/// How long a counter has stood still, in time that somebody was there to watch.
#[derive(Debug, Default)]
pub(super) struct Silence {
    seen: u64,
    silent: Duration,
    looked: Option<Instant>,
}

impl Silence {
    fn after(&mut self, count: u64, now: Instant) -> Duration {
        let unwatched = self
            .looked
            .map_or(Duration::ZERO, |looked| now.since(looked));
        self.looked = Some(now);
        if count == self.seen {
            self.silent = self.silent.saturating_add(unwatched.min(MAX_STEP));
        } else {
            self.seen = count;
            self.silent = Duration::ZERO;
        }
        self.silent
    }
}

/// The driver looks every second; a longer gap is its own, not the beat's.
const MAX_STEP: Duration = Duration::from_secs(3);
const MIN_SILENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_grows_while_watched_and_ends_with_a_beat() {
        let at = |secs: u64| Instant::from_nanos(secs * 1_000_000_000);
        let mut silence = Silence::default();
        assert_eq!(silence.after(0, at(0)).as_secs(), 0);
        for second in 1..=10 {
            assert_eq!(silence.after(0, at(second)).as_secs(), second);
        }
        assert_eq!(silence.after(1, at(11)), Duration::ZERO);
    }

    #[test]
    fn a_suspended_machine_does_not_count_against_the_beat() {
        let hour = Instant::from_nanos(3_600_000_000_000);
        let mut silence = Silence::default();
        silence.after(0, Instant::from_nanos(0));
        assert_eq!(silence.after(0, hour), MAX_STEP);
        assert_eq!(silence.after(0, Instant::from_nanos(0)), MAX_STEP);
    }

    #[test]
    fn a_function_that_panics_is_not_alive() {
        let mut check = LiveCheck::Function {
            name: "loop".into(),
            passes: Box::new(|| panic!("on purpose")),
        };
        assert!(!check.look(Instant::from_nanos(0)).passes);
    }
}
