//! The contract between a host's probe and the driver, and what a closure may return.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::error::ProbeError;
use super::observation::Observation;

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
/// - **May it block?** No: all probes share one task. Wrap what blocks in [`blocking()`](super::blocking()).
/// - **What can a client do?** Nothing. Requests read finished pages: no request, query or aborted
///   connection runs, delays or cancels a probe. Who can shape an error's text (a server that was
///   taken over) can choose among the [reason codes](super::super::Reason), and is not quoted.
///
/// `probe_conformance` (feature `test-util`) tests what of this can be tested.
///
/// # Example
///
/// Every `Fn() -> impl Future` whose output [says what happened](IntoOutcome) is a probe, and so is
/// a type of the host's own:
///
/// ```
/// use bartizan::health::{Dependency, Observation, Probe, ProbeError};
/// # use std::io;
///
/// async fn ping() -> io::Result<()> {
///     Ok(())
/// }
///
/// struct Replica;
/// # impl Replica {
/// #     async fn lag_in_seconds(&self) -> io::Result<f64> { Ok(0.2) }
/// # }
///
/// impl Probe for Replica {
///     async fn check(&self) -> Result<Observation, ProbeError> {
///         let lag = self.lag_in_seconds().await?;
///         Ok(Observation::new().value(lag, "s").measurement("replicationLag"))
///     }
/// }
///
/// let database = Dependency::shared("database", ping);
/// let replica = Dependency::shared("replica", Replica).warn_above(30.0);
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
