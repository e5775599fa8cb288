//! Redis, which is asked with PING.

use ::redis::Client;
use bartizan::health::probe;
use bartizan::health::{Probe, Reason, Status};
use server::Redis;

use super::*;

const READY: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::OK);

fn client(server: &Redis) -> Client {
    Client::open(server.url()).unwrap()
}

#[tokio::test]
async fn a_paused_server_turns_readiness_and_holds_one_connection_until_it_is_resumed() {
    let mut server = Redis::start();
    let health = watch(probe::redis(client(&server)));
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
    until_connections(server.port(), 1).await;

    falls(&health, Reason::Timeout, || server.pause()).await;
    hold(&health, server.port(), 1, Reason::Timeout).await;

    server.resume();
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
    until_connections(server.port(), 1).await;
}

#[tokio::test]
async fn a_killed_server_is_refused_at_once_and_comes_back_without_a_restart() {
    let mut server = Redis::start();
    let health = watch(probe::redis(client(&server)));
    until(&health, Status::Pass, None).await;

    falls(&health, Reason::Refused, || server.kill()).await;

    server.restart();
    until(&health, Status::Pass, None).await;
    until_connections(server.port(), 1).await;
}

#[tokio::test]
async fn a_service_starts_before_its_server() {
    let mut server = Redis::start();
    server.kill();
    let health = watch(probe::redis(client(&server)));
    let report = timeout(DEADLINE, health.started()).await.unwrap();
    assert_eq!(seen(&report).reason(), Some(Reason::Refused));

    server.restart();
    until(&health, Status::Pass, None).await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told_by_a_code() {
    let server = Redis::start();
    server
        .command::<()>(&["CONFIG", "SET", "requirepass", "hunter2"])
        .unwrap();
    let anonymous = probe::redis(client(&server));
    let checked = timeout(DEADLINE, anonymous.check()).await.unwrap();
    assert_eq!(checked.unwrap_err().reason(), Reason::Auth);
}
