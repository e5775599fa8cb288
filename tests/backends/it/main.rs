//! bartizan over real servers; and that the servers themselves are what the tests need.

#![expect(
    clippy::unwrap_used,
    reason = "whatever goes wrong here fails the test"
)]

mod demo;
mod event_stream;
mod health;
mod lifecycle;
mod line;
mod postgres;
mod rate_limit;
mod redis;
mod redis_cluster;

use std::time::Duration;

/// How long a paused server is watched for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(200);

/// How long anything that must come may take. Long, for a machine that does much else: only what never
/// comes takes all of it.
const DEADLINE: Duration = Duration::from_secs(180);
