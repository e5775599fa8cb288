//! Transitions: what changed, for those who act on it, and in the log.

use std::sync::Arc;

use tokio::sync::watch;

use super::Status;
use super::report::Report;
use crate::trace::emit;

/// Follows the state of a service: every change of a status, a reason or readiness, and no mere
/// measurement.
///
/// It always shows the newest state. A reader that is slow misses what lay between, never what is,
/// and can tell by the [generation](Report::generation); it delays neither probes nor other readers.
///
/// # Example
///
/// The health service of gRPC, kept in step:
///
/// ```
/// use bartizan::health::Health;
/// use tonic_health::ServingStatus;
///
/// # fn main() -> Result<(), bartizan::config::ConfigError> {
/// let (health, driver) = Health::builder("orders", "1.4.2").build()?;
/// let (reporter, service) = tonic_health::server::health_reporter();
/// let mut transitions = health.subscribe();
/// let follow = async move {
///     loop {
///         let status = match transitions.current().is_ready() {
///             true => ServingStatus::Serving,
///             false => ServingStatus::NotServing,
///         };
///         reporter.set_service_status("", status).await;
///         if transitions.changed().await.is_none() {
///             break;
///         }
///     }
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Transitions {
    changes: watch::Receiver<Arc<Report>>,
}

impl Transitions {
    pub(super) const fn new(changes: watch::Receiver<Arc<Report>>) -> Self {
        Self { changes }
    }

    /// The state as of the last transition, from now on seen.
    pub fn current(&mut self) -> Arc<Report> {
        Arc::clone(&self.changes.borrow_and_update())
    }

    /// Waits for a transition that has not been seen yet, and returns the state after it; `None` when there will be no more, since
    /// every handle, endpoint and the driver are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: the transition is seen by the next call.
    pub async fn changed(&mut self) -> Option<Arc<Report>> {
        self.changes.changed().await.ok()?;
        Some(self.current())
    }
}

/// Logs what changed from `before` to `after`: once per transition, and blocked dependencies only
/// for debugging, since their root cause speaks for them.
pub(super) fn log(before: &Report, after: &Report) {
    if after.is_stale() {
        // The driver has said so itself, and knows no more.
        return;
    }
    for (was, is) in before.checks.iter().zip(&after.checks) {
        if was.status == is.status && was.is_blocked() == is.is_blocked() {
            continue;
        }
        let reason = is.reason.map_or("none", |reason| reason.as_str());
        match is.status {
            _ if is.is_blocked() => {
                emit!(debug, { dependency = is.name, blocked_by = is.blocked_by.join(",") }, "dependency blocked");
            }
            Status::Fail => {
                emit!(warn, { dependency = is.name, reason = reason }, "dependency failed");
            }
            Status::Warn => {
                emit!(info, { dependency = is.name, reason = reason }, "dependency degraded");
            }
            Status::Pass if was.is_pending() || was.is_blocked() => {
                emit!(debug, { dependency = is.name }, "dependency works");
            }
            Status::Pass => emit!(info, { dependency = is.name }, "dependency recovered"),
        }
    }
    for (was, is) in before.alive.iter().zip(&after.alive) {
        if was.passes && !is.passes {
            emit!(error, { check = is.name }, "live check failed");
        }
    }
    if before.is_ready() != after.is_ready() {
        let reasons: Vec<_> = after
            .reasons()
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        emit!(info, { ready = after.is_ready(), reasons = reasons.join(",") }, "readiness changed");
    }
}
