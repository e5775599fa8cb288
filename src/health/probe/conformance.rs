//! What a probe must stand: for the tests of whoever writes one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::contract::Probe;
use super::error::ProbeError;
use super::observation::Observation;

/// Runs `probe` as the driver may: again and again, and dropped at each of its first await points.
///
/// A probe that takes a connection, a permit or a lock and does not give it back when it is dropped
/// passes once, and hangs or fails ever after: that is found here. Call it in a tokio test against a
/// dependency that works.
///
/// ```
/// use bartizan::health::probe_conformance;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// probe_conformance(&async || tokio::task::yield_now().await).await;
/// # }
/// ```
///
/// # Panics
///
/// If a run fails, panics, or takes longer than 10 s.
pub async fn probe_conformance(probe: &impl Probe) {
    complete(probe, "the first run").await;
    for polls in 1..=MOST_POLLS {
        let finished = dropped_after(probe, polls).await;
        complete(
            probe,
            &format!("the run after one that was dropped at its poll {polls}"),
        )
        .await;
        if finished {
            return;
        }
    }
}

/// A run to its end.
async fn complete(probe: &impl Probe, which: &str) {
    let result: Result<Observation, ProbeError> = tokio::time::timeout(LONGEST, probe.check())
        .await
        .unwrap_or_else(|_| panic!("{which} did not end within {LONGEST:?}"));
    if let Err(error) = result {
        panic!("{which} failed: {}", error.chain());
    }
}

/// A run that is dropped after `polls` polls; whether it had ended by then.
async fn dropped_after(probe: &impl Probe, polls: usize) -> bool {
    let mut run = pin!(probe.check());
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        match run.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

const LONGEST: Duration = Duration::from_secs(10);

/// More than any probe awaits that asks one question.
const MOST_POLLS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::FutureExt;

    use super::*;

    /// Takes a lock, waits twice, and gives it back: in the end, or also when dropped.
    struct Locks {
        taken: Arc<AtomicBool>,
        also_when_dropped: bool,
    }

    struct Lock(Arc<AtomicBool>);

    impl Drop for Lock {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }

    impl Probe for Locks {
        async fn check(&self) -> Result<Observation, ProbeError> {
            if self.taken.swap(true, Ordering::SeqCst) {
                return Err(ProbeError::caused_by("still taken"));
            }
            let taken = || Lock(Arc::clone(&self.taken));
            let lock = self.also_when_dropped.then(taken);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            drop(lock);
            self.taken.store(false, Ordering::SeqCst);
            Ok(Observation::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_probe_that_can_be_dropped_conforms() {
        for also_when_dropped in [true, false] {
            let probe = Locks {
                taken: Arc::default(),
                also_when_dropped,
            };
            let verdict = std::panic::AssertUnwindSafe(probe_conformance(&probe)).catch_unwind();
            assert_eq!(verdict.await.is_ok(), also_when_dropped);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_does_not_conform() {
        let hangs = std::future::pending::<()>;
        let verdict = std::panic::AssertUnwindSafe(probe_conformance(&hangs)).catch_unwind();
        assert!(verdict.await.is_err());
    }
}
