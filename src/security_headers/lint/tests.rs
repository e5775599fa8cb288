//! Each check, on a policy that it finds and on one that it does not.

use std::time::Duration;

use super::{Severity, bypass};
use crate::security_headers::*;

/// `severity directive value` of every finding.
fn findings(policy: &SecurityHeaders) -> Vec<String> {
    let line = |finding: &Finding| {
        let parts = [
            format!("{:?}", finding.severity()),
            finding.directive().to_owned(),
            finding.value().to_owned(),
        ];
        parts.join(" ").trim_end().to_owned()
    };
    policy.lint().iter().map(line).collect()
}

/// A sound policy, with `text` added.
fn with(text: &str) -> SecurityHeaders {
    let mut csp = Csp::parse(text).unwrap();
    for (directive, sound) in [
        (Directive::DefaultSrc, "'none'"),
        (Directive::BaseUri, "'none'"),
        (Directive::FormAction, "'none'"),
        (Directive::FrameAncestors, "'none'"),
        (Directive::ObjectSrc, "'none'"),
    ] {
        if !csp.contains(directive) {
            csp = csp.set(directive, [sound]);
        }
    }
    SecurityHeaders::api()
        .reports_to("/r")
        .csp(|_| csp.require_trusted_types())
}

#[test]
fn the_findings_of_the_presets_are_known() {
    let reports = "Info report-to";
    let trusted_types = "Info require-trusted-types-for";
    let none: &[&str] = &[];
    assert_eq!(findings(&with("")), none);
    assert_eq!(
        findings(&SecurityHeaders::web()),
        ["Low default-src 'self'", trusted_types, reports]
    );
    assert_eq!(findings(&SecurityHeaders::web_nonce()), [reports]);
    assert_eq!(findings(&SecurityHeaders::api()), [trusted_types, reports]);
    assert_eq!(
        findings(&SecurityHeaders::user_content()),
        [trusted_types, reports]
    );
    assert_eq!(
        findings(&SecurityHeaders::assets()),
        ["Medium content-security-policy"]
    );
}

#[test]
fn each_weakness_is_found() {
    for (text, expected) in [
        (
            "script-src 'unsafe-inline'",
            "High script-src 'unsafe-inline'",
        ),
        (
            "script-src-attr 'unsafe-inline'",
            "High script-src-attr 'unsafe-inline'",
        ),
        ("script-src 'unsafe-eval'", "Low script-src 'unsafe-eval'"),
        (
            "script-src 'unsafe-hashes'",
            "Low script-src 'unsafe-hashes'",
        ),
        (
            "script-src 'strict-dynamic' https:",
            "Info script-src 'strict-dynamic'",
        ),
        (
            "script-src 'nonce-{nonce}'",
            "Info script-src 'unsafe-inline'",
        ),
        (
            "script-src 'nonce-{nonce}' 'unsafe-inline' 'strict-dynamic'",
            "Info script-src 'strict-dynamic'",
        ),
        ("script-src 'self'", "Low script-src 'self'"),
        ("script-src https:", "High script-src https:"),
        ("script-src data:", "High script-src data:"),
        ("script-src *", "High script-src *"),
        ("script-src https://*:*", "High script-src https://*:*"),
        (
            "script-src https://cdnjs.cloudflare.com",
            "High script-src https://cdnjs.cloudflare.com",
        ),
        (
            "script-src *.googleapis.com",
            "High script-src *.googleapis.com",
        ),
        (
            "script-src https://a.example/x.js",
            "Low script-src https://a.example/x.js",
        ),
        ("object-src 'self'", "Low object-src"),
        ("object-src data:", "High object-src data:"),
        ("base-uri https:", "High base-uri https:"),
        (
            "img-src http://a.example",
            "Medium img-src http://a.example",
        ),
        (
            "img-src http://localhost:1",
            "Info img-src http://localhost:1",
        ),
        ("img-src 10.0.0.1", "Info img-src 10.0.0.1"),
        (
            "style-src 'unsafe-inline'",
            "Info style-src 'unsafe-inline'",
        ),
        (
            "sandbox allow-scripts allow-same-origin",
            "Medium sandbox allow-scripts allow-same-origin",
        ),
        (
            "default-src 'nonce-{nonce}'; script-src 'none'",
            "Low default-src 'nonce-{nonce}'",
        ),
    ] {
        let found = findings(&with(text));
        assert!(
            found.iter().any(|line| line == expected),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn what_is_missing_is_found() {
    let policy = with("script-src 'nonce-{nonce}'");
    let without = |directive| findings(&policy.clone().csp(|csp| csp.without(directive)));
    assert_eq!(without(Directive::BaseUri)[0], "High base-uri");
    assert_eq!(
        without(Directive::FrameAncestors)[0],
        "Medium frame-ancestors"
    );
    assert_eq!(without(Directive::FormAction)[0], "Low form-action");
    let trusted = without(Directive::RequireTrustedTypesFor);
    assert!(trusted.contains(&"Info require-trusted-types-for".to_owned()));
    let empty = SecurityHeaders::api().csp(|_| Csp::new().block_webrtc());
    let found = findings(&empty);
    assert_eq!(found[..2], ["High script-src", "High object-src"]);
}

#[test]
fn what_browsers_ignore_is_no_weakness() {
    for text in [
        "script-src 'nonce-{nonce}' 'unsafe-inline' 'strict-dynamic' https: *",
        "sandbox allow-scripts",
        "style-src 'nonce-{nonce}' 'unsafe-inline'",
        "img-src https://a.example data:",
    ] {
        let found = findings(&with(text));
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn other_headers_are_looked_at() {
    let days = |days: u64| with("").hsts(Hsts::max_age(Duration::from_secs(days * 24 * 3600)));
    for (policy, expected) in [
        (
            with("").without("x-content-type-options"),
            "Medium x-content-type-options",
        ),
        (
            with("").without("strict-transport-security"),
            "Low strict-transport-security",
        ),
        (days(30), "Low strict-transport-security max-age=2592000"),
        (
            days(4_000),
            "Info strict-transport-security max-age=345600000",
        ),
        (
            with("").frame_options(FrameOptions::SameOrigin),
            "Low x-frame-options SAMEORIGIN",
        ),
        (
            with("").referrer_policy([ReferrerPolicy::UnsafeUrl]),
            "Low referrer-policy unsafe-url",
        ),
        (
            with("").csp_report_only(|csp| csp.sandbox([])),
            "Info content-security-policy-report-only, sandbox",
        ),
        (
            with("").report_only("content-security-policy"),
            "Medium content-security-policy",
        ),
    ] {
        assert_eq!(findings(&policy), [expected]);
    }
    assert!(findings(&with("").hsts(Hsts::revoke())).is_empty());
}

#[test]
fn a_very_long_policy_and_a_nonstandard_endpoint_are_found() {
    let hosts: Vec<_> = (0..500).map(|n| format!("https://a{n}.example")).collect();
    let long = with("").csp(|csp| csp.set(Directive::ImgSrc, hosts));
    assert!(findings(&long)[0].starts_with("Medium content-security-policy default-src"));
    let one = SecurityHeaders::api()
        .endpoint("main", "/r")
        .csp(|csp| csp.report_to("main").require_trusted_types());
    assert_eq!(findings(&one), ["Info report-uri"]);
}

#[test]
fn known_hosts_are_sorted_for_the_search() {
    assert!(bypass::KNOWN.is_sorted());
    assert!(!bypass::is_known("https://a.example"));
}

#[test]
fn a_finding_reads_as_one_line() {
    let finding = &with("script-src *").lint()[0];
    assert_eq!(finding.severity(), Severity::High);
    let line = format!("High: script-src *: {}", finding.help());
    assert_eq!(finding.to_string(), line);
}
