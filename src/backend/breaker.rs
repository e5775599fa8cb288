//! The decision of a circuit breaker: who may ask a server that has failed, and when.
//!
//! Closed, everybody asks. After so many failures in a row it opens, and nobody asks for a pause. Then
//! one does: if that goes well it closes, and otherwise the next pause is twice as long. What a call
//! reports counts only in the round in which it was let through: the failures of a hundred calls that
//! were under way when the circuit opened do not make the pause longer, and a late success does not
//! end it.

use std::time::Duration;

use crate::clock::Instant;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Failures in a row that open it: at least 1.
    pub(crate) failures: u32,
    /// The first pause. Each that follows without a success between is twice as long.
    pub(crate) pause: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
}

/// A circuit at one time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Breaker {
    state: State,
    /// Counts openings, trials and closings.
    round: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nobody asks before `until`; then one does.
    Open {
        until: Instant,
        pauses: u32,
    },
    /// One asks, and everybody else waits for what it reports; but not for longer than until then, since
    /// it may be held by a task that is never run again.
    Trying {
        until: Instant,
        pauses: u32,
    },
}

/// Leave to ask once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Permit {
    round: u32,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The server has answered, whatever it said.
    Answered,
    /// It has not.
    Failed,
    /// Nobody waited for the answer.
    Abandoned,
}

impl Breaker {
    /// Whether calls go through without a word.
    pub(crate) fn is_closed(self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// How many calls have tried in vain since it opened.
    pub(crate) fn trials(self) -> u32 {
        match self.state {
            State::Closed { .. } => 0,
            State::Open { pauses, .. } | State::Trying { pauses, .. } => pauses.saturating_sub(1),
        }
    }

    /// How long nobody will be let through, if that is certain.
    pub(crate) fn pause(self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until.since(now)),
            _ => None,
        }
    }

    /// Asks for leave.
    pub(crate) fn ask(mut self, settings: Settings, now: Instant) -> (Self, Option<Permit>) {
        match self.state {
            State::Closed { .. } => {}
            State::Open { until, pauses } | State::Trying { until, pauses } if until <= now => {
                let until = now.after(settings.longest);
                self.state = State::Trying { until, pauses };
                self.round = self.round.wrapping_add(1);
            }
            State::Open { .. } | State::Trying { .. } => return (self, None),
        }
        let permit = Permit { round: self.round };
        (self, Some(permit))
    }

    /// How long the next pause is to be, before it is spread.
    pub(crate) fn next_pause(self, settings: Settings) -> Duration {
        let pauses = match self.state {
            State::Closed { .. } => 0,
            State::Open { pauses, .. } | State::Trying { pauses, .. } => pauses,
        };
        let factor = 1_u32.checked_shl(pauses).unwrap_or(u32::MAX);
        settings.pause.saturating_mul(factor).min(settings.longest)
    }

    /// Reports what became of a call. A failure that opens the circuit does so for `pause`.
    pub(crate) fn report(
        mut self,
        settings: Settings,
        permit: Permit,
        outcome: Outcome,
        now: Instant,
        pause: Duration,
    ) -> Self {
        if permit.round != self.round {
            return self;
        }
        let until = now.after(pause);
        let next = match (self.state, outcome) {
            (State::Closed { .. }, Outcome::Answered) => State::Closed { failures: 0 },
            (State::Closed { failures }, Outcome::Failed) if failures + 1 < settings.failures => {
                let failures = failures + 1;
                State::Closed { failures }
            }
            (State::Closed { .. }, Outcome::Failed) => State::Open { until, pauses: 1 },
            (State::Trying { .. }, Outcome::Answered) => State::Closed { failures: 0 },
            (State::Trying { pauses, .. }, Outcome::Failed) => State::Open {
                until,
                pauses: pauses.saturating_add(1),
            },
            // Nothing is known, so the next one tries, at once.
            (State::Trying { pauses, .. }, Outcome::Abandoned) => {
                State::Open { until: now, pauses }
            }
            // While it is open nobody has leave.
            (state, _) => state,
        };
        let next = Self {
            state: next,
            ..self
        };
        if !(self.is_closed() && next.is_closed()) {
            self.round = self.round.wrapping_add(1);
        }
        Self {
            round: self.round,
            ..next
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const SETTINGS: Settings = Settings {
        failures: 3,
        pause: Duration::from_secs(1),
        longest: Duration::from_secs(10),
    };

    /// A breaker under a manual clock.
    struct Bench {
        breaker: Breaker,
        clock: Clock,
    }

    impl Bench {
        fn new() -> Self {
            let (breaker, clock) = (Breaker::default(), Clock::manual());
            Self { breaker, clock }
        }

        fn ask(&mut self) -> Option<Permit> {
            let (breaker, permit) = self.breaker.ask(SETTINGS, self.clock.now());
            self.breaker = breaker;
            permit
        }

        fn report(&mut self, permit: Permit, outcome: Outcome) {
            let pause = self.breaker.next_pause(SETTINGS);
            let now = self.clock.now();
            self.breaker = (self.breaker).report(SETTINGS, permit, outcome, now, pause);
        }

        fn call(&mut self, outcome: Outcome) -> bool {
            let permit = self.ask();
            permit.inspect(|permit| self.report(*permit, outcome));
            permit.is_some()
        }

        fn fail(&mut self, times: u32) {
            (0..times).for_each(|_| assert!(self.call(Outcome::Failed)));
        }

        fn seconds(&mut self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_an_answer_starts_the_count_again() {
        let mut bench = Bench::new();
        bench.fail(2);
        assert!(bench.call(Outcome::Answered));
        bench.fail(2);
        assert!(bench.breaker.is_closed());
        bench.fail(1);
        assert!(!bench.breaker.is_closed());
        assert!(!bench.call(Outcome::Answered));
        let pause = bench.breaker.pause(bench.clock.now());
        assert_eq!(pause, Some(Duration::from_secs(1)));
    }

    #[test]
    fn after_the_pause_one_tries_and_its_success_closes() {
        let mut bench = Bench::new();
        bench.fail(3);
        bench.seconds(1);
        let permit = bench.ask().unwrap();
        assert!(bench.ask().is_none(), "one at a time");
        bench.report(permit, Outcome::Answered);
        assert!(bench.breaker.is_closed() && bench.call(Outcome::Answered));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_small_after_a_success() {
        let mut bench = Bench::new();
        bench.fail(3);
        for expected in [1, 2, 4, 8, 10, 10, 10] {
            let pause = bench.breaker.pause(bench.clock.now());
            assert_eq!(pause, Some(Duration::from_secs(expected)));
            bench.seconds(expected - 1);
            assert!(!bench.call(Outcome::Failed));
            bench.seconds(1);
            bench.fail(1);
        }
        bench.seconds(10);
        assert!(bench.call(Outcome::Answered));
        bench.fail(3);
        let pause = bench.breaker.pause(bench.clock.now());
        assert_eq!(pause, Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_abandoned_trial_leaves_the_next_one_to_try_at_once() {
        let mut bench = Bench::new();
        bench.fail(3);
        bench.seconds(1);
        assert!(bench.call(Outcome::Abandoned));
        assert!(bench.call(Outcome::Answered));
        assert!(bench.breaker.is_closed());
    }

    #[test]
    fn a_trial_that_is_never_heard_of_again_does_not_keep_it_open() {
        let mut bench = Bench::new();
        bench.fail(3);
        bench.seconds(1);
        let lost = bench.ask().unwrap();
        bench.seconds(9);
        assert!(bench.ask().is_none());
        bench.seconds(1);
        let trial = bench.ask().unwrap();
        bench.report(lost, Outcome::Answered);
        assert!(!bench.breaker.is_closed(), "the word of another round");
        bench.report(trial, Outcome::Answered);
        assert!(bench.breaker.is_closed());
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing() {
        let mut bench = Bench::new();
        let late: Vec<_> = (0..100).map(|_| bench.ask().unwrap()).collect();
        for permit in &late[..90] {
            bench.report(*permit, Outcome::Failed);
        }
        let open = bench.breaker;
        let pause = open.pause(bench.clock.now());
        assert_eq!(pause, Some(Duration::from_secs(1)), "not doubled");
        bench.report(late[90], Outcome::Answered);
        assert_eq!(bench.breaker, open, "not closed by an answer that is late");
        bench.seconds(1);
        let trial = bench.ask().unwrap();
        bench.report(late[91], Outcome::Failed);
        bench.report(trial, Outcome::Answered);
        bench.report(trial, Outcome::Failed);
        bench.report(late[92], Outcome::Failed);
        assert_eq!(bench.breaker.state, State::Closed { failures: 0 });
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_for_the_jump_twice() {
        let mut bench = Bench::new();
        bench.fail(3);
        bench.clock.rewind(Duration::from_secs(5));
        assert!(!bench.call(Outcome::Answered));
        bench.seconds(6);
        assert!(bench.call(Outcome::Answered));
    }

    proptest! {
        #[test]
        fn it_never_stays_shut_for_longer_than_the_longest_pause(
            steps in prop::collection::vec((0_u8..5, 0_u64..4), 1..200),
        ) {
            let mut bench = Bench::new();
            let mut held: Vec<Permit> = Vec::new();
            let mut opened = false;
            for (step, seconds) in steps {
                bench.seconds(seconds);
                match step {
                    0 => held.extend(bench.ask()),
                    1..4 => {
                        let outcomes = [Outcome::Answered, Outcome::Failed, Outcome::Abandoned];
                        if let Some(permit) = held.pop() {
                            bench.report(permit, outcomes[usize::from(step) - 1]);
                        }
                    }
                    _ => drop(bench.call(Outcome::Failed)),
                }
                opened |= !bench.breaker.is_closed();
                let later = bench.clock.now().after(SETTINGS.longest);
                prop_assert!(bench.breaker.ask(SETTINGS, later).1.is_some());
            }
            prop_assume!(opened);
        }
    }
}
