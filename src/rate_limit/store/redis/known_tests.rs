//! One process's knowledge, and a fleet of them over a model of the server.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const SECOND: u64 = 1_000_000_000;
const PATIENCE: u64 = 50_000_000;

/// The server's clock is far from that of the processes.
const AHEAD: u64 = 77 * SECOND;

/// What the script does.
#[derive(Default)]
struct Server {
    times: Vec<u64>,
}

impl Server {
    fn ask(&mut self, order: &Order, [further, advance]: [u64; 2], local: u64) -> Reply {
        let now = local + AHEAD;
        self.times.resize(order.quotas.len(), 0);
        let spans = |cells: u64| order.quotas.iter().map(move |quota| quota.span(cells));
        let bases: Vec<_> = (self.times.iter().zip(&order.quotas))
            .map(|(time, quota)| (*time).clamp(now, gcra::ceiling(*quota, now)))
            .collect();
        let fits = |cells: u64| {
            (bases.iter().zip(&order.quotas).zip(spans(cells)))
                .all(|((base, quota), span)| base + span <= gcra::ceiling(*quota, now))
        };
        let enough = fits(order.cells);
        let mut reply = Reply {
            enough,
            further: 0,
            advance: 0,
            now,
            times: bases.iter().copied().collect(),
        };
        if enough {
            let fifth = order.quotas.iter().map(|quota| quota.cells().div_ceil(5));
            let reserve = fifth.max().unwrap();
            reply.further = (0..=further).rfind(|n| fits(order.cells + n)).unwrap();
            let taken = order.cells + reply.further;
            let most = (0..=advance).rfind(|n| *n == 0 || fits(taken + n + reserve));
            reply.advance = most.unwrap();
            for (time, span) in reply.times.iter_mut().zip(spans(taken + reply.advance)) {
                *time += span;
            }
            self.times = reply.times.to_vec();
        }
        reply
    }
}

fn order(quota: Quota, cells: u64) -> Order {
    Order {
        quotas: SmallVec::from_slice(&[quota]),
        cells,
    }
}

/// Asks a process, which asks the server if it has to. Whether the request passes, and whether it asked.
fn request(
    known: &mut Known,
    server: &mut Server,
    order: &Order,
    most: u64,
    now: u64,
) -> (bool, bool) {
    match known.step(order, now) {
        Step::Pass(_) => (true, false),
        Step::Refuse(_) => (false, false),
        Step::Ask => {
            let advance = known.advance(most, now);
            let reply = server.ask(order, [0, advance], now);
            known.learn(&reply, now, now, PATIENCE);
            (reply.enough, true)
        }
    }
}

#[test]
fn who_is_over_is_refused_until_the_instant_that_the_server_named() {
    let (mut known, mut server) = (Known::default(), Server::default());
    let quota = Quota::per(2, Duration::from_millis(200));
    let mut ask = |cells, now| request(&mut known, &mut server, &order(quota, cells), 0, now);
    assert_eq!(ask(2, 0), (true, true));
    assert_eq!(ask(1, 1), (false, false), "without a trip");
    let interval = 100_000_000;
    assert_eq!(ask(1, interval - 1), (false, false));
    assert_eq!(
        ask(2, interval),
        (false, false),
        "and more cells for longer"
    );
    assert_eq!(ask(1, interval), (true, true));
}

#[test]
fn who_is_over_the_longer_window_of_another_process_waits_until_there_is_room_in_this_one() {
    let reply = Reply {
        enough: false,
        further: 0,
        advance: 0,
        now: AHEAD,
        times: SmallVec::from_slice(&[AHEAD + 3600 * SECOND]),
    };
    let order = order(Quota::per_second(5), 2);
    let wait = 3600 * SECOND - SECOND + 2 * SECOND / 5;
    let mut known = Known::default();
    known.learn(&reply, 0, 0, PATIENCE);
    let told = [
        reply.verdicts(&order)[0],
        reply.levels(&order)[0],
        known.levels(&order, 0)[0],
    ];
    for verdict in told {
        assert_eq!(
            verdict.outcome(),
            Outcome::Refused(Duration::from_nanos(wait))
        );
    }
}

#[test]
fn a_refusal_is_believed_for_a_second_and_says_how_long_to_wait() {
    let (mut known, mut server) = (Known::default(), Server::default());
    let order = order(Quota::per_minute(1), 1);
    assert_eq!(request(&mut known, &mut server, &order, 0, 0), (true, true));
    let Step::Refuse(verdicts) = known.step(&order, SECOND / 2) else {
        panic!("it is known to be over");
    };
    let wait = Duration::from_millis(59_500);
    assert_eq!(verdicts[0].outcome(), Outcome::Refused(wait));
    assert_eq!(
        request(&mut known, &mut server, &order, 0, SECOND),
        (false, true)
    );
}

#[test]
fn cells_for_those_who_waited_lapse_with_them() {
    let (mut known, mut server) = (Known::default(), Server::default());
    let order = order(Quota::per_hour(100), 1);
    let reply = server.ask(&order, [3, 0], 0);
    known.learn(&reply, 0, 0, PATIENCE);
    assert!(matches!(known.step(&order, PATIENCE - 1), Step::Pass(_)));
    assert!(matches!(known.step(&order, PATIENCE - 1), Step::Pass(_)));
    assert!(matches!(known.step(&order, PATIENCE), Step::Ask));
}

#[test]
fn without_leases_a_cell_that_is_given_back_is_there_for_the_next_who_waited() {
    let (mut known, mut server) = (Known::default(), Server::default());
    let order = order(Quota::per_hour(100), 1);
    assert_eq!(known.advance(0, 0), 0);
    let reply = server.ask(&order, [1, 0], 0);
    known.learn(&reply, 0, 0, PATIENCE);
    assert!(matches!(known.step(&order, 1), Step::Pass(_)));
    known.give_back(1, 2);
    assert!(matches!(known.step(&order, 3), Step::Pass(_)));
    assert!(matches!(known.step(&order, 4), Step::Ask));
    known.give_back(1, 5);
    assert!(
        matches!(known.step(&order, PATIENCE), Step::Ask),
        "it lapses as before"
    );
}

#[test]
fn what_is_held_counts_as_left() {
    let (mut known, mut server) = (leasing(), Server::default());
    let order = order(Quota::per_hour(100), 1);
    let reply = server.ask(&order, [0, 9], 0);
    assert_eq!(reply.verdicts(&order)[0].remaining(), 99);
    known.learn(&reply, 0, 0, PATIENCE);
    let Step::Pass(verdicts) = known.step(&order, 1) else {
        panic!("there are cells");
    };
    assert_eq!(verdicts[0].remaining(), 98);
    known.give_back(1, 2);
    assert_eq!(known.levels(&order, 3)[0].remaining(), 99);
}

#[test]
fn a_lease_lapses_when_the_bucket_is_full_again() {
    let (mut known, mut server) = (leasing(), Server::default());
    let order = order(Quota::per_second(100), 1);
    let reply = server.ask(&order, [0, 9], 0);
    known.learn(&reply, 0, 0, PATIENCE);
    let full = SECOND / 10;
    assert!(matches!(known.step(&order, full - 1), Step::Pass(_)));
    assert!(matches!(known.step(&order, full), Step::Ask));
}

#[test]
fn no_more_is_held_than_may_be_however_it_came() {
    let (mut known, mut server) = (leasing(), Server::default());
    let order = order(Quota::per_hour(100), 1);
    // Of two questions that are under way at once, one given up, each brings cells.
    for _ in 0..2 {
        let reply = server.ask(&order, [0, 9], 0);
        known.learn(&reply, 0, 0, PATIENCE);
    }
    known.give_back(5, 1);
    assert_eq!(known.lease.left(1), 10);
}

/// Of a process that may hold ten cells.
fn leasing() -> Known {
    let mut known = Known::default();
    known.advance(10, 0);
    known
}

#[test]
fn leases_grow_with_the_demand_and_shrink_with_it() {
    let mut known = Known::default();
    let busy: Vec<_> = (0..8).map(|n| known.advance(20, n * SECOND / 2)).collect();
    assert_eq!(busy, [0, 1, 2, 4, 8, 16, 20, 20]);
    let quiet: Vec<_> = (10..15).map(|n| known.advance(20, n * SECOND)).collect();
    assert_eq!(quiet, [10, 5, 2, 1, 0]);
    assert_eq!(
        known.advance(0, 15 * SECOND),
        0,
        "none where there are none"
    );
}

/// In a stretch of time `t` a fleet of `n` lets `t / interval + burst + n * most` pass at most.
#[test]
fn a_fleet_with_leases_stays_within_its_bound() {
    let seeds = std::env::var("BARTIZAN_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let (mut beyond, mut trips, mut requests) = (0, 0, 0);
    for seed in 0..seeds.unwrap_or(64) {
        let mut random = StdRng::seed_from_u64(seed);
        let instances = random.random_range(1..=4_u64);
        let quota = Quota::per_second(1000).burst(random.random_range(50..400));
        let (most, order) = (quota.cells() / (10 * instances), order(quota, 1));
        let mut fleet: Vec<_> = (0..instances).map(|_| Known::default()).collect();
        let mut server = Server::default();
        let mut now = SECOND;
        let mut passed: Vec<u64> = Vec::new();
        for _ in 0..800 {
            // Bursts at one moment, steady traffic, and times in which buckets fill again.
            now += match random.random_range(0..100) {
                0..70 => 0,
                70..96 => random.random_range(0..2_000_000),
                _ => random.random_range(0..quota.span(quota.cells())),
            };
            let known = &mut fleet[random.random_range(0..instances as usize)];
            let (passes, asked) = request(known, &mut server, &order, most, now);
            assert!(known.lease.count <= most, "no more is held than that");
            (trips, requests) = (trips + u64::from(asked), requests + 1);
            if passes {
                passed.push(now);
            }
        }
        for (first, began) in passed.iter().enumerate() {
            for (last, ended) in passed.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                let plain = (ended - began) / quota.span(1) + quota.cells();
                assert!(count <= plain + instances * most, "seed {seed}");
                beyond += u64::from(count > plain);
            }
        }
    }
    assert!(
        beyond > 0,
        "the bound without leases was passed, so theirs was put to the test"
    );
    assert!(
        trips * 2 < requests,
        "{trips} trips for {requests} requests"
    );
}
