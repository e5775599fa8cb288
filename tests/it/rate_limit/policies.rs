//! Quotas, windows, routes, costs, plans, shadows; and what a layer can be asked.

use super::*;
use bartizan::rate_limit::{GovernorStore, Headers, LocalStore, MemoryStore, Route};

#[tokio::test]
async fn a_burst_passes_and_then_the_sustained_rate() {
    let mut host =
        Host::new([Policy::new("api", Quota::per_second(10).burst(3)).by(key::constant())]);
    assert_eq!(host.passing(5, || get("/")).await, 3);
    host.clock.advance(Duration::from_millis(99));
    assert_eq!(host.passing(5, || get("/")).await, 0);
    host.clock.advance(Duration::from_millis(1));
    assert_eq!(host.passing(5, || get("/")).await, 1);
    host.clock.advance(SECOND);
    assert_eq!(host.passing(5, || get("/")).await, 3);
    assert_eq!(
        host.service.get_ref().calls,
        7,
        "a refused request is not served"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_clock_of_its_own_a_layer_follows_a_paused_runtime() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 1))
        .build()
        .unwrap();
    let mut service = layer.layer(Origin::default());
    for (expected, wait) in [(200, 59), (429, 1), (200, 0)] {
        let response = service.ready().await.unwrap().call(get("/")).await.unwrap();
        assert_eq!(response.status(), expected);
        tokio::time::advance(SECOND * wait).await;
    }
}

#[tokio::test]
async fn clones_of_a_layer_and_its_services_share_their_buckets() {
    let mut host = Host::new([minutely("api", 2)]);
    let mut other = host.layer.clone().layer(Origin::default());
    assert_eq!(host.status(get("/")).await, 200);
    let response = other.ready().await.unwrap().call(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(host.status(get("/")).await, 429);
}

#[tokio::test]
async fn a_request_that_one_window_refuses_is_charged_to_none() {
    let mut host = Host::new([
        minutely("a", 100),
        minutely("b", 2).and("b-daily", Quota::per_day(50)),
        minutely("c", 100).shadow(),
    ]);
    assert_eq!(host.passing(20, || get("/")).await, 2);
    for (policy, window, left) in [("a", 0, 98), ("b", 0, 0), ("b", 1, 48), ("c", 0, 98)] {
        let decision = host.layer.peek(policy, &get("/")).unwrap();
        assert_eq!(
            decision.verdicts()[window].remaining(),
            left,
            "{policy} {window}"
        );
    }
}

#[tokio::test]
async fn policies_apply_on_their_routes_alone() {
    let mut host = Host::new([
        minutely("login", 1)
            .on(Route::post("/login"))
            .on(Route::any("/token/{kind}")),
        minutely("writes", 3).on(Route::method(http::Method::POST)),
    ]);
    assert_eq!(host.status(post("/login")).await, 200);
    assert_eq!(host.status(post("/login")).await, 429);
    assert_eq!(host.status(get("/token/refresh")).await, 429);
    assert_eq!(host.passing(4, || get("/login")).await, 4);
    assert_eq!(host.passing(4, || post("/orders")).await, 2);
    let unmetered = host.send(get("/")).await;
    assert_eq!(header(&unmetered, "ratelimit"), None);
}

#[tokio::test]
async fn what_is_skipped_is_neither_counted_nor_announced() {
    let policy = minutely("api", 1)
        .skip(|head| head.path() == "/health")
        .skip(|head| head.headers().contains_key("x-internal"));
    let mut host = Host::new([policy]);
    assert_eq!(host.passing(3, || get("/health")).await, 3);
    assert_eq!(
        host.passing(3, || with(get("/"), "x-internal", "1")).await,
        3
    );
    assert_eq!(host.passing(3, || get("/")).await, 1);
}

#[tokio::test]
async fn a_cost_is_taken_whole_or_not_at_all() {
    let cost = |head: &bartizan::rate_limit::Head<'_>| {
        let cost = head
            .headers()
            .get("x-cost")
            .and_then(|cost| cost.to_str().ok());
        cost.and_then(|cost| cost.parse().ok()).unwrap_or(1)
    };
    let mut host = Host::new([minutely("api", 10).cost_for(cost)]);
    let of = |cost: &str| with(get("/"), "x-cost", cost);
    assert_eq!(host.status(of("7")).await, 200);
    assert_eq!(host.status(of("4")).await, 429);
    assert_eq!(host.status(of("3")).await, 200);
    assert_eq!(host.status(of("0")).await, 200, "looking is free");
    assert_eq!(host.status(of("1")).await, 429);
    assert_eq!(host.status(of("11")).await, 413);
    assert_eq!(host.status(of("18446744073709551615")).await, 413);
}

#[tokio::test]
async fn a_plan_decides_the_quota_of_the_first_window() {
    let policy = minutely("api", 1)
        .and("daily", Quota::per_day(4))
        .quota_for(|head| {
            head.headers()
                .contains_key("x-pro")
                .then_some(Quota::per_minute(3))
        });
    let mut host = Host::new([policy]);
    let pro = || with(get("/"), "x-pro", "1");
    let response = host.send(pro()).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(r#""api";q=3;w=60, "daily";q=4;w=86400"#)
    );
    assert_eq!(host.passing(5, || get("/")).await, 1);
    assert_eq!(
        host.passing(5, pro).await,
        2,
        "each plan has a bucket, and the day is one"
    );
    assert_eq!(host.status(get("/")).await, 429);
}

#[tokio::test]
async fn alternating_between_plans_gains_nothing() {
    let policy = minutely("api", 10).quota_for(|head| {
        head.headers()
            .contains_key("x-small")
            .then_some(Quota::per_minute(1))
    });
    let mut host = Host::new([policy]);
    let mut passed = 0;
    for _ in 0..50 {
        passed += host.passing(1, || get("/")).await;
        passed += host.passing(1, || with(get("/"), "x-small", "1")).await;
    }
    assert_eq!(passed, 11);
}

#[tokio::test]
async fn a_shadow_counts_and_neither_refuses_nor_shows() {
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("trial", 2).shadow())
            .policy(minutely("api", 5))
            .expose_decision(true),
    );
    assert_eq!(host.passing(4, || get("/")).await, 4);
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=0;t=12"#));
    let report = response
        .extensions()
        .get::<bartizan::rate_limit::Report>()
        .unwrap();
    assert!(!report.window("trial").unwrap().has_passed());
    assert!(report.window("api").unwrap().has_passed());
}

/// What peek, reset and refund do, whatever store in this process they are asked of.
async fn corrections<St: LocalStore>(store: St) {
    let policy = Policy::new("login", Quota::per_minute(3))
        .and("daily", Quota::per_day(9))
        .by(per_client())
        .on(Route::post("/login"));
    let layer = RateLimitLayer::builder()
        .policy(policy)
        .store(store)
        .build();
    let layer = layer.unwrap();
    let mut service = layer.layer(Origin::default());
    let login = |ip| {
        let mut request = from(ip);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = "/login".parse().unwrap();
        request
    };
    let left = |ip| {
        let decision = layer.peek("login", &login(ip)).unwrap();
        [0, 1].map(|window: usize| decision.verdicts()[window].remaining())
    };
    let (ann, bob) = ("192.0.2.1", "192.0.2.2");
    let mut passing = async |count: usize| {
        let mut passing = 0;
        for _ in 0..count {
            let response = service
                .ready()
                .await
                .unwrap()
                .call(login(ann))
                .await
                .unwrap();
            passing += usize::from(response.status() == 200);
        }
        passing
    };
    assert_eq!((left(ann), left(ann)), ([3, 9], [3, 9]));
    assert_eq!(passing(5).await, 3);
    assert_eq!(left(ann), [0, 6]);
    assert!(!layer.peek("login", &login(ann)).unwrap().is_allowed());
    assert!(layer.refund("login", &login(ann), 2));
    assert_eq!(left(ann), [2, 8]);
    assert!(layer.refund("login", &login(ann), u64::MAX));
    assert_eq!(left(ann), [3, 9], "a bucket does not get fuller than full");
    assert_eq!(passing(5).await, 3);
    assert!(layer.reset("login", &login(bob)));
    assert!(layer.refund("login", &login(bob), 1));
    assert_eq!((left(ann), left(bob)), ([0, 6], [3, 9]), "another client's");
    assert!(layer.reset("login", &login(ann)));
    assert_eq!(left(ann), [3, 9]);
    assert_eq!(passing(5).await, 3);
    assert!(layer.peek("login", &get("/login")).is_none());
    assert!(!layer.reset("logout", &login(ann)));
    assert!(!layer.refund("logout", &login(ann), 1));
}

#[tokio::test(start_paused = true)]
async fn a_peek_takes_nothing_and_a_reset_and_a_refund_give_back() {
    corrections(MemoryStore::new()).await;
    corrections(GovernorStore::new()).await;
    let any = governor::Quota::per_second(std::num::NonZeroU32::MIN);
    let limiter = governor::RateLimiter::dashmap_with_clock(any, Clock::new());
    corrections(GovernorStore::from(limiter)).await;
}

#[tokio::test]
async fn a_correction_makes_no_bucket_of_a_key_that_has_none() {
    let store = GovernorStore::new();
    let policy = minutely("api", 3).by(per_client());
    let builder = RateLimitLayer::builder()
        .policy(policy)
        .store(store.clone());
    let layer = builder.build().unwrap();
    layer.peek("api", &from("192.0.2.1")).unwrap();
    assert!(layer.reset("api", &from("192.0.2.1")));
    assert!(layer.refund("api", &from("192.0.2.1"), 1));
    assert_eq!(store.keys(), 0);
}

#[tokio::test]
async fn a_policy_can_be_asked_about_a_request_that_lacks_what_others_count_by() {
    let host = Host::new([
        minutely("tenant", 9).by(key::header("x-tenant").or_reject()),
        minutely("login", 3).by(per_client()),
        minutely("costly", 9).cost_for(|_| unreachable!("another policy is asked")),
    ]);
    let login = || from("192.0.2.1");
    let decision = host.layer.peek("login", &login()).unwrap();
    assert_eq!(decision.verdicts()[0].remaining(), 3);
    assert!(host.layer.reset("login", &login()));
    assert!(host.layer.refund("login", &login(), 1));
    assert!(
        host.layer.peek("tenant", &login()).is_none(),
        "it lacks its key"
    );
    assert!(!host.layer.reset("tenant", &login()));
}

#[tokio::test]
async fn a_clock_that_goes_back_locks_nobody_out() {
    let mut host = Host::new([minutely("api", 3)]);
    assert_eq!(host.passing(5, || get("/")).await, 3);
    host.clock.rewind(Duration::from_secs(30 * 86_400));
    assert_eq!(host.passing(5, || get("/")).await, 0);
    host.clock.advance(20 * SECOND);
    assert_eq!(host.passing(5, || get("/")).await, 1);
    host.clock.advance(60 * SECOND);
    assert_eq!(host.passing(5, || get("/")).await, 3);
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_stop_a_shadow() {
    let mut host = Host::new([minutely("trial", 1).shadow()]);
    let shadow = |host: &Host| host.layer.peek("trial", &get("/")).unwrap().verdicts()[0];
    assert_eq!(host.status(get("/")).await, 200);
    host.clock.rewind(Duration::from_secs(3600));
    assert_eq!(host.status(get("/")).await, 200);
    assert!(!shadow(&host).has_passed());
    host.clock.advance(60 * SECOND);
    assert!(shadow(&host).has_passed());
}

#[test]
fn a_layer_that_cannot_work_cannot_be_built() {
    let policy = || minutely("api", 5);
    let unkeyed = Policy::new("api", Quota::per_second(1));
    let builder = RateLimitLayer::builder;
    for (builder, message) in [
        (builder(), "policies: \"none\": add at least one"),
        (
            builder().policy(unkeyed),
            "key of policy `api`: \"none\": say what it counts by",
        ),
        (
            builder().policy(policy()).policy(policy()),
            "policy name: \"api\": it is taken",
        ),
        (
            builder().policy(policy().and("api", Quota::per_day(1))),
            "policy name: \"api\": it is taken",
        ),
        (
            builder().policy(minutely("", 1)),
            "policy name: \"\": use 1 to 64",
        ),
        (
            builder().policy(minutely("a\"b", 1)),
            "policy name: \"a\\\"b\": use 1 to 64",
        ),
        (
            builder().policy(minutely("a\r\nb", 1)),
            "policy name: \"a\\r\\nb\": use",
        ),
        (
            builder().policy(minutely("größe", 1)),
            "policy name: \"größe\": use",
        ),
        (
            builder().policy(policy().on(Route::get("login"))),
            "route of policy `api`: \"login\": start it with a slash",
        ),
        (
            builder().policy(policy().on(Route::get("/users/:id"))),
            "route of policy `api`: \"/users/:id\": write `{id}`",
        ),
        (
            builder().policy(policy().cost(6)),
            "cost of policy `api`: \"6\": `api` holds 5 at most",
        ),
        (
            builder().policy(policy().by(key::header("x api"))),
            "key of policy `api`: \"x api\": it is no header name",
        ),
        (
            builder().policy(policy().by((per_client(), key::path_param("id")))),
            "key of policy `api`: \"id\": put the policy `.on` routes",
        ),
        (
            builder().policy(policy()).headers(Headers::NearLimit(101)),
            "headers: near limit: \"101\": use 0 to 100",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
