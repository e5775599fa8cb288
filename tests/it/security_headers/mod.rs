//! `bartizan::security_headers` as a host sees it.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bartizan::client::ClientSource;
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};

mod allocations;
mod application;
mod bodies;
mod build;
mod caches;
mod merging;
mod nonce;
mod presets;
mod reports;
mod servers;

type Answer = Response<Full<Bytes>>;

/// What a browser gets from a handler `respond` under `policy`, over https.
fn over_https(policy: SecurityHeaders, respond: impl FnOnce(Request<()>) -> Answer) -> Answer {
    let tls = ClientSource::peer().over_tls();
    let layer = SecurityHeadersLayer::new(policy).unwrap().client(&tls);
    call(layer, Request::new(()), respond)
}

/// The same over plain http.
fn over_http(policy: SecurityHeaders, respond: impl FnOnce(Request<()>) -> Answer) -> Answer {
    call(
        SecurityHeadersLayer::new(policy).unwrap(),
        Request::new(()),
        respond,
    )
}

fn call<L, F>(layer: L, request: Request<()>, respond: F) -> Answer
where
    F: FnOnce(Request<()>) -> Answer,
    L: Layer<Handler<F>>,
    L::Service: Service<Request<()>, Response = Answer, Error = Infallible>,
{
    let service = layer.layer(Handler(Some(respond)));
    let answer = service.oneshot(request).now_or_never();
    answer.expect("nothing here waits").unwrap()
}

/// A handler that is neither `Clone` nor callable twice: the layer needs neither.
struct Handler<F>(Option<F>);

impl<F: FnOnce(Request<()>) -> Answer> Service<Request<()>> for Handler<F> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let respond = self.0.take().expect("a handler answers once");
        ready(Ok(respond(request)))
    }
}

fn ok(_: Request<()>) -> Answer {
    Response::new(Full::from("hello"))
}

/// Every value of `name`, in order.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// Each header that is sent over https, as a line, sorted.
fn sent(policy: SecurityHeaders) -> Vec<String> {
    let response = over_https(policy, ok);
    let mut lines: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}
