//! What can be changed and seen while a layer runs: quotas, usage, counters.

use super::*;
use crate::recorder::Recorder;
use bartizan::rate_limit::MemoryStore;

#[tokio::test]
async fn a_swapped_quota_holds_at_once_and_keeps_what_was_used() {
    let mut host = Host::new([minutely("api", 10)]);
    assert_eq!(host.passing(12, || get("/")).await, 10);
    let refused = host.send(get("/")).await;
    assert_eq!(header(&refused, "retry-after"), Some("6"));

    host.layer
        .clone()
        .swap_quotas([("api", Quota::per_minute(60))])
        .unwrap();
    let refused = host.send(get("/")).await;
    assert_eq!(refused.status(), 429, "nobody gains a second burst");
    assert_eq!(header(&refused, "retry-after"), Some("1"), "the new rate");
    assert_eq!(
        header(&refused, "ratelimit-policy"),
        Some(r#""api";q=60;w=60"#)
    );
    host.clock.advance(Duration::from_secs(3));
    assert_eq!(host.passing(9, || get("/")).await, 3);
}

#[tokio::test]
async fn a_shorter_window_ends_a_long_wait() {
    let daily = Policy::new("api", Quota::per_day(1)).by(key::constant());
    let mut host = Host::new([daily]);
    assert_eq!(host.passing(2, || get("/")).await, 1);
    host.layer
        .swap_quotas([("api", Quota::per_second(1))])
        .unwrap();
    let refused = host.send(get("/")).await;
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    host.clock.advance(Duration::from_secs(1));
    assert_eq!(host.passing(2, || get("/")).await, 1);
}

#[tokio::test]
async fn a_swap_that_cannot_work_changes_nothing() {
    let costly = minutely("costly", 10).cost(5).by(per_client());
    let mut host = Host::new([minutely("api", 10).and("daily", Quota::per_day(20)), costly]);
    for (change, field, value) in [
        (("apt", Quota::per_minute(9)), "policy name", "apt"),
        (
            ("costly", Quota::per_minute(4)),
            "cost of policy `costly`",
            "5",
        ),
    ] {
        let first = ("daily", Quota::per_day(2));
        let error = host.layer.swap_quotas([first, change]).unwrap_err();
        assert_eq!((error.field(), error.value()), (field, value));
    }
    let response = host.send(from("192.0.2.1")).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(r#""api";q=10;w=60, "daily";q=20;w=86400, "costly";q=10;w=60"#)
    );
    host.layer
        .swap_quotas([("daily", Quota::per_day(2))])
        .unwrap();
    assert_eq!(host.passing(3, || from("192.0.2.2")).await, 1);
}

#[test]
fn swaps_beside_requests_never_let_more_pass_than_the_larger_quota() {
    let layer = RateLimitLayer::builder()
        .policy(Policy::new("api", Quota::per_day(100)).by(key::constant()))
        .clock(Clock::manual())
        .build()
        .unwrap();
    let passed: usize = std::thread::scope(|scope| {
        let count = || {
            let mut service = layer.layer(Origin::default());
            let mut pass = || {
                let _ = service.poll_ready(&mut Context::from_waker(std::task::Waker::noop()));
                let response = futures::FutureExt::now_or_never(service.call(get("/")));
                usize::from(response.unwrap().unwrap().status() == 200)
            };
            (0..2000).map(|_| pass()).sum::<usize>()
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(count)).collect();
        for round in 0..2000 {
            let cells = if round % 2 == 0 { 50 } else { 100 };
            layer.swap_quotas([("api", Quota::per_day(cells))]).unwrap();
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!((50..=100).contains(&passed), "{passed}");
}

#[tokio::test]
async fn usage_counts_keys_until_their_buckets_are_full_again() {
    let policy = Policy::new("api", Quota::per_minute(1000)).by(per_client());
    let store = MemoryStore::with_capacity(8);
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(policy)
            .store(store.clone()),
    );
    assert_eq!(host.layer.usage().keys(), 0);
    for last in 0..100 {
        host.send(from(&format!("192.0.2.{last}"))).await;
    }
    let usage = host.layer.usage();
    assert_eq!(
        (usage.keys(), usage.capacity(), usage.full_sets()),
        (8, 8, 2)
    );
    assert_eq!((usage.shared(), usage.bytes()), (1, store.bytes()));
    assert_eq!(store.usage(&host.clock), usage);
    host.clock.advance(Duration::from_secs(60));
    let usage = host.layer.usage();
    assert_eq!((usage.keys(), usage.full_sets(), usage.shared()), (0, 0, 0));
    assert_eq!(usage.bytes(), store.bytes());
}

#[tokio::test]
async fn requests_are_counted_by_policy_and_outcome_and_never_by_key() {
    let recorder = Recorder::default();
    let policies = [minutely("api", 3), minutely("trial", 1).shadow()];
    let mut host = metrics::with_local_recorder(&recorder, || Host::new(policies));
    host.passing(5, || from("192.0.2.1")).await;
    let name = |policy, outcome| {
        format!("Key(bartizan_rate_limit_requests_total, [policy = {policy}, outcome = {outcome}])")
    };
    assert_eq!(
        recorder.counted(),
        [
            (name("api", "passed"), 3),
            (name("api", "refused"), 2),
            (name("trial", "passed"), 1),
            (name("trial", "would_refuse"), 4),
        ]
    );
}

#[tokio::test]
async fn what_is_counted_and_logged_is_what_the_documentation_lists() {
    let (_, listed) = include_str!("../../../src/rate_limit/mod.rs")
        .split_once("//! # What is counted and logged")
        .unwrap();
    let (listed, _) = listed.split_once("//! # ").unwrap();
    let recorder = Recorder::default();
    let policies = [minutely("api", 3), minutely("trial", 1).shadow()];
    let mut host = metrics::with_local_recorder(&recorder, || Host::new(policies));
    host.passing(5, || get("/")).await;
    for (name, _) in recorder.counted() {
        let (name, labels) = name
            .strip_prefix("Key(")
            .and_then(|name| name.strip_suffix("])"))
            .and_then(|name| name.split_once(", ["))
            .unwrap();
        assert!(
            listed.contains(&format!("`{name}`")),
            "{name} is not listed"
        );
        for (label, value) in labels
            .split(", ")
            .map(|label| label.split_once(" = ").unwrap())
        {
            assert!(
                listed.contains(&format!("`{label}`")),
                "{label} is not listed"
            );
            let known = label == "policy" || listed.contains(&format!("`{value}`"));
            assert!(known, "{label} {value} is not listed");
        }
    }
}
