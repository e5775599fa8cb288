//! The grammar, its errors, and the property that text and policy are one.

use proptest::prelude::*;

use super::*;

fn fix(text: &str) -> String {
    let error = Source::parse(text).unwrap_err();
    assert_eq!(error.value(), text);
    error.fix().to_owned()
}

#[test]
fn nothing_can_end_its_directive_or_leave_the_header() {
    for (text, place) in [
        ("https://a.example; script-src *", "at byte 18"),
        ("a.example;x", "at byte 10"),
        ("a.example,x", "at byte 10"),
        ("a\r\nset-cookie:x", "at byte 2"),
        ("a\0", "at byte 2"),
        ("a b", "at byte 2"),
        ("a\tb", "at byte 2"),
        ("\u{7f}", "at byte 1"),
        ("https://a.example/p;q", "at byte 20"),
        ("https://a.example/p,q", "at byte 20"),
    ] {
        assert!(fix(text).contains(place), "{text:?}: {}", fix(text));
    }
    assert!(fix("b\u{fc}cher.example").contains("punycode"));
    assert!(fix("a.example;x").contains("end the directive"));
    assert!(fix("").contains("empty"));
}

#[test]
fn what_was_meant_is_said() {
    for (text, meant) in [
        ("self", "'self'"),
        ("SELF", "'self'"),
        ("\"self\"", "'self'"),
        ("none", "'none'"),
        ("unsafe-inline", "'unsafe-inline'"),
        ("strict-dynamic", "'strict-dynamic'"),
        ("report-sha256", "'report-sha256'"),
        ("'report-sha1'", "'report-sha512'"),
        ("'unsafe_inline'", "write 'unsafe-inline'"),
        ("nonce-abc", "Source::Nonce"),
        ("nonce", "Source::Nonce"),
        ("'nonce-abc'", "Source::Nonce"),
        ("sha256-abc", "'sha256-abc'"),
        ("data", "data:"),
        ("https", "https:"),
        ("'self", "closing single quote"),
        ("'https://a.example'", "without quotes"),
        ("'unsafe-everything'", "'unsafe-eval'"),
        ("a.*.example", "`*.example.com`"),
        ("https://[::1]", "IPv6"),
        ("a.example:99999", "port"),
        ("https://a.example:", "port"),
        ("a.example/x?y", "query"),
        ("a..example", "empty"),
        ("a_b.example", "does not belong"),
        ("https://", "missing"),
        (
            "https//a.example",
            "at byte 6: a path begins with one slash",
        ),
    ] {
        assert!(fix(text).contains(meant), "{text:?}: {}", fix(text));
    }
}

#[test]
fn sources_of_the_specification_are_read() {
    for text in [
        "*",
        "*.example.com",
        "example.com.",
        "localhost",
        "localhost:*",
        "127.0.0.1:8080",
        "https://*.example.com:443/assets/",
        "wss://a.example",
        "a.example/p%20q/~x",
        "data:",
        "web+app:",
        "'trusted-types-eval'",
        "'inline-speculation-rules'",
        "'report-sha256'",
        "'report-sha384'",
        "'report-sha512'",
        "'unsafe-webtransport-hashes'",
        "'unsafe-allow-redirects'",
        "'nonce-{nonce}'",
    ] {
        assert_eq!(Source::parse(text).unwrap().to_string(), text);
    }
    let upper = Source::parse("HTTPS://CDN.Example.com/Case").unwrap();
    assert_eq!(upper.to_string(), "https://cdn.example.com/Case");
    assert_eq!(Source::parse("'SELF'").unwrap(), Source::SelfOrigin);
    assert!(Source::host("'self'").is_err());
}

#[test]
fn a_hash_has_the_length_of_its_algorithm_in_either_alphabet() {
    let hash = Hash::of("x");
    let text = hash.to_string();
    assert_eq!(Source::parse(&text).unwrap(), Source::Hash(hash.clone()));
    let url_safe = text.replace('+', "-").replace('/', "_").replace('=', "");
    assert_eq!(Source::parse(&url_safe).unwrap(), Source::Hash(hash));
    for hash in [Hash::sha384_of("x"), Hash::sha512_of("x")] {
        let text = hash.to_string();
        assert_eq!(Source::parse(&text).unwrap(), Source::Hash(hash));
        let wrong = text.replace("sha384", "sha256").replace("sha512", "sha256");
        assert!(fix(&wrong).contains("has 32 bytes"), "{}", fix(&wrong));
    }
    assert!(fix("'sha256-!'").contains("base64"));
    let wrong = Hash::sha512_of("x").to_string().replace("sha512", "sha384");
    assert!(fix(&wrong).contains("the length of sha512"));
}

#[test]
fn errors_name_the_directive_and_the_place_of_the_source() {
    let error = Csp::new()
        .set(Directive::ImgSrc, ["'self'", "data"])
        .set(Directive::ScriptSrc, ["also wrong"])
        .check()
        .unwrap_err();
    assert_eq!(error.field(), "img-src, source 2");
    assert_eq!(error.value(), "data");
    let names = Csp::new().trusted_types(["fine", "not fine"]);
    let error = names.check().unwrap_err();
    assert_eq!(error.field(), "trusted-types, value 2");
    assert!(error.fix().contains("at byte 4"), "{error}");
}

#[test]
fn lists_that_browsers_would_misread_are_refused() {
    let refused = |csp: Csp| csp.check().unwrap_err().to_string();
    let none = Csp::new().set(Directive::ScriptSrc, ["'none'", "'self'"]);
    assert!(refused(none).contains("stands alone"));
    let none = Csp::new().trusted_types(["'none'", "x"]);
    assert!(refused(none).contains("stands alone"));
    let empty = Csp::new().set(Directive::ScriptSrc, [Source::None; 0]);
    assert!(refused(empty).contains("empty list"));
    let ancestors = Csp::new().set(Directive::FrameAncestors, ["'unsafe-inline'"]);
    assert!(refused(ancestors).contains("frame-ancestors takes"));
    let sandbox = Csp::new().set(Directive::Sandbox, ["'self'"]);
    assert!(refused(sandbox).contains("method of its own"));
    assert!(refused(Csp::new().trusted_types(["none"])).contains("'none'"));
    assert!(refused(Csp::new().trusted_types(["a;b"])).contains("byte 2"));
    assert!(refused(Csp::new().report_to("Main")).contains("lower-case"));
    assert!(refused(Csp::new().report_uri(["/r;x"])).contains("byte 3"));
    assert!(refused(Csp::new().report_uri(["/r x"])).contains("byte 3"));
}

#[test]
fn text_that_browsers_would_misread_is_refused() {
    for (text, why) in [
        ("script-src 'self'; SCRIPT-SRC *", "given twice"),
        ("scriptSrc 'self'", "write script-src"),
        ("script_src_elem 'self'", "write script-src-elem"),
        ("img data:", "write img-src"),
        ("plugin-types a/b", "object-src 'none'"),
        ("block-all-mixed-content", "upgrade-insecure-requests"),
        ("-", "there are default-src script-src"),
        ("nothing-like-it 'self'", "there are default-src script-src"),
        ("sandbox allow-everything", "no such permission"),
        ("upgrade-insecure-requests 1", "takes no value"),
        ("require-trusted-types-for script", "'script'"),
        ("webrtc 'maybe'", "'block'"),
        ("report-to a b", "one endpoint"),
        ("report-to", "one endpoint"),
        ("script-src", "empty list"),
        ("script-src a, b", "end the directive"),
        ("script-src a\u{a0}b", "punycode"),
        ("script-src a\nb", "line break"),
        ("default-src 'self';\n  img-src data:", "write it on one"),
        (
            "default-src 'self' script-src a.example",
            "semicolon is missing",
        ),
        (
            "default-src 'self' Upgrade-Insecure-Requests",
            "semicolon is missing",
        ),
        ("report-uri /r script-src 'self'", "semicolon is missing"),
    ] {
        let error = Csp::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    let host = Csp::parse("img-src https://sandbox webrtc:*").unwrap();
    assert_eq!(host.to_string(), "img-src https://sandbox webrtc:*");
    let csp = Csp::parse(" ;; default-src\t'self' ;").unwrap();
    assert_eq!(csp.to_string(), "default-src 'self'");
}

#[test]
fn allowing_starts_from_the_fallback_and_never_allows_less() {
    let base = Csp::parse("default-src 'none'; script-src 'self'; form-action 'none'").unwrap();
    let csp = base
        .allow(Directive::ImgSrc, ["data:"])
        .allow(Directive::WorkerSrc, ["blob:"])
        .allow(Directive::FormAction, ["'self'"])
        .allow(Directive::BaseUri, ["'self'"])
        .allow(Directive::ScriptSrc, ["'self'"]);
    assert_eq!(
        csp.to_string(),
        "default-src 'none'; script-src 'self'; form-action 'self'; \
         img-src data:; worker-src 'self' blob:"
    );
}

#[test]
fn a_new_child_src_takes_no_worker_from_script_src() {
    let base = Csp::parse("default-src 'none'; script-src 'self'").unwrap();
    assert_eq!(
        base.allow(Directive::ChildSrc, ["blob:"]).to_string(),
        "default-src 'none'; script-src 'self'; worker-src 'self' blob:; child-src blob:"
    );
}

#[test]
fn a_new_script_src_gives_workers_no_strict_dynamic() {
    let csp = |text: &str| Csp::parse(text).unwrap();
    let widened = csp("default-src 'strict-dynamic'").allow(Directive::ScriptSrc, ["'self'"]);
    let expected = "default-src 'strict-dynamic'; worker-src 'strict-dynamic' 'self'; \
                    script-src 'strict-dynamic' 'self'";
    assert_eq!(widened.to_string(), expected);
    let widened = csp("default-src 'self'").allow(Directive::ScriptSrc, ["https:"]);
    assert_eq!(
        widened.to_string(),
        "default-src 'self'; script-src 'self' https:"
    );
}

#[test]
fn an_unread_nonce_never_means_a_weaker_policy() {
    let csp = Csp::parse(
        "script-src 'nonce-{nonce}' 'strict-dynamic' https: 'unsafe-inline'; \
         style-src 'nonce-{nonce}'; img-src 'self'",
    );
    let template = Template::new(&csp.unwrap());
    assert_eq!(
        template.plain(),
        "script-src 'strict-dynamic' https:; style-src 'none'; img-src 'self'"
    );
    let filled = template.fill(b"0123456789abcdefghijABCD");
    assert_eq!(
        filled.as_bytes(),
        b"script-src 'nonce-0123456789abcdefghijABCD' 'strict-dynamic' https: 'unsafe-inline'; \
          style-src 'nonce-0123456789abcdefghijABCD'; img-src 'self'"
    );
    assert!(filled.is_sensitive());
}

fn any_source() -> impl Strategy<Value = Source> {
    let keywords = Source::KEYWORDS.map(|(_, source)| source);
    let keyword = prop::sample::select(keywords.to_vec());
    let host = "([a-z]{2,5}://)?(\\*\\.)?[a-z0-9-]{1,8}(\\.[a-z0-9]{1,8}){1,3}(:[0-9]{1,4}|:\\*)?(/([A-Za-z0-9._~%!$&'()*+=:@-]{1,8}(/[A-Za-z0-9._~%!$&'()*+=:@-]{0,8})?)?)?";
    prop_oneof![
        keyword,
        Just(Source::Nonce),
        any::<u64>().prop_map(|seed| Source::Hash(Hash::of(seed.to_le_bytes()))),
        any::<u64>().prop_map(|seed| Source::Hash(Hash::sha512_of(seed.to_le_bytes()))),
        host.prop_map(|text| Source::parse(&text).unwrap()),
        "[a-z][a-z0-9+.-]{1,8}:".prop_map(|text| Source::parse(&text).unwrap()),
    ]
}

fn any_csp() -> impl Strategy<Value = Csp> {
    let directive = prop::sample::select(Directive::ALL.to_vec());
    let entry = (
        directive,
        prop::collection::vec(any_source(), 1..5),
        prop::collection::vec(prop::sample::select(Sandbox::ALL.to_vec()), 0..4),
        prop::collection::vec("[A-Za-z0-9#=_/@.%-]{1,8}x", 0..3),
    );
    prop::collection::vec(entry, 0..8).prop_map(|entries| {
        entries.into_iter().fold(
            Csp::new(),
            |csp, (directive, mut sources, tokens, words)| {
                if sources.len() > 1 {
                    sources.retain(|source| *source != Source::None);
                }
                match directive {
                    Directive::Sandbox => csp.sandbox(tokens),
                    Directive::TrustedTypes => csp.trusted_types(words.iter().map(String::as_str)),
                    Directive::RequireTrustedTypesFor => csp.require_trusted_types(),
                    Directive::UpgradeInsecureRequests => csp.upgrade_insecure_requests(),
                    Directive::Webrtc => csp.block_webrtc(),
                    Directive::ReportTo => csp.report_to("main"),
                    Directive::ReportUri => csp.report_uri(["/r", "https://r.example/?a=b"]),
                    Directive::FrameAncestors => csp.set(directive, [Source::SelfOrigin]),
                    _ if sources.is_empty() => csp,
                    _ => csp.set(directive, sources),
                }
            },
        )
    })
}

#[test]
fn parsing_what_was_rendered_gives_the_policy_back() {
    let met = std::cell::Cell::new(0);
    proptest!(|(csp in any_csp())| {
        csp.check().unwrap();
        let text = csp.to_string();
        met.set(met.get() + u32::from(text.contains("'nonce-{nonce}'") && text.contains("sha256")));
        prop_assert_eq!(Csp::parse(&text).unwrap(), csp);
    });
    assert!(met.get() > 0, "no policy had a nonce and a hash");
}

#[test]
fn no_text_panics_and_what_is_read_stays_in_one_header() {
    let met = std::cell::Cell::new(0);
    let noise = "[ ;,'a-z:/*.\\-\r\n\u{e9}0-9]{0,40}";
    let nearly = "( https://[a-z]{1,9}\\.com| data:| 'self'|[;,'a-z]){0,4}";
    let text = prop_oneof![noise, nearly];
    proptest!(|(text in text, name in prop::sample::select(Directive::ALL.to_vec()))| {
        if let Ok(csp) = Csp::parse(&format!("{name} {text}")) {
            met.set(met.get() + 1);
            let rendered = csp.to_string();
            prop_assert!(rendered.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b','));
            prop_assert_eq!(Csp::parse(&rendered).unwrap(), csp);
        }
    });
    assert!(met.get() > 0, "nothing was ever read");
}
