//! The store on governor's map: as exact as governor, bounded, and safe where governor wraps.

use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use proptest::prelude::*;

use super::*;
use crate::rate_limit::Outcome;

fn ask(store: &GovernorStore<FakeRelativeClock>, checks: &[Check<'_>]) -> Decision {
    store.shared.check(checks)
}

fn store(clock: &FakeRelativeClock) -> GovernorStore<FakeRelativeClock> {
    let any = governor::Quota::per_second(NonZeroU32::MIN);
    RateLimiter::dashmap_with_clock(any, clock.clone()).into()
}

fn check(key: u64, quota: Quota) -> Check<'static> {
    Check::new("p", "p", key, quota)
}

proptest! {
    #[test]
    fn it_decides_as_governor_does(
        cells in 1u32..9,
        millis in 1u64..50,
        requests in prop::collection::vec((0u64..60, 1u32..12), 1..60),
    ) {
        let quota = Quota::per(1, Duration::from_millis(millis)).burst(cells.into());
        let clock = FakeRelativeClock::default();
        // A governor cannot tell a bucket last full at its origin from one that was never used.
        clock.advance(Duration::from_secs(1));
        let theirs: RateLimiter<u64, _, _, NoOpMiddleware<Nanos>> =
            RateLimiter::dashmap_with_clock(quota.try_into().unwrap(), clock.clone());
        let ours = store(&clock);
        for (pause, cost) in requests {
            clock.advance(Duration::from_millis(pause));
            let cells = NonZeroU32::new(cost).unwrap();
            let outcome = ask(&ours, &[check(7, quota).cost(cost.into())]).verdicts()[0].outcome();
            let expected = match theirs.check_key_n(&7, cells) {
                Ok(Ok(())) => Outcome::Passed,
                Ok(Err(until)) => Outcome::Refused(until.wait_time_from(governor::clock::Clock::now(&clock))),
                Err(_) => Outcome::TooCostly,
            };
            prop_assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn a_cost_for_which_governor_wraps_is_refused() {
    // Of a governor of 10 an hour, `check_key_n` lets this one pass where overflow is not checked.
    let quota = Quota::per_hour(10);
    let store = store(&FakeRelativeClock::default());
    for cost in [5_124_097, u64::from(u32::MAX), u64::MAX] {
        let decision = ask(&store, &[check(1, quota).cost(cost)]);
        assert_eq!(decision.verdicts()[0].outcome(), Outcome::TooCostly);
    }
    assert_eq!(store.keys(), 0, "and nothing is kept of it");
}

#[test]
fn looking_and_refusing_make_no_bucket() {
    let store = store(&FakeRelativeClock::default());
    let quota = Quota::per_hour(1);
    ask(&store, &[check(1, quota).cost(0)]);
    assert_eq!(store.keys(), 0);
    let spent = check(2, quota);
    ask(&store, &[spent]);
    assert!(!ask(&store, &[check(3, quota), spent]).is_allowed());
    assert_eq!(store.keys(), 1, "only of what passed");
}

#[test]
fn a_charge_that_is_lost_is_put_back_unless_it_was_touched() {
    let store = store(&FakeRelativeClock::default());
    let (one, quota) = (check(1, Quota::per_hour(9)), Quota::per_hour(9));
    let left = || ask(&store, &[one.cost(0)]).verdicts()[0].remaining();
    let receipt = store.shared.visit(&one, true).1.unwrap();
    store.shared.undo(&receipt);
    assert_eq!(left(), quota.cells());
    let receipt = store.shared.visit(&one, true).1.unwrap();
    ask(&store, &[one]);
    store.shared.undo(&receipt);
    assert_eq!(left(), quota.cells() - 2, "both stay charged");
}

#[test]
fn the_map_follows_the_keys_in_use() {
    let clock = FakeRelativeClock::default();
    let store = store(&clock);
    let quota = Quota::per_second(1);
    let mut most = 0;
    for key in 0..100_000 {
        // Five hundred keys are in use at any time.
        clock.advance(Duration::from_millis(2));
        assert!(ask(&store, &[check(key, quota)]).is_allowed());
        most = most.max(store.keys());
    }
    assert!(most <= 2 * 500 + SWEEP_AFTER + 1, "{most}");
    assert!(most > SWEEP_AFTER, "{most}: it is not swept at every call");
    clock.advance(Duration::from_secs(2));
    store.sweep();
    assert_eq!(store.keys(), 0);
}

#[test]
fn a_full_store_refuses_newcomers_keeps_its_own_and_recovers() {
    let clock = FakeRelativeClock::default();
    let store = store(&clock).with_limit(2000);
    let quota = Quota::per_minute(2);
    let passes = |key| ask(&store, &[check(key, quota)]).is_allowed();
    assert!(passes(0));
    assert!(passes(0));
    let admitted = (1..50_000).filter(|key| passes(*key)).count();
    assert_eq!(admitted, 1999);
    assert_eq!(store.keys(), 2000);
    assert!(!passes(0), "a flood resets no limit");
    assert!(passes(1), "who has a bucket keeps it");
    clock.advance(Duration::from_secs(61));
    let admitted = (50_000..60_000).filter(|key| passes(*key)).count();
    assert!(admitted >= 2000 - SWEEP_AFTER, "{admitted}");
}

#[test]
fn a_store_that_was_flooded_takes_newcomers_again_as_soon_as_there_is_room() {
    let clock = FakeRelativeClock::default();
    let store = store(&clock).with_limit(1 << 16);
    let quota = Quota::per_minute(1);
    let passes = |key| ask(&store, &[check(key, quota)]).is_allowed();
    // What comes once the store is full brings it to the point where the next sweep is furthest.
    let mut key = 0;
    let mut refused = 0;
    while refused < 100 {
        key += 1;
        refused += u32::from(!passes(key));
    }
    clock.advance(Duration::from_secs(61));
    assert!(passes(key + 1), "everybody's bucket is full again");
}

#[test]
fn a_store_for_no_keys_has_room_for_one() {
    let clock = FakeRelativeClock::default();
    let store = store(&clock).with_limit(0);
    assert!(ask(&store, &[check(1, Quota::per_second(1))]).is_allowed());
}

#[test]
fn a_clock_that_goes_back_locks_nobody_out_for_longer_than_a_window() {
    let clock = Clock::manual();
    let any = governor::Quota::per_second(NonZeroU32::MIN);
    let store = GovernorStore::from(RateLimiter::dashmap_with_clock(any, clock.clone()));
    let quota = Quota::per_second(1);
    clock.advance(Duration::from_secs(3600));
    let one = [check(1, quota)];
    assert!(store.shared.check(&one).is_allowed());
    clock.rewind(Duration::from_secs(3000));
    assert!(!store.shared.check(&one).is_allowed());
    clock.advance(quota.window());
    assert!(store.shared.check(&one).is_allowed());
}

#[test]
fn quotas_convert_both_ways_or_say_why_not() {
    for quota in [
        Quota::per_second(3).burst(7),
        Quota::per_day(1),
        Quota::per_second(1_000_000_000),
    ] {
        let theirs = governor::Quota::try_from(quota).unwrap();
        assert_eq!(Quota::try_from(theirs), Ok(quota));
    }
    let large = Quota::per_second(1_000_000_000).burst(1 << 32);
    let error = governor::Quota::try_from(large).unwrap_err();
    assert_eq!((error.field(), error.value()), ("burst", "4294967296"));

    let max = NonZeroU32::MAX;
    let none = Quota::try_from(governor::Quota::per_second(max)).unwrap_err();
    assert_eq!((none.field(), none.value()), ("quota", "1 per 0ns"));
    let wraps = governor::Quota::with_period(Duration::from_secs(31_536_000)).unwrap();
    let wraps = wraps.allow_burst(NonZeroU32::new(1000).unwrap());
    assert_eq!(Quota::try_from(wraps).unwrap_err().field(), "burst");
}
