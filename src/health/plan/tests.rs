//! The driver's decisions on a clock of plain numbers.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

const SECOND: u64 = 1_000;
const TIME: SystemTime = SystemTime::UNIX_EPOCH;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn pass() -> Outcome {
    Outcome {
        status: Status::Pass,
        reason: None,
        ..Outcome::failed(Reason::Failed, Some(Duration::ZERO))
    }
}

fn refused() -> Outcome {
    Outcome::failed(Reason::Refused, Some(Duration::ZERO))
}

/// A plan of shared dependencies with the default timing and no jitter.
fn plan(nodes: &[(&str, &[&str])], slots: usize) -> Plan {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|(name, parents)| {
            let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
            ((*name).to_owned(), parents)
        })
        .collect();
    let timing = Timing {
        interval: Duration::from_secs(5),
        interval_failing: Duration::from_secs(2),
        soft: Duration::from_secs(1),
        hard: Duration::from_secs(10),
        fall: 2,
        rise: 2,
    };
    let graph = Graph::new(&nodes).unwrap();
    Plan::new(
        graph,
        nodes.iter().map(|_| (Scope::Shared, timing)),
        slots,
        0,
    )
}

fn started(plan: &mut Plan, now: u64) -> Vec<usize> {
    std::iter::from_fn(|| plan.start(at(now))).collect()
}

/// Starts whatever may run and lets it come to what `outcome` says, at once.
fn round(plan: &mut Plan, now: u64, outcome: impl Fn(usize) -> Outcome) -> Vec<usize> {
    let mut ran = Vec::new();
    while let Some(index) = plan.start(at(now)) {
        plan.finish(index, outcome(index), at(now), TIME);
        ran.push(index);
    }
    ran
}

fn states(plan: &Plan, now: u64) -> Vec<(Status, Option<Reason>)> {
    let checks = plan.checks(at(now));
    checks
        .iter()
        .map(|check| (check.status, check.reason))
        .collect()
}

#[test]
fn parents_run_first_and_a_wave_waits_for_the_one_before() {
    let mut plan = plan(&[("c", &["b"]), ("b", &["a"]), ("a", &[])], 16);
    assert_eq!(started(&mut plan, 0), [2]);
    plan.finish(2, pass(), at(0), TIME);
    assert_eq!(started(&mut plan, 0), [1]);
    plan.finish(1, pass(), at(0), TIME);
    assert_eq!(started(&mut plan, 0), [0]);
    assert!(!plan.is_started());
    plan.finish(0, pass(), at(0), TIME);
    assert!(plan.is_started());
}

#[test]
fn no_more_runs_than_slots_and_what_hangs_gives_its_slot_back() {
    let mut plan = plan(&[("a", &[]), ("b", &[]), ("c", &[])], 2);
    assert_eq!(started(&mut plan, 0), [0, 1]);
    plan.sample(at(SECOND), TIME);
    assert_eq!(started(&mut plan, SECOND), [2]);
    assert_eq!(
        states(&plan, SECOND)[0],
        (Status::Fail, Some(Reason::Timeout))
    );
}

#[test]
fn a_run_begins_an_interval_after_the_end_of_the_last_and_sooner_while_failing() {
    let mut plan = plan(&[("a", &[])], 1);
    round(&mut plan, 0, |_| pass());
    assert_eq!(plan.next(), Some(at(5 * SECOND)));
    round(&mut plan, 5 * SECOND, |_| refused());
    assert_eq!(plan.next(), Some(at(7 * SECOND)));
    assert_eq!(states(&plan, 5 * SECOND), [(Status::Pass, None)]);
    round(&mut plan, 7 * SECOND, |_| refused());
    assert_eq!(
        states(&plan, 7 * SECOND),
        [(Status::Fail, Some(Reason::Refused))]
    );
    round(&mut plan, 9 * SECOND, |_| pass());
    assert_eq!(plan.next(), Some(at(11 * SECOND)), "not recovered yet");
    round(&mut plan, 11 * SECOND, |_| pass());
    assert_eq!(plan.next(), Some(at(16 * SECOND)));
    assert_eq!(states(&plan, 11 * SECOND), [(Status::Pass, None)]);
}

#[test]
fn a_gap_in_time_is_one_sample_and_one_run_not_a_burst() {
    let mut plan = plan(&[("a", &[])], 1);
    round(&mut plan, 0, |_| pass());
    let hour = 3600 * SECOND;
    assert_eq!(states(&plan, hour), [(Status::Fail, Some(Reason::Stale))]);
    assert_eq!(round(&mut plan, hour, |_| pass()), [0]);
    assert_eq!(states(&plan, hour), [(Status::Pass, None)]);
    assert_eq!(started(&mut plan, hour + 5 * SECOND), [0]);
    plan.sample(at(2 * hour), TIME);
    assert_eq!(plan.checks(at(2 * hour))[0].failures, 1);
}

#[test]
fn a_hang_counts_again_whenever_a_run_would_have_begun() {
    let mut plan = plan(&[("a", &[])], 1);
    round(&mut plan, 0, |_| pass());
    assert_eq!(started(&mut plan, 5 * SECOND), [0]);
    assert_eq!(plan.next(), Some(at(6 * SECOND)));
    plan.sample(at(6 * SECOND), TIME);
    assert_eq!(states(&plan, 6 * SECOND), [(Status::Pass, None)]);
    assert_eq!(plan.next(), Some(at(8 * SECOND)));
    plan.sample(at(8 * SECOND), TIME);
    assert_eq!(
        states(&plan, 8 * SECOND),
        [(Status::Fail, Some(Reason::Timeout))]
    );
    assert!(
        started(&mut plan, 8 * SECOND).is_empty(),
        "one run at a time"
    );
    plan.finish(0, pass(), at(9 * SECOND), TIME);
    assert_eq!(
        plan.next(),
        Some(at(11 * SECOND)),
        "late, so it was counted already"
    );
    assert_eq!(
        states(&plan, 9 * SECOND),
        [(Status::Fail, Some(Reason::Timeout))]
    );
}

#[test]
fn a_child_is_blocked_and_not_probed_and_probed_at_once_when_its_parent_recovers() {
    let mut plan = plan(&[("db", &[]), ("ledger", &["db"])], 16);
    round(&mut plan, 0, |_| pass());
    round(&mut plan, 5 * SECOND, |index| {
        if index == 0 { refused() } else { pass() }
    });
    assert_eq!(round(&mut plan, 7 * SECOND, |_| refused()), [0]);
    let blocked = &plan.checks(at(7 * SECOND))[1];
    assert_eq!(
        (blocked.status, blocked.reason),
        (Status::Fail, Some(Reason::Blocked))
    );
    assert_eq!(blocked.blocked_by().collect::<Vec<_>>(), ["db"]);
    for second in 8..60 {
        assert!(!round(&mut plan, second * SECOND, |_| refused()).contains(&1));
    }
    assert_eq!(round(&mut plan, 61 * SECOND, |_| pass()), [0]);
    assert_eq!(round(&mut plan, 63 * SECOND, |_| pass()), [0, 1]);
    assert_eq!(states(&plan, 63 * SECOND), [(Status::Pass, None); 2]);
}

#[test]
fn after_its_parent_recovered_a_child_is_not_known_until_it_has_answered() {
    let mut plan = plan(&[("db", &[]), ("ledger", &["db"])], 16);
    assert_eq!(round(&mut plan, 0, |_| refused()), [0]);
    assert!(plan.is_started(), "blocked is a first result");
    assert_eq!(started(&mut plan, 2 * SECOND), [0]);
    plan.finish(0, pass(), at(2 * SECOND), TIME);
    assert_eq!(started(&mut plan, 2 * SECOND), [1]);
    let seen = states(&plan, 2 * SECOND);
    assert_eq!(seen[1], (Status::Warn, Some(Reason::Pending)));
    plan.finish(1, pass(), at(2 * SECOND), TIME);
    assert_eq!(states(&plan, 2 * SECOND), [(Status::Pass, None); 2]);
}

#[test]
fn a_child_that_feels_it_first_does_not_take_the_blame() {
    let mut plan = plan(&[("db", &[]), ("ledger", &["db"])], 16);
    round(&mut plan, 0, |_| pass());
    // The ledger is out of step with its parent, as jitter makes it.
    let Phase::Idle { due } = &mut plan.nodes[0].phase else {
        unreachable!("nothing is in flight");
    };
    *due = at(9 * SECOND);
    assert_eq!(
        round(&mut plan, 5 * SECOND, |_| refused()),
        [1, 0],
        "the parent is asked at once"
    );
    round(&mut plan, 7 * SECOND, |_| refused());
    let seen = states(&plan, 7 * SECOND);
    assert_eq!(seen[0], (Status::Fail, Some(Reason::Refused)));
    assert_eq!(seen[1], (Status::Fail, Some(Reason::Blocked)));
}

#[test]
fn a_child_waits_for_a_parent_that_takes_its_time_to_answer() {
    let mut plan = plan(&[("db", &[]), ("ledger", &["db"])], 16);
    plan.nodes[0].timing.soft = Duration::from_secs(4);
    plan.nodes[1].track = Track::new(1, 1);
    round(&mut plan, 0, |_| pass());
    assert_eq!(started(&mut plan, 5 * SECOND), [0, 1]);
    plan.finish(1, refused(), at(5 * SECOND), TIME);
    assert_eq!(states(&plan, 5 * SECOND)[1], (Status::Pass, None));
    plan.finish(0, pass(), at(7 * SECOND), TIME);
    assert_eq!(started(&mut plan, 7 * SECOND), [1]);
    plan.finish(1, refused(), at(7 * SECOND), TIME);
    let seen = states(&plan, 7 * SECOND);
    assert_eq!(
        seen[1],
        (Status::Fail, Some(Reason::Refused)),
        "its parent is innocent"
    );
}

#[test]
fn a_result_from_before_the_parent_fell_is_not_believed() {
    let mut plan = plan(&[("db", &[]), ("ledger", &["db"])], 16);
    round(&mut plan, 0, |_| pass());
    round(&mut plan, 5 * SECOND, |index| {
        if index == 0 { refused() } else { pass() }
    });
    assert_eq!(started(&mut plan, 10 * SECOND), [0, 1]);
    plan.finish(0, refused(), at(10 * SECOND), TIME);
    plan.finish(1, refused(), at(10 * SECOND), TIME);
    assert_eq!(plan.checks(at(10 * SECOND))[1].failures, 0);
}

/// Whatever probes do and however time passes: one run of a probe at a time, none of what is
/// blocked, no more than the slots, never a moment at which the driver would spin.
#[test]
fn the_rules_hold_on_any_schedule() {
    let steps = prop::collection::vec((0_usize..6, 0_u8..4, 0_u64..4_000), 1..300);
    let (blocked, late) = (Cell::new(0), Cell::new(0));
    TestRunner::default()
        .run(&(steps, 1_usize..4), |(steps, slots)| {
            let mut plan = diamond(slots);
            let (mut now, mut in_flight, mut was_started) = (0, [false; 6], false);
            for (index, kind, wait) in steps {
                now += wait;
                if in_flight[index] && kind > 0 {
                    let outcome = if kind == 1 { refused() } else { pass() };
                    plan.finish(index, outcome, at(now), TIME);
                    in_flight[index] = false;
                }
                plan.sample(at(now), TIME);
                let checks = plan.checks(at(now));
                while let Some(index) = plan.start(at(now)) {
                    prop_assert!(!in_flight[index], "two runs at once");
                    prop_assert!(!checks[index].is_blocked(), "blocked, and probed");
                    in_flight[index] = true;
                }
                let is_late =
                    |node: &&Node| matches!(node.phase, Phase::Running { late: true, .. });
                let hanging = plan.nodes.iter().filter(is_late).count();
                let running = in_flight.iter().filter(|running| **running).count();
                prop_assert!(running - hanging <= slots);
                prop_assert!(
                    plan.next().is_none_or(|next| next > at(now)),
                    "it would spin"
                );
                prop_assert!(plan.is_started() || !was_started, "it has not, after all");
                was_started = plan.is_started();
                for check in checks.iter().filter(|check| check.is_blocked()) {
                    prop_assert!(check.blocked_by().len() > 0);
                    blocked.set(blocked.get() + 1);
                }
                late.set(late.get() + hanging);
            }
            Ok(())
        })
        .unwrap();
    assert!(
        blocked.get() > 1_000 && late.get() > 1_000,
        "the schedules were too tame"
    );
}

/// `d` rests on `b` and `c`, which rest on `a`; `f` rests on `e`.
fn diamond(slots: usize) -> Plan {
    let nodes: [(&str, &[&str]); 6] = [
        ("d", &["b", "c"]),
        ("b", &["a"]),
        ("c", &["a"]),
        ("a", &[]),
        ("e", &[]),
        ("f", &["e"]),
    ];
    plan(&nodes, slots)
}
