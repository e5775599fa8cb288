//! Buckets at a Redis server, for limits that several processes share; see [`RedisStore`].

mod asked;
mod builder;
mod flow;
mod front;
mod known;
mod layer;
mod outage;
mod server;
mod store;

pub use self::builder::RedisStoreBuilder;
pub use self::outage::{Outage, Share, Unreachable};
pub use self::store::{RedisStore, RedisWait};
