//! The health room over servers that are paused, killed and started again.

mod neighbours;
mod postgres;
mod redis;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::health::{Check, Dependency, Health, Probe, Reason, Report, Status};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::DEADLINE;

const INTERVAL: Duration = Duration::from_millis(100);
const SOFT: Duration = Duration::from_millis(400);
const HARD: Duration = Duration::from_millis(600);

/// The documented bound with these settings: the longest interval, the soft deadline, and the same
/// for the second sample.
const BOUND: Duration = Duration::from_millis(2 * (110 + 400));

/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(2);

/// A service with one dependency, asked so often that a test need not wait long, and its driver.
fn watch(probe: impl Probe) -> Health {
    let dependency = Dependency::local("server", probe)
        .interval(INTERVAL)
        .soft_deadline(SOFT)
        .hard_deadline(HARD);
    let (health, driver) = Health::builder("orders", "1")
        .dependency(dependency)
        .build()
        .unwrap();
    tokio::spawn(driver);
    health
}

fn seen(report: &Report) -> &Check {
    report.dependencies().next().unwrap()
}

/// Waits for a status and a reason, and returns how long that took.
async fn until(health: &Health, status: Status, reason: Option<Reason>) -> Duration {
    let clock = Clock::new();
    let began = clock.now();
    let mut transitions = health.subscribe();
    let mut report = transitions.current();
    let arrived = timeout(DEADLINE, async {
        loop {
            let now = seen(&report);
            if (now.status(), now.reason()) == (status, reason) {
                return;
            }
            report = transitions.changed().await.expect("the driver runs");
        }
    });
    if arrived.await.is_err() {
        panic!("never {status} {reason:?}: {:?}", health.current());
    }
    clock.now().since(began)
}

/// What `/readyz` and `/livez` answer. Every endpoint must do so in its first poll: nothing behind
/// it waits for anything.
fn answers(health: &Health) -> (StatusCode, StatusCode) {
    let at_once = |path: &str| {
        let request = Request::get(path).body(()).unwrap();
        let answer = pin!(async {
            let (head, body) = health
                .service()
                .oneshot(request)
                .await
                .unwrap()
                .into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            assert!(!body.is_empty(), "{path}");
            head.status
        });
        match answer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(status) => status,
            Poll::Pending => panic!("{path} waits"),
        }
    };
    for path in ["/startupz", "/health", "/health/server", "/api/status"] {
        at_once(path);
    }
    (at_once("/readyz"), at_once("/livez"))
}

/// How many TCP connections to `port` of loopback this machine has, seen from the side that made
/// them: a server that stands still cannot be asked, and the kernel can.
fn connections(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("these tests run on Linux");
    let rows = table.lines().map(str::split_ascii_whitespace);
    rows.filter(|row| {
        let mut row = row.clone().skip(2);
        row.next() == Some(&remote) && row.next() == Some(ESTABLISHED)
    })
    .count()
}

/// Waits until this machine has `wanted` connections to `port`.
async fn until_connections(port: u16, wanted: usize) {
    let arrived = timeout(DEADLINE, async {
        while connections(port) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    if arrived.await.is_err() {
        panic!("{} connections, not {wanted}", connections(port));
    }
}

/// Watches a service for several hard deadlines while its server does not answer: what the endpoints
/// say, and that there are never more than `most` connections.
async fn hold(health: &Health, port: u16, most: usize, reason: Reason) {
    let clock = Clock::new();
    let began = clock.now();
    while clock.now().since(began) < 4 * HARD {
        assert_eq!(
            answers(health),
            (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK)
        );
        assert_eq!(seen(&health.current()).reason(), Some(reason));
        let open = connections(port);
        assert!(open <= most, "{open} connections, {most} are allowed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It is this package's build, and not that of the library it is compiled with.
#[test]
fn a_build_is_that_of_the_host() {
    let (health, driver) = Health::for_build(bartizan::health::build_info!())
        .details_for(|_| true)
        .build()
        .unwrap();
    let request = Request::get("/api/status").body(()).unwrap();
    let answer = health.service().oneshot(request);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let body = runtime.block_on(async { answer.await.unwrap().collect().await });
    let document = String::from_utf8(body.unwrap().to_bytes().into()).unwrap();
    let build = concat!(
        r#""service":"bartizan-backends","version":""#,
        env!("CARGO_PKG_VERSION"),
        '"'
    );
    assert!(document.contains(build), "{document}");
    drop(driver);
}
