//! Probes that block a thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::Reason;
use super::contract::{IntoOutcome, Probe};
use super::error::ProbeError;
use super::observation::Observation;

/// Makes a probe of a function that blocks: a synchronous driver, a file system.
///
/// Each run takes a thread of the runtime's blocking pool. A thread cannot be cancelled: while a run
/// hangs past its hard deadline, further runs fail with `timeout` at once, so that one thread is
/// held, never two.
///
/// ```
/// use bartizan::health::{Dependency, probe};
///
/// let config = Dependency::local(
///     "config",
///     probe::blocking(|| std::fs::metadata("/").map(drop)),
/// );
/// ```
pub fn blocking<F, T>(function: F) -> Blocking<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: IntoOutcome,
{
    Blocking {
        function: Arc::new(function),
        busy: Arc::default(),
    }
}

/// The probe of [`blocking`].
pub struct Blocking<F> {
    function: Arc<F>,
    busy: Arc<AtomicBool>,
}

impl<F, T> Probe for Blocking<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: IntoOutcome + 'static,
{
    async fn check(&self) -> Result<Observation, ProbeError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(ProbeError::new(Reason::Timeout));
        }
        let busy = Busy(Arc::clone(&self.busy));
        let function = Arc::clone(&self.function);
        let run = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            function().into_outcome()
        });
        match run.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(ProbeError::new(Reason::Panic)),
            Err(_) => Err(ProbeError::new(Reason::Failed)),
        }
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

/// Marks the thread as free when the function has returned or panicked, and when it never started.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
