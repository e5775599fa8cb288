//! `bartizan::health` as a host sees it.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

mod bystanders;
mod cases;
mod conditional;
mod counted;
mod documents;
mod endpoints;
mod faults;
mod hostile;
mod layer;
mod lifecycle;
mod load;
mod panics;
mod pools;

mod probes;
mod time;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan::health::{Health, HealthBuilder, HealthService};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A service whose probes run exactly on their interval.
fn builder() -> HealthBuilder {
    Health::builder("orders", "1.4.2")
        .release("1.4.2+3f9c2ab")
        .jitter_percent(0)
        .details_for(|parts| parts.headers.contains_key("x-operator"))
}

/// Builds, spawns the driver, and lets the first round come in.
async fn run(builder: HealthBuilder) -> Health {
    let (health, driver) = builder.build().unwrap();
    tokio::spawn(driver);
    settle().await;
    health
}

/// Lets every task do what it can without time passing.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass, timer by timer, as it would.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn call(service: HealthService, request: Request<()>) -> Response<Bytes> {
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body)
}

/// What the public gets: status code and body.
async fn get(health: &Health, path: &str) -> (u16, String) {
    let response = call(health.service(), Request::get(path).body(()).unwrap()).await;
    text(response)
}

/// What a viewer of details gets.
async fn inspect(health: &Health, path: &str) -> (u16, String) {
    let request = Request::get(path).header("x-operator", "me");
    text(call(health.service(), request.body(()).unwrap()).await)
}

fn text(response: Response<Bytes>) -> (u16, String) {
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    (response.status().as_u16(), body)
}

/// One dependency of the status document, as a viewer of details sees it.
async fn dependency(health: &Health, name: &str) -> Value {
    let (_, body) = inspect(health, "/api/status").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    let dependencies = document["dependencies"].as_array().unwrap();
    let found = dependencies.iter().find(|one| one["name"] == name);
    found.cloned().expect("declared")
}

/// A probe that counts its runs, and how many were in flight at once.
#[derive(Clone, Default)]
struct Runs(Arc<[AtomicUsize; 3]>);

impl Runs {
    fn begun(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    fn most_in_flight(&self) -> usize {
        self.0[2].load(Ordering::SeqCst)
    }

    /// `probe`, counted.
    fn of<F, Fut>(
        &self,
        probe: F,
    ) -> impl Fn() -> CountedFuture<Fut> + Send + Sync + 'static + use<F, Fut>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send,
    {
        let runs = self.clone();
        move || {
            let [begun, in_flight, most] = &*runs.0;
            begun.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(
                in_flight.fetch_add(1, Ordering::SeqCst) + 1,
                Ordering::SeqCst,
            );
            let run = probe();
            CountedFuture {
                _in_flight: InFlight(runs.clone()),
                run: Box::pin(run),
            }
        }
    }
}

struct CountedFuture<Fut> {
    _in_flight: InFlight,
    run: std::pin::Pin<Box<Fut>>,
}

impl<Fut: Future> Future for CountedFuture<Fut> {
    type Output = Fut::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Fut::Output> {
        self.run.as_mut().poll(cx)
    }
}

struct InFlight(Runs);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0[1].fetch_sub(1, Ordering::SeqCst);
    }
}

/// A switch that a test flips while a probe reads it.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicUsize>);

impl Switch {
    fn set(&self, to: usize) {
        self.0.store(to, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A probe that is refused while the switch is at 1.
    fn refused_at_one(&self) -> impl Fn() -> std::future::Ready<std::io::Result<()>> + use<> {
        let switch = self.clone();
        move || {
            std::future::ready(match switch.get() {
                1 => Err(refused()),
                _ => Ok(()),
            })
        }
    }
}

fn refused() -> std::io::Error {
    std::io::ErrorKind::ConnectionRefused.into()
}
