//! Contests: who takes turns, and the table at the end.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower::Service;

use crate::report::{Cell, Row, Table};
use crate::request::call;

/// How long to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effort {
    /// Until medians are steady.
    Full,
    /// Until everything has run.
    Quick,
}

impl Effort {
    fn turns(self) -> usize {
        self.choose(301, 21)
    }

    /// One number or the other.
    pub fn choose(self, full: usize, quick: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

const REQUESTS_PER_TURN: usize = 500;

/// One table. The first to enter is the floor, which all others are compared with; the last one is
/// bartizan, whom all others are told as multiples of.
pub struct Contest {
    /// What is measured.
    pub title: &'static str,
    request: fn() -> Request<Body>,
    expected: StatusCode,
    contestants: Vec<Contestant>,
}

struct Contestant {
    name: &'static str,
    /// Answers this many requests.
    turn: Box<dyn FnMut(usize)>,
}

impl Contest {
    /// All contestants get this request; those who enter by [`with`](Self::with) answer it with this
    /// status, or else they would not be doing the same work.
    pub fn new(title: &'static str, request: fn() -> Request<Body>, expected: StatusCode) -> Self {
        Self {
            title,
            request,
            expected,
            contestants: Vec::new(),
        }
    }

    /// Enters `service`, which must answer as all others do.
    pub fn with<S, B>(self, name: &'static str, mut service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
    {
        // A limit needs one request to be used up.
        call(&mut service, (self.request)());
        let answer = call(&mut service, (self.request)());
        assert_eq!(answer.status(), self.expected, "{name}: {}", self.title);
        self.floor(name, service)
    }

    /// Enters the service that all others are measured over.
    pub fn floor<S, B>(mut self, name: &'static str, mut service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
    {
        let request = self.request;
        let turn = Box::new(move |requests| {
            for _ in 0..requests {
                black_box(call(&mut service, black_box(request())));
            }
        });
        self.contestants.push(Contestant { name, turn });
        self
    }

    /// Enters the request alone: it is made, and nobody answers it. What all others are measured over is
    /// then the whole of what a service does.
    pub fn alone(mut self) -> Self {
        let request = self.request;
        let turn = Box::new(move |requests| {
            for _ in 0..requests {
                black_box(black_box(request()));
            }
        });
        let name = "the request alone";
        self.contestants.push(Contestant { name, turn });
        self
    }

    /// Lets them take turns, and prints the table.
    pub fn run(mut self, effort: Effort) -> Table {
        let count = self.contestants.len();
        let mut times = vec![Vec::new(); count];
        for round in 0..effort.turns() {
            for place in 0..count {
                let index = (round + place) % count;
                let started = Instant::now();
                (self.contestants[index].turn)(REQUESTS_PER_TURN);
                times[index].push(started.elapsed().as_nanos() as f64 / REQUESTS_PER_TURN as f64);
            }
        }
        let measured: Vec<_> = self
            .contestants
            .iter_mut()
            .zip(times)
            .map(|(contestant, times)| Measured {
                name: contestant.name,
                nanoseconds: median(times),
                allocations: allocations(&mut contestant.turn),
            })
            .collect();
        let table = table(self.title, &measured);
        print(&table);
        table
    }
}

struct Measured {
    name: &'static str,
    nanoseconds: f64,
    allocations: f64,
}

/// What a ratio tells of a contestant.
pub const RATIO: &str = "bartizan's time over the floor, to this one's";

fn table(title: &str, measured: &[Measured]) -> Table {
    let (floor, ours) = (&measured[0], &measured[measured.len() - 1]);
    let over = |row: &Measured| row.nanoseconds - floor.nanoseconds;
    let rows = measured.iter().enumerate().map(|(index, row)| {
        let others = 1..measured.len() - 1;
        // Less than a nanosecond over the floor is the floor, seen through noise.
        let other = others.contains(&index) && over(row) >= 1.0;
        let over_floor = Cell {
            value: over(row),
            ratio: other.then(|| over(ours) / over(row)),
        };
        let allocations = match index {
            0 => row.allocations,
            _ => row.allocations - floor.allocations,
        };
        Row {
            name: row.name,
            cells: vec![row.nanoseconds.into(), over_floor, allocations.into()],
        }
    });
    Table {
        title: title.to_owned(),
        floor: true,
        ratio: RATIO,
        units: vec![
            "ns/request",
            "ns/request over the floor",
            "allocations/request, others' over the floor",
        ],
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

fn print(table: &Table) {
    println!("\n{}", table.title);
    println!(
        "{:<38} {:>12} {:>12} {:>12} {:>12}",
        "", "ns/request", "over floor", "bartizan is", "allocations"
    );
    for (index, row) in table.rows.iter().enumerate() {
        let [time, over, allocations] = row.cells[..] else {
            unreachable!("a contest has three columns")
        };
        let over_floor = match index {
            0 => String::from("-"),
            _ => format!("{:+.1}", over.value),
        };
        println!(
            "{:<38} {:>12.1} {over_floor:>12} {:>12} {:>12.1}",
            row.name,
            time.value,
            times(over.ratio),
            allocations.value
        );
    }
}

/// A ratio as tables print it.
pub fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| String::from("-"), |ratio| format!("{ratio:.3}x"))
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn allocations(turn: &mut dyn FnMut(usize)) -> f64 {
    let counted = allocation_counter::measure(|| turn(REQUESTS_PER_TURN));
    counted.count_total as f64 / REQUESTS_PER_TURN as f64
}
