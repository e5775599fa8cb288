//! Buckets at one server: what is written there, what is not, and what is made of what others wrote.

use std::sync::atomic::{AtomicU32, Ordering};

use bartizan::rate_limit::{Outcome, Policy, RateLimitLayer, conformance, key};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::*;

#[tokio::test]
async fn the_store_keeps_the_contract_of_stores() {
    let server = Redis::start();
    let cases = AtomicU32::new(0);
    conformance::store(async || {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let builder = builder(&server, Outage::Deny).deadline(PATIENT);
        builder.prefix(format!("case-{case}")).build().unwrap()
    })
    .await;
    let leased = AtomicU32::new(0);
    conformance::store(async || {
        let case = leased.fetch_add(1, Ordering::Relaxed);
        let builder = builder(&server, Outage::Deny).deadline(PATIENT).leases(1);
        builder.prefix(format!("leased-{case}")).build().unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let server = Redis::start();
    refusals_write_nothing(&server, || instance(&server)).await;
}

pub(super) async fn refusals_write_nothing<St: Store>(server: &Redis, instance: impl Fn() -> St) {
    let check = api(1, daily(3));
    assert_eq!(passing(&instance(), check, 3).await, 3);
    let name = keys(server).remove(0);
    let stored: String = server.command(&["GET", &name]).unwrap();
    let expiry: i64 = server.command(&["PEXPIRETIME", &name]).unwrap();
    // Each by an instance that has not heard of the limit, and so asks.
    for _ in 0..3 {
        assert!(!passes(&instance(), check).await);
        assert!(!passes(&instance(), check.cost(3)).await);
        assert!(passes(&instance(), check.cost(0)).await);
    }
    let now: String = server.command(&["GET", &name]).unwrap();
    assert_eq!(now, stored, "a refusal writes nothing");
    let expires: i64 = server.command(&["PEXPIRETIME", &name]).unwrap();
    assert_eq!(expires, expiry, "a refusal writes nothing");
    assert_eq!(keys(server).len(), 1);
}

#[tokio::test]
async fn a_key_expires_when_its_bucket_is_full_again() {
    let server = Redis::start();
    // Where in a millisecond the server is decides whether a moment is missing.
    for _ in 0..20 {
        expires_in_time(&server, &instance(&server)).await;
    }
}

pub(super) async fn expires_in_time<St: Store>(server: &Redis, store: &St) {
    server.command::<()>(&["FLUSHALL"]).unwrap();
    assert!(passes(store, api(1, Quota::per_minute(2))).await);
    let name = keys(server).remove(0);
    let left: u64 = server.command(&["PTTL", &name]).unwrap();
    assert!((1..=30_002).contains(&left), "{left}");
    let stored: String = server.command(&["GET", &name]).unwrap();
    let (full, _) = stored.split_once(':').unwrap();
    let full: f64 = full.parse().unwrap();
    let expires: f64 = server.command(&["PEXPIRETIME", &name]).unwrap();
    assert!(expires * 1000.0 >= full, "not a moment earlier");
}

#[tokio::test]
async fn all_windows_of_a_policy_are_one_key_and_one_trip() {
    let server = Redis::start();
    let store = instance(&server);
    let checks = [
        Check::new("api", "api", 1, daily(5)),
        Check::new("api", "hourly", 1, daily(3)),
        Check::new("api", "monthly", 1, daily(9)),
    ];
    // The first trip teaches the server the script.
    assert!(ask(&store, &checks).await.is_allowed());
    let before = scripts_run(&server);
    let decision = ask(&store, &checks).await;
    assert_eq!(scripts_run(&server), before + 1);
    assert_eq!(keys(&server).len(), 1);
    let remaining = decision.verdicts().iter().map(|one| one.remaining());
    assert_eq!(remaining.collect::<Vec<_>>(), [3, 1, 7]);
    assert!(ask(&store, &checks).await.is_allowed());
    let refused = ask(&store, &checks).await;
    let passed = refused.verdicts().iter().map(|one| one.has_passed());
    assert_eq!(passed.collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn what_one_policy_refuses_is_taken_back_from_the_others() {
    let server = Redis::start();
    let wide = Check::new("wide", "wide", 1, daily(100));
    let narrow = Check::new("narrow", "narrow", 2, daily(1));
    assert!(passes(&instance(&server), narrow).await);
    // Instances that know nothing, so that each has to ask and to take back.
    for _ in 0..3 {
        let decision = ask(&instance(&server), &[wide, narrow]).await;
        assert!(!decision.is_allowed());
        assert_eq!(decision.verdicts()[0].remaining(), 100);
    }
    assert_eq!(left(&server, wide).await, 100);
    assert_eq!(keys(&server).len(), 1, "nothing is left of what was full");
}

#[tokio::test]
async fn a_server_that_has_lost_its_scripts_learns_them_again() {
    let server = Redis::start();
    let store = instance(&server);
    let check = api(1, daily(10));
    assert_eq!(passing(&store, check, 3).await, 3);
    server.command::<()>(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(passing(&store, check, 8).await, 7);
    assert!(store.is_reachable());
}

#[tokio::test]
async fn what_is_no_bucket_is_a_full_one() {
    let server = Redis::start();
    let check = api(1, daily(5));
    assert!(passes(&instance(&server), check).await);
    let name = keys(&server).remove(0);
    for garbage in [
        "",
        "no number",
        "1",
        "1:2:3",
        "-1",
        "1e9",
        "nan",
        "12 ",
        "\u{0}\u{1}",
        // A time at the end of a window that no quota has.
        "90071992547409919007:90071992547409919007",
    ] {
        server.command::<()>(&["SET", &name, garbage]).unwrap();
        assert_eq!(
            passing(&instance(&server), check, 7).await,
            5,
            "{garbage:?}"
        );
    }
    for wrong in [
        &["RPUSH", &*name, "x"][..],
        &["HSET", &*name, "f", "v"],
        &["SADD", &*name, "x"],
    ] {
        server.command::<()>(&["DEL", &name]).unwrap();
        server.command::<()>(wrong).unwrap();
        assert_eq!(passing(&instance(&server), check, 7).await, 5, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_server_whose_clock_goes_back_makes_nobody_wait_for_the_jump() {
    let server = Redis::start();
    let quota = Quota::per_minute(6);
    let check = api(1, quota);
    assert!(passes(&instance(&server), check).await);
    let name = keys(&server).remove(0);
    let time = || -> (f64, String) {
        let stored: String = server.command(&["GET", &name]).unwrap();
        let (time, length) = stored.split_once(':').unwrap();
        (time.parse().unwrap(), length.to_owned())
    };
    let (stored, length) = time();
    assert_eq!(length, "60000000", "the window that it was written under");
    // As if written by a server whose clock was an hour ahead; and by one at the end of time.
    for ahead in [3.6e9, 8e15] {
        let written = format!("{:.0}:{length}", stored + ahead);
        server.command::<()>(&["SET", &name, &written]).unwrap();
        let decision = ask(&instance(&server), &[check]).await;
        let Outcome::Refused(wait) = decision.verdicts()[0].outcome() else {
            panic!("an empty bucket refuses: {decision:?}");
        };
        assert!(wait <= quota.interval(), "{wait:?}");
        let (healed, _) = time();
        assert!(
            healed <= stored + 1.2e8,
            "or each refusal would say so again"
        );
    }
}

#[tokio::test]
async fn nothing_that_a_client_sent_is_at_the_server() {
    let server = Redis::start();
    let layer = RateLimitLayer::builder()
        .policy(Policy::new("tenant", daily(9)).by(key::header("x-api-key")))
        .policy(Policy::new("ip", daily(9)).by(key::from_fn(|_| Some("198.51.100.7"))))
        .store(instance(&server))
        .build()
        .unwrap();
    let long = "k".repeat(4096);
    for api_key in ["topsecret", "{slot}", "a:b", long.as_str()] {
        let service = layer.layer(service_fn(|_: Request<()>| async {
            Ok::<_, std::convert::Infallible>(Response::new(()))
        }));
        let request = Request::get("/").header("x-api-key", api_key).body(());
        let response = service.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let keys = keys(&server);
    assert_eq!(keys.len(), 5, "four tenants and one address");
    for name in &keys {
        let digits = name
            .strip_prefix("bartizan:{")
            .and_then(|name| name.strip_suffix('}'));
        let digits = digits.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(digits.len(), 32);
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let stored: String = server.command(&["GET", name]).unwrap();
        let is_number = |byte: u8| byte.is_ascii_digit() || byte == b':';
        assert!(stored.bytes().all(is_number), "{stored}");
    }
}

#[tokio::test]
async fn a_policy_can_be_asked_refilled_and_refunded_while_it_runs() {
    let server = Redis::start();
    let layer = |store| {
        RateLimitLayer::builder()
            .policy(Policy::new("login", daily(3)).by(key::header("x-account")))
            .store(store)
            .build()
            .unwrap()
    };
    let (here, elsewhere) = (layer(instance(&server)), layer(instance(&server)));
    let ann = || {
        Request::get("/")
            .header("x-account", "ann")
            .body(())
            .unwrap()
    };
    let status = async |layer: &RateLimitLayer<Instance>| {
        let service = layer.layer(service_fn(|_: Request<()>| async {
            Ok::<_, std::convert::Infallible>(Response::new(()))
        }));
        service.oneshot(ann()).await.unwrap().status()
    };
    let remaining = async |layer: &RateLimitLayer<Instance>| {
        let decision = layer.peek("login", &ann()).await.unwrap();
        (decision.is_allowed(), decision.verdicts()[0].remaining())
    };
    for _ in 0..3 {
        assert_eq!(status(&here).await, 200);
    }
    assert_eq!(status(&here).await, 429);
    assert_eq!(remaining(&elsewhere).await, (false, 0));

    assert!(here.refund("login", &ann(), 2).await.unwrap());
    assert_eq!(remaining(&elsewhere).await, (true, 2));
    assert_eq!(status(&here).await, 200, "and it is known here at once");
    assert!(here.refund("login", &ann(), 100).await.unwrap());
    assert_eq!(
        remaining(&elsewhere).await,
        (true, 3),
        "full, and no fuller"
    );

    for _ in 0..3 {
        assert_eq!(status(&here).await, 200);
    }
    assert!(here.reset("login", &ann()).await.unwrap());
    assert_eq!(remaining(&here).await, (true, 3));
    assert_eq!(status(&here).await, 200);

    assert!(here.peek("no such policy", &ann()).await.is_none());
    assert!(!here.reset("no such policy", &ann()).await.unwrap());
    assert!(!here.refund("no such policy", &ann(), 1).await.unwrap());
}
