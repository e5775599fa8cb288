//! Nonces and caches: whatever else a response says, nobody but its browser keeps it.

use bartizan::client::ClientSource;
use bartizan::security_headers::*;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder};

use super::{Answer, Handler, call, over_https, values};

type Page = fn(Request<()>) -> Answer;

/// A page that has its nonce, and these headers.
fn page_with(
    headers: &'static [(&'static str, &'static str)],
) -> impl FnOnce(Request<()>) -> Answer {
    move |request| {
        let nonce = request.extensions().get::<CspNonce>().map(CspNonce::get);
        let mut response = Response::new(Full::from(format!("<script nonce={nonce:?}>")));
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(*name, value);
        }
        response
    }
}

/// RFC 9213: a cache that such a header is for heeds no `Cache-Control` beside it.
#[test]
fn a_response_with_a_nonce_says_nothing_to_one_cache_that_it_does_not_say_to_all() {
    const TARGETED: &[(&str, &str)] = &[
        ("cache-control", "public, max-age=60"),
        ("cdn-cache-control", "max-age=600"),
        ("Cloudflare-CDN-Cache-Control", "max-age=600"),
        ("surrogate-control", "max-age=600"),
        ("surrogate-control", "content=\"ESI/1.0\""),
        ("edge-control", "cache-maxage=600"),
        ("x-accel-expires", "600"),
        ("x-own-cache", "kept"),
    ];
    let response = over_https(SecurityHeaders::web_nonce(), page_with(TARGETED));
    let headers = response.headers();
    let csp = values(headers, "content-security-policy");
    assert!(csp[0].contains("'nonce-"), "{csp:?}");
    for (name, _) in &TARGETED[1..7] {
        assert!(values(headers, name).is_empty(), "{name}");
    }
    let everybody = ["public, max-age=60", "private"];
    assert_eq!(values(headers, "cache-control"), everybody);
    assert_eq!(values(headers, "x-own-cache"), ["kept"]);

    // Without a nonce it is the handler's affair.
    let response = over_https(SecurityHeaders::web(), page_with(TARGETED));
    for (name, value) in TARGETED {
        assert!(values(response.headers(), name).contains(value), "{name}");
    }
}

#[test]
fn a_policys_own_word_to_one_cache_is_not_sent_with_a_nonce_either() {
    let policy = || SecurityHeaders::web_nonce().header("cdn-cache-control", "max-age=600");
    let response = over_https(policy(), page_with(&[]));
    assert!(!response.headers().contains_key("cdn-cache-control"));
    assert_eq!(values(response.headers(), "cache-control"), ["private"]);
    let response = over_https(policy(), super::ok);
    assert_eq!(response.headers()["cdn-cache-control"], "max-age=600");
}

fn nested(
    outer: SecurityHeaders,
    inner: SecurityHeaders,
) -> impl Layer<Handler<Page>, Service = SecurityHeadersService<SecurityHeadersService<Handler<Page>>>>
{
    let tls = ClientSource::peer().over_tls();
    ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new(outer).unwrap().client(&tls))
        .layer(SecurityHeadersLayer::new(inner).unwrap().client(&tls))
}

#[test]
fn a_layer_further_out_cannot_make_a_response_with_a_nonce_public_again() {
    let outer = SecurityHeaders::web()
        .cache_control("public, max-age=600")
        .on_conflict("cache-control", Conflict::Override)
        .header("cdn-cache-control", "max-age=600");
    let layer = nested(outer.clone(), SecurityHeaders::web_nonce());
    let response = call(layer, Request::new(()), (|r| page_with(&[])(r)) as Page);
    let headers = response.headers();
    let csp = values(headers, "content-security-policy");
    assert!(csp[0].contains("'nonce-"), "{csp:?}");
    let said = values(headers, "cache-control");
    assert!(said.contains(&"private"), "{said:?}");
    assert!(!headers.contains_key("cdn-cache-control"));

    // A response that has none is the outer layer's to share.
    let layer = nested(outer, SecurityHeaders::web_nonce());
    let response = call(layer, Request::new(()), super::ok as Page);
    let shared = ["public, max-age=600"];
    assert_eq!(values(response.headers(), "cache-control"), shared);
    assert!(response.headers().contains_key("cdn-cache-control"));
}

/// What an inner layer leaves out, so that the cached page keeps its own, no outer one may put there.
#[test]
fn a_304_leaves_the_cached_pages_policy_alone_whatever_layers_are_further_out() {
    let unmodified: Page = |_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    };
    let reporting =
        SecurityHeaders::api().csp_report_only(|csp| csp.set(Directive::ImgSrc, ["data:"]));
    for outer in [
        reporting.clone(),
        reporting.on_conflict("content-security-policy", Conflict::Override),
    ] {
        let layer = ServiceBuilder::new()
            .layer(SecurityHeadersLayer::new(outer.clone()).unwrap())
            .layer(nested(outer, SecurityHeaders::web_nonce()));
        let response = call(layer, Request::new(()), unmodified);
        let headers = response.headers();
        assert!(!headers.contains_key("content-security-policy"));
        // Of this the cached page has the outer layer's.
        assert!(headers.contains_key("content-security-policy-report-only"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[test]
fn what_stands_in_quotes_makes_no_response_private() {
    const QUOTED: &[(&str, &str)] = &[(
        "cache-control",
        "public, no-cache=\"set-cookie, private, x\"",
    )];
    let response = over_https(SecurityHeaders::web_nonce(), page_with(QUOTED));
    let said = values(response.headers(), "cache-control");
    assert_eq!(said, [QUOTED[0].1, "private"]);
}
