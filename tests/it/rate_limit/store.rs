//! The store in memory: its bound, its exactness under threads, and what a flood cannot do.

use super::*;
use bartizan::rate_limit::{
    Answer, Check, Decision, GovernorStore, LocalStore, MemoryStore, Outcome, Store, conformance,
};

fn check(store: &MemoryStore, clock: &Clock, checks: &[Check<'_>]) -> Decision {
    match store.check(checks, clock) {
        Answer::Now(decision) => decision,
        _ => unreachable!("memory answers at once"),
    }
}

#[tokio::test]
async fn memory_keeps_the_contract_of_stores() {
    conformance::store(async || MemoryStore::new()).await;
    conformance::store(async || MemoryStore::with_capacity(4)).await;
}

#[tokio::test]
async fn a_governor_keeps_the_contract_of_stores() {
    conformance::store(async || GovernorStore::new()).await;
    conformance::store(async || GovernorStore::new().with_limit(4)).await;
    conformance::store(async || {
        let once = governor::Quota::per_second(std::num::NonZeroU32::MIN);
        let limiter = governor::RateLimiter::keyed(once);
        GovernorStore::from(
            limiter.with_middleware::<governor::middleware::StateInformationMiddleware>(),
        )
    })
    .await;
}

#[test]
fn threads_over_a_governor_admit_exactly_the_burst_of_each_window() {
    let (store, clock) = (GovernorStore::new(), Clock::manual());
    let checks = [
        Check::new("a", "a", 1, Quota::per_day(1000)),
        Check::new("b", "b", 1, Quota::per_day(300)),
    ];
    let admitted: usize = std::thread::scope(|scope| {
        let passes =
            || matches!(store.check(&checks, &clock), Answer::Now(answer) if answer.is_allowed());
        let count = move || (0..1000).filter(|_| passes()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(
        (290..=300).contains(&admitted),
        "never more, and a race seldom refuses: {admitted}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_layer_over_a_governor_refuses_and_recovers_in_paused_time() {
    let layer = RateLimitLayer::builder()
        .policy(Policy::new("api", Quota::per_minute(1)).by(key::constant()))
        .store(GovernorStore::new())
        .build()
        .unwrap();
    let mut service = layer.layer(Origin::default());
    let mut send = async || {
        let ready = service.ready().await.unwrap();
        ready.call(from("192.0.2.1")).await.unwrap()
    };
    assert_eq!(send().await.status(), 200);
    let refused = send().await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "60");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(send().await.status(), 200);
}

#[tokio::test]
async fn a_store_that_charges_what_it_refuses_breaks_the_contract() {
    let charging = async || {
        let memory = MemoryStore::new();
        move |checks: &[Check<'_>], clock: &Clock| {
            let ask = |one: &Check<'_>| check(&memory, clock, &[*one]).verdicts()[0];
            Decision::new(checks, checks.iter().map(ask))
        }
    };
    let broken = tokio::spawn(async move { conformance::store(charging).await }).await;
    let panic = broken.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("a refused request is charged to none"),
        "{message}"
    );
}

fn passes(store: &MemoryStore, clock: &Clock, key: u64, quota: Quota) -> bool {
    check(store, clock, &[Check::new("p", "p", key, quota)]).is_allowed()
}

#[test]
fn threads_at_a_frozen_time_admit_exactly_the_burst() {
    let quota = Quota::per_hour(1000);
    for round in 0..20 {
        let (store, clock) = (MemoryStore::with_capacity(16), Clock::manual());
        let admitted: usize = std::thread::scope(|scope| {
            let count = || {
                (0..1000)
                    .filter(|_| passes(&store, &clock, round, quota))
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 1000);
    }
}

#[test]
fn threads_under_two_policies_never_exceed_either() {
    let (wide, narrow) = (Quota::per_hour(2000), Quota::per_hour(300));
    for round in 0..10 {
        let (store, clock) = (MemoryStore::new(), Clock::manual());
        let checks = [
            Check::new("a", "a", 1, wide),
            Check::new("b", "b", round, narrow),
        ];
        let admitted: usize = std::thread::scope(|scope| {
            let count = || {
                (0..1000)
                    .filter(|_| check(&store, &clock, &checks).is_allowed())
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(admitted <= 300, "{admitted}");
        assert!(admitted >= 290, "a race may refuse, and seldom: {admitted}");
        let left = store.peek(&checks, &clock).verdicts()[0].remaining();
        assert!(
            (1690..=1700).contains(&left),
            "refused requests drained the other policy: {left}"
        );
    }
}

#[test]
fn a_key_at_its_limit_stays_refused_through_a_flood_of_ten_times_the_capacity() {
    let (store, clock) = (MemoryStore::with_capacity(4096), Clock::manual());
    let quota = Quota::per_hour(3);
    assert!((0..3).all(|_| passes(&store, &clock, 7, quota)));
    for key in 1000..1000 + 10 * 4096 {
        passes(&store, &clock, key, quota);
        if key % 512 == 0 {
            assert!(!passes(&store, &clock, 7, quota), "after {key}");
        }
    }
    assert!(!passes(&store, &clock, 7, quota));
    clock.advance(quota.interval());
    assert!(passes(&store, &clock, 7, quota));
}

#[test]
fn a_full_store_serves_newcomers_from_shared_buckets_and_recovers() {
    let (store, clock) = (MemoryStore::with_capacity(4), Clock::manual());
    let quota = Quota::per_minute(10);
    assert_eq!(store.capacity(), 4);
    assert!((0..4).all(|key| passes(&store, &clock, key, quota)));
    let newcomers = (100..200)
        .filter(|key| passes(&store, &clock, *key, quota))
        .count();
    assert_eq!(newcomers, 10, "all newcomers share one bucket");
    assert!(
        (0..4).all(|key| passes(&store, &clock, key, quota)),
        "the others keep theirs"
    );
    clock.advance(Duration::from_secs(60));
    let newcomers = (100..104)
        .filter(|key| passes(&store, &clock, *key, quota))
        .count();
    assert_eq!(newcomers, 4, "each has a bucket of its own again");
}

#[test]
fn moving_from_a_shared_bucket_to_one_of_its_own_gains_a_key_nothing() {
    let (store, clock) = (MemoryStore::with_capacity(4), Clock::manual());
    let short = Quota::per_second(1);
    let long = Quota::per_hour(10);
    let long_check = |key| Check::new("long", "long", key, long);
    assert!((0..4).all(|key| passes(&store, &clock, key, short)));
    let take = || check(&store, &clock, &[long_check(9)]).is_allowed();
    assert_eq!((0..20).filter(|_| take()).count(), 10);
    clock.advance(Duration::from_secs(2));
    // The four are gone and the key gets a slot, which starts as empty as the shared bucket is.
    assert_eq!((0..20).filter(|_| take()).count(), 0);
    clock.advance(long.interval());
    assert_eq!((0..20).filter(|_| take()).count(), 1);
}

#[test]
fn windows_of_different_length_do_not_mix_in_shared_buckets() {
    let (store, clock) = (MemoryStore::with_capacity(4), Clock::manual());
    assert!((0..4).all(|key| passes(&store, &clock, key, Quota::per_day(1))));
    let daily = Check::new("daily", "daily", 50, Quota::per_day(1));
    let quick = Check::new("quick", "quick", 50, Quota::per_second(5));
    assert!(check(&store, &clock, &[daily, quick]).is_allowed());
    assert!(!check(&store, &clock, &[daily]).is_allowed());
    assert!(check(&store, &clock, &[quick]).is_allowed());
}

#[test]
fn where_newcomers_are_crowded_out_looking_is_free_and_what_never_passes_is_told_so() {
    let (store, clock) = (MemoryStore::with_capacity(4), Clock::manual());
    let quota = Quota::per_minute(1);
    let windows = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let of = |window: &'static str| Check::new(window, window, 1, quota);
    // The slots are those of four windows, and the shared buckets those of four more.
    for window in &windows[..8] {
        assert!(check(&store, &clock, &[of(window)]).is_allowed());
    }
    assert!(!check(&store, &clock, &[of("i")]).is_allowed());
    let look = of("i").cost(0);
    for checks in [&[look][..], &[look, look]] {
        assert!(check(&store, &clock, checks).is_allowed());
        assert!(store.peek(checks, &clock).is_allowed());
    }
    assert!(!check(&store, &clock, &[look, of("i")]).is_allowed());
    let never = check(&store, &clock, &[of("i").cost(2)]);
    assert_eq!(never.verdicts()[0].outcome(), Outcome::TooCostly);
}

#[test]
fn the_bytes_are_fixed_and_few() {
    let store = MemoryStore::new();
    assert_eq!(store.capacity(), 65_536);
    assert_eq!(store.bytes(), 65_536 * 20);
    assert_eq!(MemoryStore::with_capacity(0).capacity(), 4);
    assert_eq!(MemoryStore::with_capacity(1000).capacity(), 1024);
}

#[test]
fn a_capacity_in_bytes_is_never_exceeded_and_holds_as_many_keys_as_it_can() {
    for bytes in (128..2000).chain([1 << 20, (1 << 20) - 1, 5 << 18, 12_345_678]) {
        let store = MemoryStore::with_bytes(bytes);
        let taken = store.bytes();
        assert!(taken <= bytes, "{bytes}");
        assert!(
            MemoryStore::with_capacity(2 * store.capacity()).bytes() > bytes,
            "{bytes}: twice the keys would have fit"
        );
    }
    assert_eq!(MemoryStore::with_bytes(0).capacity(), 4);
    assert_eq!(MemoryStore::with_bytes(80 << 14).capacity(), 65_536);
}

#[test]
#[should_panic(expected = "lower the capacity")]
fn a_store_that_no_machine_holds_is_refused() {
    let _ = MemoryStore::with_capacity(usize::MAX);
}

#[test]
#[should_panic(expected = "lower the capacity")]
fn so_are_bytes_that_no_machine_has() {
    let _ = MemoryStore::with_bytes(usize::MAX);
}
