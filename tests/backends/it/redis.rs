//! One Redis.

use redis::{AsyncConnectionConfig, AsyncTypedCommands};
use server::Redis;
use tokio::time::timeout;

use crate::{DEADLINE, SILENCE};

async fn connect(server: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    // The client would give up by itself half a second into a pause.
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    client
        .get_multiplexed_async_connection_with_config(&patient)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_written_survives_a_kill() {
    let mut server = Redis::start();
    let port = server.port();
    connect(&server).await.set("kept", "yes").await.unwrap();

    server.kill();
    assert!(server.command::<()>(&["PING"]).is_err());
    server.restart();

    assert_eq!(server.port(), port);
    let kept = connect(&server).await.get("kept").await.unwrap();
    assert_eq!(kept.as_deref(), Some("yes"));
}

#[tokio::test]
async fn a_paused_server_is_silent_and_answers_once_it_is_resumed() {
    let mut server = Redis::start();
    let mut connection = connect(&server).await;
    let mut ping = Box::pin(connection.ping());

    server.pause();
    assert!(timeout(SILENCE, &mut ping).await.is_err());
    server.resume();

    let answer = timeout(DEADLINE, ping).await.unwrap();
    assert_eq!(answer.unwrap(), "PONG");
}

#[tokio::test]
async fn servers_side_by_side_share_nothing() {
    let (one, two) = (Redis::start(), Redis::start());
    connect(&one).await.set("key", "one").await.unwrap();
    assert_eq!(connect(&two).await.get("key").await.unwrap(), None);
}
