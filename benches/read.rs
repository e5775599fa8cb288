//! What does it cost a stream to catch up, by how far it is behind?

use bartizan_benches::{Fleet, event};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const DATA: &str = r#"{"id":17,"user":"u1","amount":12.5,"memo":"coffee"}"#;

fn behind(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read/behind by");
    for events in [1, 100, 500] {
        let mut fleet = Fleet::open(1);
        group.throughput(Throughput::Elements(events));
        group.bench_function(BenchmarkId::from_parameter(events), |bencher| {
            let fleet = std::cell::RefCell::new(&mut fleet);
            bencher.iter_batched(
                || (0..events).for_each(|_| fleet.borrow_mut().publish(event(DATA, None))),
                |()| fleet.borrow_mut().read([0]),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, behind);
criterion_main!(benches);
