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

/// One event for each user, in one batch: what each delivery costs, with the store and the encoding,
/// which a batch of events for one user each shares with nobody.
fn to_each(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/to each of");
    group.sample_size(20);
    for users in [500, 8_000] {
        let mut fleet = Fleet::open(users);
        let events: Vec<_> = (0..users).map(|user| event(DATA, Some(user))).collect();
        group.throughput(criterion::Throughput::Elements(users as u64));
        group.bench_function(BenchmarkId::from_parameter(users), |bencher| {
            bencher.iter(|| {
                fleet.publish_all(events.iter().cloned());
                fleet.read(0..users)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, to_one, to_all, to_each);
criterion_main!(benches);
