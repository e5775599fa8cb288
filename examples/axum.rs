//! The four guards in an axum service, from the outside in.
//!
//! ```sh
//! cargo run --example axum -- 127.0.0.1:3000
//! curl -i http://127.0.0.1:3000/
//! curl -N http://127.0.0.1:3000/events &
//! curl -X POST http://127.0.0.1:3000/orders
//! curl http://127.0.0.1:3000/health
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use bartizan::client::ClientSource;
use bartizan::event_stream::{EventHub, EventStream, MemoryStore, NewEvent, WebSockets};
use bartizan::health::{Dependency, Health};
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, Route, key};
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:3000");

    // axum knows who calls: `into_make_service_with_connect_info` below puts it into each request.
    // Behind a proxy, add `.behind(TrustedProxies::cidrs([..])?)`: the limit and HSTS both ask here.
    let client = ClientSource::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());

    let headers = SecurityHeadersLayer::new(SecurityHeaders::web())?.client(&client);

    let limits = RateLimitLayer::builder()
        .policy(Policy::new("all", Quota::per_second(10).burst(50)).by(key::client_ip(&client)))
        .policy(
            Policy::new("orders", Quota::per_minute(30))
                .on(Route::post("/orders"))
                .by(key::client_ip(&client)),
        )
        // The template that the router matched, so that a rule holds in a nested router as well.
        .template_from(|path: &MatchedPath| path.as_str())
        .build()?;

    let (health, driver) = Health::builder("orders", env!("CARGO_PKG_VERSION"))
        .dependency(Dependency::shared("database", ping))
        .dependency(Dependency::shared("ledger", ping).depends_on(["database"]))
        .build()?;

    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone()).build();
    // The stream, and the same over WebSockets for pages of this site: each is a task of its own.
    let sockets = WebSockets::driven_by(tokio::spawn).client(&client);
    let events = EventStream::new(hub.clone()).websockets(sockets);

    // What works in the background is the host's to run; nothing in the crate spawns.
    tokio::spawn(driver);
    tokio::spawn(tailer);

    // Layers from the outside in: the first one sees a request first and its response last.
    let guards = ServiceBuilder::new()
        // Outermost, so that every answer has the headers, also a 404, and a 429 from below.
        .layer(headers)
        // Above the limit: a probe is never turned away, and costs no client anything.
        .layer(health.layer())
        // Below the other two, and above everything that does work: what it refuses never gets there.
        .layer(limits);

    let app = Router::new()
        .route("/", get(async || "orders"))
        .route("/orders", post(order))
        .with_state(store)
        // A service like any other. Below the limit: opening a stream counts as one request.
        .route_service("/events", events)
        .layer(guards);

    let draining = hub.clone();
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            // Load balancers see it first; then streams end, each with a time to come back at.
            health.drain();
            draining.drain();
        }
    })
    .await?;
    // The server does not wait for connections that became WebSockets.
    let _ = tokio::time::timeout(Duration::from_secs(1), hub.closed()).await;
    Ok(())
}

/// Takes an order, and tells everyone who listens.
async fn order(State(store): State<MemoryStore>) -> StatusCode {
    let event = NewEvent::text("order.created", "one more");
    match event.and_then(|event| store.append(event)) {
        Ok(_) => StatusCode::CREATED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Stands for `SELECT 1`.
async fn ping() -> Result<(), std::io::Error> {
    Ok(())
}
