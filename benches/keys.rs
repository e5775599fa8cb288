//! What does it cost to find out whom a request counts for?

use bartizan::client::{ClientSource, TrustedProxies};
use bartizan::clock::Clock;
use bartizan::rate_limit::{Check, Decision, Headers, Key, Policy, Quota, RateLimitLayer, Route};
use bartizan::rate_limit::{Verdict, key};
use bartizan_benches::{call, empty, request};
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderValue;
use tower::Layer;

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    let peer = ClientSource::peer();
    let proxies = TrustedProxies::cidrs(["192.0.2.0/24"]).expect("a network");
    let behind = ClientSource::peer().behind(proxies);
    let pair = (key::client_ip(&peer), key::header("x-api-key")).into();
    let found: [(&str, Key); 7] = [
        ("constant", key::constant()),
        ("client", key::client_ip(&peer)),
        ("client behind a proxy", key::client_ip(&behind)),
        ("header", key::header("x-api-key")),
        ("missing header", key::header("x-missing")),
        ("path parameter", key::path_param("id")),
        ("client and header", pair),
    ];
    for (name, key) in found {
        // The store is left out: everything passes.
        let open =
            |checks: &[Check<'_>], _: &Clock| Decision::new(checks, [Verdict::passed(1_000, 999)]);
        let policy = Policy::new("bench", Quota::per_second(1_000))
            .on(Route::get("/orders/{id}"))
            .by(key);
        let mut service = RateLimitLayer::builder()
            .policy(policy)
            .headers(Headers::Off)
            .store(open)
            .build()
            .expect("a valid policy")
            .layer(empty());
        let forwarded = HeaderValue::from_static("198.51.100.7, 192.0.2.9");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut request = request("/orders/17");
                    let headers = request.headers_mut();
                    headers.insert("x-forwarded-for", forwarded.clone());
                    request
                },
                |request| call(&mut service, request),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
