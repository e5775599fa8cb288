//! What holds for any quotas, costs, times and keys, of every store in this process.

use std::cell::Cell;

use super::*;
use bartizan::rate_limit::{Answer, Store};
use bartizan::rate_limit::{
    Check, Decision, GovernorStore, LocalStore, MemoryStore, Outcome, Verdict,
};
use futures::FutureExt;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A store under a clock that the test moves.
struct Subject {
    clock: Clock,
    store: Kind,
}

enum Kind {
    Memory(MemoryStore),
    Governor(GovernorStore),
}

impl Subject {
    /// A memory of four slots, which overflows; one that does not; and a governor.
    fn new(kind: usize) -> Self {
        let clock = Clock::manual();
        // The beginning of time is like any other.
        clock.advance(Duration::from_secs(1));
        let any = governor::Quota::per_second(std::num::NonZeroU32::MIN);
        let governor = || governor::RateLimiter::dashmap_with_clock(any, clock.clone());
        let store = match kind {
            0 => Kind::Memory(MemoryStore::with_capacity(4)),
            1 => Kind::Memory(MemoryStore::with_capacity(1024)),
            _ => Kind::Governor(GovernorStore::from(governor())),
        };
        Self { clock, store }
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn ask(&self, checks: &[Check<'_>]) -> Decision {
        let answer = match &self.store {
            Kind::Memory(store) => store.check(checks, &self.clock),
            Kind::Governor(store) => store.check(checks, &self.clock),
        };
        match answer {
            Answer::Now(decision) => decision,
            _ => unreachable!("a store in this process answers at once"),
        }
    }

    fn peek(&self, checks: &[Check<'_>]) -> Decision {
        match &self.store {
            Kind::Memory(store) => store.peek(checks, &self.clock),
            Kind::Governor(store) => store.peek(checks, &self.clock),
        }
    }

    /// What every window says of every key.
    fn state(&self, quotas: &[Quota]) -> Vec<Verdict> {
        (0..KEYS)
            .flat_map(|key| {
                let checks = checks(quotas, key, 1);
                self.peek(&checks).verdicts().to_vec()
            })
            .collect()
    }

    fn overflows(&self) -> bool {
        match &self.store {
            Kind::Memory(store) => store.usage(&self.clock).shared() > 0,
            Kind::Governor(_) => false,
        }
    }
}

fn checks(quotas: &[Quota], key: u64, cost: u64) -> Vec<Check<'static>> {
    let check = |(name, quota): (&&'static str, &Quota)| {
        Check::new(name, name, key.wrapping_mul(0x9e37_79b9), *quota).cost(cost)
    };
    NAMES.iter().zip(quotas).map(check).collect()
}

/// Some hundred a second, and a burst of a few.
fn quota() -> impl Strategy<Value = Quota> {
    (1u64..20, 1u64..200, 1u64..8).prop_map(|(count, millis, burst)| {
        Quota::per(count, Duration::from_millis(millis)).burst(burst)
    })
}

fn quotas() -> impl Strategy<Value = Vec<Quota>> {
    prop::collection::vec(quota(), 1..=NAMES.len())
}

/// So many milliseconds later, this key wants so many cells.
fn requests() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec((0u64..12, 0..KEYS, 1u64..4), 1..120)
}

#[derive(Clone, Copy)]
struct Passed {
    at: u64,
    key: u64,
    cells: u64,
}

/// Whether some key got more in some interval than its burst and what comes back within it.
fn exceeded(passed: &[Passed], quota: Quota) -> bool {
    let interval = quota.interval().as_nanos() as u64;
    (0..passed.len()).any(|first| {
        let mut cells = 0;
        let start = passed[first];
        passed[first..]
            .iter()
            .filter(|later| later.key == start.key)
            .any(|later| {
                cells += later.cells;
                cells > quota.cells() + (later.at - start.at) / interval
            })
    })
}

/// Runs a property in so many cases, none of which may be rejected for its input.
fn each<S: Strategy>(
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    runner.run(&strategy, property).unwrap();
}

#[test]
fn in_any_interval_no_key_gets_more_than_the_burst_and_the_rate_of_any_window() {
    let (refused, overflowed) = (Cell::new(0), Cell::new(0));
    each(
        600,
        (0usize..3, quotas(), requests()),
        |(kind, quotas, requests)| {
            let subject = Subject::new(kind);
            let mut passed = Vec::new();
            for (pause, key, cells) in requests {
                subject.clock.advance(Duration::from_millis(pause));
                if subject.ask(&checks(&quotas, key, cells)).is_allowed() {
                    let at = subject.now();
                    passed.push(Passed { at, key, cells });
                } else {
                    refused.set(refused.get() + 1);
                }
                overflowed.set(overflowed.get() + usize::from(subject.overflows()));
            }
            for quota in quotas {
                prop_assert!(!exceeded(&passed, quota), "{quota:?}");
            }
            Ok(())
        },
    );
    let met = (refused.get(), overflowed.get());
    assert!(
        met.0 > 1000 && met.1 > 1000,
        "the hard cases were not met: {met:?}"
    );
}

#[test]
fn a_refusal_changes_nothing_in_any_window_of_any_key() {
    let (partly, overflowed) = (Cell::new(0), Cell::new(0));
    each(
        300,
        (0usize..3, quotas(), requests()),
        |(kind, quotas, requests)| {
            let subject = Subject::new(kind);
            // Where a set is full, the windows of one request compete for its last slot: so one.
            let windows = if kind == 0 { 1 } else { quotas.len() };
            let quotas = &quotas[..windows];
            for (pause, key, cells) in requests {
                subject.clock.advance(Duration::from_millis(pause));
                let before = subject.state(quotas);
                let decision = subject.ask(&checks(quotas, key, cells));
                if decision.is_allowed() {
                    continue;
                }
                prop_assert_eq!(subject.state(quotas), before);
                let passing = decision
                    .verdicts()
                    .iter()
                    .filter(|v| v.has_passed())
                    .count();
                partly.set(partly.get() + usize::from(passing > 0));
                overflowed.set(overflowed.get() + usize::from(subject.overflows()));
            }
            Ok(())
        },
    );
    let met = (partly.get(), overflowed.get());
    assert!(
        met.0 > 500 && met.1 > 500,
        "the hard cases were not met: {met:?}"
    );
}

#[test]
fn a_single_client_that_waits_as_long_as_it_is_told_passes() {
    let waited = Cell::new(0);
    each(
        600,
        (0usize..3, quotas(), requests()),
        |(kind, quotas, requests)| {
            let subject = Subject::new(kind);
            for (pause, _, cells) in requests {
                subject.clock.advance(Duration::from_millis(pause));
                let checks = checks(&quotas, 0, cells);
                let decision = subject.ask(&checks);
                let mut wait = Duration::ZERO;
                for verdict in decision.verdicts() {
                    match verdict.outcome() {
                        Outcome::Refused(one) => wait = wait.max(one),
                        Outcome::TooCostly => return Ok(()),
                        _ => {}
                    }
                }
                if !decision.is_allowed() {
                    waited.set(waited.get() + 1);
                    subject.clock.advance(wait - Duration::from_nanos(1));
                    prop_assert!(!subject.ask(&checks).is_allowed(), "a nanosecond early");
                    subject.clock.advance(Duration::from_nanos(1));
                    prop_assert!(subject.ask(&checks).is_allowed(), "after {wait:?}");
                }
            }
            Ok(())
        },
    );
    assert!(waited.get() > 1000, "{} waits", waited.get());
}

#[test]
fn whoever_heeds_retry_after_once_is_served() {
    let waited = Cell::new(0);
    // Cells that come back after seconds, and not after whole ones.
    let quota = (1u64..8, 500u64..30_000, 1u64..5).prop_map(|(count, millis, burst)| {
        Quota::per(count, Duration::from_millis(millis)).burst(burst)
    });
    let quotas = prop::collection::vec(quota, 1..=NAMES.len());
    let clients = prop::collection::vec((0u64..3000, 0u64..3), 1..60);
    each(300, (quotas, clients), |(quotas, requests)| {
        let policies = NAMES.iter().zip(&quotas).map(|(name, quota)| {
            let cost = |head: &bartizan::rate_limit::Head<'_>| head.path().len() as u64 - 1;
            Policy::new(*name, *quota)
                .by(key::constant())
                .cost_for(cost)
        });
        let mut host = Host::new(policies);
        for (pause, cost) in requests {
            host.clock.advance(Duration::from_millis(pause));
            let path = format!("/{}", "x".repeat(cost as usize));
            let answer = host.send(get(&path)).now_or_never().unwrap();
            if answer.status() != 429 {
                continue;
            }
            waited.set(waited.get() + 1);
            let seconds: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
            prop_assert!(seconds >= 1);
            host.clock.advance(Duration::from_secs(seconds));
            let answer = host.send(get(&path)).now_or_never().unwrap();
            prop_assert_eq!(answer.status(), 200);
        }
        Ok(())
    });
    assert!(waited.get() > 100, "{} waits", waited.get());
}

#[test]
fn no_sequence_of_clock_readings_grants_extra_or_locks_a_key_out_for_longer_than_its_window() {
    let back = Cell::new(0);
    let moves = prop::collection::vec((0u64..400, prop::bool::weighted(0.2), 0..KEYS), 1..120);
    each(600, (0usize..3, quota(), moves), |(kind, quota, moves)| {
        let subject = Subject::new(kind);
        subject.clock.advance(Duration::from_secs(100));
        let interval = quota.interval().as_nanos() as u64;
        let mut granted = [0; KEYS as usize];
        let mut forward = 0;
        for (millis, backward, key) in moves {
            let step = Duration::from_millis(millis);
            if backward {
                subject.clock.rewind(step);
                back.set(back.get() + 1);
            } else {
                subject.clock.advance(step);
                forward += step.as_nanos() as u64;
            }
            let passes = subject.ask(&checks(&[quota], key, 1)).is_allowed();
            granted[key as usize] += u64::from(passes);
            // Time that went back and came again was waited for twice, and may count twice.
            prop_assert!(granted[key as usize] <= quota.cells() + forward / interval);
            // Whoever was just asked about has to wait a window at most, however the clock went.
            let before = subject.now();
            subject.clock.advance(quota.window());
            prop_assert!(subject.peek(&checks(&[quota], key, 1)).is_allowed());
            subject
                .clock
                .rewind(Duration::from_nanos(subject.now() - before));
        }
        Ok(())
    });
    assert!(back.get() > 1000, "{} steps back", back.get());
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// More than a set has slots.
const KEYS: u64 = 7;
