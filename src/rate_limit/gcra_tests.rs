//! Vectors and properties of the decision.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

/// A cell every 100 ms, three at once.
const QUOTA: Quota = Quota::per_second(10).burst(3);

/// One bucket, as the vectors drive it: times in milliseconds.
struct Bucket(u64);

impl Bucket {
    /// What is left after taking `cost`, or how many milliseconds to wait.
    fn take(&mut self, at: u64, cost: u64) -> Result<u64, u64> {
        match take(QUOTA, self.0, at * MS, cost) {
            Take::Passed(tat) => {
                self.0 = tat;
                Ok(level(QUOTA, tat, at * MS).remaining)
            }
            Take::Wait(nanos) => Err(nanos / MS),
            Take::Never => Err(u64::MAX),
        }
    }
}

#[test]
fn the_published_vectors_hold() {
    let mut bucket = Bucket(0);
    for left in [2, 1, 0] {
        assert_eq!(bucket.take(0, 1), Ok(left));
    }
    assert_eq!(bucket.take(0, 1), Err(100));
    assert_eq!(bucket.take(99, 1), Err(1));
    assert_eq!(bucket.take(100, 1), Ok(0));
    assert_eq!(bucket.take(1000, 1), Ok(2));
    assert_eq!(bucket.take(2000, 3), Ok(0));
    assert_eq!(bucket.take(2000, 4), Err(u64::MAX));
    assert_eq!(bucket.take(2000, 0), Ok(0), "a cost of zero takes nothing");
    bucket.0 = refund(QUOTA, bucket.0, 1);
    assert_eq!(bucket.take(2000, 1), Ok(0), "a refunded cell can be taken");
}

#[test]
fn a_refund_never_fills_a_bucket_beyond_full() {
    let mut bucket = Bucket(0);
    assert_eq!(bucket.take(0, 1), Ok(2));
    bucket.0 = refund(QUOTA, bucket.0, u64::MAX);
    assert_eq!(bucket.take(50, 3), Ok(0));
    assert_eq!(bucket.take(50, 1), Err(100));
}

#[test]
fn a_clock_that_goes_back_costs_a_window_at_most_and_grants_nothing() {
    let now = 3_600_000 * MS;
    let Take::Passed(tat) = take(QUOTA, 0, now, 3) else {
        panic!("three cells were there");
    };
    let hour_ago = 0;
    assert_eq!(take(QUOTA, tat, hour_ago, 1), Take::Wait(100 * MS));
    let healed = healed(QUOTA, tat, hour_ago).unwrap();
    assert_eq!(take(QUOTA, healed, 100 * MS - 1, 1), Take::Wait(1));
    assert!(matches!(take(QUOTA, healed, 100 * MS, 1), Take::Passed(_)));
}

#[test]
fn at_the_end_of_time_nothing_passes() {
    assert_eq!(take(QUOTA, 0, u64::MAX, 1), Take::Wait(100 * MS));
    assert_eq!(take(QUOTA, u64::MAX, u64::MAX, 1), Take::Wait(100 * MS));
    assert_eq!(take(QUOTA, u64::MAX, 0, 3), Take::Wait(300 * MS));
    assert_eq!(level(QUOTA, u64::MAX, 0).remaining, 0);
}

#[test]
fn the_level_tells_when_one_more_cell_is_back() {
    let full = level(QUOTA, 50 * MS, 50 * MS);
    assert_eq!((full.remaining, full.next, full.full), (3, 0, 0));
    let used = level(QUOTA, 150 * MS, 20 * MS);
    assert_eq!(
        (used.remaining, used.next, used.full),
        (1, 30 * MS, 130 * MS)
    );
}

fn quota() -> impl Strategy<Value = Quota> {
    (1u64..1000, 1u64..10_000_000, 1u64..20).prop_map(|(count, window, burst)| {
        Quota::per(count, Duration::from_nanos(window.max(count))).burst(burst)
    })
}

proptest! {
    #[test]
    fn in_any_interval_no_more_passes_than_the_burst_and_the_rate(
        quota in quota(),
        steps in prop::collection::vec((0u64..200, 1u64..4), 1..200),
    ) {
        let (mut tat, mut now) = (0, 0);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (pause, cost) in steps {
            now += pause * quota.span(1) / 50;
            if let Take::Passed(next) = take(quota, tat, now, cost) {
                tat = next;
                passed.push((now, cost));
            }
        }
        for (first, (start, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &passed[first..] {
                sum += cost;
                prop_assert!(sum <= quota.cells() + (at - start) / quota.span(1));
            }
        }
    }

    #[test]
    fn waiting_as_long_as_told_passes_and_a_nanosecond_less_does_not(
        quota in quota(),
        used in 0u64..20,
        age in 0u64..1_000_000,
        cost in 1u64..20,
    ) {
        let start = 1_000_000;
        let tat = start + quota.span(used.min(quota.cells()));
        let now = start + age;
        match take(quota, tat, now, cost) {
            Take::Never => prop_assert!(cost > quota.cells()),
            Take::Passed(next) => prop_assert!(next <= ceiling(quota, now)),
            Take::Wait(nanos) => {
                prop_assert!(nanos >= 1 && nanos <= quota.span(quota.cells()));
                let early = take(quota, tat, now + nanos - 1, cost);
                let in_time = take(quota, tat, now + nanos, cost);
                prop_assert_eq!(early, Take::Wait(1));
                prop_assert!(matches!(in_time, Take::Passed(_)), "{:?}", in_time);
            }
        }
    }

    #[test]
    fn no_sequence_of_clock_readings_grants_extra_or_locks_out(
        quota in quota(),
        moves in prop::collection::vec((any::<bool>(), 0u64..5_000), 1..200),
    ) {
        // Time that passed forward is what a caller has waited; backward steps earn nothing.
        let (mut tat, mut now, mut waited, mut granted) = (0u64, u64::MAX / 4, 0, 0);
        for (back, by) in moves {
            let by = by * quota.span(1) / 1000;
            if back { now -= by } else { now += by; waited += by }
            match take(quota, tat, now, 1) {
                Take::Passed(next) => { tat = next; granted += 1 }
                Take::Wait(_) => tat = healed(quota, tat, now).unwrap_or(tat),
                Take::Never => unreachable!("one cell fits every bucket"),
            }
            prop_assert!(granted <= quota.cells() + waited / quota.span(1));
            let later = now + quota.span(quota.cells());
            prop_assert!(matches!(take(quota, tat, later, 1), Take::Passed(_)));
        }
    }

    #[test]
    fn nothing_overflows(
        quota in quota(), tat: u64, now: u64, cost: u64,
    ) {
        let level = level(quota, tat, now);
        prop_assert!(level.remaining <= quota.cells());
        let _ = (take(quota, tat, now, cost), refund(quota, tat, cost), healed(quota, tat, now));
    }
}
