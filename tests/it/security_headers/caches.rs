//! Nonces and caches: whatever else a response says, nobody but its browser keeps it.

use std::cell::Cell;
use std::convert::Infallible;

use bartizan::client::ClientSource;
use bartizan::security_headers::*;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use tower::util::BoxService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

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
fn what_a_policy_tells_one_cache_is_not_sent_with_a_nonce_either() {
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

    // Also where a service in between passes on no more than headers and body.
    let forgets = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new(outer.clone()).unwrap())
        .map_response(|response: Answer| {
            let (parts, body) = response.into_parts();
            let mut response = Response::new(body);
            *response.headers_mut() = parts.headers;
            response
        })
        .layer(SecurityHeadersLayer::new(SecurityHeaders::web_nonce()).unwrap());
    let response = call(forgets, Request::new(()), page_with(&[]));
    let said = values(response.headers(), "cache-control");
    assert!(said.contains(&"private"), "{said:?}");
    assert!(!response.headers().contains_key("cdn-cache-control"));

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

/// One layer of a stack.
fn any_policy() -> impl Strategy<Value = SecurityHeaders> {
    let conflict = || {
        prop::sample::select(vec![
            None,
            Some(Conflict::Keep),
            Some(Conflict::Override),
            Some(Conflict::Append),
        ])
    };
    let preset = prop::sample::select(vec![
        SecurityHeaders::web_nonce(),
        SecurityHeaders::web(),
        SecurityHeaders::assets(),
        SecurityHeaders::none().csp(|csp| csp.set(Directive::StyleSrc, [Source::Nonce])),
        SecurityHeaders::web().csp_report_only(|csp| csp.set(Directive::StyleSrc, [Source::Nonce])),
    ]);
    let caching = prop::sample::select(vec![None, Some("public, max-age=60"), Some("no-store")]);
    (preset, caching, conflict(), conflict(), any::<bool>()).prop_map(
        |(mut policy, caching, on_csp, on_caching, targeted)| {
            if let Some(caching) = caching {
                policy = policy.cache_control(caching);
            }
            if let Some(conflict) = on_csp {
                policy = policy.on_conflict("content-security-policy", conflict);
            }
            // To add to it is refused.
            match on_caching {
                Some(Conflict::Append) | None => {}
                Some(conflict) => policy = policy.on_conflict("cache-control", conflict),
            }
            if targeted {
                policy = policy.header("cdn-cache-control", "max-age=600");
            }
            policy
        },
    )
}

/// What a handler does besides answering.
#[derive(Clone, Debug)]
struct Does {
    reads: bool,
    sets: Vec<(&'static str, &'static str)>,
    appends: Option<Source>,
    chooses: bool,
}

fn any_handler() -> impl Strategy<Value = Does> {
    const HEADERS: [(&str, &str); 6] = [
        ("content-type", "text/html"),
        ("cache-control", "public"),
        ("content-security-policy", "img-src data:"),
        ("surrogate-control", "max-age=60"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=1"),
    ];
    let sets = prop::sample::subsequence(HEADERS.to_vec(), 0..=6);
    let host = Source::parse("https://a.example").unwrap();
    let appends = prop::option::weighted(0.2, prop::sample::select(vec![host, Source::Nonce]));
    let rarely = prop::bool::weighted(0.2);
    (prop::bool::weighted(0.8), sets, appends, rarely).prop_map(
        |(reads, sets, appends, chooses)| Does {
            reads,
            sets,
            appends,
            chooses,
        },
    )
}

/// What comes out of `stack`, the innermost first.
fn through(stack: &[SecurityHeaders], does: &Does, status: StatusCode) -> HeaderMap {
    let does = does.clone();
    let handler = service_fn(move |request: Request<()>| {
        let mut response = Response::new(());
        *response.status_mut() = status;
        if let (true, Some(nonce)) = (does.reads, request.extensions().get::<CspNonce>()) {
            let _ = nonce.get();
        }
        for (name, value) in &does.sets {
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(*name, value);
        }
        if let Some(source) = does.appends.clone() {
            let more = CspAppend::new(Directive::ScriptSrc, [source]).unwrap();
            more.add_to(response.extensions_mut());
        }
        if does.chooses {
            let chosen = SecurityHeaders::web_nonce().prepare().unwrap();
            response.extensions_mut().insert(chosen);
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut service = BoxService::new(handler);
    for policy in stack {
        let layer = SecurityHeadersLayer::new(policy.clone()).unwrap();
        service = BoxService::new(layer.layer(service));
    }
    let response = service.oneshot(Request::new(())).now_or_never().unwrap();
    response.unwrap().into_parts().0.headers
}

#[test]
fn whatever_layers_and_handlers_say_a_nonce_is_private_and_on_no_304() {
    const POLICIES: [&str; 2] = [
        "content-security-policy",
        "content-security-policy-report-only",
    ];
    let (with, nested) = (Cell::new(0), Cell::new(0));
    let stack = prop::collection::vec(any_policy(), 1..4);
    proptest!(|(stack in stack, does in any_handler())| {
        let page = through(&stack, &does, StatusCode::OK);
        let unmodified = through(&stack, &does, StatusCode::NOT_MODIFIED);
        let has_nonce = |headers: &HeaderMap, name| {
            values(headers, name).iter().any(|policy| policy.contains("'nonce-"))
        };
        if POLICIES.iter().any(|name| has_nonce(&page, name)) {
            with.set(with.get() + 1);
            nested.set(nested.get() + u32::from(stack.len() > 1));
            let said = values(&page, "cache-control").join(", ");
            prop_assert!(said.contains("private") || said.contains("no-store"), "{said}");
            for name in ["cdn-cache-control", "surrogate-control"] {
                prop_assert!(!page.contains_key(name), "{name}");
            }
        }
        for name in POLICIES {
            prop_assert!(!has_nonce(&unmodified, name));
            let handlers = does.sets.iter().any(|(set, _)| *set == name);
            if has_nonce(&page, name) && !handlers {
                let renewed = values(&unmodified, name);
                prop_assert!(renewed.is_empty(), "{name}: {renewed:?}");
            }
        }
        let cookies = does.sets.iter().filter(|(name, _)| *name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| *value).collect();
        prop_assert_eq!(values(&page, "set-cookie"), cookies);
    });
    assert!(with.get() > 20 && nested.get() > 10, "{with:?} {nested:?}");
}
