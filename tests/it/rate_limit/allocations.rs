//! What metering a request costs, in allocations beyond the inner service's own.

use super::*;
use bartizan::rate_limit::{Answer, Check, Headers, MemoryStore, RateLimitBuilder, Route, Store};
use futures::FutureExt;
use http::{HeaderValue, header};
use tower::service_fn;

/// A response such as handlers make: it has header fields, or it has none.
fn page(fields: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("hello"));
    if fields {
        let kind = HeaderValue::from_static("text/html");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// The allocations of one metered request beyond those of the page itself.
fn cost(builder: RateLimitBuilder, fields: bool, status: u16) -> u64 {
    let handler =
        service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(page(fields)) });
    let mut service = builder.build().unwrap().layer(handler);
    let mut send = |request| {
        let future = service.call(request);
        let response = future.now_or_never().unwrap().unwrap();
        assert_eq!(response.status(), status);
    };
    // The first request makes what is made once, and uses the quota up where a test wants that.
    send(from("192.0.2.1"));
    let request = from("192.0.2.1");
    let metered = allocation_counter::measure(|| send(request)).count_total;
    let bare = allocation_counter::measure(|| drop(page(fields))).count_total;
    metered - if status == 200 { bare } else { 0 }
}

fn builder(policies: usize) -> RateLimitBuilder {
    let names = ["a", "b", "c", "d"];
    let policy = |name: &&'static str| minutely(name, 1000).by(per_client());
    let builder = RateLimitLayer::builder().headers(Headers::Off);
    names[..policies]
        .iter()
        .map(policy)
        .fold(builder, RateLimitBuilder::policy)
}

#[test]
fn a_request_that_passes_without_fields_costs_none() {
    for policies in 1..=4 {
        assert_eq!(cost(builder(policies), true, 200), 0, "{policies} policies");
    }
    let busy = minutely("route", 1000)
        .and("daily", Quota::per_day(1000))
        .on(Route::get("/{*rest}"))
        .on(Route::get("/"))
        .skip(|head| head.method() == http::Method::PUT)
        .cost_for(|_| 2)
        .quota_for(|_| Some(Quota::per_minute(500)))
        .by((per_client(), key::header("x-api-key"), key::constant()));
    assert_eq!(cost(builder(2).policy(busy), true, 200), 0);
}

#[test]
fn the_fields_cost_a_value_each() {
    let announced = |policies| builder(policies).headers(Headers::Always);
    assert_eq!(
        cost(announced(1), true, 200),
        1,
        "its policy is announced by a ready value"
    );
    assert_eq!(
        cost(announced(4), true, 200),
        1,
        "and so are all policies together"
    );
    let part = || announced(4).policy(minutely("e", 9).on(Route::get("/e")));
    assert_eq!(cost(part(), true, 200), 2);
    // A response without any header field pays for its map as well.
    assert_eq!(cost(announced(4), false, 200), 3);
    assert_eq!(cost(part(), false, 200), 4);
    assert_eq!(cost(announced(2).legacy_headers(true), true, 200), 5);
}

#[test]
fn a_refusal_costs_a_handful() {
    let once = || RateLimitLayer::builder().policy(minutely("a", 1).by(per_client()));
    let first = |builder: RateLimitBuilder| {
        let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(page(true)) });
        let mut service = builder.build().unwrap().layer(handler);
        drop(service.call(from("192.0.2.1")));
        drop(service.call(from("192.0.2.1")));
        let request = from("192.0.2.1");
        allocation_counter::measure(|| {
            let response = service.call(request).now_or_never().unwrap().unwrap();
            assert_eq!(response.status(), 429);
        })
        .count_total
    };
    assert_eq!(first(once().headers(Headers::Off)), 4);
    assert_eq!(first(once()), 5);
}

#[test]
fn a_flood_of_random_keys_allocates_nothing_and_resets_no_limit() {
    // Ten million take some seconds, which are spent where the long seeds are.
    let keys = match std::env::var_os("BARTIZAN_SEEDS") {
        Some(_) => 10_000_000,
        None => 1_000_000,
    };
    let (store, clock) = (MemoryStore::with_capacity(1024), Clock::manual());
    let quota = Quota::per_hour(10);
    let bytes = store.bytes();
    let exhausted = [Check::new("p", "p", u64::MAX, quota)];
    let passes =
        || matches!(store.check(&exhausted, &clock), Answer::Now(answer) if answer.is_allowed());
    assert_eq!((0..20).filter(|_| passes()).count(), 10);
    let check = |key: u64| {
        let checks = [Check::new(
            "p",
            "p",
            key.wrapping_mul(0x2545_f491_4f6c_dd1d),
            quota,
        )];
        let _ = store.check(&checks, &clock);
    };
    check(0);
    let flood = allocation_counter::measure(|| {
        (0..keys).for_each(check);
    });
    assert_eq!(flood.count_total, 0);
    assert_eq!(store.bytes(), bytes);
    let usage = store.usage(&clock);
    assert!(usage.full_sets() > 200 && usage.shared() == 64, "{usage:?}");
    assert!(!passes(), "of the key that had used its quota up before");
}

/// It comes before anything is charged, so it must not cost by the number of rules.
#[test]
fn a_path_of_escapes_is_decoded_once_however_many_routes_there_are() {
    let names: [&'static str; 4] = ["a", "b", "c", "d"];
    let policies = names.map(|name| {
        let routes = ["/x", "/y/{id}", "/z/{*rest}"].map(Route::get);
        let policy = minutely(name, 1000).by(per_client());
        routes.into_iter().fold(policy, Policy::on)
    });
    let host = Host::new(policies);
    let path = format!("/{}", "%61".repeat(20_000));
    let mut service = host.layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let request = get(&path);
    let mut passed = None;
    let cost =
        allocation_counter::measure(|| passed = service.call(request).now_or_never()).bytes_total;
    assert_eq!(passed.unwrap().unwrap().status(), 200);
    assert!((1..=path.len() as u64).contains(&cost), "{cost} bytes");
}

#[test]
fn the_future_stays_small() {
    let layer = builder(1).build().unwrap();
    let mut service = layer.layer(Origin::default());
    let _ = service.ready().now_or_never();
    let inner = size_of::<<Origin as Service<Request<()>>>::Future>();
    let own = size_of_val(&service.call(get("/"))) - inner;
    assert!(own <= 128, "{own} bytes beside the inner future's {inner}");
}
