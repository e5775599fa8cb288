//! Waiting for a condition, with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `condition` until it answers with something, and returns that; `None` after `deadline`.
pub fn wait_until<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let started = now();
    loop {
        if let Some(met) = condition() {
            return Some(met);
        }
        if started.elapsed() > deadline {
            return None;
        }
        sleep(PAUSE);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "real programs take real time, which no test can pause"
)]
fn now() -> Instant {
    Instant::now()
}
