//! `bartizan::rate_limit` as a host sees it.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::body::ResponseBody;
use bartizan::client::{ClientSource, PeerAddr};
use bartizan::clock::Clock;
use bartizan::rate_limit::{Key, Policy, Quota, RateLimit, RateLimitLayer, key};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};

mod allocations;
mod attacks;
mod bodies;
mod configured;
mod fields;
mod keys;
mod policies;
mod properties;
mod refusals;
mod runtime;
mod servers;
mod store;

/// A service that is not `Clone`, and panics if it is called without having been ready.
#[derive(Debug, Default)]
struct Origin {
    ready: bool,
    calls: usize,
}

impl Service<Request<()>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        self.calls += 1;
        std::future::ready(Ok(Response::new(Full::from("served"))))
    }
}

/// A metered origin under a clock of its own.
struct Host {
    clock: Clock,
    layer: RateLimitLayer,
    service: RateLimit<Origin>,
}

impl Host {
    /// With these policies and defaults for the rest.
    fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let builder = RateLimitLayer::builder();
        Self::of(
            policies
                .into_iter()
                .fold(builder, |builder, policy| builder.policy(policy)),
        )
    }

    fn of(builder: bartizan::rate_limit::RateLimitBuilder) -> Self {
        let clock = Clock::manual();
        let layer = builder.clock(clock.clone()).build().unwrap();
        let service = layer.layer(Origin::default());
        Self {
            clock,
            layer,
            service,
        }
    }

    async fn send(&mut self, request: Request<()>) -> Response<ResponseBody<Full<Bytes>>> {
        self.service
            .ready()
            .await
            .unwrap()
            .call(request)
            .await
            .unwrap()
    }

    /// The status of one answer.
    async fn status(&mut self, request: Request<()>) -> u16 {
        self.send(request).await.status().as_u16()
    }

    /// How many of `count` equal requests pass.
    async fn passing(&mut self, count: usize, request: impl Fn() -> Request<()>) -> usize {
        let mut passing = 0;
        for _ in 0..count {
            passing += usize::from(self.status(request()).await == 200);
        }
        passing
    }
}

/// A policy of `cells` per minute for everybody together.
fn minutely(name: &'static str, cells: u64) -> Policy {
    Policy::new(name, Quota::per_minute(cells)).by(key::constant())
}

fn per_client() -> Key {
    key::client_ip(&ClientSource::peer())
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn post(path: &str) -> Request<()> {
    Request::post(path).body(()).unwrap()
}

fn with(mut request: Request<()>, name: &'static str, value: &str) -> Request<()> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

fn from(ip: &str) -> Request<()> {
    let ip: IpAddr = ip.parse().unwrap();
    let mut request = get("/");
    request
        .extensions_mut()
        .insert(PeerAddr::new(SocketAddr::new(ip, 4711)));
    request
}

fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);
