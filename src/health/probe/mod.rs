//! Probes: what a host writes to say how one dependency is.
//!
//! A probe asks one question ("does `SELECT 1` answer?") and says what it saw. When to ask, how long
//! to wait, how often it must fail before anyone is told, and who may read the answer are the
//! business of [`Dependency`](super::Dependency) and the [`Driver`](super::Driver).

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

pub use self::blocking::{Blocking, blocking};
pub use self::error::ProbeError;
pub use self::observation::Observation;
pub(in crate::health) use self::outcome::{Limits, Outcome};

mod blocking;
mod classify;
mod error;
mod observation;
mod outcome;

/// One question about one dependency.
///
/// # Contract
///
/// - **May it be called twice at once?** No run of a probe begins while another of the same probe
///   is still in flight, so a hung dependency holds one connection, not one per interval.
/// - **May it be cancelled?** Yes: at the hard deadline the future is dropped. Dropping does not
///   cancel what a server has begun: give the server a limit of its own (`statement_timeout`) below
///   the soft deadline, or the connection stays busy after the probe is gone.
/// - **May it fail or panic?** Yes. A panic in the call, while polled or while dropped is reported
///   as `fail (panic)` and harms nothing else (with `panic = "abort"` no code can help).
/// - **May it block?** No: all probes share one task. Wrap what blocks in [`blocking()`].
/// - **Does a client reach it?** Never. Requests read a finished snapshot; no request, query or
///   aborted connection runs, delays or cancels a probe.
///
/// # Closures
///
/// Every `Fn() -> impl Future` whose output [says what happened](IntoOutcome) is a probe:
///
/// ```
/// use bartizan::health::Dependency;
///
/// async fn ping() -> Result<(), std::io::Error> {
///     Ok(())
/// }
///
/// let dependency = Dependency::shared("database", ping);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a health probe",
    label = "implement `Probe`, or pass `Fn() -> impl Future<Output = Result<(), E>>`",
    note = "a function that blocks becomes a probe through `probe::blocking(function)`"
)]
pub trait Probe: Send + Sync + 'static {
    /// Asks once.
    ///
    /// # Errors
    ///
    /// Whatever kept the dependency from answering; `?` turns every error into a [`ProbeError`].
    ///
    /// # Cancel safety
    ///
    /// Must be safe to drop at any await point.
    fn check(&self) -> impl Future<Output = Result<Observation, ProbeError>> + Send;
}

impl<F, Fut> Probe for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoOutcome,
{
    async fn check(&self) -> Result<Observation, ProbeError> {
        self().await.into_outcome()
    }
}

/// What a closure used as a probe may return: `()`, an [`Observation`], or a `Result` of either
/// whose error is any error, `String`, `&str`, boxed error or `anyhow::Error`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how a dependency is",
    label = "return `()`, an `Observation`, or a `Result` of one of them",
    note = "a result of anything else becomes one with `.map(drop)`"
)]
pub trait IntoOutcome {
    /// The observation, or what went wrong.
    ///
    /// # Errors
    ///
    /// The probe's failure.
    fn into_outcome(self) -> Result<Observation, ProbeError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Observation, ProbeError> {
        Ok(Observation::new())
    }
}

impl IntoOutcome for Observation {
    fn into_outcome(self) -> Result<Observation, ProbeError> {
        Ok(self)
    }
}

impl<T, E> IntoOutcome for Result<T, E>
where
    T: IntoOutcome,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn into_outcome(self) -> Result<Observation, ProbeError> {
        self.map_err(ProbeError::caused_by)?.into_outcome()
    }
}

/// A probe without its type, so that neither `Health` nor `Driver` carries one: a box per run.
pub(in crate::health) trait ErasedProbe: Send + Sync {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<Observation, ProbeError>>;
}

impl<P: Probe> ErasedProbe for P {
    fn start(self: Arc<Self>) -> BoxFuture<'static, Result<Observation, ProbeError>> {
        Box::pin(async move { self.check().await })
    }
}
