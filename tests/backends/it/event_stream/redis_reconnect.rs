//! The log in Redis over a connection that does not come back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisResult};
use bartizan::event_stream::{EventStore, RedisStore};
use futures::StreamExt;
use server::Redis;
use tokio::time::timeout;

use super::redis::{Store, manage};
use super::{event, until};
use crate::DEADLINE;
use crate::line::Line;

/// Short, since only then another connection is taken.
const PATIENCE: Duration = Duration::from_millis(500);

/// How to connect to `url`, without a word: giving up soon, as it would after six seconds by default.
fn lazily(url: &str) -> impl Fn() -> RedisResult<ConnectionManager> + Send + Sync + 'static {
    let client = Client::open(url).unwrap();
    move || {
        let config = ConnectionManagerConfig::new().set_number_of_retries(1);
        ConnectionManager::new_lazy_with_config(client.clone(), config)
    }
}

fn store(url: &str) -> Store {
    let connect = lazily(url);
    let store = RedisStore::new(connect().unwrap());
    store.patience(PATIENCE).reconnect(connect)
}

async fn until_appended(store: &Store, data: &str) {
    let appended = until(|| async { store.append(event(data)).await.ok() });
    appended.await.expect("it is back without a restart");
}

#[tokio::test]
async fn a_password_that_was_refused_for_long_is_asked_about_again() {
    let server = Redis::start();
    server.set_password("events", "changed");
    let url = server.url().replace("redis://", "redis://events:first@");
    let connections = Arc::new(AtomicUsize::new(0));
    let connect = {
        let (connections, connect) = (Arc::clone(&connections), lazily(&url));
        move || {
            connections.fetch_add(1, Ordering::Relaxed);
            connect()
        }
    };
    let store = RedisStore::new(connect().unwrap()).patience(PATIENCE);
    let store = store.reconnect(connect);
    let again = until(|| async {
        assert!(store.bounds().await.is_err());
        (connections.load(Ordering::Relaxed) >= 3).then_some(())
    });
    again.await.expect("it is tried again and again");
    server.set_password("events", "first");
    until_appended(&store, "back").await;
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_given_up() {
    let server = Redis::start();
    let line = Line::to(server.port()).await;
    let store = store(&line.url());
    until_appended(&store, "before").await;
    line.drop_silently();
    assert!(store.bounds().await.is_err());
    until_appended(&store, "after").await;
}

#[tokio::test]
async fn a_primary_that_has_become_a_replica_is_left_for_the_one_that_took_over() {
    let (former, primary) = (Redis::start(), Redis::start());
    let line = Line::to(former.port()).await;
    let client = Client::open(line.url()).unwrap();
    let store = store(&line.url()).wait_at(client);
    let mut hints = Box::pin(store.hints());
    until_appended(&store, "before").await;
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();

    line.leads_to(primary.port());
    // It follows nobody that anybody can reach.
    former
        .command::<()>(&["REPLICAOF", "127.0.0.1", "1"])
        .unwrap();
    until_appended(&store, "after").await;
    assert_eq!(primary.command::<u64>(&["XLEN", "bartizan:events"]), Ok(1));
    // Whoever waits goes along, and is told that something may have been missed.
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
    until_appended(&store, "more").await;
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
}

/// The kernel closes what a killed server had open: that is enough.
#[tokio::test]
async fn a_server_that_hung_and_was_killed_is_found_again_by_the_connection_itself() {
    let mut server = Redis::start();
    let store = RedisStore::new(manage(&server).await).patience(PATIENCE);
    until_appended(&store, "before").await;
    server.pause();
    assert!(store.bounds().await.is_err());
    server.kill();
    server.restart();
    until_appended(&store, "after").await;
}
