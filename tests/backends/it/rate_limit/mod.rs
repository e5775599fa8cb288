//! Limits that several processes share, over servers that are paused, killed and started again.

mod buckets;
mod cluster;
mod demo;
mod fleet;
mod outage;
mod planted;
mod waits;

use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::rate_limit::{
    Check, Decision, Outage, Quota, RedisStore, RedisStoreBuilder, Secret, Store,
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use server::Redis;

use crate::DEADLINE;

/// A store of one process, over a connection of its own that comes back by itself.
type Instance = RedisStore<ConnectionManager>;

/// So patient that a busy machine is not taken for an outage.
const PATIENT: Duration = DEADLINE;

fn secret() -> Secret {
    Secret::new("the secret of a fleet of tests").unwrap()
}

/// A store as a host would set it up: the server need not be up.
fn builder(server: &Redis, outage: Outage) -> RedisStoreBuilder<ConnectionManager> {
    let client = redis::Client::open(server.url()).unwrap();
    // What the store waits is for its own deadline to say: by default the client gives up after half a
    // second, and what the server has charged by then is lost.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE));
    let connection = ConnectionManager::new_lazy_with_config(client, config).unwrap();
    RedisStore::builder(connection, secret(), outage)
}

fn instance(server: &Redis) -> Instance {
    let builder = builder(server, Outage::Deny).deadline(PATIENT);
    builder.build().unwrap()
}

/// Asks about one request.
async fn ask<St: Store>(store: &St, checks: &[Check<'_>]) -> Decision {
    store.check(checks, &Clock::new()).decision().await
}

async fn passes<St: Store>(store: &St, check: Check<'_>) -> bool {
    ask(store, &[check]).await.is_allowed()
}

/// How many of `requests` pass, one after the other.
async fn passing<St: Store>(store: &St, check: Check<'_>, requests: u32) -> u64 {
    let mut passed = 0;
    for _ in 0..requests {
        passed += u64::from(passes(store, check).await);
    }
    passed
}

/// How many cells are left, as a store says that knows nothing beforehand.
async fn left(server: &Redis, check: Check<'_>) -> u64 {
    let decision = instance(server).peek(&[check]).await;
    decision.verdicts()[0].remaining()
}

/// A quota of which nothing comes back while a test runs.
const fn daily(cells: u64) -> Quota {
    Quota::per_day(cells)
}

fn api(key: u64, quota: Quota) -> Check<'static> {
    Check::new("api", "api", key, quota)
}

/// How often the server was asked to run a script, by hash or by text.
fn scripts_run(server: &Redis) -> u64 {
    let stats: String = server.command(&["INFO", "commandstats"]).unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.split_once(":calls=")?;
        let script = ["cmdstat_eval", "cmdstat_evalsha"].contains(&name);
        script.then(|| rest.split(',').next()?.parse::<u64>().ok())?
    };
    stats.lines().filter_map(calls).sum()
}

/// The names of all keys.
fn keys(server: &Redis) -> Vec<String> {
    server.command(&["KEYS", "*"]).unwrap()
}
