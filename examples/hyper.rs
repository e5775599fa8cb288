//! The four guards around a plain hyper service, with no framework.
//!
//! ```sh
//! cargo run --example hyper -- 127.0.0.1:3000
//! curl -i http://127.0.0.1:3000/
//! curl -N http://127.0.0.1:3000/events &
//! curl -X POST http://127.0.0.1:3000/orders
//! curl http://127.0.0.1:3000/health
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bartizan::client::{ClientSource, PeerAddr};
use bartizan::event_stream::{EventHub, EventStream, MemoryStore, NewEvent, WebSockets};
use bartizan::health::{Dependency, Health};
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, key};
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:3000");

    // The address that `accept` returned, which `PeerAddr::layer` below puts into each request.
    let client = ClientSource::peer();

    let headers = SecurityHeadersLayer::new(SecurityHeaders::web())?.client(&client);

    let limits = RateLimitLayer::builder()
        .policy(Policy::new("all", Quota::per_second(10).burst(50)).by(key::client_ip(&client)))
        .build()?;

    let (health, driver) = Health::builder("orders", env!("CARGO_PKG_VERSION"))
        .dependency(Dependency::shared("database", ping))
        .build()?;

    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone()).build();
    // The stream, and the same over WebSockets for pages of this site: each is a task of its own.
    let sockets = WebSockets::driven_by(tokio::spawn).client(&client);
    let events = EventStream::new(hub.clone()).websockets(sockets);

    // What works in the background is the host's to run; nothing in the crate spawns.
    tokio::spawn(driver);
    tokio::spawn(tailer);

    let app = ServiceBuilder::new()
        // Outermost, so that every answer has the headers, also a 404, and a 429 from below.
        .layer(headers)
        // Above the limit: a probe is never turned away, and costs no client anything.
        .layer(health.layer())
        // Below the other two, and above everything that does work: what it refuses never gets there.
        .layer(limits)
        // Innermost: the application, which hands the path of the stream to its service.
        .service(service_fn(move |request: Request<Incoming>| {
            let (store, events) = (store.clone(), events.clone());
            async move {
                Ok::<_, Infallible>(match (request.method(), request.uri().path()) {
                    (_, "/events") => events.oneshot(request).await?.map(Either::Right),
                    (&Method::GET, "/") => answer(StatusCode::OK, "orders").map(Either::Left),
                    (&Method::POST, "/orders") => order(&store).map(Either::Left),
                    _ => answer(StatusCode::NOT_FOUND, "not found").map(Either::Left),
                })
            }
        }));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Such as too many open files: that passes, and is no reason to stop.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Around everything, once for each connection: who is at its other end.
        let service = TowerToHyperService::new(PeerAddr::layer(peer).layer(app.clone()));
        tokio::spawn(async move {
            let mut connections = auto::Builder::new(TokioExecutor::new());
            // With a timer hyper gives up a head that does not end; `examples/demo/serve.rs` has more of
            // what bounds a connection.
            connections.http1().timer(TokioTimer::new());
            // Without upgrades no connection could become a WebSocket.
            let connection =
                connections.serve_connection_with_upgrades(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Takes an order, and tells everyone who listens.
fn order(store: &MemoryStore) -> Response<Full<Bytes>> {
    let event = NewEvent::text("order.created", "one more");
    match event.and_then(|event| store.append(event)) {
        Ok(_) => answer(StatusCode::CREATED, "taken"),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "not taken"),
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// Stands for `SELECT 1`.
async fn ping() -> Result<(), std::io::Error> {
    Ok(())
}
