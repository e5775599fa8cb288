//! Each check, on a policy that it finds and on one that it does not.

use std::time::Duration;

use super::{Severity, bypass, features};
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
        (
            "connect-src 'unsafe-webtransport-hashes'",
            "Low connect-src 'unsafe-webtransport-hashes'",
        ),
        (
            "style-src 'unsafe-webtransport-hashes'",
            "Info style-src 'unsafe-webtransport-hashes'",
        ),
        (
            "connect-src 'report-sha256'",
            "Info connect-src 'report-sha256'",
        ),
        ("img-src 'unsafe-inline'", "Info img-src 'unsafe-inline'"),
        (
            "script-src 'unsafe-allow-redirects'",
            "Info script-src 'unsafe-allow-redirects'",
        ),
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
        ("frame-ancestors *", "Medium frame-ancestors *"),
        (
            "frame-ancestors 'self' https:",
            "Medium frame-ancestors https:",
        ),
        ("form-action https://*", "Low form-action https://*"),
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
    // `X-Frame-Options` stays what it was, unless that is taken out as well.
    let ancestors = without(Directive::FrameAncestors);
    assert!(!ancestors.contains(&"Medium frame-ancestors".to_owned()));
    let open = policy.clone().without("x-frame-options");
    let open = findings(&open.csp(|csp| csp.without(Directive::FrameAncestors)));
    assert_eq!(open[0], "Medium frame-ancestors");
    // Where another policy says who may frame, it follows that.
    let own = findings(&SecurityHeaders::web().frame_ancestors([Source::SelfOrigin]));
    assert!(
        own.iter().all(|it| !it.contains("x-frame-options")),
        "{own:?}"
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
        "worker-src 'nonce-{nonce}' 'strict-dynamic'",
        "style-src-attr 'unsafe-hashes' 'report-sample' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='",
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
            with("").csp_report_only(|_| Csp::parse(SOUND).unwrap().sandbox([])),
            "Info content-security-policy-report-only, sandbox",
        ),
        (
            with("").csp_report_only(|_| Csp::parse(SOUND).unwrap().upgrade_insecure_requests()),
            "Info content-security-policy-report-only, upgrade-insecure-requests",
        ),
        (
            with("").permissions_policy(|policy| policy.deny(["camera", "cammera"])),
            "Low permissions-policy cammera",
        ),
        (
            with("")
                .permissions_policy(|policy| policy.deny(["micro-phone", "ch-ua-arch"]))
                .report_only("permissions-policy"),
            "Low permissions-policy-report-only micro-phone",
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

const SOUND: &str = "default-src 'none'; form-action 'none'; require-trusted-types-for 'script'";

#[test]
fn a_reported_policy_is_checked_beside_an_enforced_one() {
    let policy = with("").csp_report_only(|_| {
        let csp = Csp::parse(SOUND).unwrap();
        csp.set(Directive::ScriptSrc, ["'unsafe-inline'", "https:"])
    });
    let header = "content-security-policy-report-only";
    let found = ["'unsafe-inline'", "https:"];
    assert_eq!(
        findings(&policy),
        found.map(|source| format!("Info {header}, script-src {source}"))
    );
}

#[test]
fn what_a_response_adds_is_checked_with_the_rest() {
    let append = CspAppend::new(Directive::ScriptSrc, ["https://cdnjs.cloudflare.com"]).unwrap();
    let append = append.and(Directive::ImgSrc, ["http://a.example"]).unwrap();
    let policy = with("");
    let lines: Vec<_> = policy
        .lint_with(&append)
        .iter()
        .map(|finding| format!("{:?} {}", finding.severity(), finding.value()))
        .collect();
    assert_eq!(
        lines,
        [
            "High https://cdnjs.cloudflare.com",
            "Medium http://a.example"
        ]
    );
    assert!(policy.lint().is_empty());
    let reported = with("").csp_report_only(|_| Csp::parse(SOUND).unwrap());
    assert_eq!(reported.lint_with(&append).len(), 4);
}

/// The names are those of its functions. What it finds in text that is no policy (unknown
/// directives, unquoted keywords, missing semicolons, short nonces) cannot be built here.
#[test]
fn each_check_of_csp_evaluator_has_its_counterpart() {
    for (check, text, at_least) in [
        (
            "checkScriptUnsafeInline",
            "script-src 'unsafe-inline'",
            Severity::High,
        ),
        (
            "checkScriptUnsafeEval",
            "script-src 'unsafe-eval'",
            Severity::Low,
        ),
        ("checkPlainUrlSchemes", "script-src data:", Severity::High),
        ("checkPlainUrlSchemes", "object-src https:", Severity::High),
        ("checkPlainUrlSchemes", "base-uri http:", Severity::High),
        ("checkWildcards", "script-src *", Severity::High),
        (
            "checkMissingBaseUriDirective",
            "script-src 'none'; script-src-elem 'nonce-{nonce}'",
            Severity::High,
        ),
        ("checkWildcards", "object-src *", Severity::High),
        ("checkWildcards", "base-uri *", Severity::High),
        (
            "checkMissingDirectives",
            "script-src 'nonce-{nonce}'",
            Severity::High,
        ),
        (
            "checkScriptAllowlistBypass",
            "script-src *.googleapis.com",
            Severity::High,
        ),
        (
            "checkScriptAllowlistBypass",
            "script-src 'self'",
            Severity::Low,
        ),
        (
            "checkScriptAllowlistBypass",
            "script-src a.example",
            Severity::Low,
        ),
        (
            "checkFlashObjectAllowlistBypass",
            "object-src a.example",
            Severity::Low,
        ),
        ("checkIpSource", "img-src 192.0.2.1", Severity::Info),
        ("checkSrcHttp", "img-src http://a.example", Severity::Medium),
        (
            "checkSrcHttp",
            "report-uri http://a.example",
            Severity::Medium,
        ),
        ("checkHasConfiguredReporting", "", Severity::Info),
        (
            "checkStrictDynamic",
            "script-src https://a.example",
            Severity::Info,
        ),
        (
            "checkStrictDynamicNotStandalone",
            "script-src 'strict-dynamic' https:",
            Severity::Info,
        ),
        (
            "checkUnsafeInlineFallback",
            "script-src 'nonce-{nonce}'",
            Severity::Info,
        ),
        (
            "checkAllowlistFallback",
            "script-src 'nonce-{nonce}' 'strict-dynamic' 'unsafe-inline'",
            Severity::Info,
        ),
        (
            "checkRequiresTrustedTypesForScripts",
            "script-src 'none'",
            Severity::Info,
        ),
    ] {
        let mut csp = Csp::parse(text).unwrap();
        let sound = Csp::parse("default-src 'none'; form-action 'none'; frame-ancestors 'none'");
        for directive in [
            Directive::DefaultSrc,
            Directive::FormAction,
            Directive::FrameAncestors,
        ] {
            csp = csp.set(
                directive,
                sound.as_ref().unwrap().sources(directive).unwrap().to_vec(),
            );
        }
        if check != "checkRequiresTrustedTypesForScripts" {
            csp = csp.require_trusted_types();
        }
        let mut policy = SecurityHeaders::api().csp(|_| csp);
        if check != "checkHasConfiguredReporting" && !text.contains("report-uri") {
            policy = policy.reports_to("/r");
        }
        let found = policy.lint();
        let worst = found.first().map(Finding::severity);
        assert!(worst >= Some(at_least), "{check}: {text}: {found:?}");
    }
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
fn known_hosts_and_features_are_sorted_for_the_search() {
    assert!(bypass::KNOWN.is_sorted());
    assert!(features::KNOWN.is_sorted());
    assert!(!bypass::is_known("https://a.example"));
}

#[test]
fn a_finding_reads_as_one_line() {
    let finding = &with("script-src *").lint()[0];
    assert_eq!(finding.severity(), Severity::High);
    let line = format!("High: script-src *: {}", finding.help());
    assert_eq!(finding.to_string(), line);
}
