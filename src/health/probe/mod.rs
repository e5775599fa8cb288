//! Probes: how one dependency is asked how it is.
//!
//! A probe asks one question ("does `SELECT 1` answer?") and says what it saw. When to ask, how long
//! to wait, how often it must fail before anyone is told, and who may read the answer are the
//! business of [`Dependency`](super::Dependency) and [`Driver`](super::Driver). A host writes a
//! closure, or implements [`Probe`](super::Probe); here are the adapters and ready-made ones.
//!
//! | probe | asks | feature |
//! |---|---|---|
//! | [`blocking()`] | a function that blocks | |
//! | [`tcp()`] | whether a port accepts connections | |
//! | [`http()`] | whether a GET without TLS is answered with 2xx | |
//! | [`disk()`] | how many bytes a file system has left (Unix) | |
//! | `postgres` | whether PostgreSQL answers a query | `postgres` |
//! | `redis` | whether Redis answers a PING | `redis` |
//!
//! None of them takes a connection of the application's: a probe that queues for the pool reports a
//! busy service as a broken one, and takes a connection from it when it can least spare one.
//!
//! # How busy a pool is
//!
//! That is a question of its own, which needs no connection: read the pool's counters. This instance
//! alone is busy, so the dependency is local; busy is not broken, so it warns and never fails.
//!
//! ```
//! use std::future::ready;
//! use bartizan::health::{Dependency, Observation};
//!
//! # #[derive(Clone)]
//! # struct Pool;
//! # impl Pool {
//! #     fn size(&self) -> u32 { 10 }
//! #     fn num_idle(&self) -> usize { 1 }
//! # }
//! # fn dependency(pool: Pool) -> Dependency {
//! // `pool` is the application's `sqlx::PgPool`; others count alike.
//! let saturation = move || {
//!     let (size, idle) = (pool.size(), pool.num_idle() as f64);
//!     let busy = 100.0 * (1.0 - idle / f64::from(size.max(1)));
//!     ready(Observation::new().value(busy, "percent").measurement("utilization"))
//! };
//! Dependency::local("pool", saturation).warn_above(80.0)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (health, driver) = bartizan::health::Health::builder("orders", "1")
//! #     .dependency(dependency(Pool)).build()?;
//! # tokio::spawn(driver);
//! # let report = health.started().await;
//! # let pool = report.dependencies().next().ok_or("declared")?;
//! # assert_eq!(pool.reason(), Some(bartizan::health::Reason::Limit));
//! # assert!(report.is_ready());
//! # Ok(())
//! # }
//! ```

pub use self::blocking::{Blocking, blocking};
#[cfg(unix)]
pub use self::disk::disk;
pub use self::http::{Http, http};
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres::{Postgres, postgres};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis::{Redis, redis};
pub use self::tcp::{Tcp, tcp};

#[cfg(feature = "test-util")]
pub(super) mod conformance;
pub(super) mod contract;
pub(super) mod error;
pub(super) mod observation;
pub(super) mod outcome;

mod blocking;
mod classify;
#[cfg(unix)]
mod disk;
mod http;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod tcp;
