//! Which responses carry the headers, and which are left alone.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bartizan::client::ClientSource;
use bartizan::security_headers::*;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::util::BoxService;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Answer, call, over_https};

fn with_status(status: u16) -> impl FnOnce(Request<()>) -> Answer {
    move |_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }
}

#[test]
fn every_final_status_carries_the_headers() {
    for status in [
        200, 201, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 413, 422, 429, 500,
        502, 503, 504, 599,
    ] {
        let response = over_https(SecurityHeaders::web(), with_status(status));
        assert_eq!(response.status(), status);
        for name in [
            "content-security-policy",
            "strict-transport-security",
            "x-content-type-options",
        ] {
            assert!(response.headers().contains_key(name), "{status} {name}");
        }
    }
}

#[test]
fn a_response_without_a_body_or_a_type_is_guarded_too() {
    for status in [200, 204, 205, 304] {
        let response = over_https(SecurityHeaders::web(), with_status(status));
        assert!(!response.headers().contains_key("content-type"));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(response.headers().contains_key("strict-transport-security"));
    }
}

#[test]
fn an_interim_response_is_left_alone() {
    for status in [100, 102, 103] {
        let response = over_https(SecurityHeaders::web_nonce(), with_status(status));
        assert!(response.headers().is_empty(), "{status}");
    }
}

/// A layer that turns panics into responses, as several crates have it.
#[derive(Clone, Copy)]
struct CatchPanic;

impl<S> Layer<S> for CatchPanic
where
    S: Service<Request<()>, Response = Answer, Error = Infallible, Future: Send + 'static>
        + Send
        + 'static,
{
    type Service = BoxService<Request<()>, Answer, Infallible>;

    fn layer(&self, inner: S) -> Self::Service {
        let mut inner = inner;
        let caught = service_fn(move |request| {
            let answer = AssertUnwindSafe(inner.call(request)).catch_unwind();
            answer.map(|answer| answer.unwrap_or_else(|_| Ok(with_status(500)(Request::new(())))))
        });
        BoxService::new(caught)
    }
}

#[test]
fn a_panic_that_is_caught_inside_the_layer_carries_the_headers_and_outside_it_is_bare() {
    let panics = || {
        service_fn(|_: Request<()>| async {
            if true {
                panic!("a handler's fault");
            }
            Ok::<_, Infallible>(Answer::default())
        })
    };
    let ours = || SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap();
    let answer = |service: BoxService<Request<()>, Answer, Infallible>| {
        let answer = service.oneshot(Request::new(())).now_or_never();
        let answer = answer.expect("nothing here waits").unwrap();
        assert_eq!(answer.status(), 500);
        answer.headers().contains_key("content-security-policy")
    };
    assert!(answer(BoxService::new(
        ours().layer(CatchPanic.layer(panics()))
    )));
    assert!(!answer(CatchPanic.layer(ours().layer(panics()))));
}

#[test]
fn an_upgraded_connection_is_left_alone() {
    let response = over_https(SecurityHeaders::web_nonce(), |_| {
        let mut response = with_status(101)(Request::new(()));
        let headers = response.headers_mut();
        headers.insert("connection", HeaderValue::from_static("upgrade"));
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.insert("sec-websocket-accept", HeaderValue::from_static("x"));
        headers.insert(
            "server",
            HeaderValue::from_static("kept: this is no longer HTTP"),
        );
        response
    });
    assert_eq!(response.headers().len(), 4);
}

#[test]
fn a_tunnel_is_left_alone_and_a_refused_one_is_not() {
    let connect = |status| {
        let layer = SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap();
        let request = Request::builder().method(Method::CONNECT).body(()).unwrap();
        call(layer, request, with_status(status))
    };
    assert!(connect(200).headers().is_empty());
    assert!(
        connect(403)
            .headers()
            .contains_key("x-content-type-options")
    );
}

#[test]
fn hsts_is_not_sent_to_addresses_and_this_machine() {
    let tls = ClientSource::peer().over_tls();
    let layer = SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap();
    let layer = layer.client(&tls);
    let headers = |request: Request<()>| {
        let response = call(layer.clone(), request, super::ok);
        let csp = response.headers()["content-security-policy"].to_str();
        // The rest is that of https.
        assert!(csp.unwrap().ends_with("upgrade-insecure-requests"));
        response.headers().contains_key("strict-transport-security")
    };
    let host = |host| Request::get("/").header("host", host).body(()).unwrap();
    let authority = |host: &str| Request::get(format!("https://{host}/")).body(()).unwrap();
    assert!(headers(host("a.example:8443")));
    assert!(headers(authority("a.example")));
    for name in ["localhost:3000", "127.0.0.1", "[::1]:3000", "app.localhost"] {
        assert!(!headers(host(name)), "{name}");
        assert!(!headers(authority(name)), "{name}");
    }
}

#[test]
fn head_and_preflight_are_answered_like_get() {
    let headers = |method| {
        let layer = SecurityHeadersLayer::new(SecurityHeaders::api()).unwrap();
        let request = Request::builder().method(method).body(()).unwrap();
        let response = call(layer, request, |_| {
            let mut response = super::ok(Request::new(()));
            let any = HeaderValue::from_static("*");
            response
                .headers_mut()
                .insert("access-control-allow-origin", any);
            response
        });
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        response.headers().clone()
    };
    assert_eq!(headers(Method::GET), headers(Method::HEAD));
    assert_eq!(headers(Method::GET), headers(Method::OPTIONS));
}

/// Is busy once, and insists that the service that was ready is the one that is called.
#[derive(Debug, Default)]
struct Readiness {
    ready: AtomicBool,
}

impl Clone for Readiness {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Readiness {
    type Response = Answer;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Answer, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.ready.swap(true, Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.ready.load(Ordering::Relaxed));
        std::future::ready(Err("the handler failed"))
    }
}

#[tokio::test]
async fn readiness_and_errors_of_the_service_pass_through() {
    let layer = SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap();
    let service = layer.layer(Readiness::default());
    let error = service.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(error, "the handler failed");
}
