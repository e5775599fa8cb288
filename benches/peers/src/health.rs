//! The health document of a service with three dependencies that are all well.

use std::convert::Infallible;
use std::future::{self, Future};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_health::indicator::{HealthDetail, HealthIndicator};
use bartizan::health::{Dependency, Health, HealthService};
use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, service_fn};

use crate::harness::Contest;
use crate::request::{call, handler, request, runtime};

const NAMES: [&str; 3] = ["cache", "database", "ledger"];

/// One request for the whole document.
pub fn report() -> Contest {
    let ours = ours();
    Contest::new("health, one report", page, StatusCode::OK)
        .alone()
        .with("an empty answer", handler())
        .with("a static body", fixed(ours.clone(), page))
        .with("axum-health, probes that do nothing", peer())
        .with("bartizan", ours)
}

fn page() -> Request<Body> {
    asked_by_a_probe("/health")
}

fn readiness() -> Request<Body> {
    asked_by_a_probe("/readyz")
}

/// As curl, a kubelet and most balancers ask.
fn asked_by_a_probe(path: &'static str) -> Request<Body> {
    let mut request = request(path);
    let any = HeaderValue::from_static("*/*");
    request.headers_mut().insert(ACCEPT, any);
    request
}

/// One request for the page of readiness.
pub fn ready() -> Contest {
    let ours = ours();
    Contest::new("health, readiness", readiness, StatusCode::OK)
        .alone()
        .with("an empty answer", handler())
        .with("a static body", fixed(ours.clone(), readiness))
        .with("bartizan", ours)
}

/// What a hand could write at best: our very answer, headers and all, that never changes.
fn fixed(
    mut ours: HealthService,
    page: fn() -> Request<Body>,
) -> impl Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible> {
    let (head, body) = call(&mut ours, page()).into_parts();
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(body)) = pin!(body.collect()).poll(&mut context) else {
        unreachable!("a finished page is there at once");
    };
    let body = body.to_bytes();
    service_fn(move |_| {
        let mut response = Response::new(Full::new(body.clone()));
        *response.headers_mut() = head.headers.clone();
        future::ready(Ok(response))
    })
}

struct Well(&'static str);

#[async_trait::async_trait]
impl HealthIndicator for Well {
    fn name(&self) -> String {
        self.0.to_owned()
    }

    async fn details(&self) -> HealthDetail {
        HealthDetail::up()
    }
}

fn peer() -> Router {
    let health = NAMES
        .iter()
        .fold(axum_health::service::Health::builder(), |builder, name| {
            builder.with_indicator(Well(name))
        });
    Router::new()
        .route("/health", get(axum_health::health_check))
        .layer(health.build())
}

fn ours() -> HealthService {
    let builder = NAMES
        .iter()
        .fold(Health::builder("peers", "0.0.0"), |builder, name| {
            builder.dependency(Dependency::local(*name, || async {}))
        });
    let (health, driver) = builder.build().expect("three different names");
    // The driver keeps a thread of its own busy once in a while, as it would a server's.
    std::thread::spawn(|| runtime().block_on(driver));
    runtime().block_on(health.started());
    health.service()
}
