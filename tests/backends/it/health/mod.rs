//! The health room over servers that are paused, killed and started again.

mod neighbours;
mod postgres;
mod redis;

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::health::{
    Check, Dependency, Health, Observation, Probe, ProbeError, Reason, Report, Status,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::DEADLINE;

const INTERVAL: Duration = Duration::from_millis(100);
const SOFT: Duration = Duration::from_millis(400);
const HARD: Duration = Duration::from_millis(600);

/// How many failures it takes. What that is in time is shown where time is paused: here a busy machine
/// would add to it.
const FALL: usize = 2;

/// A service with one dependency, asked so often that a test need not wait long, and its driver.
fn watch(probe: impl Probe) -> Watched {
    watch_for(probe, HARD)
}

/// The same, with another hard deadline.
fn watch_for(probe: impl Probe, hard: Duration) -> Watched {
    let believed = Arc::<Believed>::default();
    let counted = Counted {
        probe,
        believed: Arc::clone(&believed),
    };
    let dependency = Dependency::local("server", counted)
        .interval(INTERVAL)
        .soft_deadline(SOFT)
        .hard_deadline(hard)
        .fall(FALL as u32);
    // A driver that a busy machine keeps waiting is not what is looked at.
    let (health, driver) = Health::builder("orders", "1")
        .dependency(dependency)
        .max_age(10 * DEADLINE)
        .build()
        .unwrap();
    tokio::spawn(driver);
    let _ = believed.health.set(health.clone());
    Watched { health, believed }
}

/// A service whose probe is counted.
struct Watched {
    health: Health,
    believed: Arc<Believed>,
}

impl Deref for Watched {
    type Target = Health;

    fn deref(&self) -> &Health {
        &self.health
    }
}

/// How many runs of the probe have begun while the server was said to be well.
#[derive(Default)]
struct Believed {
    health: OnceLock<Health>,
    runs: AtomicUsize,
}

struct Counted<P> {
    probe: P,
    believed: Arc<Believed>,
}

impl<P: Probe> Probe for Counted<P> {
    async fn check(&self) -> Result<Observation, ProbeError> {
        let report = self.believed.health.get().map(Health::current);
        let is_well = report.is_some_and(|report| seen(&report).status() == Status::Pass);
        let run = usize::from(is_well);
        self.believed.runs.fetch_add(run, Ordering::Relaxed);
        self.probe.check().await
    }
}

/// Does `harm` to the server as soon as its service is well, and waits until that is told: after as
/// few runs of the probe as it takes.
async fn falls(health: &Watched, reason: Reason, harm: impl FnOnce()) {
    let runs = || health.believed.runs.load(Ordering::Relaxed);
    until(health, Status::Pass, None).await;
    harm();
    let before = runs();
    until(health, Status::Fail, Some(reason)).await;
    let begun = runs() - before;
    assert!(begun <= FALL, "{begun} runs for {FALL} failures");
}

fn seen(report: &Report) -> &Check {
    report.dependencies().next().unwrap()
}

/// Waits for a status and a reason.
async fn until(health: &Health, status: Status, reason: Option<Reason>) {
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
