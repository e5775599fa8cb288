//! The four guards on a port that speaks gRPC, and plain HTTP beside it.
//!
//! ```sh
//! cargo run --example tonic -- 127.0.0.1:3000
//! grpcurl -plaintext 127.0.0.1:3000 grpc.health.v1.Health/Check
//! curl http://127.0.0.1:3000/readyz
//! curl -N http://127.0.0.1:3000/events
//! ```

use std::error::Error;

use bartizan::client::ClientSource;
use bartizan::event_stream::{EventHub, EventStream, MemoryStore};
use bartizan::health::{Dependency, Health};
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, key};
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:3000");

    // tonic's own extension for the address of the other end.
    let client = ClientSource::from_extension(|peer: &TcpConnectInfo| {
        peer.remote_addr().map(|address| address.ip())
    });

    // No page is served here: nothing in an answer may load, run or be framed.
    let headers = SecurityHeadersLayer::new(SecurityHeaders::api())?.client(&client);

    // A refused call ends with RESOURCE_EXHAUSTED and the time to wait, as gRPC clients expect it.
    let limits = RateLimitLayer::builder()
        .policy(Policy::new("calls", Quota::per_second(10).burst(50)).by(key::client_ip(&client)))
        .build()?;

    let (health, driver) = Health::builder("orders", env!("CARGO_PKG_VERSION"))
        .dependency(Dependency::shared("database", ping))
        .build()?;

    let (hub, tailer) = EventHub::builder(MemoryStore::new()).build();

    // The standard gRPC service tells the same truth as `/readyz`: it follows the transitions.
    let (reporter, grpc_health) = tonic_health::server::health_reporter();
    // It would begin with SERVING, before anything has been asked.
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;

    // What works in the background is the host's to run; nothing in the crate spawns.
    tokio::spawn(driver);
    tokio::spawn(tailer);
    tokio::spawn(follow(health.clone(), reporter));

    // Here the services of your own .proto files would be added to the one of tonic-health; the
    // event stream is a plain HTTP service beside them, for browsers.
    let routes = Routes::new(grpc_health)
        .into_axum_router()
        .route_service("/events", EventStream::new(hub));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Server::builder()
        // Browsers and orchestrators come over HTTP/1.1.
        .accept_http1(true)
        // Outermost, so that every answer has the headers; gRPC answers keep their trailers.
        .layer(headers)
        // Above the limit: a probe is never turned away, and costs no client anything.
        .layer(health.layer())
        // Below the other two, and above everything that does work: what it refuses never gets there.
        .layer(limits)
        .add_routes(Routes::from(routes))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

/// Tells gRPC's health service what ours knows, whenever that changes.
async fn follow(health: Health, reporter: HealthReporter) {
    let mut transitions = health.subscribe();
    let mut report = transitions.current();
    loop {
        let status = if report.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
        match transitions.changed().await {
            Some(next) => report = next,
            None => return,
        }
    }
}

/// Stands for `SELECT 1`.
async fn ping() -> Result<(), std::io::Error> {
    Ok(())
}
