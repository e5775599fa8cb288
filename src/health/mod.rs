//! A status that is true, cheap at any load, and says what is really broken.
//!
//! 1. A host describes what its service needs: each [`Dependency`] has a [`Probe`] (a closure will
//!    do), and is [`local`](Dependency::local) to this instance or [`shared`](Dependency::shared) by
//!    all replicas.
//! 2. [`build`](HealthBuilder::build) returns a [`Health`] handle and a [`Driver`]. The driver alone
//!    runs probes: concurrently, on an interval with jitter, at once after start, more often while
//!    something fails, never two runs of one probe at a time. A probe that hangs is reported after a
//!    soft deadline and dropped after a hard one; a probe that panics fails.
//! 3. It takes several results in a row to change a state ([`fall`](Dependency::fall),
//!    [`rise`](Dependency::rise)), so a single blip turns nobody away.
//! 4. What rests on a failed dependency ([`depends_on`](Dependency::depends_on)) is `blocked`: not
//!    probed, not announced, and never worse for the whole than its root cause.
//! 5. Every page is rendered when something changes (a burst of changes at most fifty times a
//!    second), and once a second. A request chooses among finished pages: however many requests,
//!    queries or aborted clients, no probe runs and no page is rendered for them. What rendering
//!    costs grows with the number of dependencies, of which there may be 1,024.
//! 6. A snapshot that the driver has not renewed for [`max_age`](HealthBuilder::max_age) is not
//!    believed: readiness answers 503 `stale`, liveness 200.
//!
//! | path | 200 | 503 | body |
//! |---|---|---|---|
//! | `/livez` | the process should go on living | a [beat](Beat) or live check failed | text |
//! | `/readyz` | requests may come | a local dependency is down, start-up, draining, maintenance, stale | text; `?verbose`, `?exclude=name` |
//! | `/startupz` | every dependency has had its first result | not yet | text |
//! | `/health` | as `/readyz` | as `/readyz` | [`application/health+json`][draft], JSON or text by `Accept` |
//! | `/health/{name}` | this dependency passes or warns | it fails | the same |
//! | `/api/status` | as `/readyz` | as `/readyz` | JSON: service, version, release, uptime, dependencies with latency |
//!
//! A warning is a plain 200. There is no 500, and no `Accept` is refused. GET, HEAD and OPTIONS work;
//! answers are `no-store`; a 503 says when to try again. What anybody gets of a text page is at most
//! 10 KiB, as much as a kubelet reads: of more lines than fit, those that are well are left out first.
//!
//! `/api/status` has an `ETag`, so that a client that polls may ask with `If-None-Match` and gets 304
//! until a status or a reason changes. The tag is weak: measurements and uptime, which always move,
//! do not change it. No other page has one, and no cache keeps any: a probe wants its 200.
//!
//! Everyone sees the status and the [reason codes](Reason): of the whole, and of a dependency whose
//! name they know. Names, latencies, version and the texts that probes gave for the public are for
//! the viewers that [`details_for`](HealthBuilder::details_for) admits. An error's own text is in no
//! answer at all.
//!
//! # Documents
//!
//! What a viewer of details gets; members that have nothing to say are left out. `/health` and
//! `/health/{name}` follow the [draft][draft], with `reason`, `scope`, `blockedBy` and `rootCauses`
//! added. A probe page lists what makes it fail with `[-]` and what does not with `[!]`.
//!
//! ```json
//! {
//!   "status": "warn", "serviceId": "orders",
//!   "version": "1.4.2", "releaseId": "1.4.2+3f9c2ab", "commit": "3f9c2ab81e",
//!   "reasons": ["refused"], "rootCauses": ["database"],
//!   "checks": {
//!     "database:responseTime": [{
//!       "componentId": "database", "componentType": "component", "scope": "shared",
//!       "observedValue": 41.7, "observedUnit": "ms", "status": "fail", "reason": "refused",
//!       "output": "text for the public", "consecutiveFailures": 4,
//!       "since": "2026-11-22T20:52:22Z", "time": "2026-11-22T20:52:42Z"
//!     }],
//!     "ledger:responseTime": [{
//!       "componentId": "ledger", "componentType": "component", "scope": "shared",
//!       "status": "fail", "reason": "blocked", "blockedBy": ["database"]
//!     }],
//!     "uptime": [{
//!       "componentType": "system", "observedValue": 86400.2, "observedUnit": "s",
//!       "status": "pass", "time": "2026-11-22T20:52:42Z"
//!     }]
//!   }
//! }
//! ```
//!
//! `/api/status` is plainer. `since` dates the status, `time` the last result:
//!
//! ```json
//! {
//!   "status": "warn", "service": "orders",
//!   "version": "1.4.2", "release": "1.4.2+3f9c2ab", "commit": "3f9c2ab81e",
//!   "uptimeSeconds": 86400.2, "time": "2026-11-22T20:52:42Z",
//!   "reasons": ["refused"], "rootCauses": ["database"],
//!   "dependencies": [
//!     {
//!       "name": "database", "scope": "shared", "status": "fail", "reason": "refused",
//!       "latencyMs": 41.7, "output": "text for the public",
//!       "since": "2026-11-22T20:52:22Z", "time": "2026-11-22T20:52:42Z"
//!     },
//!     {
//!       "name": "ledger", "scope": "shared", "dependsOn": ["database"],
//!       "status": "fail", "reason": "blocked", "blockedBy": ["database"]
//!     },
//!     { "name": "disk", "scope": "local", "status": "pass", "observedValue": 61.5, "observedUnit": "percent" }
//!   ]
//! }
//! ```
//!
//! Everybody else gets the same code with `{"status":"warn","reasons":["refused"]}`.
//!
//! For an OpenAPI document, the guide [`contract`](crate::guide::contract#health) lists the paths with their statuses and media
//! types, and has [an example](crate::guide::contract#with-utoipa). The documents are held to JSON Schemas in the
//! repository's `tests/schemas/`, which can be copied.
//!
//! # Logs
//!
//! With the feature `tracing`, under the target `bartizan`, once per transition: `dependency failed`
//! (warn), `degraded` and `recovered` (info) with the fields `dependency` and `reason`; `readiness
//! changed` (info) with `ready` and `reasons`; `live check failed` (error) with `check`; a driver that
//! is gone, or that nobody polls (error). A blocked dependency, one that works when it is first asked or is
//! blocked no more, and each failing run with its error's text are logged at `debug`.
//!
//! # Metrics
//!
//! With the feature `metrics`, through the facade of that name. They are registered when the handle
//! is built: install the recorder before. The only label is `dependency`, its name.
//!
//! | name | kind | |
//! |---|---|---|
//! | `bartizan_health_ready` | gauge | 1 while `/readyz` would answer 200, else 0 |
//! | `bartizan_health_dependency_status` | gauge | 0 passes, 1 warns, 2 fails, 3 is blocked by one that fails |
//! | `bartizan_health_transitions_total` | counter | how often that changed |
//! | `bartizan_health_probe_duration_seconds` | gauge | how long the last run took |
//! | `bartizan_health_probe_runs_total` | counter | runs that began |
//! | `bartizan_health_probe_failures_total` | counter | runs that failed, or answered after their soft deadline |
//! | `bartizan_health_driver_ticks_total` | counter | one a second while the driver is polled |
//!
//! A driver that is not polled any more cannot set a gauge: alert on the last as well.
//!
//! # Deployment
//!
//! - Point liveness probes at `/livez` and readiness probes at `/readyz`. Nothing behind `/livez` can
//!   wait for a network, so a slow database restarts nothing.
//! - Put the layer outside of rate limits and authentication. gRPC servers serve it too, if they
//!   accept HTTP/1.1 (`accept_http1` in tonic) or the prober speaks HTTP/2.
//! - When told to stop, [`drain`](Health::drain), go on serving for as long as the load balancer
//!   needs to notice, then close the listener.
//! - Give database probes a connection of their own and a `statement_timeout` below the soft
//!   deadline, as those in [`probe`] have: dropping a query does not cancel it on the server.
//! - With the defaults a hang is known 9 s after it begins at the latest: the longest interval
//!   (5.5 s), the soft deadline (1 s), and the second sample (2.2 s).
//!
//! # Example
//!
//! ```
//! use bartizan::health::{Dependency, Health, Status};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async fn ping() -> Result<(), std::io::Error> {
//!     Err(std::io::ErrorKind::ConnectionRefused.into())
//! }
//!
//! let (health, driver) = Health::builder("orders", env!("CARGO_PKG_VERSION"))
//!     .dependency(Dependency::shared("database", ping))
//!     .dependency(Dependency::shared("ledger", || async {}).depends_on(["database"]))
//!     .build()?;
//! tokio::spawn(driver);
//!
//! let report = health.started().await;
//! assert_eq!(report.status(), Status::Warn);
//! assert!(report.root_causes().eq(["database"]));
//!
//! let app = health.layer().layer(service_fn(|_: Request<String>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::from("the app")))
//! }));
//! let response = app.oneshot(Request::get("/readyz").body(String::new())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! [draft]: https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06

pub use self::beat::Beat;
pub use self::build_info::{BuildInfo, build_info};
pub use self::builder::HealthBuilder;
pub use self::dependency::Dependency;
pub use self::driver::Driver;
pub use self::future::ResponseFuture;
pub use self::handle::Health;
pub use self::layer::{HealthLayer, WithHealth};
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub use self::probe::conformance::probe_conformance;
pub use self::probe::contract::{IntoOutcome, Probe};
pub use self::probe::error::ProbeError;
pub use self::probe::observation::Observation;
pub use self::report::{Check, Report, Scope};
pub use self::service::HealthService;
pub use self::status::{Reason, Status};
pub use self::transitions::Transitions;

pub mod probe;

mod beat;
mod build_info;
mod builder;
mod dependency;
mod driver;
mod future;
mod graph;
mod handle;
mod latest;
mod layer;
mod meters;
mod panic;
mod plan;
mod render;
mod report;
mod route;
mod service;
mod shared;
mod snapshot;
mod status;
mod tag;
mod track;
mod transitions;
