//! The four guards of a public backend, for any tower, hyper, axum or tonic service.
//!
//! | room | what it is | what the host supplies |
//! |---|---|---|
//! | [`rate_limit`] | a `Layer` that meters requests per key, in memory that never grows | what a key is, what the quotas are |
//! | [`security_headers`] | a `Layer` that puts a validated header set on every response | a preset, or a policy |
//! | [`event_stream`] | a `Service` that streams events to browsers and loses none over a reconnection | an [`EventStore`], an [`Authorize`] |
//! | [`health`] | a `Layer` or a `Service` for `/health`, `/livez`, `/readyz`, `/startupz`, `/api/status` | a [`Probe`] for each dependency |
//!
//! Each room is usable alone and knows nothing of the others. What they share stands beneath them:
//! who the client is ([`client`]), one body type ([`body`]), one clock ([`clock`]), one error for a
//! configuration that cannot work ([`config`]), and problem documents ([`problem`]).
//!
//! # Where each layer goes
//!
//! Outermost first: security headers, so that even the refusals of what lies below carry them; then
//! health, so that an orchestrator's probe is never rate limited; then the limits; then the app.
//!
//! ```text
//! request ─► security headers ─► health ─► rate limit ─► routes
//!                                  │           │            └─ /events: the event stream
//!                                  │           └─ 429, or what an EventSource and gRPC understand
//!                                  └─ /livez /readyz /startupz /health /api/status
//! ```
//!
//! The [README] has one complete `main` with all four. The [`guide`] tells how they run behind proxies
//! and orchestrators, what changes for those who come from other crates, what the guards answer, and
//! what they stop.
//!
//! [README]: https://docs.rs/crate/bartizan/latest/source/README.md
//!
//! # What holds in every room
//!
//! 1. A rejection is a response, never an error: the inner service's error type is preserved, its
//!    readiness is propagated, and the service that was polled ready is the one that is called.
//! 2. Bodies are generic. A layer that may answer by itself wraps the body in [`body::ResponseBody`];
//!    one that never does leaves the type alone.
//! 3. Configuration that cannot work cannot be built: a [`config::ConfigError`] names the field, the
//!    value and the fix. What a peer or a store sends never panics.
//! 4. Everything that grows has a stated bound and a rule for what happens when it is reached.
//! 5. Nothing spawns, but that [`probe::blocking`](health::probe::blocking()) runs what blocks on the
//!    runtime's pool for that. Work in the background is one future that `build()` returns beside its
//!    handle; if it is not polled, readers are told so, and nothing hangs.
//! 6. Time is monotonic and, in tests, follows tokio's paused clock.
//! 7. Addresses, keys, tokens, query strings and raw errors never reach a response body, and logs
//!    only at `debug` and `trace`. Metric labels are names.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `rate-limit` | yes | [`rate_limit`] |
//! | `security-headers` | yes | [`security_headers`] |
//! | `event-stream` | yes | [`event_stream`] |
//! | `health` | yes | [`health`] |
//! | `governor` | yes | [`rate_limit::GovernorStore`], on the map of the `governor` crate |
//! | `postgres` | no | the probe of a PostgreSQL server and `PostgresStore` for events, through `sqlx`; needs Rust 1.94 |
//! | `redis` | no | through the crate `redis`: the store of limits that processes share, `rate_limit::RedisStore`, the event log in a stream, the probe of a server; needs Rust 1.88 |
//! | `websocket` | no | [`event_stream::WebSockets`]: the event stream over WebSockets, through `tokio-tungstenite`; needs hyper as the server |
//! | `tracing` | no | events through the `tracing` crate, target `bartizan` |
//! | `metrics` | no | counters and gauges through the `metrics` facade |
//! | `serde` | no | [`rate_limit::RateLimitConfig`] and [`security_headers::SecurityHeaders`] from a file |
//! | `test-util` | no | conformance suites for the traits that hosts implement |
//! | `full` | no | all of the above |
//!
//! Features only add: none changes a default, a trait or an enum. The guide
//! [`dependencies`](guide::dependencies) lists the crates that each brings in.
//!
//! # Stability
//!
//! The default features build with Rust 1.85; raising that is a minor release. The types of `http`,
//! `http-body`, `bytes`, `tower-layer`, `tower-service`, `futures-core`, `serde` and `serde_json`, and
//! behind their features those of `governor`, `sqlx` and `redis`, appear in public signatures, so a major
//! release of those is one of this crate.
//! Not promised: the text of log messages and of `Debug`, the order of members in JSON documents, and
//! the exact bytes of bodies beyond the formats that their media types name.
//!
//! # Scope
//!
//! No cluster of its own, no web framework, no TLS, no CORS (see tower-http), no authentication: the
//! event stream asks the host who may see what, and the limiter asks it what a key is.
//!
//! [`EventStore`]: event_stream::EventStore
//! [`Authorize`]: event_stream::Authorize
//! [`Probe`]: health::Probe

#![cfg_attr(docsrs, feature(doc_cfg))]

// Shared: what every room stands on. Shared never imports a room.
#[cfg(any(feature = "postgres", feature = "redis"))]
mod backend;
pub mod body;
pub mod client;
pub mod clock;
#[cfg(all(target_os = "linux", feature = "health"))]
mod coarse;
#[cfg(not(all(target_os = "linux", feature = "health")))]
mod coarse {
    //! Where there is no such clock, or nobody asks for it.
    pub(crate) const fn now() -> Option<std::time::Duration> {
        None
    }
}
pub mod config;
#[cfg(feature = "serde")]
mod load;
pub mod problem;
mod rand;
mod request;
mod shed;
mod trace;

// Rooms: each a folder, each a feature. Rooms never import one another.
#[cfg(feature = "event-stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "event-stream")))]
pub mod event_stream;
#[cfg(feature = "health")]
#[cfg_attr(docsrs, doc(cfg(feature = "health")))]
pub mod health;
#[cfg(feature = "rate-limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "rate-limit")))]
pub mod rate_limit;
#[cfg(feature = "security-headers")]
#[cfg_attr(docsrs, doc(cfg(feature = "security-headers")))]
pub mod security_headers;

// Guides: documentation, and nothing else.
#[cfg(any(doc, doctest))]
pub mod guide;

/// The README's snippets, compiled as they are shown.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
