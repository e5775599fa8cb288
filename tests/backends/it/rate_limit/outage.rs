//! What happens while the server does not answer, and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan::rate_limit::{Answer, Outcome, Share};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::*;
use crate::DEADLINE;

/// As by default.
const LIMIT: Duration = Duration::from_millis(50);

/// What a busy machine may add to it. Without an end to the wait there is none at all.
const SLACK: Duration = Duration::from_secs(5);

fn impatient(server: &Redis, outage: Outage) -> Instance {
    let builder = builder(server, outage).deadline(LIMIT);
    let builder = builder.breaker(5, Duration::from_millis(200));
    builder.build().unwrap()
}

/// Asks about one key after the other until the store says that its server cannot be reached, and
/// returns the decisions. Each is there in time.
async fn until_unreachable(store: &Instance, quota: Quota) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for key in 1_000.. {
        let decision = timeout(LIMIT + SLACK, ask(store, &[api(key, quota)])).await;
        decisions.push(decision.expect("every request is answered"));
        if !store.is_reachable() {
            break;
        }
        assert!(decisions.len() < 100, "the breaker never opens");
    }
    decisions
}

/// Asks until the server has answered again.
async fn until_reachable(store: &Instance) {
    let back = timeout(DEADLINE, async {
        let mut key = 1_000_000;
        while !store.is_reachable() {
            key += 1;
            passes(store, api(key, daily(5))).await;
            sleep(Duration::from_millis(10)).await;
        }
    });
    back.await
        .expect("the shared limit is back without a restart");
}

#[tokio::test]
async fn a_paused_server_is_no_reason_to_wait_and_the_shared_limit_comes_back() {
    let mut server = Redis::start();
    for outage in [Outage::Deny, Outage::Allow, Outage::Local(Share::one_of(4))] {
        let prefix = format!("{outage:?}").replace(['(', ')'], "");
        let store = |prefix: &str| {
            let builder = builder(&server, outage).deadline(LIMIT).prefix(prefix);
            let builder = builder.breaker(5, Duration::from_millis(200));
            builder.build().unwrap()
        };
        let (store, other) = (store(&prefix), store(&prefix));
        until_reachable(&store).await;

        server.pause();
        let decisions = until_unreachable(&store, daily(8)).await;
        for decision in decisions {
            let verdict = decision.verdicts()[0];
            match outage {
                Outage::Deny => assert!(matches!(verdict.outcome(), Outcome::Unavailable(_))),
                _ => assert!(decision.is_allowed(), "{decision:?}"),
            }
        }
        // The breaker is open: nobody waits any more, and what was chosen holds.
        let (mut passed, mut at_once) = (0, 0);
        for _ in 0..20 {
            let answer = store.check(&[api(7, daily(8))], &Clock::new());
            // But one, if a pause of the breaker is just over.
            at_once += u64::from(matches!(answer, Answer::Now(_)));
            passed += u64::from(answer.decision().await.is_allowed());
        }
        assert!(at_once >= 10, "{at_once}");
        let expected = match outage {
            Outage::Deny => 0,
            Outage::Allow => 20,
            _ => 2,
        };
        assert_eq!(passed, expected, "{outage:?}");

        server.resume();
        until_reachable(&store).await;
        until_reachable(&other).await;
        // One limit for both again. A request may be late on a busy machine, and nothing is said then.
        let key = api(9, daily(8));
        let mut passed = 0;
        for _ in 0..10 {
            for instance in [&store, &other] {
                until_reachable(instance).await;
                passed += u64::from(passes(instance, key).await);
            }
        }
        let most = if outage == Outage::Deny { 8 } else { 19 };
        assert!((4..=most).contains(&passed), "{outage:?}: {passed}");
    }
}

#[tokio::test]
async fn a_crowd_at_a_paused_server_is_answered_in_time_whatever_the_key() {
    let mut server = Redis::start();
    let store = impatient(&server, Outage::Allow);
    until_reachable(&store).await;
    server.pause();
    // Half of them wait for one another's answer, the others each for its own.
    let requests = (0..400).map(|n| {
        let key = if n % 2 == 0 { 1 } else { n };
        ask_owned(store.clone(), key)
    });
    let all = timeout(LIMIT + SLACK, join_all(requests)).await;
    let decisions = all.expect("every request is answered");
    assert!(decisions.iter().all(Decision::is_allowed));
    assert!(!store.is_reachable());
    server.resume();
    until_reachable(&store).await;
}

async fn ask_owned(store: Instance, key: u64) -> Decision {
    ask(&store, &[api(key, daily(5))]).await
}

#[tokio::test]
async fn a_killed_server_comes_back_with_the_buckets_it_had() {
    let mut server = Redis::start();
    let store = impatient(&server, Outage::Deny);
    let check = api(1, daily(3));
    assert_eq!(passing(&instance(&server), check, 5).await, 3);
    until_reachable(&store).await;

    server.kill();
    until_unreachable(&store, daily(3)).await;
    server.restart();
    until_reachable(&store).await;
    assert!(!passes(&store, check).await, "what was used up still is");
    let patient = instance(&server);
    assert_eq!(passing(&patient, api(2, daily(3)), 5).await, 3);
}

#[tokio::test]
async fn a_process_starts_before_its_server() {
    let mut server = Redis::start();
    server.kill();
    let store = impatient(&server, Outage::Local(Share::one_of(2)));
    let check = api(1, daily(6));
    let mut passed = 0;
    for _ in 0..20 {
        let decision = timeout(LIMIT + SLACK, ask(&store, &[check])).await.unwrap();
        passed += u64::from(decision.is_allowed());
    }
    assert_eq!(passed, 3, "half the quota");
    assert!(!store.is_reachable());
    server.restart();
    until_reachable(&store).await;
    assert_eq!(
        left(&server, check).await,
        6,
        "the local bucket was this process's own"
    );
}

#[tokio::test]
async fn a_cost_above_the_share_waits_and_is_not_refused_for_good() {
    let mut server = Redis::start();
    server.kill();
    let store = impatient(&server, Outage::Local(Share::one_of(4)));
    let check = api(1, daily(8)).cost(5);
    assert!(passes(&store, check).await, "the share has room for one");
    let decision = ask(&store, &[check]).await;
    assert!(matches!(
        decision.verdicts()[0].outcome(),
        Outcome::Refused(_)
    ));
    let decision = ask(&store, &[check.cost(9)]).await;
    assert_eq!(decision.verdicts()[0].outcome(), Outcome::TooCostly);
}

#[tokio::test]
async fn a_server_that_answers_with_errors_is_an_outage() {
    let server = Redis::start();
    let store = impatient(&server, Outage::Deny);
    until_reachable(&store).await;
    server
        .command::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .unwrap();
    until_unreachable(&store, daily(5)).await;
    server
        .command::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .unwrap();
    until_reachable(&store).await;
    let told = store.reset(&[api(1, daily(5))]).await;
    assert!(told.is_ok() || !store.is_reachable());
}

#[tokio::test]
async fn a_primary_that_has_become_a_replica_is_an_outage_until_it_is_one_again() {
    let server = Redis::start();
    let store = impatient(&server, Outage::Deny);
    until_reachable(&store).await;
    server
        .command::<()>(&["REPLICAOF", "127.0.0.1", "1"])
        .unwrap();
    let decisions = until_unreachable(&store, daily(5)).await;
    for decision in decisions {
        let outcome = decision.verdicts()[0].outcome();
        assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
    }
    server.command::<()>(&["REPLICAOF", "NO", "ONE"]).unwrap();
    until_reachable(&store).await;
}

/// The connection does not come back by itself once a password was refused for some seconds.
#[tokio::test]
async fn a_password_that_was_refused_for_long_is_asked_about_again() {
    let server = Redis::start();
    server.set_password("limits", "changed");
    let url = server.url().replace("redis://", "redis://limits:first@");
    let client = redis::Client::open(url).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let connect = {
        let connections = Arc::clone(&connections);
        move || {
            connections.fetch_add(1, Ordering::Relaxed);
            // Gives up soon, as it would after six seconds by default.
            let config = ConnectionManagerConfig::new().set_number_of_retries(1);
            ConnectionManager::new_lazy_with_config(client.clone(), config)
        }
    };
    let builder = RedisStore::builder(connect().unwrap(), secret(), Outage::Deny);
    let builder = builder.breaker(5, Duration::from_millis(20));
    let store = builder.reconnect(connect).build().unwrap();
    until_unreachable(&store, daily(5)).await;
    let again = timeout(DEADLINE, async {
        while connections.load(Ordering::Relaxed) < 3 {
            passes(&store, api(1, daily(5))).await;
            sleep(Duration::from_millis(10)).await;
        }
    });
    again.await.expect("it is tried again and again");
    server.set_password("limits", "first");
    until_reachable(&store).await;
}
