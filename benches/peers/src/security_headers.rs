//! The same headers, put on by each.

use std::convert::Infallible;
use std::future::{Ready, ready};

use axum::body::Body;
use axum_helmet::{Helmet, HelmetLayer};
use bartizan::security_headers::{CspNonce, EmbedderPolicy, SecurityHeaders, SecurityHeadersLayer};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::set_header::response::SetMultipleResponseHeadersLayer;

use crate::harness::Contest;
use crate::request::{Answer, call, client, handler, request};

/// Twelve headers that are the same on every response.
pub fn fixed() -> Contest {
    let headers = twelve();
    let multiple = headers.iter().map(|(name, value)| {
        let pair: (HeaderName, HeaderValue) = (name.clone(), value.clone());
        pair.into()
    });
    Contest::new("security headers, twelve fixed ones", page, StatusCode::OK)
        .floor("the bare service", handler())
        .with("cloning a prepared map", cloning(headers.clone()))
        .with("the same, as a layer", cloning_layer(headers.clone()))
        .with("tower-http, twelve layers", twelve_layers(&headers))
        .with(
            "tower-http, one layer for many",
            SetMultipleResponseHeadersLayer::overriding(multiple.collect()).layer(handler()),
        )
        .with("axum-helmet", helmet(&headers).layer(handler()))
        .with("bartizan", ours().layer(handler()))
}

/// A nonce that the handler reads and writes into its page.
pub fn nonce() -> Contest {
    let peer = http_security_headers::SecurityHeadersLayer::new(
        http_security_headers::Preset::BalancedNonce.build(),
    );
    let ours = SecurityHeadersLayer::new(SecurityHeaders::web_nonce())
        .expect("a preset is valid")
        .client(&client().over_tls());
    Contest::new("security headers with a nonce", page, StatusCode::OK)
        .floor("the bare service", service_fn(bare_page))
        .with("http-security-headers", peer.layer(service_fn(peer_page)))
        .with("bartizan", ours.layer(service_fn(our_page)))
}

fn page() -> Request<Body> {
    request("/")
}

fn ours() -> SecurityHeadersLayer {
    let policy = SecurityHeaders::web()
        .embedder_policy(EmbedderPolicy::RequireCorp)
        .header("x-permitted-cross-domain-policies", "none")
        .header("x-dns-prefetch-control", "off");
    SecurityHeadersLayer::new(policy)
        .expect("a preset is valid")
        .client(&client().over_tls())
}

/// What our layer puts on, for all others to put on as well.
fn twelve() -> HeaderMap {
    let headers = call(&mut ours().layer(handler()), page()).headers().clone();
    assert_eq!(headers.len(), 12, "{headers:?}");
    headers
}

/// What a hand could write at best: a prepared map, cloned and handed over.
fn cloning(
    headers: HeaderMap,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    service_fn(move |_| {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers.clone();
        ready(Ok(response))
    })
}

/// What a layer could be at best that knows nothing but this: it has to carry request and response.
fn cloning_layer(
    headers: HeaderMap,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    // It lives as long as the program, which ends with the contest.
    let headers: &'static HeaderMap = Box::leak(Box::new(headers));
    let put_on = move |mut response: Response<Body>| {
        *response.headers_mut() = headers.clone();
        response
    };
    ServiceBuilder::new()
        .map_response(put_on)
        .service(handler())
}

fn twelve_layers(
    headers: &HeaderMap,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + use<> {
    let mut layers = headers
        .iter()
        .map(|(name, value)| SetResponseHeaderLayer::overriding(name.clone(), value.clone()));
    let mut next = || layers.next().expect("twelve headers");
    ServiceBuilder::new()
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .layer(next())
        .service(handler())
}

fn helmet(headers: &HeaderMap) -> HelmetLayer {
    let helmet = headers.iter().fold(Helmet::new(), |helmet, (name, value)| {
        // It takes names that live for ever; these do, since the program ends with the contest.
        let name: &'static str = name.as_str().to_owned().leak();
        let value = value.to_str().expect("our values are visible ASCII");
        helmet.add((name, value.to_owned()))
    });
    helmet.into_layer().expect("valid headers")
}

fn bare_page(_: Request<Body>) -> Answer {
    html(&"AAAAAAAAAAAAAAAAAAAAAAAA")
}

fn peer_page(request: Request<Body>) -> Answer {
    let nonce = request.extensions().get::<http_security_headers::Nonce>();
    html(nonce.expect("its layer puts it there"))
}

fn our_page(request: Request<Body>) -> Answer {
    let nonce = request.extensions().get::<CspNonce>();
    html(&nonce.expect("our layer puts it there").get())
}

fn html(nonce: &dyn std::fmt::Display) -> Ready<Result<Response<Body>, Infallible>> {
    let page = format!("<script nonce=\"{nonce}\">start()</script>");
    ready(Ok(Response::new(Body::from(page))))
}
