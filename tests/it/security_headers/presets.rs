//! What each preset sends: the tables of its documentation.

use std::time::Duration;

use bartizan::security_headers::*;

use super::sent;

#[test]
fn the_web_preset_is_what_its_table_says() {
    assert_eq!(
        sent(SecurityHeaders::web()),
        [
            "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'; object-src 'none'; script-src-attr 'none'; \
             upgrade-insecure-requests",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "origin-agent-cluster: ?1",
            "permissions-policy: camera=(), display-capture=(), geolocation=(), hid=(), \
             microphone=(), payment=(), serial=(), usb=()",
            "referrer-policy: strict-origin-when-cross-origin",
            "strict-transport-security: max-age=63072000; includeSubDomains",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[test]
fn the_api_preset_is_what_its_table_says() {
    assert_eq!(
        sent(SecurityHeaders::api()),
        [
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "cross-origin-embedder-policy: require-corp",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "strict-transport-security: max-age=63072000; includeSubDomains",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[test]
fn files_are_embeddable_and_uploads_are_inert() {
    assert_eq!(
        sent(SecurityHeaders::assets()),
        [
            "cross-origin-resource-policy: cross-origin",
            "strict-transport-security: max-age=63072000; includeSubDomains",
            "x-content-type-options: nosniff",
        ]
    );
    assert_eq!(
        sent(SecurityHeaders::user_content()),
        [
            "content-security-policy: default-src 'none'; sandbox; frame-ancestors 'none'",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "strict-transport-security: max-age=63072000; includeSubDomains",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[test]
fn every_preset_can_be_built() {
    for preset in [
        SecurityHeaders::none(),
        SecurityHeaders::web(),
        SecurityHeaders::web_nonce(),
        SecurityHeaders::api(),
        SecurityHeaders::assets(),
        SecurityHeaders::user_content(),
    ] {
        assert!(preset.prepare().is_ok());
        assert!(preset.reports_to("/r").prepare().is_ok());
    }
    assert_eq!(SecurityHeaders::default(), SecurityHeaders::web());
}

/// Each row of the table, with helmet's own defaults.
#[test]
fn what_helmet_sends_can_be_sent() {
    let year = Duration::from_secs(31_536_000);
    let policy = SecurityHeaders::web()
        .csp(|_| {
            Csp::new()
                .set(Directive::DefaultSrc, ["'self'"])
                .set(Directive::BaseUri, ["'self'"])
                .set(Directive::FontSrc, ["'self'", "https:", "data:"])
                .set(Directive::FormAction, ["'self'"])
                .set(Directive::FrameAncestors, ["'self'"])
                .set(Directive::ImgSrc, ["'self'", "data:"])
                .set(Directive::ObjectSrc, ["'none'"])
                .set(Directive::ScriptSrc, ["'self'"])
                .set(Directive::ScriptSrcAttr, ["'none'"])
                .set(Directive::StyleSrc, ["'self'", "https:", "'unsafe-inline'"])
                .upgrade_insecure_requests()
        })
        .hsts(Hsts::max_age(year).include_subdomains())
        .referrer_policy([ReferrerPolicy::NoReferrer])
        .without("permissions-policy")
        .header("x-dns-prefetch-control", "off")
        .header("x-download-options", "noopen")
        .header("x-permitted-cross-domain-policies", "none")
        .header("x-xss-protection", "0");
    assert_eq!(
        sent(policy),
        [
            "content-security-policy: default-src 'self'; base-uri 'self'; font-src 'self' https: \
             data:; form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; object-src \
             'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: \
             'unsafe-inline'; upgrade-insecure-requests",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "origin-agent-cluster: ?1",
            "referrer-policy: no-referrer",
            "strict-transport-security: max-age=31536000; includeSubDomains",
            "x-content-type-options: nosniff",
            "x-dns-prefetch-control: off",
            "x-download-options: noopen",
            "x-frame-options: SAMEORIGIN",
            "x-permitted-cross-domain-policies: none",
            "x-xss-protection: 0",
        ]
    );
}
