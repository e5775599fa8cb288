//! What does it cost to tell a client how much is left, and to turn it away?

use bartizan::client::ClientSource;
use bartizan::rate_limit::{Headers, Policy, Quota, RateLimitLayer, key};
use bartizan_benches::{call, page, request};
use criterion::{Criterion, criterion_group, criterion_main};
use tower::Layer;

fn fields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fields");
    const MANY: Quota = Quota::per_second(1_000_000_000);
    let variants = [
        ("passed, none", MANY, 1, Headers::Off),
        ("passed, one window", MANY, 1, Headers::Always),
        ("passed, three windows", MANY, 3, Headers::Always),
        (
            "passed, far from the limit",
            MANY,
            1,
            Headers::NearLimit(10),
        ),
        ("refused", Quota::per_day(1), 1, Headers::Always),
    ];
    for (name, quota, windows, headers) in variants {
        let client = ClientSource::peer();
        let mut policy = Policy::new("bench", quota).by(key::client_ip(&client));
        for window in ["second", "third"].iter().take(windows - 1) {
            policy = policy.and(*window, quota);
        }
        let mut service = RateLimitLayer::builder()
            .policy(policy)
            .headers(headers)
            .build()
            .expect("a valid policy")
            .layer(page());
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request("/"),
                |request| call(&mut service, request),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, fields);
criterion_main!(benches);
