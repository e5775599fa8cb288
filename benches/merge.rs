//! What does it cost to put a header set on a response, by what the handler has set already?

use std::convert::Infallible;
use std::future::ready;

use bartizan::client::ClientSource;
use bartizan::security_headers::{CspNonce, SecurityHeaders, SecurityHeadersLayer};
use bartizan_benches::{call, empty, page, request};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    let client = ClientSource::peer().over_tls();
    let layer = |policy| {
        let layer = SecurityHeadersLayer::new(policy).expect("a preset is valid");
        layer.client(&client)
    };
    let mut run = |name: &str, service: &mut dyn FnMut(Request<()>)| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| request("/"), &mut *service, BatchSize::SmallInput);
        });
    };

    let mut bare = page();
    run("no layer", &mut |request| drop(call(&mut bare, request)));
    let mut over_empty = layer(SecurityHeaders::web()).layer(empty());
    run("web, no header", &mut |request| {
        drop(call(&mut over_empty, request))
    });
    let mut over_page = layer(SecurityHeaders::web()).layer(page());
    run("web, two headers", &mut |request| {
        drop(call(&mut over_page, request))
    });
    let mut over_own = layer(SecurityHeaders::web()).layer(service_fn(framed));
    run("web, one of the policy's", &mut |request| {
        drop(call(&mut over_own, request))
    });
    let mut unread = layer(SecurityHeaders::web_nonce()).layer(page());
    run("web_nonce, unread", &mut |request| {
        drop(call(&mut unread, request))
    });
    let mut read = layer(SecurityHeaders::web_nonce()).layer(service_fn(nonce));
    run("web_nonce, read", &mut |request| {
        drop(call(&mut read, request))
    });
    group.finish();
}

type Answer = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// Sets a header that the policy has too.
fn framed(_: Request<()>) -> Answer {
    let response = Response::builder().header("x-frame-options", "DENY");
    ready(Ok(response
        .body(Full::default())
        .expect("a valid response")))
}

fn nonce(request: Request<()>) -> Answer {
    let nonce = request.extensions().get::<CspNonce>();
    std::hint::black_box(nonce.expect("the layer puts it there").get());
    call_page(request)
}

fn call_page(request: Request<()>) -> Answer {
    page().call(request)
}

criterion_group!(benches, merge);
criterion_main!(benches);
