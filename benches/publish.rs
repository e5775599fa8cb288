//! What does it cost to bring one event to whom it concerns, among so many streams?

use bartizan_benches::{Fleet, event};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const DATA: &str = r#"{"id":17,"user":"u1","amount":12.5,"memo":"coffee"}"#;

fn to_one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/to one of");
    for users in [500, 8_000] {
        let mut fleet = Fleet::open(users);
        group.bench_function(BenchmarkId::from_parameter(users), |bencher| {
            bencher.iter(|| {
                fleet.publish(event(DATA, Some(users / 2)));
                fleet.read([users / 2])
            });
        });
    }
    group.finish();
}

fn to_all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/to all of");
    group.sample_size(20);
    for users in [500, 8_000] {
        let mut fleet = Fleet::open(users);
        group.throughput(criterion::Throughput::Elements(users as u64));
        group.bench_function(BenchmarkId::from_parameter(users), |bencher| {
            bencher.iter(|| {
                fleet.publish(event(DATA, None));
                fleet.read(0..users)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, to_one, to_all);
criterion_main!(benches);
