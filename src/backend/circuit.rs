//! A circuit breaker that many threads share, and that tells when it opens and closes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::breaker::{Breaker, Outcome, Permit, Settings};
use crate::clock::Instant;
use crate::rand;
use crate::trace::{Counter, Gauge, emit};

/// A [`Breaker`] under a lock that is held for a few instructions.
#[derive(Debug)]
pub(crate) struct Circuit {
    backend: &'static str,
    settings: Settings,
    breaker: Mutex<Breaker>,
    opened: Counter,
    open: Gauge,
}

/// Leave to ask once. Dropped without a word it counts as neither an answer nor a failure.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    circuit: &'c Circuit,
    permit: Option<Permit>,
}

impl Circuit {
    /// A closed one, for the backend of this name in logs and metrics.
    pub(crate) fn new(backend: &'static str, settings: Settings) -> Self {
        let labels = [("backend", backend)];
        let open = Gauge::new("bartizan_backend_circuit_open", &labels);
        open.set(0.0);
        Self {
            backend,
            settings,
            breaker: Mutex::default(),
            opened: Counter::new("bartizan_backend_circuit_opened_total", &labels),
            open,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.with(|breaker| breaker.is_closed())
    }

    /// How long nobody will be let through, if that is certain.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        self.with(|breaker| breaker.pause(now))
    }

    /// Asks for leave.
    pub(crate) fn ask(&self, now: Instant) -> Option<Call<'_>> {
        let permit = self.with(|breaker| {
            let (next, permit) = breaker.ask(self.settings, now);
            *breaker = next;
            permit
        });
        permit.map(|permit| Call {
            circuit: self,
            permit: Some(permit),
        })
    }

    /// Returns how many calls have tried in vain, if this is a further one.
    fn report(&self, permit: Permit, outcome: Outcome, now: Instant) -> Option<u32> {
        let (before, after) = self.with(|breaker| {
            let before = *breaker;
            // Spread, so that a fleet does not come back all at once.
            let pause = rand::jitter(before.next_pause(self.settings), SPREAD_PERCENT);
            *breaker = before.report(self.settings, permit, outcome, now, pause);
            (before, *breaker)
        });
        match (before.is_closed(), after.is_closed()) {
            (true, false) => {
                self.opened.add(1);
                self.open.set(1.0);
                emit!(
                    warn,
                    { backend = self.backend },
                    "backend does not answer: asking it less"
                );
            }
            (false, true) => {
                self.open.set(0.0);
                emit!(info, { backend = self.backend }, "backend answers again");
            }
            _ => {}
        }
        (after.trials() > before.trials()).then_some(after.trials())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Breaker) -> T) -> T {
        // A breaker is replaced as a whole, so that a panic elsewhere leaves none half made.
        f(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Call<'_> {
    /// The server has answered, whatever it said.
    pub(crate) fn answered(self, now: Instant) {
        self.report(Outcome::Answered, now);
    }

    /// It has not, or cannot be reached. Returns how many calls have tried in vain since the circuit
    /// opened, if this is a further one.
    pub(crate) fn failed(self, now: Instant) -> Option<u32> {
        self.report(Outcome::Failed, now)
    }

    fn report(mut self, outcome: Outcome, now: Instant) -> Option<u32> {
        let permit = self.permit.take()?;
        self.circuit.report(permit, outcome, now)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            // The time only matters for how long to pause, and an abandoned call makes no pause.
            self.circuit
                .report(permit, Outcome::Abandoned, Instant::from_nanos(0));
        }
    }
}

const SPREAD_PERCENT: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SETTINGS: Settings = Settings {
        failures: 1,
        pause: Duration::from_secs(1),
        longest: Duration::from_secs(8),
    };

    #[test]
    fn a_dropped_trial_lets_the_next_one_try() {
        let (circuit, clock) = (Circuit::new("test", SETTINGS), Clock::manual());
        circuit.ask(clock.now()).unwrap().failed(clock.now());
        assert!(!circuit.is_closed());
        assert!(circuit.pause(clock.now()).is_some());
        clock.advance(Duration::from_secs(2));
        let trial = circuit.ask(clock.now()).unwrap();
        assert!(circuit.ask(clock.now()).is_none());
        drop(trial);
        circuit.ask(clock.now()).unwrap().answered(clock.now());
        assert!(circuit.is_closed());
    }

    #[test]
    fn a_failure_is_a_trial_in_vain_only_while_the_circuit_is_open() {
        let (circuit, clock) = (Circuit::new("test", SETTINGS), Clock::manual());
        let [first, late] = [(); 2].map(|()| circuit.ask(clock.now()).unwrap());
        assert_eq!(first.failed(clock.now()), None);
        assert_eq!(late.failed(clock.now()), None);
        for trials in 1..4 {
            clock.advance(SETTINGS.longest * 2);
            let trial = circuit.ask(clock.now()).unwrap();
            assert_eq!(trial.failed(clock.now()), Some(trials));
        }
        clock.advance(SETTINGS.longest * 2);
        circuit.ask(clock.now()).unwrap().answered(clock.now());
        assert_eq!(circuit.ask(clock.now()).unwrap().failed(clock.now()), None);
    }

    #[test]
    fn pauses_are_spread() {
        let pause = |_| {
            let (circuit, clock) = (Circuit::new("test", SETTINGS), Clock::manual());
            circuit.ask(clock.now()).unwrap().failed(clock.now());
            circuit.pause(clock.now()).unwrap()
        };
        let pauses: Vec<_> = (0..50).map(pause).collect();
        let (low, high) = (Duration::from_millis(800), Duration::from_millis(1200));
        assert!(pauses.iter().all(|pause| (low..=high).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
