//! The handle of a service's health.

use std::fmt;
use std::sync::Arc;

use super::build_info::BuildInfo;
use super::builder::HealthBuilder;
use super::layer::HealthLayer;
use super::report::Report;
use super::route::{PATHS, Route};
use super::service::HealthService;
use super::shared::Shared;
use super::transitions::Transitions;

/// The health of one service: the handle from which endpoints are made, and by which the host drains
/// it. Cloning is cheap, and all clones are the same.
#[derive(Clone)]
pub struct Health {
    pub(super) shared: Arc<Shared>,
}

impl Health {
    /// The paths that [`layer`](Self::layer) and [`service`](Self::service) answer, as axum writes
    /// them; also what to leave out of access logs and authentication.
    pub const PATHS: [&'static str; 6] = PATHS;

    /// Begins to describe a service: its name, and the version that runs.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> HealthBuilder {
        HealthBuilder::new(name.into(), version.into())
    }

    /// Begins to describe the service of which this is a build:
    /// `Health::for_build(build_info!())`. See [`build_info!`](super::build_info!).
    pub fn for_build(build: BuildInfo) -> HealthBuilder {
        HealthBuilder::of(build)
    }

    /// A layer that answers [`PATHS`](Self::PATHS) in front of any service, and passes everything
    /// else on. Put it outside of rate limits and authentication, or the orchestrator is refused.
    pub fn layer(&self) -> HealthLayer {
        HealthLayer::new(self.clone())
    }

    /// A service that answers [`PATHS`](Self::PATHS) by itself, for a port or a router of its own;
    /// 404 for everything else.
    #[must_use]
    pub fn service(&self) -> HealthService {
        HealthService::new(self.clone(), None)
    }

    /// `/livez`, whatever the path.
    #[must_use]
    pub fn live(&self) -> HealthService {
        HealthService::new(self.clone(), Some(Route::Live))
    }

    /// `/readyz`, whatever the path.
    #[must_use]
    pub fn ready(&self) -> HealthService {
        HealthService::new(self.clone(), Some(Route::Ready))
    }

    /// `/startupz`, whatever the path.
    #[must_use]
    pub fn startup(&self) -> HealthService {
        HealthService::new(self.clone(), Some(Route::Startup))
    }

    /// `/health`, whatever the path.
    #[must_use]
    pub fn report(&self) -> HealthService {
        HealthService::new(self.clone(), Some(Route::Report))
    }

    /// `/api/status`, whatever the path.
    #[must_use]
    pub fn status(&self) -> HealthService {
        HealthService::new(self.clone(), Some(Route::Status))
    }

    /// Turns readiness to 503 (`draining`), for good: no recovery and no second call undoes it.
    /// Liveness stays as it is.
    ///
    /// Call it when the process is told to stop, then keep serving until load balancers have seen
    /// it (their probe interval times their threshold), and only then close the listener.
    ///
    /// ```
    /// # use bartizan::health::Health;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), bartizan::config::ConfigError> {
    /// # let (health, driver) = Health::builder("orders", "1.4.2").build()?;
    /// # tokio::spawn(driver);
    /// # let told_to_stop = async {};
    /// told_to_stop.await;
    /// health.drain();
    /// assert!(!health.current().is_ready() && health.current().is_live());
    /// tokio::time::sleep(Duration::from_secs(5)).await; // load balancers notice
    /// // now close the listener, and let requests in flight end
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) {
        self.shared.update(false, |report| report.draining = true);
    }

    /// Takes this instance out (503, `maintenance`), or puts it back. It is not remembered across
    /// restarts: whoever turns it on stores that, and sets it again.
    pub fn set_maintenance(&self, on: bool) {
        self.shared.update(false, |report| report.maintenance = on);
    }

    /// What is known now. For decisions of the host; endpoints do not go through here.
    #[must_use]
    pub fn current(&self) -> Arc<Report> {
        self.shared.current()
    }

    /// Follows the transitions from here on: for alerts, gRPC health, an event stream.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.shared.subscribe()
    }

    /// Waits until every dependency has its first result, good or bad, and returns the report; or
    /// until the driver is dropped, and the report is [stale](Report::is_stale). While the driver is
    /// not polled, it waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn started(&self) -> Arc<Report> {
        let mut transitions = self.subscribe();
        loop {
            let report = transitions.current();
            if report.is_started() || report.is_stale() {
                return report;
            }
            if transitions.changed().await.is_none() {
                return report;
            }
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("report", &self.current())
            .finish_non_exhaustive()
    }
}
