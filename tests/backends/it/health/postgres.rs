//! PostgreSQL, which an application uses through a pool of two.

use bartizan::health::probe;
use bartizan::health::{Probe, Reason, Status};
use server::Postgres;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, Row};

use super::*;

const READY: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::OK);
const DOWN: (StatusCode, StatusCode) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK);

/// How many connections the application may have.
const POOL: u32 = 2;

fn options(server: &Postgres) -> PgConnectOptions {
    server.url().parse().unwrap()
}

/// The application's pool, with all of its connections open.
async fn pool(server: &Postgres) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(POOL)
        .min_connections(POOL)
        .acquire_timeout(DEADLINE)
        .connect_with(options(server))
        .await
        .unwrap();
    backends(&pool).await;
    pool
}

/// The server's processes that serve the application, both busy at once.
async fn backends(pool: &PgPool) -> Vec<i32> {
    let mut held = Vec::new();
    for _ in 0..POOL {
        held.push(timeout(DEADLINE, pool.acquire()).await.unwrap().unwrap());
    }
    let mut pids = Vec::new();
    for connection in &mut held {
        let answer = connection.fetch_one("SELECT pg_backend_pid()");
        let row = timeout(DEADLINE, answer).await.unwrap().unwrap();
        pids.push(row.get(0));
    }
    pids.sort_unstable();
    pids
}

/// The connections of probes, as the server counts them.
async fn held_by_probes(connection: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bartizan-health'";
    connection.fetch_one(count).await.unwrap().get(0)
}

#[tokio::test]
async fn a_paused_server_turns_readiness_and_holds_one_connection_until_it_is_resumed() {
    let mut server = Postgres::start();
    let pool = pool(&server).await;
    let before = backends(&pool).await;
    let health = watch(probe::postgres(options(&server)));
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
    let all = POOL as usize + 1;
    until_connections(server.port(), all).await;

    falls(&health, Reason::Timeout, || server.pause()).await;
    hold(&health, server.port(), all, Reason::Timeout).await;

    server.resume();
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
    assert_eq!(
        backends(&pool).await,
        before,
        "the application lost no connection"
    );
    let mut connection = pool.acquire().await.unwrap();
    let settled = timeout(DEADLINE, async {
        // What gave up during the pause is seen off by the server first.
        while held_by_probes(&mut connection).await != 1 {
            tokio::time::sleep(INTERVAL).await;
        }
    });
    assert!(settled.await.is_ok());
    until_connections(server.port(), all).await;
}

/// Stops or continues one process of the server.
fn signal(name: &str, pid: i32) {
    let kill = std::process::Command::new("kill");
    let status = { kill }.args([name, &pid.to_string()]).status();
    assert!(status.expect("there is a `kill`").success(), "{name} {pid}");
}

/// The one process of the server that answers probes stands still: theirs is the only connection
/// that feels it.
#[tokio::test]
async fn while_a_probe_hangs_the_applications_own_pool_is_served() {
    let server = Postgres::start();
    let pool = pool(&server).await;
    let before = backends(&pool).await;
    let health = watch_for(probe::postgres(options(&server)), 10 * DEADLINE);
    until(&health, Status::Pass, None).await;
    let asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bartizan-health'";
    let pid: i32 = pool.fetch_one(asked).await.unwrap().get(0);

    falls(&health, Reason::Timeout, || signal("-STOP", pid)).await;
    for _ in 0..20 {
        assert_eq!(answers(&health), DOWN);
        assert_eq!(backends(&pool).await, before);
        let mut connection = pool.acquire().await.unwrap();
        assert_eq!(held_by_probes(&mut connection).await, 1);
    }
    assert_eq!(connections(server.port()), POOL as usize + 1);

    signal("-CONT", pid);
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
}

#[tokio::test]
async fn a_killed_server_is_refused_at_once_and_comes_back_without_a_restart() {
    let mut server = Postgres::start();
    let health = watch(probe::postgres(options(&server)));
    until(&health, Status::Pass, None).await;

    falls(&health, Reason::Refused, || server.kill()).await;
    assert_eq!(answers(&health), DOWN);

    server.restart();
    until(&health, Status::Pass, None).await;
    assert_eq!(answers(&health), READY);
    until_connections(server.port(), 1).await;
}

#[tokio::test]
async fn a_service_starts_before_its_server() {
    let mut server = Postgres::start();
    server.kill();
    let health = watch(probe::postgres(options(&server)));
    let report = timeout(DEADLINE, health.started()).await.unwrap();
    assert_eq!(seen(&report).reason(), Some(Reason::Refused));

    server.restart();
    until(&health, Status::Pass, None).await;
}

/// The server gives up by itself, on the connection that stays.
#[tokio::test]
async fn a_query_that_hangs_is_ended_by_the_server_while_the_application_is_served() {
    let server = Postgres::start();
    let pool = pool(&server).await;
    pool.execute("CREATE TABLE ledger (id int)").await.unwrap();
    let mut outside = PgConnection::connect_with(&options(&server)).await.unwrap();
    let probe = probe::postgres(options(&server))
        .query("SELECT FROM ledger LIMIT 1")
        .statement_timeout(SOFT / 2);
    let health = watch_for(probe, 10 * DEADLINE);
    until(&health, Status::Pass, None).await;

    let mut writer = outside.begin().await.unwrap();
    writer.execute("LOCK TABLE ledger").await.unwrap();
    until(&health, Status::Fail, Some(Reason::Timeout)).await;
    let clock = Clock::new();
    let began = clock.now();
    while clock.now().since(began) < 2 * HARD {
        assert_eq!(answers(&health), DOWN);
        backends(&pool).await;
        assert_eq!(held_by_probes(&mut writer).await, 1);
    }
    writer.rollback().await.unwrap();
    until(&health, Status::Pass, None).await;
    assert_eq!(connections(server.port()), POOL as usize + 2);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_by_a_code() {
    let server = Postgres::start();
    let reason = async |options| {
        let probe = probe::postgres(options);
        let checked = timeout(DEADLINE, probe.check()).await;
        checked.unwrap().unwrap_err().reason()
    };
    let nobody = options(&server).username("nobody");
    assert_eq!(reason(nobody).await, Reason::Auth);
    let nowhere = options(&server).database("nowhere");
    assert_eq!(reason(nowhere).await, Reason::Failed);

    let mut outside = PgConnection::connect_with(&options(&server)).await.unwrap();
    outside
        .execute("CREATE ROLE one LOGIN CONNECTION LIMIT 0")
        .await
        .unwrap();
    let one = options(&server).username("one").database("postgres");
    assert_eq!(reason(one).await, Reason::PoolExhausted);
}
