//! What is sent of a policy, and what cannot be built.

use std::cell::Cell;
use std::time::Duration;

use bartizan::client::{ClientSource, PeerAddr, TrustedProxies};
use bartizan::security_headers::*;
use http::Request;
use proptest::prelude::*;

use super::{call, ok, over_http, over_https, sent, values};

fn refused(policy: SecurityHeaders) -> String {
    SecurityHeadersLayer::new(policy).unwrap_err().to_string()
}

#[test]
fn transport_headers_are_sent_over_https_only() {
    for policy in [
        SecurityHeaders::web(),
        SecurityHeaders::web_nonce(),
        SecurityHeaders::api(),
        SecurityHeaders::assets(),
        SecurityHeaders::user_content(),
    ] {
        let plain = over_http(policy.clone(), ok);
        assert!(!plain.headers().contains_key("strict-transport-security"));
        for csp in values(plain.headers(), "content-security-policy") {
            assert!(!csp.contains("upgrade-insecure-requests"), "{csp}");
        }
        let tls = over_https(policy, ok);
        assert!(tls.headers().contains_key("strict-transport-security"));
    }
    // A policy of nothing else is no header at all over http.
    let policy = SecurityHeaders::none().csp(Csp::upgrade_insecure_requests);
    let plain = over_http(policy.clone(), ok);
    assert!(plain.headers().is_empty());
    let tls = over_https(policy, ok);
    assert_eq!(
        tls.headers()["content-security-policy"],
        "upgrade-insecure-requests"
    );
}

#[test]
fn https_is_believed_of_trusted_proxies_alone() {
    let proxies = TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap();
    let trusting = ClientSource::peer().behind(proxies);
    for (client, peer, scheme, secure) in [
        (&trusting, [10, 0, 0, 1], "https", true),
        (&trusting, [10, 0, 0, 1], "HTTPS", true),
        (&trusting, [10, 0, 0, 1], "wss", true),
        (&trusting, [10, 0, 0, 1], "http", false),
        (&trusting, [10, 0, 0, 1], "", false),
        (&trusting, [10, 0, 0, 1], "httpsx", false),
        (&trusting, [203, 0, 113, 1], "https", false),
        (&ClientSource::peer(), [10, 0, 0, 1], "https", false),
    ] {
        let layer = SecurityHeadersLayer::new(SecurityHeaders::web()).unwrap();
        let mut request = Request::new(());
        let peer = PeerAddr::new((peer, 4711).into());
        request.extensions_mut().insert(peer);
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", "198.51.100.7".parse().unwrap());
        headers.insert("x-forwarded-proto", scheme.parse().unwrap());
        let response = call(layer.client(client), request, ok);
        let sent = response.headers().contains_key("strict-transport-security");
        assert_eq!(sent, secure, "{peer:?} {scheme}");
    }
}

#[test]
fn what_needs_no_memory_can_be_a_constant() {
    const NOTHING: SecurityHeaders = SecurityHeaders::none();
    const CSP: Csp = Csp::new();
    const YEAR: Hsts = Hsts::max_age(Duration::from_secs(31_536_000)).include_subdomains();
    const CAMERA: Allowlist = Allowlist::self_origin();
    const POLICY: PermissionsPolicy = PermissionsPolicy::new();
    let policy = NOTHING
        .csp(|_| CSP.block_webrtc())
        .hsts(YEAR)
        .permissions_policy(|_| POLICY.allow("camera", CAMERA));
    assert_eq!(
        sent(policy),
        [
            "content-security-policy: webrtc 'block'",
            "permissions-policy: camera=(self)",
            "strict-transport-security: max-age=31536000; includeSubDomains",
        ]
    );
}

const PRESETS: [fn() -> SecurityHeaders; 5] = [
    SecurityHeaders::web,
    SecurityHeaders::web_nonce,
    SecurityHeaders::api,
    SecurityHeaders::assets,
    SecurityHeaders::user_content,
];

/// Headers that have a report-only form.
const REPORTABLE: [&str; 5] = [
    "content-security-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-embedder-policy",
    "integrity-policy",
];

#[test]
fn any_header_can_be_taken_out() {
    for preset in PRESETS.map(|preset| preset()) {
        let all = over_https(preset.clone(), ok);
        for name in all.headers().keys() {
            let rest = over_https(preset.clone().without(name), ok);
            assert!(!rest.headers().contains_key(name), "{name}");
            assert_eq!(rest.headers().len(), all.headers().len() - 1, "{name}");
        }
    }
}

#[test]
fn any_value_can_be_changed() {
    let policy = SecurityHeaders::web()
        .hsts(Hsts::revoke())
        .referrer_policy([ReferrerPolicy::NoReferrer, ReferrerPolicy::SameOrigin])
        .opener_policy(OpenerPolicy::SameOriginAllowPopups)
        .embedder_policy(EmbedderPolicy::Credentialless)
        .resource_policy(ResourcePolicy::SameSite)
        .permissions_policy(|policy| policy.allow("camera", Allowlist::self_origin()))
        .header("x-dns-prefetch-control", "off");
    let response = over_https(policy, ok);
    let headers = response.headers();
    assert_eq!(headers["strict-transport-security"], "max-age=0");
    assert_eq!(headers["referrer-policy"], "no-referrer, same-origin");
    assert_eq!(
        headers["cross-origin-opener-policy"],
        "same-origin-allow-popups"
    );
    assert_eq!(headers["cross-origin-embedder-policy"], "credentialless");
    assert_eq!(headers["cross-origin-resource-policy"], "same-site");
    assert!(
        headers["permissions-policy"]
            .to_str()
            .unwrap()
            .starts_with("camera=(self), ")
    );
    assert_eq!(headers["x-dns-prefetch-control"], "off");
}

#[test]
fn frame_options_follow_frame_ancestors_unless_set() {
    let options = |policy| {
        let response = over_https(policy, ok);
        let value = response.headers().get("x-frame-options").cloned();
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let web = SecurityHeaders::web;
    assert_eq!(options(web()).as_deref(), Some("DENY"));
    let own = web().frame_ancestors([Source::SelfOrigin]);
    assert_eq!(options(own.clone()).as_deref(), Some("SAMEORIGIN"));
    assert_eq!(options(web().frame_ancestors(["https://a.example"])), None);
    assert_eq!(
        options(own.frame_options(FrameOptions::Deny)).as_deref(),
        Some("DENY")
    );
    // A policy of one's own that says nothing of framing does not open the page to it.
    let other = web().csp(|_| Csp::new().set(Directive::DefaultSrc, [Source::SelfOrigin]));
    assert_eq!(options(other.clone()).as_deref(), Some("DENY"));
    let again = other
        .clone()
        .csp(|csp| csp.allow(Directive::ImgSrc, ["data:"]));
    assert_eq!(options(again).as_deref(), Some("DENY"));
    assert_eq!(options(other.clone().frame_ancestors(["*"])), None);
    assert_eq!(options(other.without("x-frame-options")), None);
    let none = SecurityHeaders::none().csp(|csp| csp.set(Directive::ImgSrc, ["data:"]));
    assert_eq!(options(none), None);
    // Neither does taking the policy out, or trying one out.
    let bare = web().without("content-security-policy");
    assert_eq!(options(bare.clone()).as_deref(), Some("DENY"));
    assert_eq!(options(bare.frame_ancestors(["https://a.example"])), None);
    let tried = web().report_only("content-security-policy");
    assert_eq!(options(tried.clone()).as_deref(), Some("DENY"));
    let partner = tried
        .clone()
        .csp_report_only(|csp| csp.set(Directive::FrameAncestors, ["https://a.example"]));
    assert_eq!(options(partner).as_deref(), Some("DENY"));
    let given_up = tried.without("content-security-policy-report-only");
    assert_eq!(options(given_up).as_deref(), Some("DENY"));
}

#[test]
fn a_header_can_be_made_report_only() {
    let policy = SecurityHeaders::web()
        .embedder_policy(EmbedderPolicy::RequireCorp)
        .integrity_policy([IntegrityDestination::Script])
        .report_only("integrity-policy")
        .report_only("content-security-policy")
        .report_only("Permissions-Policy")
        .report_only("cross-origin-opener-policy")
        .report_only("cross-origin-embedder-policy");
    let response = over_https(policy, ok);
    for name in REPORTABLE {
        assert!(!response.headers().contains_key(name), "{name}");
        let reported = &response.headers()[format!("{name}-report-only")];
        // Browsers ignore these there, and complain.
        let reported = reported.to_str().unwrap();
        assert!(
            !reported.contains("upgrade-insecure-requests"),
            "{reported}"
        );
    }
    for preset in PRESETS.map(|preset| preset()) {
        let all = over_https(preset.clone(), ok);
        let forms = REPORTABLE
            .iter()
            .filter(|name| all.headers().contains_key(**name));
        for name in forms {
            let tried = over_https(preset.clone().report_only(name), ok);
            assert!(!tried.headers().contains_key(*name), "{name}");
            let form = format!("{name}-report-only");
            assert!(tried.headers().contains_key(&form), "{form}");
            assert_eq!(tried.headers().len(), all.headers().len(), "{name}");
        }
    }
    let error = refused(SecurityHeaders::web().report_only("x-frame-options"));
    assert!(error.contains("x-frame-options"), "{error}");
    // Nothing would be reported, and what is set afterwards would be enforced.
    for name in REPORTABLE {
        let error = refused(SecurityHeaders::none().report_only(name));
        assert!(
            error.contains(name) && error.contains("set it before"),
            "{error}"
        );
    }
}

#[test]
fn one_call_links_everything_that_can_report() {
    let policy = SecurityHeaders::web()
        .csp_report_only(|csp| csp.set(Directive::ScriptSrc, [Source::SelfOrigin]))
        .embedder_policy(EmbedderPolicy::Credentialless)
        .integrity_policy([IntegrityDestination::Script])
        .permissions_policy(|_| PermissionsPolicy::new().deny(["camera", "usb"]))
        .reports_to("/csp-reports");
    let tried = policy.clone().report_only("permissions-policy");
    let response = over_https(policy, ok);
    let headers = response.headers();
    assert_eq!(
        headers["integrity-policy"],
        "blocked-destinations=(script), endpoints=(security)"
    );
    assert_eq!(headers["reporting-endpoints"], r#"security="/csp-reports""#);
    let csp = headers["content-security-policy"].to_str().unwrap();
    assert!(
        csp.ends_with("; report-uri /csp-reports; report-to security"),
        "{csp}"
    );
    assert_eq!(
        headers["content-security-policy-report-only"],
        "script-src 'self'; report-uri /csp-reports; report-to security"
    );
    let opener = r#"same-origin; report-to="security""#;
    assert_eq!(headers["cross-origin-opener-policy"], opener);
    let embedder = r#"credentialless; report-to="security""#;
    assert_eq!(headers["cross-origin-embedder-policy"], embedder);
    // A parameter of each feature: https://w3c.github.io/webappsec-permissions-policy/#reporting
    let permissions = "camera=();report-to=security, usb=();report-to=security";
    assert_eq!(headers["permissions-policy"], permissions);
    let tried = over_https(tried, ok);
    assert_eq!(
        tried.headers()["permissions-policy-report-only"],
        permissions
    );
    assert!(!tried.headers().contains_key("permissions-policy"));
}

#[test]
fn over_plain_http_reports_go_where_every_browser_sends_them() {
    let csp = |policy| {
        let response = over_http(policy, ok);
        let name = "content-security-policy";
        response.headers()[name].to_str().unwrap().to_owned()
    };
    let both = csp(SecurityHeaders::api().reports_to("/r"));
    assert!(both.ends_with("; report-uri /r"), "{both}");
    let one = SecurityHeaders::api().endpoint("main", "/r");
    let one = csp(one.csp(|csp| csp.report_to("main")));
    assert!(one.ends_with("; report-to main"), "{one}");
}

#[test]
fn what_cannot_work_cannot_be_built() {
    let web = SecurityHeaders::web;
    let year = Duration::from_secs(365 * 24 * 3600);
    for (policy, field, value, fix) in [
        (
            web().csp(|csp| csp.set(Directive::ScriptSrc, ["https://a.example; x"])),
            "script-src, source 1",
            "https://a.example; x",
            "at byte 18",
        ),
        (
            web().frame_ancestors(["self"]),
            "frame-ancestors, source 1",
            "self",
            "'self'",
        ),
        (
            web().csp(|_| Csp::new()),
            "content-security-policy",
            "",
            "without()",
        ),
        (
            web().csp(|csp| csp.report_to("main")),
            "content-security-policy, report-to",
            "main",
            "endpoint(name, url)",
        ),
        (
            web().reports_to("http://r.example/"),
            "reporting-endpoints, security",
            "http://r.example/",
            "https",
        ),
        (
            web().reports_to("/a\"b"),
            "reporting-endpoints, security",
            "/a\"b",
            "percent-encode",
        ),
        (
            web().hsts(Hsts::max_age(year).preload()),
            "strict-transport-security",
            "max-age=31536000; preload",
            "include_subdomains",
        ),
        (
            web().referrer_policy([]),
            "referrer-policy",
            "",
            "without()",
        ),
        (
            web().permissions_policy(|p| p.deny(["Camera"])),
            "permissions-policy",
            "Camera",
            "lower-case",
        ),
        (
            web().header("x-frame-options", "DENY"),
            "x-frame-options",
            "DENY",
            "method of its own",
        ),
        (
            web().header("content-length", "1"),
            "content-length",
            "1",
            "handler's",
        ),
        (
            web().header("x-a", "a\r\nset-cookie: b"),
            "x-a",
            "a\r\nset-cookie: b",
            "visible ASCII",
        ),
        (web().header("x a", "b"), "header name", "x a", "letters"),
        (
            web().cache_control("a\nb"),
            "cache-control",
            "a\nb",
            "visible ASCII",
        ),
        (
            web().on_conflict("x-frame-options", Conflict::Append),
            "on_conflict",
            "x-frame-options",
            "keep or override",
        ),
    ] {
        let error = SecurityHeadersLayer::new(policy).unwrap_err();
        assert_eq!((error.field(), error.value()), (field, value));
        assert!(error.fix().contains(fix), "{error}");
    }
    let hosts: Vec<_> = (0..1000)
        .map(|n| format!("https://host-{n}.example"))
        .collect();
    let error = refused(web().csp(|csp| csp.allow(Directive::ImgSrc, hosts)));
    assert!(error.contains("16 KiB"), "{error}");
}

#[test]
fn whatever_text_a_header_is_given_it_is_sent_as_it_is_or_refused() {
    let (sent, refused) = (Cell::new(0), Cell::new(0));
    let text = prop_oneof![
        any::<String>(),
        "[ -~\\t]{0,12}",
        "[a-z]{1,4}[\\r\\n\\x00\\x7f][a-z: ]{0,8}",
    ];
    proptest!(|(text in text)| {
        let policy = SecurityHeaders::none().header("x-own", &text).cache_control(&text);
        match policy.prepare() {
            Ok(prepared) => {
                sent.set(sent.get() + 1);
                let layer = SecurityHeadersLayer::from(prepared);
                let response = call(layer, Request::new(()), ok);
                for name in ["x-own", "cache-control"] {
                    prop_assert_eq!(response.headers()[name].as_bytes(), text.as_bytes());
                }
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                prop_assert_eq!((error.field(), error.value()), ("x-own", text.as_str()));
                prop_assert!(text.contains(|char: char| char.is_control() && char != '\t'));
            }
        }
    });
    assert!(
        sent.get() > 20 && refused.get() > 20,
        "{sent:?} {refused:?}"
    );
}
