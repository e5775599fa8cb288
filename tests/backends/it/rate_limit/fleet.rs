//! Several processes that share limits on one server, all at it at once.

use futures::future::join_all;

use super::*;

const INSTANCES: usize = 4;
const KEYS: u64 = 100;

/// Each instance asks about each key `rounds` times, many at once. How many passed, by instance and key.
async fn hammer<St: Store + Clone>(instances: &[St], quota: Quota, rounds: usize) -> Vec<Vec<u64>>
where
    St::Wait: Send,
{
    let one = |store: St| async move {
        let key = |key: u64| {
            let store = &store;
            async move {
                let requests = (0..rounds).map(|_| passes(store, api(key, quota)));
                let passed = join_all(requests).await;
                passed.iter().filter(|passed| **passed).count() as u64
            }
        };
        join_all((0..KEYS).map(key)).await
    };
    join_all(instances.iter().cloned().map(one)).await
}

fn of_key(passed: &[Vec<u64>], key: usize) -> Vec<u64> {
    passed.iter().map(|of_instance| of_instance[key]).collect()
}

#[tokio::test]
async fn four_instances_and_a_hundred_keys_get_exactly_the_quota() {
    let server = Redis::start();
    let instances: Vec<_> = (0..INSTANCES).map(|_| instance(&server)).collect();
    let quota = daily(50);
    // Twice the quota of each key is asked for, and no instance asks for more than half of that.
    let passed = hammer(&instances, quota, 25).await;
    let mut shared = 0;
    for key in 0..KEYS as usize {
        let of_key = of_key(&passed, key);
        assert_eq!(of_key.iter().sum::<u64>(), quota.cells(), "{of_key:?}");
        shared += usize::from(of_key.iter().all(|passed| *passed > 0));
    }
    assert!(shared > 0, "instances met at a key, or nothing was shared");
    for key in 0..KEYS {
        assert!(!passes(&instances[0], api(key, quota)).await);
    }
}

#[tokio::test]
async fn requests_that_come_together_share_their_trips() {
    let server = Redis::start();
    let store = instance(&server);
    let quota = daily(1000);
    assert!(passes(&store, api(1, quota)).await);
    let before = scripts_run(&server);
    let requests = (0..200).map(|_| passes(&store, api(1, quota)));
    assert!(join_all(requests).await.iter().all(|passed| *passed));
    let trips = scripts_run(&server) - before;
    assert!(trips <= 10, "{trips} trips for 200 requests");
    assert_eq!(
        left(&server, api(1, quota)).await,
        799,
        "and each is charged"
    );
}

#[tokio::test]
async fn who_is_known_to_be_over_costs_no_trip() {
    let server = Redis::start();
    let store = instance(&server);
    assert_eq!(passing(&store, api(1, daily(5)), 6).await, 5);
    let before = scripts_run(&server);
    // Known is what the server said, for up to a second, which a busy machine may use up.
    let clock = Clock::new();
    let began = clock.now();
    let mut asked = 0;
    while asked < 1000 || clock.now().since(began) < Duration::from_millis(1500) {
        asked += 1;
        assert!(!passes(&store, api(1, daily(5))).await);
    }
    let trips = scripts_run(&server) - before;
    let seconds = clock.now().since(began).as_secs() + 1;
    assert!(
        (1..=seconds).contains(&trips),
        "{trips} trips in {seconds} s"
    );
}

#[tokio::test]
async fn the_clock_of_a_client_does_not_matter() {
    let server = Redis::start();
    let (ahead, behind) = (Clock::manual(), Clock::manual());
    ahead.advance(Duration::from_secs(3600));
    behind.rewind(Duration::from_secs(3600));
    let instances = [(instance(&server), ahead), (instance(&server), behind)];
    let check = [api(1, daily(10))];
    let mut passed = 0;
    for _ in 0..20 {
        for (store, clock) in &instances {
            let decision = store.check(&check, clock).decision().await;
            passed += u64::from(decision.is_allowed());
        }
    }
    assert_eq!(passed, 10);
}

#[tokio::test]
async fn leases_save_nineteen_trips_in_twenty_and_more() {
    let server = Redis::start();
    let check = api(1, daily(400_000));
    let plain = instance(&server);
    assert_eq!(passing(&plain, check, 100).await, 100);
    assert!(
        scripts_run(&server) >= 100,
        "each request is a trip without them"
    );

    let before = scripts_run(&server);
    let leased = (0..INSTANCES).map(|_| {
        let builder = builder(&server, Outage::Deny).deadline(PATIENT);
        builder.leases(INSTANCES as u32).build().unwrap()
    });
    let leased: Vec<_> = leased.collect();
    const REQUESTS: u32 = 2000;
    // One after the other at each instance: nothing is saved by sharing trips.
    let passed = join_all(leased.iter().map(|store| passing(store, check, REQUESTS))).await;
    let requests = u64::from(REQUESTS) * INSTANCES as u64;
    assert_eq!(passed.iter().sum::<u64>(), requests);
    let trips = scripts_run(&server) - before;
    assert!(
        trips * 20 <= requests,
        "{trips} trips for {requests} requests"
    );
    // What is held is paid: the server has less left than was used, by what the four may hold at most.
    let most = INSTANCES as u64 * (400_000 / 10 / INSTANCES as u64);
    let used = 400_000 - left(&server, check).await;
    assert!(
        (requests + 100..=requests + 100 + most).contains(&used),
        "{used}"
    );
}

#[tokio::test]
async fn with_leases_a_fleet_stays_within_the_proved_bound() {
    let server = Redis::start();
    let leased: Vec<_> = (0..INSTANCES)
        .map(|_| {
            let builder = builder(&server, Outage::Deny).deadline(PATIENT);
            builder.leases(INSTANCES as u32).build().unwrap()
        })
        .collect();
    let quota = Quota::per_minute(6000);
    let check = api(1, quota);
    let most = quota.cells() / 10 / INSTANCES as u64;
    // So that each instance holds cells when the time that is looked at begins.
    let warm = join_all(leased.iter().map(|store| passing(store, check, 150))).await;
    assert_eq!(warm.iter().sum::<u64>(), 4 * 150);
    let clock = Clock::new();
    let began = clock.now();
    let passed = join_all(leased.iter().map(|store| passing(store, check, 3000))).await;
    let took = clock.now().since(began);
    let back = took.as_nanos() / quota.interval().as_nanos();
    let bound = quota.cells() + u64::try_from(back).unwrap() + 1 + INSTANCES as u64 * most;
    let passed: u64 = passed.iter().sum();
    assert!(passed <= bound, "{passed} passed, and {bound} may");
    assert!(passed < 4 * 3000, "the limit was met");
}

#[tokio::test]
async fn near_the_limit_nothing_is_taken_in_advance() {
    let server = Redis::start();
    let leased: Vec<_> = (0..INSTANCES)
        .map(|_| {
            let builder = builder(&server, Outage::Deny).deadline(PATIENT);
            builder.leases(INSTANCES as u32).build().unwrap()
        })
        .collect();
    let quota = daily(200);
    let passed = hammer(&leased, quota, 70).await;
    for key in 0..KEYS as usize {
        let sum: u64 = of_key(&passed, key).iter().sum();
        // What one holds another may lack; more than the quota never passes, as all of it is paid.
        assert!((180..=200).contains(&sum), "{sum}");
    }
}

/// A rollout reaches one process after the other, and a balancer sends a client to all of them.
#[tokio::test]
async fn while_processes_have_different_quotas_for_a_policy_none_is_exceeded() {
    let server = Redis::start();
    for (key, quotas) in [
        (1, [daily(20), Quota::per_hour(10)]),
        (2, [Quota::per_hour(10), Quota::per_minute(5)]),
    ] {
        let mut passed = [0, 0];
        for _ in 0..10 {
            for (quota, passed) in quotas.iter().zip(&mut passed) {
                // One that knows nothing, or it would refuse by itself for a second.
                let store = instance(&server);
                *passed += passing(&store, api(key, *quota), 3).await;
            }
        }
        assert!(passed[0] <= quotas[0].cells(), "{quotas:?}: {passed:?}");
        assert!(passed[1] <= quotas[1].cells(), "{quotas:?}: {passed:?}");

        // What one puts back is there for the other, as much as it is there.
        let [interval, smaller] = quotas.map(|quota| quota.interval().as_secs());
        let [longer, shorter] = quotas.map(|quota| api(key, quota));
        let cells = interval / smaller + 1;
        instance(&server).refund(&[shorter], cells).await.unwrap();
        assert_eq!(left(&server, longer).await, 1, "{quotas:?}");
        assert_eq!(left(&server, shorter).await, 0, "{quotas:?}");
    }
}
