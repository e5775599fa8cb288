//! What does a health request cost, by page?

use bartizan::health::{Dependency, Health, HealthService};
use bartizan_benches::{call, request};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

fn pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("health");
    let mut service = service();
    for path in [
        "/livez",
        "/readyz",
        "/readyz?verbose",
        "/health",
        "/api/status",
    ] {
        group.bench_function(path, |bencher| {
            bencher.iter_batched(
                || request(path),
                |request| call(&mut service, request),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A service with three dependencies that are all well, and whose driver runs.
fn service() -> HealthService {
    let names = ["cache", "database", "ledger"];
    let (health, driver) = names
        .into_iter()
        .fold(Health::builder("bench", "0.0.0"), |builder, name| {
            builder.dependency(Dependency::local(name, || async {}))
        })
        .build()
        .expect("three different names");
    std::thread::spawn(|| runtime().block_on(driver));
    runtime().block_on(health.started());
    health.service()
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_time()
        .build()
        .expect("a runtime without I/O")
}

criterion_group!(benches, pages);
criterion_main!(benches);
