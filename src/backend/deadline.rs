//! One point in time by which everything that belongs to a request has ended.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::{Clock, Instant};

/// When to stop waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(CLOCK.now().after(limit))
    }

    /// What `future` comes to, if it does so in time. It is polled at least once, and dropped when the
    /// time is over.
    pub(crate) async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        let left = self.0.since(CLOCK.now());
        timeout(left, future).await.ok()
    }
}

/// Timers run by no other.
const CLOCK: Clock = Clock::new();

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn all_waits_together_are_no_longer_than_the_limit() {
        let began = CLOCK.now();
        let deadline = Deadline::after(LIMIT);
        assert!(deadline.bound(sleep(LIMIT / 2)).await.is_some());
        assert!(deadline.bound(pending::<()>()).await.is_none());
        // A timer of tokio may be a millisecond late.
        assert!(CLOCK.now().since(began) <= LIMIT + Duration::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_already_is_taken_even_when_the_time_is_over() {
        let deadline = Deadline::after(LIMIT);
        advance(LIMIT * 2).await;
        assert_eq!(deadline.bound(ready(7)).await, Some(7));
    }
}
