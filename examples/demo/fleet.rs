//! What several demos share.

use bartizan::health::{Dependency, probe};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult};

use crate::args::{self, BadFlag};

/// A client of the Redis at `url`, which need not be up yet.
pub(crate) fn client(url: &str) -> Result<Client, BadFlag> {
    Client::open(url).map_err(|_| {
        BadFlag::new(
            args::REDIS_URL,
            Some(&args::without_password(url)),
            "a URL such as redis://127.0.0.1/",
        )
    })
}

/// A connection that is made when it is first used, and taken again where one does not come back by
/// itself.
pub(crate) fn connect(client: &Client) -> RedisResult<ConnectionManager> {
    ConnectionManager::new_lazy_with_config(client.clone(), ConnectionManagerConfig::new())
}

/// Redis, as health sees it: shared, since every demo sees the same.
pub(crate) fn dependency(client: Client) -> Dependency {
    Dependency::shared("redis", probe::redis(client))
}
