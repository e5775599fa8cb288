//! All layers of the crate, one inside the other, in a hyper server over pipes in memory: what must
//! not be touched comes through as it was sent.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use bartizan::client::{ClientSource, PeerAddr};
use bartizan::event_stream::{EventHub, EventStream, MemoryStore, NewEvent, WebSockets};
use bartizan::health::Health;
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, key};
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::client_async;
use tower::ServiceBuilder;

/// What the security headers layer puts on everything that is HTTP.
const OURS: [&str; 4] = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
];

/// A server with everything in place.
struct Stack {
    store: MemoryStore,
    app: Router,
    health: Health,
    limits: RateLimitLayer,
    headers: SecurityHeadersLayer,
}

impl Stack {
    async fn start() -> Self {
        let store = MemoryStore::new();
        let (hub, tailer) = EventHub::builder(store.clone()).build();
        let (health, driver) = Health::builder("stack", "1").build().unwrap();
        tokio::spawn(tailer);
        tokio::spawn(driver);
        health.started().await;
        while hub.head().is_none() {
            tokio::task::yield_now().await;
        }
        let events = EventStream::new(hub).websockets(WebSockets::driven_by(tokio::spawn));
        let clients = ClientSource::peer().over_tls();
        let limits = Policy::new("all", Quota::per_second(100)).by(key::client_ip(&clients));
        let headers = SecurityHeadersLayer::new(SecurityHeaders::web_nonce()).unwrap();
        Self {
            store,
            app: Router::new()
                .route_service("/events", events)
                .route("/trailers", get(trailers)),
            health,
            limits: RateLimitLayer::builder().policy(limits).build().unwrap(),
            headers: headers.client(&clients),
        }
    }

    /// Serves one connection, and gives its other end.
    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        let service = ServiceBuilder::new()
            .layer(PeerAddr::layer(SocketAddr::from(([192, 0, 2, 1], 4711))))
            .layer(self.headers.clone())
            .layer(self.health.layer())
            .layer(self.limits.clone())
            .service(self.app.clone());
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            let io = TokioIo::new(server);
            let served = builder.serve_connection_with_upgrades(io, service);
            served.await.unwrap();
        });
        client
    }
}

/// A body with trailers, as gRPC has them.
async fn trailers() -> Response<axum::body::Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body =
        Full::<Bytes>::from("data").with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
    Response::new(axum::body::Body::new(Box::pin(body)))
}

#[tokio::test(start_paused = true)]
async fn a_websocket_gets_its_handshake_and_its_bytes_and_no_header_of_ours() {
    let stack = Stack::start().await;
    let handshake = "ws://stack.example/events?recent=1";
    let (mut socket, answer) = client_async(handshake, stack.connect()).await.unwrap();
    assert_eq!(answer.status(), 101);
    let headers = answer.headers();
    assert_eq!(headers["upgrade"], "websocket");
    assert!(headers.contains_key("sec-websocket-accept"));
    for name in OURS {
        assert!(!headers.contains_key(name), "{name}");
    }

    let event = NewEvent::text("greeting", "h\u{e9}llo").unwrap();
    let id = stack.store.append(event).unwrap().to_string();
    loop {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "greeting" {
            let sent = json!({ "id": id, "type": "greeting", "data": "h\u{e9}llo" });
            assert_eq!(message, sent);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_gets_the_headers_at_once_and_its_bytes_as_they_come() {
    let stack = Stack::start().await;
    let io = TokioIo::new(stack.connect());
    let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/events")
        .header("host", "stack.example")
        .header("accept", "text/event-stream")
        .body(Empty::<Bytes>::new());
    // The head is there before the first event.
    let response = send.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    for name in OURS {
        assert!(headers.contains_key(name), "{name}");
    }
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache, no-transform");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert_eq!(headers["ratelimit"], r#""all";r=99;t=1"#);
    assert!(!headers.contains_key("content-length"));

    let event = NewEvent::text("greeting", "hello").unwrap();
    let id = stack.store.append(event).unwrap();
    let mut body = response.into_body();
    let mut read = String::new();
    let sent = format!("id: {id}\nevent: greeting\ndata: hello\n\n");
    while !read.ends_with(&sent) {
        let frame = body.frame().await.unwrap().unwrap();
        read.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_follow_the_body_and_the_headers_stay_in_the_head() {
    let stack = Stack::start().await;
    let io = TokioIo::new(stack.connect());
    let executor = TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, io);
    let (mut send, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let get = |path: &str| {
        let uri = format!("https://stack.example{path}");
        Request::get(uri).body(Empty::<Bytes>::new()).unwrap()
    };
    let response = send.send_request(get("/trailers")).await.unwrap();
    assert!(response.headers().contains_key("ratelimit"));
    for name in OURS {
        assert!(response.headers().contains_key(name), "{name}");
    }
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(
        (trailers.len(), &trailers["grpc-status"]),
        (1, &HeaderValue::from_static("0"))
    );
    assert_eq!(collected.to_bytes(), "data");

    // Neither what health answers nor what nobody does is bare.
    for (path, status) in [("/livez", 200), ("/missing", 404)] {
        let response = send.send_request(get(path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["x-frame-options"], "DENY", "{path}");
    }
}
