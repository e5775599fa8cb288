//! Real servers, private to the test that starts them.
//!
//! [`Redis`], [`RedisCluster`] and [`Postgres`] start on a port of their own with data of their
//! own, and can be paused, resumed, killed and started again on the same port with the same data.
//! Dropped, also by a panic, they leave no process and no directory.
//!
//! A server that is not installed is a failure that names the package, never a skipped test.
//! These fixtures block while they wait, always for a condition and with a deadline.

mod postgres;
mod redis;
mod redis_cluster;

pub use self::postgres::{Postgres, PostgresServer};
pub use self::redis::{Redis, RedisServer};
pub use self::redis_cluster::RedisCluster;
