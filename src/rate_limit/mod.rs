//! Metering requests: so many per second, minute or day, for each client, tenant, or whatever a host
//! counts by.
//!
//! # What happens to a request
//!
//! 1. Each [`Policy`] decides whether it applies: by its [routes](Policy::on) and
//!    [skips](Policy::skip). A request that no policy applies to passes unmetered and unmarked.
//! 2. Its [`Key`] is computed from the request: the client's address, a header, a user's id. A request
//!    that lacks it shares one bucket with all that do, unless the key says otherwise.
//! 3. The [`Store`] looks at every window of every policy that applies. If one refuses, none is
//!    charged. Otherwise each is charged in turn by an atomic step of its own; if one is lost to a
//!    racing request, those charged before are put back, unless somebody has touched them since. So **a
//!    quota is never exceeded; a race may refuse, or charge for a request that is refused.**
//! 4. A request that passes goes to the inner service at once: no lock, no clone, and no allocation for
//!    up to four windows. One that may not pass never reaches it.
//! 5. The response gets `RateLimit-Policy` and `RateLimit` fields
//!    ([draft-ietf-httpapi-ratelimit-headers]), which [`Headers`] can restrict or turn off. Written by
//!    hand, they cost one or two allocations, and two more if the response had no fields at all; at
//!    most three where one policy applies, or all do.
//!
//! The algorithm is GCRA, a token bucket in one number: see [`Quota`].
//!
//! # What a refused request gets
//!
//! - `429 Too Many Requests` with `Retry-After` in whole seconds, rounded up and never 0, and a
//!   problem document of the type `quota-exceeded` that names the violated windows. It repeats nothing
//!   from the request, and no cache may store it.
//! - A browser's `EventSource` (a GET that accepts `text/event-stream` and nothing else) would give up
//!   for good on a 429. It gets a 200 whose stream says when to come back, with jitter, and ends.
//! - A gRPC call gets `RESOURCE_EXHAUSTED` in trailers alone, with `google.rpc.RetryInfo` and the
//!   push-back that gRPC's own retries obey.
//! - What costs more than a quota ever holds gets `413 Content Too Large` and no `Retry-After`; an
//!   `EventSource`, 204; a gRPC call, a push-back that forbids retries.
//! - What lacks a key that says [`or_reject`](Key::or_reject) gets `400 Bad Request`.
//! - Where the buckets are elsewhere and cannot be reached, and the host has chosen to refuse meanwhile:
//!   `503 Service Unavailable` with `Retry-After` and a problem document of the type
//!   `temporary-reduced-capacity`; an `EventSource`, when to come back; a gRPC call, `UNAVAILABLE`.
//! - A host can answer [in its own way](RateLimitBuilder::reject).
//!
//! # While it runs
//!
//! Policies can come [from a file](RateLimitConfig), feature `serde`.
//! [`swap_quotas`](RateLimitLayer::swap_quotas) changes quotas and keeps what clients have used;
//! [`usage`](RateLimitLayer::usage) tells how full the store is; a policy can be asked, refilled and
//! refunded by [`peek`](RateLimitLayer::peek), [`reset`](RateLimitLayer::reset) and
//! [`refund`](RateLimitLayer::refund).
//!
//! # What is counted and logged
//!
//! - The counter `bartizan_rate_limit_requests_total` (feature `metrics`) has the labels `policy`, the
//!   name of a window, and `outcome`: `passed`, `refused`, or of a shadow `would_refuse`. A request
//!   counts in every window that applies to it, but passes in none if it is refused by any; one that is
//!   refused for a missing key counts in none.
//! - An event at `debug` (feature `tracing`, target `bartizan`) tells of each refusal, and of each that a
//!   shadow would have made, with the field `policy`.
//! - Clients that cannot be told apart are [found and counted](crate::client) once.
//!
//! - `RedisStore` has metrics of its own, and says once per outage, at `warn` and `info`, that its server
//!   (`backend`) does not answer and that it does again.
//!
//! These names are part of the crate's promise. None of them is made of anything that a request holds,
//! and no refusal is logged at a higher level, so that a flood of them floods no log.
//!
//! # Where it sits
//!
//! - *Addresses.* Behind a proxy the peer is the proxy, and all clients would share one bucket: tell
//!   [`ClientSource`](crate::client::ClientSource) which proxies to believe.
//! - *Routes in axum.* Below `Router::nest` a path has lost its prefix; use
//!   [`template_from`](RateLimitBuilder::template_from).
//! - *Rewriting.* What takes slashes off paths (`NormalizePath`) or overrides methods belongs outside of
//!   this layer: inside of it, `/login/` would reach `/login` as a path that no rule names.
//! - *Health checks.* Put the health layer outside of this one, or an orchestrator's probes are
//!   refused and healthy processes restarted.
//! - *Preflights.* A CORS layer outside of this one answers them before they count.
//! - *Several processes.* A [`MemoryStore`] counts what its own process sees. Behind a balancer over
//!   `n` of them a client may have up to `n` times the quota. `RedisStore` (feature `redis`) counts for
//!   all of them together.
//!
//! # In an OpenAPI document
//!
//! Every metered route may answer with a 429, and all of its responses have the `RateLimit` fields. The
//! guide [`contract`](crate::guide::contract#in-front-of-every-metered-route) lists what else may come, and shows
//! [how to say so](crate::guide::contract#with-utoipa) once for all routes.
//!
//! # Example
//!
//! ```
//! use bartizan::clock::Clock;
//! use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, Route, key};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = RateLimitLayer::builder()
//!     .policy(Policy::new("api", Quota::per_second(50).burst(100)).by(key::header("x-api-key")))
//!     .policy(
//!         Policy::new("login", Quota::per_minute(1))
//!             .on(Route::post("/login"))
//!             .by(key::header("x-account").or_reject()),
//!     )
//!     .clock(Clock::manual())
//!     .build()?;
//!
//! let service = limits.layer(service_fn(|_: Request<()>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("welcome")))
//! }));
//! let login = || Request::post("/login").header("x-account", "ann").body(());
//!
//! let first = service.clone().oneshot(login()?).await?;
//! assert_eq!(first.status(), 200);
//! assert_eq!(first.headers()["ratelimit"], r#""api";r=99;t=1, "login";r=0;t=60"#);
//!
//! let second = service.clone().oneshot(login()?).await?;
//! assert_eq!(second.status(), 429);
//! assert_eq!(second.headers()["retry-after"], "60");
//! # Ok(())
//! # }
//! ```
//!
//! [draft-ietf-httpapi-ratelimit-headers]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/

#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod conformance;
mod decision;
mod digest;
mod future;
mod gcra;
mod grpc;
mod head;
mod headers;
mod hold;
pub mod key;
mod layer;
mod live;
#[cfg(feature = "serde")]
mod load;
mod policy;
mod quota;
mod reject;
mod report;
mod route;
mod rules;
mod service;
mod settle;
mod store;

pub use self::decision::{Decision, Outcome, Verdict};
pub use self::digest::Secret;
pub use self::future::ResponseFuture;
pub use self::head::Head;
pub use self::headers::Headers;
pub use self::hold::Park;
pub use self::key::Key;
pub use self::layer::{RateLimitBuilder, RateLimitLayer};
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use self::load::RateLimitConfig;
pub use self::policy::Policy;
pub use self::quota::Quota;
pub use self::reject::{Cause, Reject, Rejection};
pub use self::report::Report;
pub use self::route::Route;
pub use self::service::RateLimit;
#[cfg(feature = "governor")]
#[cfg_attr(docsrs, doc(cfg(feature = "governor")))]
pub use self::store::GovernorStore;
pub use self::store::{Answer, Check, LocalStore, MemoryStore, Never, Store, Usage, Wait};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::store::{Outage, RedisStore, RedisStoreBuilder, RedisWait, Share, Unreachable};
