//! Contests: who takes turns, and the table at the end.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower::Service;

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

    /// Lets them take turns, and prints the table.
    pub fn run(mut self, effort: Effort) {
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
        let rows: Vec<_> = self
            .contestants
            .iter_mut()
            .zip(times)
            .map(|(contestant, times)| Row {
                name: contestant.name,
                nanoseconds: median(times),
                allocations: allocations(&mut contestant.turn),
            })
            .collect();
        print(self.title, &rows);
    }
}

struct Row {
    name: &'static str,
    nanoseconds: f64,
    allocations: f64,
}

fn print(title: &str, rows: &[Row]) {
    let (floor, ours) = (&rows[0], &rows[rows.len() - 1]);
    let over = |row: &Row| row.nanoseconds - floor.nanoseconds;

    println!("\n{title}");
    println!(
        "{:<38} {:>12} {:>12} {:>12} {:>12}",
        "", "ns/request", "over floor", "bartizan is", "allocations"
    );
    for (index, row) in rows.iter().enumerate() {
        let (over_floor, ratio, allocations) = if index == 0 {
            (String::from("-"), String::from("-"), row.allocations)
        } else {
            // Less than a nanosecond over the floor is the floor, seen through noise.
            let other = index + 1 < rows.len() && over(row) >= 1.0;
            let ratio = other.then(|| over(ours) / over(row));
            let ratio = ratio.map_or_else(|| String::from("-"), |ratio| format!("{ratio:.3}x"));
            let allocations = row.allocations - floor.allocations;
            (format!("{:+.1}", over(row)), ratio, allocations)
        };
        println!(
            "{:<38} {:>12.1} {over_floor:>12} {ratio:>12} {allocations:>12.1}",
            row.name, row.nanoseconds
        );
    }
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
