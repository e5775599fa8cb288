//! The layer in a real hyper server, over a pipe in memory: bodies that arrive, refusals between
//! requests that pass, and both versions of HTTP.

use super::*;
use bartizan::rate_limit::Route;
use http::Version;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::service_fn;

/// A client over one connection to a metered service that sends back what it is sent.
enum Client {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn connect(version: Version, layer: RateLimitLayer) -> Self {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let echo = service_fn(|request: Request<Incoming>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        });
        let service = TowerToHyperService::new(layer.layer(echo));
        tokio::spawn(async move {
            auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(server), service)
                .await
        });
        let client = TokioIo::new(client);
        if version == Version::HTTP_2 {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), client);
            let (sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            return Self::Two(sender);
        }
        let handshake = hyper::client::conn::http1::handshake(client);
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self::One(sender)
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: &'static str,
    ) -> Response<Incoming> {
        let request = request.body(Full::from(body)).unwrap();
        match self {
            Self::One(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Self::Two(sender) => sender.send_request(request).await.unwrap(),
        }
    }
}

fn to(method: &str, path: &str) -> http::request::Builder {
    let uri = format!("http://localhost{path}");
    Request::builder().method(method).uri(uri)
}

#[tokio::test]
async fn over_hyper_bodies_pass_and_a_connection_outlives_its_refusals() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let policy = minutely("writes", 2).on(Route::method(http::Method::POST));
        let layer = RateLimitLayer::builder().policy(policy).build().unwrap();
        let mut client = Client::connect(version, layer).await;
        for round in 0..4 {
            let answer = client
                .send(to("POST", "/"), "a body that is sent back")
                .await;
            assert_eq!(answer.version(), version);
            if round < 2 {
                assert_eq!(
                    header(&answer, "ratelimit-policy"),
                    Some(r#""writes";q=2;w=60"#)
                );
                assert_eq!(text(answer).await, "a body that is sent back");
            } else {
                assert_eq!(answer.status(), 429, "round {round}");
                let length = header(&answer, "content-length").unwrap().to_owned();
                let document = text(answer).await;
                assert_eq!(document.len().to_string(), length);
                assert!(document.contains("quota-exceeded"), "{document}");
            }
            let answer = client.send(to("GET", "/"), "").await;
            assert_eq!(answer.status(), 200, "the connection is still good");
        }
    }
}

#[tokio::test]
async fn over_hyper_a_refused_head_has_the_length_of_the_document_and_no_body() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let layer = RateLimitLayer::builder().policy(minutely("api", 1)).build();
        let mut client = Client::connect(version, layer.unwrap()).await;
        assert_eq!(client.send(to("HEAD", "/"), "").await.status(), 200);
        let refused = client.send(to("HEAD", "/"), "").await;
        assert_eq!(refused.status(), 429);
        let length: usize = header(&refused, "content-length").unwrap().parse().unwrap();
        assert!(length > 100, "{length}");
        assert_eq!(text(refused).await, "");
        let refused = client.send(to("GET", "/"), "").await;
        assert_eq!(text(refused).await.len(), length);
    }
}

#[tokio::test]
async fn over_hyper_a_refused_call_ends_with_its_header_fields() {
    let layer = RateLimitLayer::builder().policy(minutely("api", 1)).build();
    let mut client = Client::connect(Version::HTTP_2, layer.unwrap()).await;
    let call = || to("POST", "/pkg.Service/Method").header("content-type", "application/grpc");
    assert_eq!(client.send(call(), "").await.status(), 200);
    let refused = client.send(call(), "").await;
    assert_eq!(header(&refused, "grpc-status"), Some("8"));
    assert!(
        http_body::Body::is_end_stream(refused.body()),
        "trailers alone"
    );
    let rest = refused.into_body().collect().await.unwrap();
    assert!(rest.trailers().is_none());
}
