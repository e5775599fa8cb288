//! Event streams: a server in a process of its own, and a crowd of clients over loopback.
//!
//! Each turn starts a server, connects everybody, and ends it: two servers with ten thousand
//! connections each do not fit into one machine's limits. What is told of a contestant is the median
//! of its turns. CPU is the server's alone, in all its threads, as the kernel accounts for it.

mod batch;
mod better_sse;
mod by_hand;
mod crowd;
mod kind;
mod nchan;
mod recipe;
mod server;
mod session;

use crate::harness::{Effort, median};
use crate::report::{Cell, Row, Table};

use self::kind::Kind;
use self::session::Session;

pub use self::batch::targeted;
pub use self::server::run as serve;

/// What one table measures.
struct Contest {
    title: &'static str,
    connections: fn(Effort) -> usize,
    /// Who takes part; the first is the floor.
    kinds: &'static [Kind],
    /// What is measured, the first of which is what contestants are compared by.
    columns: &'static [&'static str],
    measure: fn(&mut Session, Effort) -> Vec<f64>,
}

const TO_ONE: [Kind; 8] = [
    Kind::Floor,
    Kind::Broadcast,
    Kind::Actix,
    Kind::Nchan,
    Kind::BetterSse,
    Kind::ByHand,
    Kind::Axum,
    Kind::Hyper,
];

const TO_ALL: [Kind; 9] = [
    Kind::Floor,
    Kind::Broadcast,
    Kind::Actix,
    Kind::Nchan,
    Kind::NchanForAll,
    Kind::BetterSse,
    Kind::ByHand,
    Kind::Axum,
    Kind::Hyper,
];

const CONTESTS: [Contest; 5] = [
    Contest {
        title: "SSE, one event to one of few connections",
        connections: |effort| effort.choose(500, 100),
        kinds: &TO_ONE,
        columns: &["CPU us/event"],
        measure: one_of_many,
    },
    Contest {
        title: "SSE, one event to one of many connections",
        connections: |effort| effort.choose(8000, 1000),
        kinds: &TO_ONE,
        columns: &["CPU us/event"],
        measure: one_of_many,
    },
    Contest {
        title: "SSE, bursts of 100 events to all",
        connections: |effort| effort.choose(2000, 200),
        kinds: &TO_ALL,
        columns: &["CPU us/delivery", "deliveries/s"],
        measure: bursts,
    },
    Contest {
        title: "SSE, one event to all",
        connections: |effort| effort.choose(10_000, 1000),
        kinds: &TO_ALL,
        columns: &["deliveries/s", "p99 ms", "CPU us/delivery"],
        measure: one_to_all,
    },
    Contest {
        title: "SSE, memory per idle connection",
        connections: |effort| effort.choose(4000, 500),
        kinds: &[
            Kind::Silent,
            Kind::Broadcast,
            Kind::Actix,
            Kind::Nchan,
            Kind::BetterSse,
            Kind::Axum,
            Kind::Hyper,
        ],
        columns: &["KiB/connection"],
        measure: idle,
    },
];

/// What is not installed of what those tables measure.
pub fn missing(wanted: &str) -> Option<&'static str> {
    let contests = CONTESTS.iter().filter(|one| one.title.contains(wanted));
    contests
        .flat_map(|contest| contest.kinds)
        .find_map(|kind| kind.missing())
}

/// The programs among the contestants that are installed, with their versions.
pub fn programs() -> impl Iterator<Item = (&'static str, String)> {
    let all = nchan::versions().into_iter().chain(better_sse::versions());
    all.filter_map(|(name, version)| Some((name, version?)))
}

/// Measures the tables whose titles contain `wanted`.
pub fn run(effort: Effort, wanted: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    for contest in CONTESTS.iter().filter(|one| one.title.contains(wanted)) {
        let count = contest.kinds.len();
        let connections = (contest.connections)(effort);
        let mut found = vec![Vec::new(); count];
        for round in 0..effort.choose(5, 1) {
            for place in 0..count {
                let at = (round + place) % count;
                let mut session = Session::start(contest.kinds[at], connections);
                found[at].push((contest.measure)(&mut session, effort));
            }
        }
        let table = table(contest, connections, &found);
        print(&table);
        tables.push(table);
    }
    tables
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
    let (bursts, each) = (effort.choose(4, 2), 100);
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

fn table(contest: &Contest, connections: usize, found: &[Vec<Vec<f64>>]) -> Table {
    let medians: Vec<Vec<f64>> = found
        .iter()
        .map(|turns| {
            let column = |at: usize| median(turns.iter().map(|turn| turn[at]).collect());
            (0..contest.columns.len()).map(column).collect()
        })
        .collect();
    let rows = contest.kinds.iter().zip(&medians).map(|(kind, values)| {
        let cells = values.iter().zip(&medians[0]).map(|(value, floor)| Cell {
            value: *value,
            ratio: Some(value / floor),
        });
        Row {
            name: kind.name(),
            cells: cells.collect(),
        }
    });
    Table {
        title: format!("{}, {connections} of them", contest.title),
        floor: true,
        ratio: "to the floor's number",
        units: contest.columns.to_vec(),
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

fn print(table: &Table) {
    println!("\n{}", table.title);
    print!("{:<48}", "");
    for unit in &table.units {
        print!(" {unit:>18} {:>9}", "to floor");
    }
    println!();
    for row in &table.rows {
        print!("{:<48}", row.name);
        for Cell { value, ratio } in &row.cells {
            print!(" {value:>18.3} {:>8.2}x", ratio.unwrap_or(f64::NAN));
        }
        println!();
    }
}
