//! What does it cost to write an event as a block of `text/event-stream`?

use std::hint::black_box;

use bartizan::event_stream::{Encoded, NewEvent};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let json = r#"{"id":17,"user":"u1","amount":12.5,"memo":"coffee"}"#;
    let long = json.repeat(20);
    let lines = format!("{json}\n").repeat(20);
    for (name, data) in [("50 bytes", json), ("1 KB", &long), ("20 lines", &lines)] {
        let event = NewEvent::text("transaction.created", data).expect("a valid event");
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| Encoded::from(black_box(&event)));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
