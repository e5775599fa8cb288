//! What a response costs, in allocations beyond the handler's own.

use bartizan::client::PeerAddr;
use bartizan::security_headers::*;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;

use super::{Answer, call};

/// A handler that sets what most handlers set.
fn page(request: Request<()>) -> Answer {
    if let Some(nonce) = request.extensions().get::<CspNonce>() {
        // Read, and written into a page that is there anyway.
        assert_eq!(nonce.get().as_str().len(), 24);
    }
    let mut response = Response::new(Full::from("hello"));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
    response
}

fn allocations(run: impl Fn()) -> u64 {
    run(); // what is made once is made now
    allocation_counter::measure(run).count_total
}

fn plain_request() -> Request<()> {
    Request::new(())
}

fn request_of_a_peer() -> Request<()> {
    let mut request = Request::new(());
    let peer = PeerAddr::new(([127, 0, 0, 1], 4000).into());
    request.extensions_mut().insert(peer);
    request
}

/// Allocations of one request through a layer with `policy`, less those without a layer.
fn added(policy: SecurityHeaders, request: fn() -> Request<()>) -> u64 {
    let layer = SecurityHeadersLayer::new(policy).unwrap();
    let without = allocations(|| drop(call(tower::layer::util::Identity::new(), request(), page)));
    let with = allocations(|| drop(call(layer.clone(), request(), page)));
    with - without
}

#[test]
fn twelve_static_headers_cost_two_allocations() {
    let policy = SecurityHeaders::web()
        .reports_to("/csp-reports")
        .embedder_policy(EmbedderPolicy::Credentialless)
        .header("x-dns-prefetch-control", "off")
        .header("x-permitted-cross-domain-policies", "none");
    let layer = SecurityHeadersLayer::new(policy.clone()).unwrap();
    let headers = call(layer, plain_request(), page);
    assert_eq!(headers.headers().len(), 2 + 12);
    assert_eq!(added(policy, plain_request), 2);
}

#[test]
fn a_nonce_costs_at_most_six_allocations_with_its_handle() {
    // The place of the handle in the extensions, the policy, and the map as above; the handle itself
    // is an earlier response's.
    let policy = SecurityHeaders::web_nonce();
    assert_eq!(added(policy.clone(), request_of_a_peer), 4);
    // In a request that has no extension yet, the extensions themselves are two more.
    assert_eq!(added(policy, plain_request), 6);
}

#[test]
fn an_unread_nonce_costs_the_place_of_its_handle_alone() {
    let layer = SecurityHeadersLayer::new(SecurityHeaders::web_nonce()).unwrap();
    let unread = |_| page(plain_request());
    let without = allocations(|| {
        drop(call(
            tower::layer::util::Identity::new(),
            request_of_a_peer(),
            unread,
        ));
    });
    let with = allocations(|| drop(call(layer.clone(), request_of_a_peer(), unread)));
    assert_eq!(with - without, 2 + 1);
}
