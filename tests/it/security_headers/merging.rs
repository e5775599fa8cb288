//! The handler's headers and the layer's: who wins, what is lost, what stays in order.

use std::cell::Cell;

use bartizan::security_headers::*;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use proptest::prelude::*;
use tower::{Layer, ServiceBuilder};

use super::{Answer, call, over_https, values};

fn with(headers: &'static [(&'static str, &'static str)]) -> impl FnOnce(Request<()>) -> Answer {
    move |_| {
        let mut response = Response::new(Full::from("hello"));
        for (name, value) in headers {
            response
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        response
    }
}

#[test]
fn the_handlers_header_is_kept_and_never_doubled() {
    let handler = with(&[
        ("x-frame-options", "SAMEORIGIN"),
        ("content-security-policy", "default-src *"),
        ("content-security-policy", "img-src 'self'"),
        ("cache-control", "max-age=60"),
        ("content-type", "text/html"),
        ("content-length", "5"),
        ("x-own", "1"),
    ]);
    let response = over_https(SecurityHeaders::api(), handler);
    let headers = response.headers();
    assert_eq!(values(headers, "x-frame-options"), ["SAMEORIGIN"]);
    let csp = values(headers, "content-security-policy");
    assert_eq!(csp, ["default-src *", "img-src 'self'"]);
    assert_eq!(values(headers, "cache-control"), ["max-age=60"]);
    assert_eq!(values(headers, "content-type"), ["text/html"]);
    assert_eq!(values(headers, "content-length"), ["5"]);
    assert_eq!(values(headers, "x-own"), ["1"]);
}

#[test]
fn a_handler_that_sets_nothing_gets_no_empty_header() {
    let response = over_https(SecurityHeaders::web(), super::ok);
    for name in ["content-type", "content-length", "cache-control"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
}

#[test]
fn cookies_keep_their_number_and_order() {
    let handler = with(&[
        ("set-cookie", "a=1"),
        ("x-own", "1"),
        ("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        ("vary", "accept"),
        ("set-cookie", "a=3"),
        ("vary", "origin"),
    ]);
    let response = over_https(SecurityHeaders::web(), handler);
    let cookies = ["a=1", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "a=3"];
    assert_eq!(values(response.headers(), "set-cookie"), cookies);
    assert_eq!(values(response.headers(), "vary"), ["accept", "origin"]);
}

#[test]
fn a_header_can_override_the_handlers() {
    let policy = SecurityHeaders::api()
        .on_conflict("x-frame-options", Conflict::Override)
        .on_conflict("cache-control", Conflict::Override)
        .on_conflict("x-not-ours", Conflict::Override);
    let handler = with(&[
        ("x-frame-options", "SAMEORIGIN"),
        ("x-frame-options", "ALLOWALL"),
        ("cache-control", "public"),
        ("x-not-ours", "1"),
    ]);
    let response = over_https(policy, handler);
    assert_eq!(values(response.headers(), "x-frame-options"), ["DENY"]);
    assert_eq!(values(response.headers(), "cache-control"), ["no-store"]);
    assert_eq!(values(response.headers(), "x-not-ours"), ["1"]);
}

#[test]
fn policies_can_be_added_up() {
    let policy = SecurityHeaders::api().on_conflict("content-security-policy", Conflict::Append);
    let handler = with(&[
        ("content-security-policy", "img-src 'self'"),
        ("content-security-policy", "img-src data:"),
    ]);
    let response = over_https(policy, handler);
    let policies = values(response.headers(), "content-security-policy");
    assert_eq!(policies.len(), 3);
    assert!(policies[0].starts_with("default-src 'none'"));
    assert_eq!(policies[1..], ["img-src 'self'", "img-src data:"]);
}

#[test]
fn headers_that_tell_what_runs_here_are_removed() {
    let leaks = &[
        ("server", "x/1"),
        ("X-Powered-By", "y"),
        ("x-powered-by", "z"),
        ("x-b3-traceid", "1"),
        ("x-kong-upstream-latency", "3"),
        ("x-datadog-trace-id", "1"),
        ("x-own", "1"),
    ];
    let response = over_https(SecurityHeaders::assets(), with(leaks));
    for (name, _) in &leaks[..6] {
        assert!(!response.headers().contains_key(*name), "{name}");
    }
    assert_eq!(response.headers()["x-own"], "1");
    let kept = over_https(
        SecurityHeaders::assets().keep_leaky("X-B3-TraceId"),
        with(leaks),
    );
    assert_eq!(kept.headers()["x-b3-traceid"], "1");
    assert!(!kept.headers().contains_key("server"));
}

#[test]
fn what_a_layer_further_out_adds_is_out_of_reach() {
    let layer = ServiceBuilder::new()
        .map_response(|mut response: Answer| {
            let server = HeaderValue::from_static("edge");
            response.headers_mut().insert("server", server);
            response
        })
        .layer(SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap());
    let response = call(layer, Request::new(()), with(&[("server", "x/1")]));
    assert_eq!(values(response.headers(), "server"), ["edge"]);
}

fn nested(outer: SecurityHeaders, inner: SecurityHeaders) -> impl Layer<Handler, Service = Nested> {
    ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new(outer).unwrap())
        .layer(SecurityHeadersLayer::new(inner).unwrap())
}

type Handler = super::Handler<fn(Request<()>) -> Answer>;
type Nested = SecurityHeadersService<SecurityHeadersService<Handler>>;

fn html(_: Request<()>) -> Answer {
    let mut response = super::ok(Request::new(()));
    response
        .headers_mut()
        .insert("referrer-policy", HeaderValue::from_static("origin"));
    response
}

#[test]
fn of_nested_layers_the_inner_wins_and_the_outer_adds_what_is_missing() {
    let inner = SecurityHeaders::none().csp(|csp| csp.set(Directive::ImgSrc, ["data:"]));
    let layer = nested(SecurityHeaders::web(), inner);
    let response = call(layer, Request::new(()), html as fn(_) -> _);
    let headers = response.headers();
    assert_eq!(
        values(headers, "content-security-policy"),
        ["img-src data:"]
    );
    assert_eq!(values(headers, "x-content-type-options"), ["nosniff"]);
    assert_eq!(values(headers, "referrer-policy"), ["origin"]);
}

#[test]
fn the_inner_wins_also_where_both_override_or_append() {
    for conflict in [Conflict::Override, Conflict::Append] {
        let policy = |host: &str| {
            SecurityHeaders::none()
                .csp(|csp| csp.set(Directive::ImgSrc, [host]))
                .on_conflict("content-security-policy", conflict)
        };
        let layer = nested(policy("outer.example"), policy("inner.example"));
        let response = call(layer, Request::new(()), html as fn(_) -> _);
        let policies = values(response.headers(), "content-security-policy");
        assert_eq!(policies, ["img-src inner.example"], "{conflict:?}");
    }
    // What the handler set is still the outer's to replace.
    let outer = SecurityHeaders::web().on_conflict("referrer-policy", Conflict::Override);
    let inner = SecurityHeaders::none().nosniff();
    let response = call(nested(outer, inner), Request::new(()), html as fn(_) -> _);
    let expected = ["strict-origin-when-cross-origin"];
    assert_eq!(values(response.headers(), "referrer-policy"), expected);
}

#[test]
fn a_response_can_choose_another_prepared_set() {
    let embeddable = SecurityHeaders::web().frame_ancestors(["https://partner.example"]);
    let embeddable = embeddable.prepare().unwrap();
    let respond = |_| {
        let mut response = super::ok(Request::new(()));
        response.extensions_mut().insert(embeddable.clone());
        response
    };
    let response = over_https(SecurityHeaders::api(), respond);
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        csp.contains("frame-ancestors https://partner.example"),
        "{csp}"
    );
    assert!(!response.headers().contains_key("x-frame-options"));
    assert!(!response.headers().contains_key("cache-control"));
    assert!(response.headers().contains_key("strict-transport-security"));
}

#[test]
fn a_response_can_widen_the_policy_and_additions_add_up() {
    let add = |directive, host| CspAppend::new(directive, [host]).unwrap();
    let respond = |_| {
        let mut response = super::ok(Request::new(()));
        let extensions = response.extensions_mut();
        add(Directive::ImgSrc, "https://a.example").add_to(extensions);
        // Neither another set nor a later addition loses what was added before.
        extensions.insert(SecurityHeaders::web().prepare().unwrap());
        add(Directive::ImgSrc, "https://b.example").add_to(extensions);
        add(Directive::FrameAncestors, "https://c.example").add_to(extensions);
        response
    };
    let policy = SecurityHeaders::api();
    let response = over_https(policy, respond);
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        csp.contains("img-src 'self' https://a.example https://b.example"),
        "{csp}"
    );
    assert!(csp.contains("frame-ancestors https://c.example"), "{csp}");
    assert!(!response.headers().contains_key("x-frame-options"));
}

#[test]
fn additions_reach_the_reported_policy_too_and_nested_layers_apply_them_once() {
    let inner = SecurityHeaders::none()
        .csp(|csp| csp.set(Directive::DefaultSrc, [Source::None]))
        .csp_report_only(|csp| csp.set(Directive::ImgSrc, [Source::SelfOrigin]));
    let respond: fn(_) -> _ = |_| {
        let mut response = super::ok(Request::new(()));
        let more = CspAppend::new(Directive::ImgSrc, ["data:"]).unwrap();
        more.add_to(response.extensions_mut());
        response
    };
    let response = call(
        nested(SecurityHeaders::web(), inner),
        Request::new(()),
        respond,
    );
    let headers = response.headers();
    assert_eq!(
        values(headers, "content-security-policy"),
        ["default-src 'none'; img-src data:"]
    );
    assert_eq!(
        values(headers, "content-security-policy-report-only"),
        ["img-src 'self' data:"]
    );
    assert!(response.extensions().get::<CspAppend>().is_none());
}

/// What a handler may set, and what it may not say.
const HANDLERS: [(&str, &str); 9] = [
    ("content-type", "text/html"),
    ("content-length", "5"),
    ("cache-control", "no-cache"),
    ("cache-control", "max-age=1"),
    ("set-cookie", "a=1"),
    ("set-cookie", "b=2"),
    ("referrer-policy", "origin"),
    ("x-own", "1"),
    ("server", "x/1"),
];

#[test]
fn a_response_has_the_handlers_headers_and_ours_where_it_has_none() {
    let (quick, whole) = (Cell::new(0), Cell::new(0));
    let set = prop::collection::vec(prop::sample::select(HANDLERS.to_vec()), 0..7);
    proptest!(|(set in set, api in any::<bool>(), competes in any::<bool>())| {
        let mut policy = if api { SecurityHeaders::api() } else { SecurityHeaders::web() };
        let ours = over_https(policy.clone(), super::ok);
        if competes {
            // Of a header that nobody sets it means nothing, and the slower way is taken.
            policy = policy.on_conflict("x-nobody", Conflict::Override);
        }
        let response = over_https(policy, |_| {
            let mut response = super::ok(Request::new(()));
            for (name, value) in &set {
                response.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            response
        });
        let ours_too = ours.headers().keys().map(HeaderName::as_str);
        for name in ours_too.chain(HANDLERS.map(|(name, _)| name)) {
            let theirs = set.iter().filter(|(known, _)| *known == name);
            let theirs: Vec<_> = theirs.map(|(_, value)| *value).collect();
            let expected = match name {
                "server" => Vec::new(),
                _ if theirs.is_empty() => values(ours.headers(), name),
                _ => theirs,
            };
            prop_assert_eq!(values(response.headers(), name), expected, "{}", name);
        }
        let in_places = |(name, _): &(&str, &str)| name.starts_with('c');
        let way = if !competes && set.iter().all(in_places) { &quick } else { &whole };
        way.set(way.get() + u32::from(!set.is_empty()));
    });
    assert!(quick.get() > 3 && whole.get() > 30, "{quick:?} {whole:?}");
}

#[test]
fn a_wider_policy_does_not_bring_back_a_header_that_was_taken_out() {
    let policy = || SecurityHeaders::web().without("x-frame-options");
    let response = over_https(policy(), |_| {
        let mut response = super::ok(Request::new(()));
        let more = CspAppend::new(Directive::FrameAncestors, ["'self'"]).unwrap();
        more.add_to(response.extensions_mut());
        response
    });
    let csp = values(response.headers(), "content-security-policy");
    assert!(csp[0].contains("frame-ancestors 'self'"), "{csp:?}");
    assert!(!response.headers().contains_key("x-frame-options"));
}
