//! Where requests are counted: here, or at a Redis that several demos share.

use axum::Router;
use bartizan::rate_limit::RateLimitBuilder;

use crate::Failure;
use crate::args::Args;

/// Puts the limits around the API.
#[cfg(not(feature = "redis"))]
pub(crate) fn around(api: Router, limits: RateLimitBuilder, _: &Args) -> Result<Router, Failure> {
    Ok(api.layer(limits.build()?))
}

/// Puts the limits around the API.
#[cfg(feature = "redis")]
pub(crate) fn around(
    api: Router,
    limits: RateLimitBuilder,
    args: &Args,
) -> Result<Router, Failure> {
    use bartizan::rate_limit::{Outage, RedisStore, Secret, Share};

    let Some(url) = &args.redis_url else {
        return Ok(api.layer(limits.build()?));
    };
    // It need not be there when we start, and is made anew should it not come back by itself.
    let client = crate::fleet::client(url)?;
    let connect = move || crate::fleet::connect(&client);
    // All demos need the same; a service takes its own from where its passwords are.
    let secret = Secret::new("every demo knows this one")?;
    // While Redis is away, each of two demos lets half of it pass.
    let outage = Outage::Local(Share::one_of(2));
    let connection = connect().map_err(Failure::other)?;
    let store = RedisStore::builder(connection, secret, outage)
        .reconnect(connect)
        .prefix("bartizan-demo")
        .build()?;
    Ok(api.layer(limits.store(store).build()?))
}
