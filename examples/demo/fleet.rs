//! What several demos share.

use bartizan::health::{Dependency, probe};

use crate::args::{self, BadFlag};

/// A client of the Redis at `url`, which need not be up yet.
pub(crate) fn client(url: &str) -> Result<redis::Client, BadFlag> {
    redis::Client::open(url).map_err(|_| {
        BadFlag::new(
            args::REDIS_URL,
            Some(&args::without_password(url)),
            "a URL such as redis://127.0.0.1/",
        )
    })
}

/// Redis, as health sees it: shared, since every demo sees the same.
pub(crate) fn dependency(client: redis::Client) -> Dependency {
    Dependency::shared("redis", probe::redis(client))
}
