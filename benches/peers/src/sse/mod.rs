//! Event streams: a server in a process of its own, and a crowd of clients over loopback.
//!
//! Each turn starts a server, connects everybody, and ends it: two servers with ten thousand
//! connections each do not fit into one machine's limits. What is told of a contestant is the median
//! of its turns. CPU is the server's alone, in all its threads, as the kernel accounts for it.

mod batch;
mod crowd;
mod server;
mod session;

use crate::harness::{Effort, median};

use self::server::Kind;
use self::session::Session;

pub use self::batch::targeted;
pub use self::server::run as serve;

/// One table.
struct Row {
    title: &'static str,
    connections: fn(Effort) -> usize,
    /// Who takes part; the first is the floor.
    kinds: &'static [Kind],
    /// What is measured, the first of which is what contestants are compared by.
    columns: &'static [&'static str],
    measure: fn(&mut Session, Effort) -> Vec<f64>,
}

const PUBLISHING: [Kind; 4] = [Kind::Floor, Kind::Broadcast, Kind::Axum, Kind::Hyper];

const ROWS: [Row; 5] = [
    Row {
        title: "SSE, one event to one of few connections",
        connections: |effort| effort.choose(500, 100),
        kinds: &PUBLISHING,
        columns: &["CPU us/event"],
        measure: one_of_many,
    },
    Row {
        title: "SSE, one event to one of many connections",
        connections: |effort| effort.choose(8000, 1000),
        kinds: &PUBLISHING,
        columns: &["CPU us/event"],
        measure: one_of_many,
    },
    Row {
        title: "SSE, bursts of 100 events to all",
        connections: |effort| effort.choose(2000, 200),
        kinds: &PUBLISHING,
        columns: &["CPU us/delivery", "deliveries/s"],
        measure: bursts,
    },
    Row {
        title: "SSE, one event to all",
        connections: |effort| effort.choose(10_000, 1000),
        kinds: &PUBLISHING,
        columns: &["deliveries/s", "p99 ms", "CPU us/delivery"],
        measure: one_to_all,
    },
    Row {
        title: "SSE, memory per idle connection",
        connections: |effort| effort.choose(4000, 500),
        kinds: &[Kind::Silent, Kind::Broadcast, Kind::Axum, Kind::Hyper],
        columns: &["KiB/connection"],
        measure: idle,
    },
];

/// Measures the tables whose titles contain `wanted`.
pub fn run(effort: Effort, wanted: &str) {
    for row in ROWS.iter().filter(|row| row.title.contains(wanted)) {
        let count = row.kinds.len();
        let mut found = vec![Vec::new(); count];
        for round in 0..effort.choose(5, 1) {
            for place in 0..count {
                let at = (round + place) % count;
                let mut session = Session::start(row.kinds[at], (row.connections)(effort));
                found[at].push((row.measure)(&mut session, effort));
            }
        }
        print(row, (row.connections)(effort), &found);
    }
}

fn one_of_many(session: &mut Session, effort: Effort) -> Vec<f64> {
    session.all(1);
    let events = effort.choose(400, 50);
    let cpu = session.cpu_of(|session| {
        for n in 0..events {
            // Anybody, and never the same twice in a row.
            session.one(n * 7919 % session.connections());
        }
    });
    vec![cpu.as_secs_f64() * 1e6 / events as f64]
}

fn bursts(session: &mut Session, effort: Effort) -> Vec<f64> {
    session.all(1);
    let (bursts, each) = (effort.choose(10, 2), 100);
    let deliveries = (bursts * each * session.connections()) as f64;
    let mut taken = 0.0;
    let cpu = session.cpu_of(|session| {
        for _ in 0..bursts {
            taken += session.all(each).last();
        }
    });
    vec![cpu.as_secs_f64() * 1e6 / deliveries, deliveries / taken]
}

fn one_to_all(session: &mut Session, effort: Effort) -> Vec<f64> {
    session.all(1);
    let times = effort.choose(15, 3);
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    let connections = session.connections() as f64;
    let cpu = session.cpu_of(|session| {
        for _ in 0..times {
            let arrivals = session.all(1);
            rates.push(connections / arrivals.last());
            tails.push(arrivals.p99() * 1e3);
        }
    });
    let each = cpu.as_secs_f64() * 1e6 / (times as f64 * connections);
    vec![median(rates), median(tails), each]
}

fn idle(session: &mut Session, _: Effort) -> Vec<f64> {
    vec![session.grown() / 1024.0 / session.connections() as f64]
}

fn print(row: &Row, connections: usize, found: &[Vec<Vec<f64>>]) {
    let medians: Vec<Vec<f64>> = found
        .iter()
        .map(|turns| {
            let column = |at: usize| median(turns.iter().map(|turn| turn[at]).collect());
            (0..row.columns.len()).map(column).collect()
        })
        .collect();
    println!("\n{}, {connections} of them", row.title);
    print!("{:<48}", "");
    for column in row.columns {
        print!(" {column:>18} {:>9}", "to floor");
    }
    println!();
    for (kind, values) in row.kinds.iter().zip(&medians) {
        print!("{:<48}", kind.name());
        for (value, floor) in values.iter().zip(&medians[0]) {
            print!(" {value:>18.3} {:>8.2}x", value / floor);
        }
        println!();
    }
}
