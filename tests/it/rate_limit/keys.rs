//! What requests are counted by, and what becomes of those that lack it.

use std::sync::{Arc, Mutex};

use super::*;
use bartizan::client::Ipv6Prefix;
use bartizan::rate_limit::{Answer, Check, Decision, Never, Route, Secret, Store, Verdict};

fn keyed(key: impl Into<Key>) -> Host {
    Host::new([Policy::new("api", Quota::per_minute(1)).by(key)])
}

#[tokio::test]
async fn each_client_address_has_a_bucket() {
    let mut host = keyed(per_client());
    assert_eq!(host.status(from("192.0.2.1")).await, 200);
    assert_eq!(host.status(from("192.0.2.1")).await, 429);
    assert_eq!(host.status(from("192.0.2.2")).await, 200);
}

#[tokio::test]
async fn an_ipv6_client_is_its_64_bit_prefix() {
    let mut host = keyed(per_client());
    assert_eq!(host.status(from("2001:db8:1:2::a")).await, 200);
    assert_eq!(host.status(from("2001:db8:1:2:ffff::b")).await, 429);
    assert_eq!(host.status(from("2001:db8:1:3::a")).await, 200);
}

#[tokio::test]
async fn a_wider_prefix_bounds_those_who_hold_many_networks() {
    let wide = key::client_prefix(&ClientSource::peer(), Ipv6Prefix::new(48).unwrap());
    let mut host = Host::new([
        Policy::new("network", Quota::per_minute(1)).by(per_client()),
        Policy::new("site", Quota::per_minute(2)).by(wide),
    ]);
    assert_eq!(host.status(from("2001:db8:1:1::a")).await, 200);
    assert_eq!(host.status(from("2001:db8:1:1::b")).await, 429);
    assert_eq!(host.status(from("2001:db8:1:2::a")).await, 200);
    assert_eq!(host.status(from("2001:db8:1:3::a")).await, 429);
}

#[tokio::test]
async fn a_mapped_ipv4_client_is_its_ipv4_address_and_not_the_whole_internet() {
    let mut host = keyed(per_client());
    assert_eq!(host.status(from("::ffff:192.0.2.1")).await, 200);
    assert_eq!(host.status(from("192.0.2.1")).await, 429);
    assert_eq!(host.status(from("::ffff:192.0.2.2")).await, 200);
}

#[tokio::test]
async fn a_request_without_an_address_shares_a_bucket_and_is_no_error() {
    let mut host = keyed(per_client());
    assert_eq!(host.status(get("/")).await, 200);
    assert_eq!(host.status(get("/")).await, 429);
    assert_eq!(host.status(from("192.0.2.1")).await, 200);
}

#[tokio::test]
async fn leaving_a_header_out_escapes_nothing() {
    let mut host = keyed(key::header("X-Api-Key"));
    assert_eq!(host.status(with(get("/"), "x-api-key", "one")).await, 200);
    assert_eq!(host.status(with(get("/"), "x-api-key", "two")).await, 200);
    assert_eq!(host.status(with(get("/"), "x-api-key", "one")).await, 429);
    assert_eq!(host.status(get("/")).await, 200);
    assert_eq!(host.status(get("/a")).await, 429);
    assert_eq!(host.status(with(get("/"), "x-api-key", "")).await, 429);
}

#[tokio::test]
async fn sending_a_header_twice_escapes_nothing() {
    let twice = |first: &str| with(with(get("/"), "x-api-key", first), "x-api-key", "own");
    let mut host = keyed(key::header("x-api-key"));
    assert_eq!(host.status(twice("a")).await, 200);
    assert_eq!(host.status(twice("b")).await, 429);
    let mut host = keyed(key::header("x-api-key").or_skip());
    assert_eq!(host.passing(3, || get("/")).await, 3);
    assert_eq!(host.passing(3, || twice("a")).await, 1);
    let mut host = keyed(key::header("x-api-key").or_reject());
    assert_eq!(host.status(twice("a")).await, 400);
}

#[tokio::test]
async fn a_missing_key_that_is_to_be_rejected_is_a_bad_request() {
    let mut host = keyed(key::header("x-api-key").or_reject());
    let response = host.send(get("/")).await;
    assert_eq!(response.status(), 400);
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(
        text(response).await,
        r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"the request lacks what its rate limit is counted by"}"#
    );
    assert_eq!(host.status(with(get("/"), "x-api-key", "a")).await, 200);
}

#[tokio::test]
async fn a_shadow_rejects_no_missing_key() {
    let key = key::header("x-api-key").or_reject();
    let mut host = Host::new([minutely("trial", 1).by(key).shadow()]);
    assert_eq!(host.passing(3, || get("/")).await, 3);
}

#[tokio::test]
async fn an_extension_and_a_closure_are_keys() {
    #[derive(Clone)]
    struct User {
        name: &'static str,
    }
    let user = |name| {
        let mut request = get("/");
        request.extensions_mut().insert(User { name });
        request
    };
    let mut host = keyed(key::extension(|user: &User| user.name));
    assert_eq!(host.status(user("ann")).await, 200);
    assert_eq!(host.status(user("bob")).await, 200);
    assert_eq!(host.status(user("ann")).await, 429);

    let mut host = keyed(key::from_fn(|head| head.uri().query().map(str::len)));
    assert_eq!(host.status(get("/?a")).await, 200);
    assert_eq!(host.status(get("/?b")).await, 429);
    assert_eq!(host.status(get("/?bb")).await, 200);
}

#[tokio::test]
async fn a_path_parameter_is_a_key_however_it_is_encoded() {
    let mut host = Host::new([minutely("user", 1)
        .on(Route::get("/users/{id}/orders"))
        .by(key::path_param("id"))]);
    assert_eq!(host.status(get("/users/ann/orders")).await, 200);
    assert_eq!(host.status(get("/users/bob/orders")).await, 200);
    assert_eq!(host.status(get("/users/%61nn/orders")).await, 429);
    // A slash within a parameter, and what is no text, can be written in many ways as well.
    for ways in [["a%2Fb", "a%2fb", "%61%2Fb"], ["a%FF", "a%ff", "%61%Ff"]] {
        for (way, status) in ways.into_iter().zip([200, 429, 429]) {
            let path = format!("/users/{way}/orders");
            assert_eq!(host.status(get(&path)).await, status, "{way}");
        }
    }
}

#[tokio::test]
async fn white_space_around_a_header_makes_no_other_value() {
    let mut host = keyed(key::header("x-api-key"));
    assert_eq!(host.status(with(get("/"), "x-api-key", "k")).await, 200);
    for value in [" k", "k ", "\t k \t"] {
        let request = with(get("/"), "x-api-key", value);
        assert_eq!(host.status(request).await, 429, "{value:?}");
    }
    assert_eq!(host.status(with(get("/"), "x-api-key", " ")).await, 200);
    assert_eq!(host.status(get("/")).await, 429, "blank is missing");
}

#[tokio::test]
async fn the_parts_of_a_tuple_do_not_run_into_each_other() {
    let mut host = keyed((key::header("x-a"), key::header("x-b")));
    let pair = |a: &str, b: &str| with(with(get("/"), "x-a", a), "x-b", b);
    assert_eq!(host.status(pair("a:b", "c")).await, 200);
    assert_eq!(host.status(pair("a", "b:c")).await, 200);
    assert_eq!(host.status(pair("ab", "c")).await, 200);
    assert_eq!(host.status(pair("c", "a:b")).await, 200);
    assert_eq!(host.status(pair("a:b", "c")).await, 429);
}

#[tokio::test]
async fn each_part_of_a_tuple_says_what_becomes_of_requests_without_it() {
    let tenant = || key::header("x-tenant");
    let mut host = keyed((tenant().or_reject(), per_client()));
    assert_eq!(host.status(get("/")).await, 400);
    assert_eq!(host.status(with(get("/"), "x-tenant", "t")).await, 200);
    let mut host = keyed((tenant().or_skip(), per_client(), key::constant()));
    assert_eq!(host.passing(3, || from("192.0.2.1")).await, 3);
}

#[tokio::test]
async fn what_is_said_of_a_tuple_is_said_of_each_part() {
    let pair = || Key::from((key::header("x-tenant"), per_client()));
    let whole = || with(from("192.0.2.1"), "x-tenant", "t");
    let mut host = keyed(pair().or_reject());
    for request in [get("/"), from("192.0.2.1"), with(get("/"), "x-tenant", "t")] {
        assert_eq!(host.status(request).await, 400);
    }
    assert_eq!(host.status(whole()).await, 200);
    let mut host = keyed(Key::from((pair(), key::constant())).or_skip());
    assert_eq!(host.passing(3, || from("192.0.2.1")).await, 3);
    assert_eq!(host.passing(3, whole).await, 1);
    let strict = (key::header("x-tenant").or_reject(), per_client());
    let mut host = keyed(Key::from(strict).or_shared());
    assert_eq!(host.passing(3, || from("192.0.2.1")).await, 1);
}

/// Notes the keys that it is asked about, under a secret of its own.
struct Noting {
    secret: Option<Secret>,
    keys: Arc<Mutex<Vec<u64>>>,
}

impl Store for Noting {
    type Wait = Never;

    fn check(&self, checks: &[Check<'_>], _: &Clock) -> Answer<Never> {
        let mut keys = self.keys.lock().unwrap();
        keys.extend(checks.iter().map(Check::key));
        Answer::Now(Decision::new(
            checks,
            checks.iter().map(|_| Verdict::passed(1, 1)),
        ))
    }

    fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }
}

/// The digests of some keys under a secret.
async fn digests(secret: Option<&str>) -> Vec<u64> {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let store = Noting {
        secret: secret.map(|secret| Secret::new(secret).unwrap()),
        keys: Arc::clone(&keys),
    };
    let pair = (key::header("x-api-key"), key::constant());
    let layer = RateLimitLayer::builder()
        .policy(per_minute("header", key::header("x-api-key")))
        .policy(per_minute("ip", key::client_ip(&ClientSource::peer())))
        .policy(per_minute("constant", key::constant()))
        .policy(per_minute("pair", pair.into()))
        .policy(per_minute(
            "closure",
            key::from_fn(|head| Some(head.path().to_owned())),
        ))
        .store(store)
        .build()
        .unwrap();
    let mut request = Request::get("/x")
        .header("x-api-key", "k1")
        .body(())
        .unwrap();
    let peer: SocketAddr = "198.51.100.7:1".parse().unwrap();
    request.extensions_mut().insert(PeerAddr::new(peer));
    let response = layer
        .layer(Origin::default())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    keys.lock().unwrap().clone()
}

fn per_minute(name: &'static str, key: Key) -> Policy {
    Policy::new(name, Quota::per_minute(5)).by(key)
}

#[tokio::test]
async fn the_secret_of_a_shared_store_decides_what_every_kind_of_key_is() {
    let (one, other) = ("the secret of a fleet", "the secret of another");
    let under_one = digests(Some(one)).await;
    assert_eq!(under_one, digests(Some(one)).await);
    for (key, again) in under_one.iter().zip(digests(Some(other)).await) {
        assert_ne!(*key, again);
    }
    for (key, again) in under_one.iter().zip(digests(None).await) {
        assert_ne!(*key, again);
    }
}
