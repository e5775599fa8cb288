//! Two demos and one Redis, as processes.

use std::time::Duration;

use bartizan::clock::Clock;
use bartizan_process::wait_until;
use server::Redis;

use crate::DEADLINE;
use crate::demo::{Demo, status};

const PER_SECOND: u64 = 5;

/// Opens a session, which is a write like any other.
fn write(demo: &Demo) -> u16 {
    let answer = demo
        .ask("POST", "/api/session", r#"{"user":"u1"}"#)
        .unwrap();
    status(&answer).unwrap_or_else(|| panic!("no status: {answer}"))
}

/// How many writes pass of those that two demos are asked for at once, again and again; and how many may
/// if the two have one limit together.
fn hammer(demos: [&Demo; 2]) -> (u64, u64) {
    let clock = Clock::new();
    let began = clock.now();
    let one = |demo: &Demo| (0..100).filter(|_| write(demo) == 204).count() as u64;
    let passed = std::thread::scope(|scope| {
        let others = scope.spawn(|| one(demos[0]));
        one(demos[1]) + others.join().unwrap()
    });
    let took = clock.now().since(began);
    let back = (took.as_secs_f64() * PER_SECOND as f64).ceil() as u64;
    (passed, PER_SECOND + back)
}

#[test]
fn two_demos_on_one_redis_have_one_limit_together() {
    let mut redis = Redis::start();
    let url = redis.url();
    let rate = PER_SECOND.to_string();
    let arguments = ["--redis-url", &url, "--writes-per-second", &rate];
    let (one, two) = (Demo::with(&arguments), Demo::with(&arguments));
    let (passed, bound) = hammer([&one, &two]);
    assert!(
        (1..=bound).contains(&passed),
        "{passed} passed, and {bound} may"
    );

    // Without a limit in common there would be more than that.
    let (alone, alone_too) = (Demo::with(&arguments[2..]), Demo::with(&arguments[2..]));
    let (passed, bound) = hammer([&alone, &alone_too]);
    assert!(
        passed > bound,
        "{passed} passed, and {bound} is no limit of theirs"
    );

    // While Redis is away each goes on by itself; and neither waits.
    redis.kill();
    for demo in [&one, &two] {
        let passes = wait_until(DEADLINE, || (write(demo) == 204).then_some(()));
        assert!(passes.is_some(), "a part of the limit is left");
    }
    redis.restart();
    let shared = wait_until(DEADLINE, || {
        std::thread::sleep(Duration::from_millis(200));
        let (passed, bound) = hammer([&one, &two]);
        (passed <= bound).then_some(())
    });
    assert!(shared.is_some(), "the limit is one again");
}
