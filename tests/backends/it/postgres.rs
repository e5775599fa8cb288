//! One PostgreSQL.

use server::Postgres;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::{DEADLINE, SILENCE};

async fn connect(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn what_was_committed_survives_a_kill() {
    let mut server = Postgres::start();
    let port = server.port();
    let client = connect(&server).await;
    client
        .batch_execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)")
        .await
        .unwrap();

    server.kill();
    assert!(client.simple_query("SELECT 1").await.is_err());
    server.restart();

    assert_eq!(server.port(), port);
    let client = connect(&server).await;
    let row = client.query_one("SELECT id FROM kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
}

/// PostgreSQL gives each connection a process in a session of its own, which must stand as well.
#[tokio::test]
async fn an_open_connection_of_a_paused_server_is_silent_until_the_resume() {
    let mut server = Postgres::start();
    let client = connect(&server).await;
    let mut query = Box::pin(client.query_one("SELECT 1", &[]));

    server.pause();
    assert!(timeout(SILENCE, &mut query).await.is_err());
    server.resume();

    let row = timeout(DEADLINE, query).await.unwrap().unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}
