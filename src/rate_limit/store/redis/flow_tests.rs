//! Requests that need no trip: what they are told, and what they cost.

use super::*;
use crate::rate_limit::decision::Outcome;
use crate::rate_limit::digest::Secret;
use crate::rate_limit::quota::Quota;
use crate::rate_limit::store::redis::{RedisStore, Share};

const QUOTA: Quota = Quota::per_hour(100);

/// A store without a server.
fn store(outage: Outage) -> RedisStore<()> {
    let secret = Secret::new("the secret of a test").expect("long enough");
    let builder = RedisStore::builder((), secret, outage).leases(1);
    builder.build().expect("it is set up well")
}

/// Makes it known what a server would have answered, with cells in advance.
fn learn(store: &RedisStore<()>, checks: &[Check<'_>], cells: u64, advance: u64) -> Asked {
    let asked = Asked::new(checks, &store.shared().secret);
    for group in &asked.groups {
        let (shared, now) = (store.shared(), store.shared().now().as_nanos());
        let Turn::Ask(asking) = shared.front.turn(group.tag, &group.order, now, false) else {
            continue;
        };
        let reply = Reply {
            enough: true,
            further: 0,
            advance,
            now,
            times: (group.order.quotas.iter())
                .map(|quota| now + quota.span(cells))
                .collect(),
        };
        asking.answered(&reply, now, now);
    }
    asked
}

/// What is decided at once, and how often that allocates.
fn decide(store: &RedisStore<()>, asked: &Asked) -> (Decision, u64) {
    let mut decided = None;
    let allocated = allocation_counter::measure(|| decided = Some(store.shared().at_once(asked)));
    match decided {
        Some(AtOnce::Decided(decision)) => (decision, allocated.count_total),
        other => panic!("it needs no trip: {other:?}"),
    }
}

fn checks(key: u64) -> [Check<'static>; 3] {
    [
        Check::new("api", "api", key, QUOTA),
        Check::new("api", "daily", key, QUOTA),
        Check::new("tenant", "tenant", key, QUOTA),
    ]
}

#[test]
fn a_request_on_cells_that_are_held_allocates_nothing() {
    let store = store(Outage::Deny);
    let asked = learn(&store, &checks(1), 12, 5);
    let (decision, allocated) = decide(&store, &asked);
    assert!(decision.is_allowed());
    assert_eq!(allocated, 0);
}

#[test]
fn a_caller_who_is_known_to_be_over_allocates_nothing_and_takes_nothing() {
    let store = store(Outage::Deny);
    // The tenant has cells here, and the client has none anywhere.
    learn(&store, &checks(1)[2..], 12, 5);
    let asked = learn(&store, &checks(1), 100, 0);
    for _ in 0..20 {
        let (decision, allocated) = decide(&store, &asked);
        assert!(!decision.is_allowed());
        assert_eq!(allocated, 0);
    }
}

#[test]
fn an_outage_allocates_nothing_once_the_circuit_is_open() {
    for (outage, expected) in [
        (Outage::Deny, 0),
        (Outage::Allow, 60),
        (Outage::Local(Share::one_of(4)), 25),
    ] {
        let store = store(outage);
        let shared = store.shared();
        while shared.circuit.is_closed() {
            let call = shared.circuit.ask(shared.now()).expect("it is closed");
            call.failed(shared.now());
        }
        let asked = Asked::new(&checks(1), &shared.secret);
        let mut passed = 0;
        for _ in 0..60 {
            let (decision, allocated) = decide(&store, &asked);
            passed += u64::from(decision.is_allowed());
            assert_eq!(allocated, 0, "{outage:?}");
        }
        assert_eq!(passed, expected, "{outage:?}");
    }
}

/// What costs more than a share finds a bucket of its own size, in the same place.
#[test]
fn in_an_outage_small_requests_leave_what_a_large_one_has_taken() {
    let store = store(Outage::Local(Share::one_of(4)));
    let shared = store.shared();
    while shared.circuit.is_closed() {
        let call = shared.circuit.ask(shared.now()).expect("it is closed");
        call.failed(shared.now());
    }
    let ask = |cost| {
        let check = Check::new("api", "api", 1, QUOTA).cost(cost);
        decide(&store, &Asked::new(&[check], &shared.secret)).0
    };
    assert!(ask(100).is_allowed());
    for cost in [1, 30, 100] {
        let decision = ask(cost);
        // A share gives back a cell in four times the quota's interval.
        let empty = Duration::from_secs((100 - cost.max(25)) * 144);
        let wait = empty + Duration::from_secs(cost * 144);
        match decision.verdicts()[0].outcome() {
            Outcome::Refused(told) => {
                assert!(
                    told <= wait && told > wait - Duration::from_secs(60),
                    "{cost}: {told:?}"
                );
            }
            other => panic!("{cost}: {other:?}"),
        }
    }
    let full = ask(100).verdicts()[0].full();
    let four_hours = Duration::from_secs(4 * 3600);
    assert!(full > four_hours - Duration::from_secs(60), "{full:?}");
}

#[test]
fn what_costs_more_than_a_quota_holds_is_no_reason_to_ask() {
    let store = store(Outage::Deny);
    let costly = [
        Check::new("api", "api", 1, QUOTA).cost(101),
        Check::new("tenant", "tenant", 1, Quota::per_hour(200)).cost(101),
    ];
    let asked = Asked::new(&costly, &store.shared().secret);
    let (decision, _) = decide(&store, &asked);
    let outcomes: Vec<_> = decision.verdicts().iter().map(Verdict::outcome).collect();
    assert_eq!(outcomes, [Outcome::TooCostly, Outcome::Passed]);
}
