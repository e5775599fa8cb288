//! Redis, which is asked with PING.

use ::redis::Client;
use bartizan::health::probe;
use bartizan::health::{Probe, Reason, Status};
use server::Redis;

use super::*;
use crate::line::Line;

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
async fn a_server_that_hung_and_was_killed_is_found_again() {
    let mut server = Redis::start();
    let health = watch(probe::redis(client(&server)));
    falls(&health, Reason::Timeout, || server.pause()).await;
    server.kill();
    server.restart();
    until(&health, Status::Pass, None).await;
    until_connections(server.port(), 1).await;
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_given_up() {
    let server = Redis::start();
    let line = Line::to(server.port()).await;
    let health = watch(probe::redis(Client::open(line.url()).unwrap()));
    falls(&health, Reason::Timeout, || line.drop_silently()).await;
    until(&health, Status::Pass, None).await;
}

#[tokio::test]
async fn a_password_that_was_refused_is_asked_about_again() {
    let server = Redis::start();
    server.set_password("probe", "changed");
    let url = server.url().replace("redis://", "redis://probe:first@");
    let health = watch(probe::redis(Client::open(url).unwrap()));
    until(&health, Status::Fail, Some(Reason::Auth)).await;
    server.set_password("probe", "first");
    until(&health, Status::Pass, None).await;
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
