//! The layer over the bodies of hyper, axum and tonic: the type stays what it was.

use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use bartizan::security_headers::*;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

fn layer() -> SecurityHeadersLayer {
    SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap()
}

#[tokio::test]
async fn a_hyper_body_keeps_its_type_and_its_trailers() {
    let service = layer().layer(service_fn(|_: Request<()>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        let body = Full::<Bytes>::from("data").with_trailers(async { Some(Ok(trailers)) });
        Ok::<_, Infallible>(Response::new(Box::pin(body)))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checksum"], "1");
    assert_eq!(collected.to_bytes(), "data");
}

/// A body that no framework knows: the layer asks nothing of it.
#[tokio::test]
async fn anything_can_be_a_body() {
    struct NotEvenABody;
    let service = layer().layer(service_fn(|_: Request<NotEvenABody>| async {
        Ok::<_, Infallible>(Response::new(NotEvenABody))
    }));
    let response: Response<NotEvenABody> =
        service.oneshot(Request::new(NotEvenABody)).await.unwrap();
    assert!(response.headers().contains_key("x-frame-options"));
}

#[tokio::test]
async fn an_event_stream_is_not_held_back() {
    let (events, receive) =
        tokio::sync::mpsc::unbounded_channel::<Result<Frame<Bytes>, Infallible>>();
    let receive = std::sync::Mutex::new(Some(receive));
    let service = layer().layer(service_fn(move |_: Request<()>| {
        let mut receive = receive.lock().unwrap().take().unwrap();
        let frames = futures::stream::poll_fn(move |cx| receive.poll_recv(cx));
        let mut response = Response::new(StreamBody::new(frames));
        let kind = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert("content-type", kind);
        let store = HeaderValue::from_static("no-store");
        response.headers_mut().insert("cache-control", store);
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    // The head is there before the first event.
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().contains_key("content-security-policy"));
    let mut body = response.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(Ok(Frame::data(event.into()))).unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
}

#[tokio::test]
async fn axum_answers_with_the_headers_on_every_status() {
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/fail",
            get(|| async { http::StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route(
            "/limited",
            get(|| async { (http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]) }),
        )
        .layer(layer());
    for (method, path, status) in [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/missing", 404),
        ("POST", "/", 405),
        ("GET", "/fail", 500),
        ("GET", "/limited", 429),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers()["x-frame-options"],
            "DENY",
            "{method} {path}"
        );
        assert!(response.headers().contains_key("content-security-policy"));
    }
}

#[tokio::test]
async fn a_tonic_service_answers_with_the_headers() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let request = Request::builder()
        .method("POST")
        .uri("/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(Full::new(Bytes::from_static(
            &[0; 5],
        ))))
        .unwrap();
    let response = layer().layer(health).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
}
