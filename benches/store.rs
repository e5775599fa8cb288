//! What does one check cost, by store and by who asks?

use std::hint::black_box;

use bartizan::clock::Clock;
use bartizan::rate_limit::{Check, GovernorStore, MemoryStore, Quota, Store};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Who asks for the n-th time.
type Asker = fn(u64) -> u64;

/// Never used up while it is measured.
const MANY: Quota = Quota::per_second(1_000_000_000);

fn checks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/check");
    // One key all the time, keys that fit, keys that do not fit the cache, and keys nobody has seen.
    let askers: [(&str, Asker); 4] = [
        ("one hot key", |_| 7),
        ("10,000 keys", |n| mix(n) % 10_000),
        ("1,000,000 keys", |n| mix(n) % 1_000_000),
        ("new keys", mix),
    ];
    for (name, key) in askers {
        let memory = MemoryStore::with_capacity(1_500_000);
        group.bench_function(BenchmarkId::new("memory", name), |bencher| {
            ask(bencher, &memory, MANY, key);
        });
        let governor = GovernorStore::new();
        group.bench_function(BenchmarkId::new("governor", name), |bencher| {
            ask(bencher, &governor, MANY, key);
        });
    }
    group.bench_function("memory/refused", |bencher| {
        ask(bencher, &MemoryStore::new(), Quota::per_day(1), |_| 7);
    });
    group.finish();
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/windows");
    let (store, clock) = (MemoryStore::new(), Clock::new());
    let names = ["a", "b", "c", "d"];
    for count in 1..=names.len() {
        let checks: Vec<_> = names[..count]
            .iter()
            .map(|name| Check::new(name, name, 7, MANY))
            .collect();
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| store.check(black_box(&checks), &clock));
        });
    }
    group.finish();
}

fn ask<S: Store>(bencher: &mut criterion::Bencher<'_>, store: &S, quota: Quota, key: Asker) {
    let clock = Clock::new();
    let mut asked = 0;
    bencher.iter(|| {
        asked += 1;
        let check = Check::new("bench", "bench", key(asked), quota);
        store.check(black_box(&[check]), &clock)
    });
}

/// A permutation that looks random: the second half of a splitmix64 step.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^ (n >> 31)
}

criterion_group!(benches, checks, windows);
criterion_main!(benches);
