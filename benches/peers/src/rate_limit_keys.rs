//! Many keys, several threads: the same layers as in [`rate_limit`](crate::rate_limit), and the stores
//! below them alone, under loads that differ in whose requests they are.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use bartizan::clock::Clock;
use bartizan::rate_limit::{
    Answer, Check, Headers, MemoryStore, Policy, Quota, RateLimitLayer, Store, key,
};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

use crate::by_hand::Cells;
use crate::harness::{self, Effort, RATIO, median};
use crate::report::{Cell, Row, Table};
use crate::request::{call, client, handler, request_from};

/// Whose requests come in.
struct Load {
    title: &'static str,
    /// The number of the client that sends request number so much, of this thread.
    client: fn(&Zipf, u64) -> u64,
    /// The keys that a host would make room for: the default, unless it knows of more clients.
    room: usize,
    /// Who answers them.
    contestants: fn(usize) -> Vec<Contestant>,
}

const LOADS: [Load; 6] = [
    Load {
        title: "one hot key",
        client: |_, _| 0,
        room: 1 << 16,
        contestants: layers,
    },
    Load {
        title: "10,000 keys, uniform",
        client: |_, request| mix(request) % 10_000,
        room: 1 << 16,
        contestants: layers,
    },
    Load {
        title: "1,000,000 keys, Zipf",
        client: |zipf, request| zipf.draw(mix(request)),
        room: 1 << 21,
        contestants: layers,
    },
    Load {
        title: "a flood of new keys",
        client: |_, request| 1 << 32 | request,
        room: 1 << 16,
        contestants: layers,
    },
    Load {
        title: "the store alone, 1,000,000 keys, uniform",
        // All of them in turn, and after that any of them.
        client: |_, request| match request {
            ..FIRST => request % 1_000_000,
            _ => mix(request) % 1_000_000,
        },
        room: 1 << 21,
        contestants: stores,
    },
    Load {
        title: "the store alone, a flood of new keys",
        client: |_, request| 1 << 32 | request,
        room: 1 << 16,
        contestants: stores,
    },
];

/// The number of the first request that is timed.
const FIRST: u64 = 1 << 31;

/// Times all loads with one thread and with two, and then what a million clients take in memory:
/// those whose titles contain what is wanted.
pub fn run(effort: Effort, wanted: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    let zipf = Zipf::new(1_000_000);
    for load in &LOADS {
        for threads in [1, 2] {
            let title = format!("rate limit, {}, {threads} thread(s)", load.title);
            if title.contains(wanted) {
                let mut contestants = (load.contestants)(load.room);
                let times = take_turns(&mut contestants, load, &zipf, threads, effort);
                let table = table(title, &contestants, &times);
                print(&table);
                tables.push(table);
            }
        }
    }
    if MEMORY.contains(wanted) {
        tables.push(memory());
    }
    tables
}

fn table(title: String, contestants: &[Contestant], times: &[f64]) -> Table {
    let floor = times[0];
    let ours = times[times.len() - 1] - floor;
    let others = 1..contestants.len() - 1;
    let rows = contestants.iter().zip(times).enumerate();
    let rows = rows.map(|(index, (contestant, time))| {
        let value = time - floor;
        let ratio = others.contains(&index).then(|| ours / value);
        Row {
            name: contestant.name,
            cells: vec![Cell::from(*time), Cell { value, ratio }],
        }
    });
    Table {
        title,
        floor: true,
        ratio: RATIO,
        units: vec!["ns/request", "ns/request over the floor"],
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

fn print(table: &Table) {
    println!("\n{}", table.title);
    println!(
        "{:<38} {:>12} {:>12} {:>12}",
        "", "ns/request", "over floor", "bartizan is"
    );
    for row in &table.rows {
        let [time, over] = row.cells[..] else {
            unreachable!("a load has two columns")
        };
        println!(
            "{:<38} {:>12.1} {:>+12.1} {:>12}",
            row.name,
            time.value,
            over.value,
            harness::times(over.ratio)
        );
    }
}

/// What many threads can ask at once.
struct Contestant {
    name: &'static str,
    /// Answers a request of each of these clients.
    turn: Turn,
    /// The number of its next request: no new key is new twice.
    next: u64,
}

type Turn = Box<dyn Fn(&[IpAddr]) + Sync>;

impl Contestant {
    fn service<S, B>(name: &'static str, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = std::convert::Infallible>
            + Clone
            + Sync
            + 'static,
    {
        Self::new(name, move |clients| {
            let mut service = service.clone();
            for client in clients {
                let answer = call(&mut service, black_box(request_from("/", *client)));
                assert!(answer.status().is_success(), "{name} refuses");
            }
        })
    }

    fn new(name: &'static str, turn: impl Fn(&[IpAddr]) + Sync + 'static) -> Self {
        let (turn, next) = (Box::new(turn), 0);
        Self { name, turn, next }
    }
}

/// One cell a second, and more of them at once than are ever asked for: every key stays in use.
fn layers(room: usize) -> Vec<Contestant> {
    let governor = GovernorConfigBuilder::default()
        .period(Duration::from_secs(1))
        .burst_size(1_000_000_000)
        .finish()
        .expect("neither is zero");
    let ours = RateLimitLayer::builder()
        .policy(Policy::new("peers", QUOTA).by(key::client_ip(&client())))
        .store(MemoryStore::with_capacity(room))
        .headers(Headers::Off)
        .build()
        .expect("a valid policy");
    vec![
        Contestant::service("the bare service", handler()),
        Contestant::service(
            "tower_governor",
            GovernorLayer::new(governor).layer(handler()),
        ),
        Contestant::service("bartizan", ours.layer(handler())),
    ]
}

/// The same with no layer over them, and a request that is an address. Both hash it, and in the same way:
/// one in its map, the other before it is asked.
fn stores(room: usize) -> Vec<Contestant> {
    let governor: Governor = governor::RateLimiter::keyed(theirs());
    let by_hand = Cells::new(room, 1_000_000_000, 1_000_000_000);
    let (ours, clock, hash) = (
        MemoryStore::with_capacity(room),
        Clock::new(),
        RandomState::new(),
    );
    vec![
        Contestant::new("the addresses alone", |clients| {
            for client in clients {
                black_box(client);
            }
        }),
        Contestant::new("by hand, with no choices", move |clients| {
            for client in clients {
                assert!(by_hand.take(client).is_some(), "it refuses by hand");
            }
        }),
        Contestant::new("governor", move |clients| {
            for client in clients {
                assert!(governor.check_key(client).is_ok(), "governor refuses");
            }
        }),
        Contestant::new("bartizan", move |clients| {
            for client in clients {
                let check = Check::new("peers", "peers", hash.hash_one(client), QUOTA);
                assert!(allows(&ours, check, &clock), "bartizan refuses");
            }
        }),
    ]
}

type Governor = governor::DefaultKeyedRateLimiter<IpAddr>;

fn allows(store: &MemoryStore, check: Check<'_>, clock: &Clock) -> bool {
    match store.check(&[check], clock) {
        Answer::Now(decision) => decision.is_allowed(),
        _ => unreachable!("memory answers at once"),
    }
}

/// The median time of a request in each contestant's turns, with so many threads at once.
fn take_turns(
    contestants: &mut [Contestant],
    load: &Load,
    zipf: &Zipf,
    threads: u64,
    effort: Effort,
) -> Vec<f64> {
    let clients = |requests: Range<u64>| -> Vec<_> {
        requests
            .map(|number| address((load.client)(zipf, number)))
            .collect()
    };
    // The keys that are there have been there before.
    let known = clients(0..effort.choose(2_000_000, 20_000) as u64);
    for contestant in contestants.iter() {
        (contestant.turn)(&known);
    }
    let (turns, requests) = (effort.choose(61, 5), effort.choose(20_000, 2_000) as u64);
    let mut times = vec![Vec::new(); contestants.len()];
    for round in 0..turns {
        for place in 0..contestants.len() {
            let index = (round + place) % contestants.len();
            let contestant = &mut contestants[index];
            let first = FIRST + contestant.next;
            contestant.next += threads * requests;
            let turn = &contestant.turn;
            let ready = Barrier::new(threads as usize);
            let slowest = thread::scope(|scope| {
                let run = |thread: u64| {
                    let first = first + thread * requests;
                    let (clients, ready) = (clients(first..first + requests), &ready);
                    scope.spawn(move || {
                        ready.wait();
                        let started = Instant::now();
                        turn(&clients);
                        started.elapsed()
                    })
                };
                let running: Vec<_> = (0..threads).map(run).collect();
                let times = running.into_iter().map(|thread| thread.join());
                times
                    .map(|time| time.expect("a request does not panic"))
                    .max()
            });
            let slowest = slowest.expect("there is a thread");
            times[index].push(slowest.as_nanos() as f64 / requests as f64);
        }
    }
    times.into_iter().map(median).collect()
}

/// The bytes that a million IPv6 clients take.
fn memory() -> Table {
    const CLIENTS: u64 = 1_000_000;
    let clock = Clock::manual();
    let mut ours = None;
    let taken = allocation_counter::measure(|| ours = Some(MemoryStore::with_capacity(1 << 20)));
    let ours = ours.expect("it was just made");
    let flood = |store: &MemoryStore, from: u64| {
        for client in from..from + CLIENTS {
            let check = Check::new("peers", "peers", mix(client), QUOTA);
            assert!(allows(store, check, &clock));
        }
    };
    let grown = allocation_counter::measure(|| flood(&ours, 0));
    let own = ours.usage(&clock).keys();
    let later =
        allocation_counter::measure(|| (1..10).for_each(|round| flood(&ours, round * CLIENTS)));

    let governor: Governor = governor::RateLimiter::keyed(theirs());
    let theirs = allocation_counter::measure(|| {
        for client in 0..CLIENTS {
            let _ = governor.check_key(&address(client));
        }
    });

    let each = |bytes: i64| bytes as f64 / CLIENTS as f64;
    let rows = vec![
        Row::plain("governor", each(theirs.bytes_current)),
        Row::plain("bartizan, of 1,048,576 keys", each(taken.bytes_current)),
    ];
    println!("\n{MEMORY}");
    println!("{:<38} {:>12}", "", "bytes/client");
    for row in &rows {
        println!("{:<38} {:>12.1}", row.name, row.cells[0].value);
    }
    let further = [
        ("of whom have buckets of their own", own as u64),
        ("grown for them", grown.bytes_total),
        ("grown for 9,000,000 more", later.bytes_total),
    ];
    for (what, number) in further {
        println!("  {what:<36} {number:>12}");
    }
    Table {
        title: MEMORY.to_owned(),
        floor: false,
        ratio: "",
        units: vec!["bytes/client"],
        rows,
        notes: further
            .map(|(what, number)| format!("bartizan, {what}: {number}"))
            .into(),
    }
}

const MEMORY: &str = "rate limit, memory, 1,000,000 IPv6 clients";

const QUOTA: Quota = Quota::per(1, Duration::from_secs(1)).burst(1_000_000_000);

fn theirs() -> governor::Quota {
    let period = governor::Quota::with_period(Duration::from_secs(1)).expect("it is not zero");
    period.allow_burst(std::num::NonZeroU32::new(1_000_000_000).expect("it is not zero"))
}

/// A /64 of its own for each client.
fn address(client: u64) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(
        0x2001 << 112 | u128::from(client) << 64 | 1,
    ))
}

/// A number that looks random, and another for each other one.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 1
}

/// Clients of whom the second sends half as much as the first, the third a third, and so on.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(clients: usize) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=clients).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self(cumulated.collect())
    }

    fn draw(&self, random: u64) -> u64 {
        let last = self.0[self.0.len() - 1];
        let point = (random >> 10) as f64 / (1_u64 << 53) as f64 * last;
        self.0.partition_point(|sum| *sum < point) as u64
    }
}
