//! A small site on loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What one path answers with: its media type and its text.
pub(crate) type Page = (&'static str, &'static str);

/// Serves `page` until the test's runtime ends, every answer under a strict policy; a path that
/// `page` does not know is a 404.
pub(crate) async fn serve(page: fn(&str) -> Option<Page>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<_>| {
                std::future::ready(Ok::<_, Infallible>(answer(page(request.uri().path()))))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    address
}

fn answer(page: Option<Page>) -> Response<Full<Bytes>> {
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self'; frame-src http:";
    let (status, (media, text)) = match page {
        Some(page) => (200, page),
        None => (404, ("text/plain", "not found")),
    };
    Response::builder()
        .status(status)
        .header("content-type", media)
        .header("content-security-policy", policy)
        .body(Full::new(Bytes::from_static(text.as_bytes())))
        .unwrap()
}
