//! The layer in a real hyper server, over a pipe in memory: upgrades and HTTP/2.

use std::convert::Infallible;

use bartizan::security_headers::*;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::{Layer, service_fn};

fn pipe() -> (TokioIo<DuplexStream>, TokioIo<DuplexStream>) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    (TokioIo::new(client), TokioIo::new(server))
}

fn layer() -> SecurityHeadersLayer {
    SecurityHeadersLayer::new(SecurityHeaders::web_nonce()).unwrap()
}

/// Answers 101 and then echoes whatever comes over the upgraded connection.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        let mut word = [0; 5];
        io.read_exact(&mut word).await.unwrap();
        io.write_all(&word).await.unwrap();
    });
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", HeaderValue::from_static("upgrade"));
    headers.insert("upgrade", HeaderValue::from_static("websocket"));
    Ok(response)
}

#[tokio::test]
async fn an_upgrade_passes_through_the_layer() {
    let (client, server) = pipe();
    let service = TowerToHyperService::new(layer().layer(service_fn(echo)));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(server, service)
        .with_upgrades();
    tokio::spawn(connection);

    let (mut send, connection) = hyper::client::conn::http1::handshake(client).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .header("host", "a.example")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = send.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    assert!(!response.headers().contains_key("content-security-policy"));
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    io.write_all(b"hello").await.unwrap();
    let mut word = [0; 5];
    io.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"hello");
}

#[tokio::test]
async fn over_http2_every_response_has_its_own_nonce() {
    let (client, server) = pipe();
    let page = service_fn(|request: Request<Incoming>| async move {
        let nonce = request.extensions().get::<CspNonce>().unwrap().get();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(nonce.to_string())))
    });
    let service = TowerToHyperService::new(layer().layer(page));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(server, service);
    tokio::spawn(connection);

    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), client);
    let (mut send, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut nonces = Vec::new();
    for _ in 0..3 {
        let request = Request::get("http://a.example/").body(Empty::<Bytes>::new());
        let response = send.send_request(request.unwrap()).await.unwrap();
        let headers = response.headers();
        let csp = headers["content-security-policy"].clone();
        // HTTP/2 has no such headers, and refuses responses that do.
        for name in ["connection", "upgrade", "keep-alive", "transfer-encoding"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        let body = response.into_body().collect().await.unwrap();
        let nonce = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let expected = format!("'nonce-{nonce}'");
        assert!(String::from_utf8_lossy(csp.as_bytes()).contains(&expected));
        assert!(!nonces.contains(&nonce));
        nonces.push(nonce);
    }
}
