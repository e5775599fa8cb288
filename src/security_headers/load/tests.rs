//! What a file says is what the builder is told, and what is wrong is named with its path.

use std::time::Duration;

use crate::security_headers::*;

fn read(text: &str) -> Result<SecurityHeaders, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn a_preset_is_named_and_the_default_is_the_one_for_sites() {
    for (name, preset) in [
        ("web", SecurityHeaders::web()),
        ("web_nonce", SecurityHeaders::web_nonce()),
        ("api", SecurityHeaders::api()),
        ("assets", SecurityHeaders::assets()),
        ("user_content", SecurityHeaders::user_content()),
    ] {
        assert_eq!(read(&format!("preset = {name:?}")), Ok(preset));
    }
    assert_eq!(read(""), Ok(SecurityHeaders::default()));
    let none = read("preset = \"none\"\nx-content-type-options = \"nosniff\"");
    assert_eq!(none, Ok(SecurityHeaders::none().nosniff()));
}

#[test]
fn each_field_is_the_method_of_its_name() {
    let web = SecurityHeaders::web;
    for (text, expected) in [
        (
            r#"content-security-policy = "default-src 'self'; sandbox""#,
            web().csp(|_| {
                Csp::new()
                    .set(Directive::DefaultSrc, ["'self'"])
                    .sandbox([])
            }),
        ),
        (
            r#"content-security-policy.sandbox = ["allow-forms", "allow-scripts"]"#,
            web().csp(|csp| csp.sandbox([Sandbox::AllowForms, Sandbox::AllowScripts])),
        ),
        (
            "content-security-policy.sandbox = true",
            web().csp(|csp| csp.sandbox([])),
        ),
        (
            "content-security-policy.upgrade-insecure-requests = false",
            web().csp(|csp| csp.without(Directive::UpgradeInsecureRequests)),
        ),
        (
            r#"content-security-policy.trusted-types = "one 'allow-duplicates'""#,
            web().csp(|csp| csp.trusted_types(["one", "'allow-duplicates'"])),
        ),
        (
            r#"content-security-policy.require-trusted-types-for = "'script'""#,
            web().csp(Csp::require_trusted_types),
        ),
        (
            r#"content-security-policy.webrtc = "'block'""#,
            web().csp(Csp::block_webrtc),
        ),
        (
            "content-security-policy.allow.script-src = \"'nonce-{nonce}'\"\n\
             content-security-policy.script-src = \"https://a.example\"",
            web().csp(|csp| {
                csp.set(Directive::ScriptSrc, ["https://a.example"])
                    .allow(Directive::ScriptSrc, [Source::Nonce])
            }),
        ),
        (
            r#"content-security-policy-report-only.script-src = ["'self'", "'report-sample'"]"#,
            web().csp_report_only(|csp| {
                csp.set(Directive::ScriptSrc, ["'self'", "'report-sample'"])
            }),
        ),
        (
            "content-security-policy = false",
            web().without("content-security-policy"),
        ),
        (
            "strict-transport-security = { max_age = 0 }",
            web().hsts(Hsts::revoke()),
        ),
        (
            "[strict-transport-security]\nmax_age = 31536000\ninclude_subdomains = true\npreload = true",
            web().hsts(
                Hsts::max_age(Duration::from_secs(31_536_000))
                    .include_subdomains()
                    .preload(),
            ),
        ),
        (
            "strict-transport-security = false",
            web().without("strict-transport-security"),
        ),
        (
            r#"x-frame-options = "SAMEORIGIN""#,
            web().frame_options(FrameOptions::SameOrigin),
        ),
        ("x-frame-options = false", web().without("x-frame-options")),
        (
            "x-content-type-options = false",
            web().without("x-content-type-options"),
        ),
        (
            r#"referrer-policy = "same-origin""#,
            web().referrer_policy([ReferrerPolicy::SameOrigin]),
        ),
        (
            "[permissions-policy]\ncamera = []\nfullscreen = [\"*\"]\n\
             geolocation = [\"self\", \"https://maps.example\"]",
            web().permissions_policy(|policy| {
                let maps = Allowlist::self_origin().origin("https://maps.example");
                policy
                    .deny(["camera"])
                    .allow("fullscreen", Allowlist::everybody())
                    .allow("geolocation", maps)
            }),
        ),
        (
            r#"cross-origin-opener-policy = "noopener-allow-popups""#,
            web().opener_policy(OpenerPolicy::NoopenerAllowPopups),
        ),
        (
            r#"cross-origin-embedder-policy = "credentialless""#,
            web().embedder_policy(EmbedderPolicy::Credentialless),
        ),
        (
            r#"cross-origin-resource-policy = "cross-origin""#,
            web().resource_policy(ResourcePolicy::CrossOrigin),
        ),
        (
            "origin-agent-cluster = false",
            web().without("origin-agent-cluster"),
        ),
        (
            r#"origin-agent-cluster = "?1""#,
            web().origin_agent_cluster(),
        ),
        (
            r#"integrity-policy = ["script", "style"]"#,
            web().integrity_policy([IntegrityDestination::Script, IntegrityDestination::Style]),
        ),
        (
            r#"cache-control = "no-store""#,
            web().cache_control("no-store"),
        ),
        (r#"reports_to = "/r""#, web().reports_to("/r")),
        (
            "endpoints.main = \"/r\"\ncontent-security-policy.report-to = \"main\"",
            web()
                .endpoint("main", "/r")
                .csp(|csp| csp.report_to("main")),
        ),
        (
            r#"headers.x-robots-tag = "none""#,
            web().header("x-robots-tag", "none"),
        ),
        (
            "on_conflict = { referrer-policy = \"override\", x-frame-options = \"keep\" }",
            web()
                .on_conflict("referrer-policy", Conflict::Override)
                .on_conflict("x-frame-options", Conflict::Keep),
        ),
        (
            r#"keep_leaky = ["server", "x-powered-by"]"#,
            web().keep_leaky("server").keep_leaky("x-powered-by"),
        ),
        (
            "report_only = [\"content-security-policy\"]\n\
             cross-origin-embedder-policy = \"require-corp\"",
            web()
                .embedder_policy(EmbedderPolicy::RequireCorp)
                .report_only("content-security-policy"),
        ),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn every_mistake_is_told_with_its_path() {
    for (text, told) in [
        (
            "presett = 1",
            r#"presett: "1": there is no such field: use `content-security-policy`"#,
        ),
        (
            "Preset = \"web\"",
            r#"Preset: "web": there is no such field"#,
        ),
        (
            "preset = \"Web\"",
            r#"preset: "Web": write one of "web", "web_nonce""#,
        ),
        ("preset = 1", r#"preset: "1": write one of"#),
        (
            "nosniff = true",
            r#"nosniff: "true": there is no such field"#,
        ),
        (
            "content-security-policy.scriptSrc = \"'self'\"",
            r#"content-security-policy.scriptSrc: "scriptSrc": no such directive: write script-src"#,
        ),
        (
            "content-security-policy.Img-Src = \"'self'\"",
            r#"content-security-policy.Img-Src: "Img-Src": write img-src"#,
        ),
        (
            "content-security-policy.img-src = []",
            r#"content-security-policy.img-src: "an empty list": put one in"#,
        ),
        (
            "content-security-policy.img-src = [\"'self'\", \"self\"]",
            r#"content-security-policy.img-src[1]: "self": without single quotes"#,
        ),
        (
            "content-security-policy.img-src = [\"'none'\", \"'self'\"]",
            r#"content-security-policy.img-src: "'none' 'self'": 'none' stands alone"#,
        ),
        (
            "content-security-policy.allow.img-src = [\"https://a.example; script-src *\"]",
            r#"content-security-policy.allow.img-src[0]: "https://a.example; script-src *": at byte 18"#,
        ),
        (
            "content-security-policy.sandbox = [\"allow-all\"]",
            r#"content-security-policy.sandbox: "allow-all": no such permission"#,
        ),
        (
            "content-security-policy.webrtc = true",
            r#"content-security-policy.webrtc: "": it takes 'block'"#,
        ),
        (
            "content-security-policy = \"img-src 'self' self\"",
            r#"content-security-policy, img-src, source 2: "self": without single quotes"#,
        ),
        (
            "content-security-policy = 1",
            r#"content-security-policy: "1": write a table"#,
        ),
        (
            "preset = \"none\"\ncontent-security-policy = {}",
            r#"content-security-policy: "": a policy without a directive"#,
        ),
        (
            "content-security-policy.report-to = \"main\"",
            r#"content-security-policy.report-to: "main": no endpoint has this name"#,
        ),
        (
            "strict-transport-security = { max_age = 1, subdomains = true }",
            r#"strict-transport-security.subdomains: "true": there is no such field: use `max_age`"#,
        ),
        (
            "strict-transport-security = {}",
            r#"strict-transport-security.max_age: "none": say for how many seconds"#,
        ),
        (
            "strict-transport-security = { max_age = 1, preload = true }",
            r#"strict-transport-security: "max-age=1; preload": preload needs"#,
        ),
        (
            "strict-transport-security = { max_age = -1 }",
            r#"strict-transport-security.max_age: "-1": write a whole number"#,
        ),
        (
            "strict-transport-security = { max_age = 1, preload = \"no\" }",
            r#"strict-transport-security.preload: "no": write true or false"#,
        ),
        (
            "x-frame-options = \"deny\"",
            r#"x-frame-options: "deny": write one of "DENY""#,
        ),
        (
            "x-frame-options = true",
            r#"x-frame-options: "true": write one of "DENY""#,
        ),
        (
            "referrer-policy = [\"origin\", \"never\"]",
            r#"referrer-policy[1]: "never": write one of "no-referrer""#,
        ),
        (
            "referrer-policy = []",
            r#"referrer-policy: "an empty list""#,
        ),
        (
            "permissions-policy.Camera = []",
            r#"permissions-policy.Camera: "Camera": a feature is lower-case"#,
        ),
        (
            "permissions-policy.camera = [\"self\", \"maps.example\"]",
            r#"permissions-policy.camera[1]: "maps.example": an origin begins with https://"#,
        ),
        (
            "permissions-policy.camera = true",
            r#"permissions-policy.camera: "true": write a list"#,
        ),
        (
            "reports_to = \"http://r.example\"",
            r#"reports_to: "http://r.example": a path of this origin"#,
        ),
        (
            "endpoints.Main = \"/r\"",
            r#"endpoints.Main: "Main": at byte 1: an endpoint's name"#,
        ),
        (
            "endpoints.main = \"r\"",
            r#"endpoints.main: "r": a path of this origin"#,
        ),
        (
            "headers.x-frame-options = \"DENY\"",
            r#"headers.x-frame-options: "DENY": this header has a method of its own"#,
        ),
        (
            "headers.x-a = \"a\\nb\"",
            r#"headers.x-a: "a\nb": a header value is visible ASCII"#,
        ),
        (
            "on_conflict.x-frame-options = \"append\"",
            r#"on_conflict.x-frame-options: "x-frame-options": browsers read one"#,
        ),
        (
            "on_conflict.x-frame-options = \"replace\"",
            r#"on_conflict.x-frame-options: "replace": write one of "keep""#,
        ),
        (
            "report_only = [\"content-security-policy\", \"x-frame-options\"]",
            r#"report_only[1]: "x-frame-options": only content-security-policy"#,
        ),
        (
            "keep_leaky = [\"x y\"]",
            r#"keep_leaky[0]: "x y": a name is letters"#,
        ),
        (
            "cache-control = \"a\\nb\"",
            r#"cache-control: "a\nb": a header value is visible ASCII"#,
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(told), "{text}\n{error}\n{told}");
    }
    let hosts: Vec<_> = (0..1000)
        .map(|n| format!("https://host-{n}.example"))
        .collect();
    let error = read(&format!(
        "content-security-policy.allow.img-src = {hosts:?}"
    ));
    let told = "content-security-policy: ";
    assert!(error.clone().unwrap_err().starts_with(told), "{error:?}");
    assert!(error.unwrap_err().contains("16 KiB"));
}

#[test]
fn json_says_the_same_as_toml() {
    let json = r#"{
        "preset": "api",
        "content-security-policy": { "allow": { "img-src": "data:" }, "base-uri": false },
        "permissions-policy": { "camera": [], "usb": null },
        "cache-control": null
    }"#;
    let error = serde_json::from_str::<SecurityHeaders>(json).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"permissions-policy.usb: "null": write a list"#),
        "{error}"
    );
    let read: SecurityHeaders = serde_json::from_str(&json.replace(", \"usb\": null", "")).unwrap();
    let expected = SecurityHeaders::api()
        .csp(|csp| {
            csp.without(Directive::BaseUri)
                .allow(Directive::ImgSrc, ["data:"])
        })
        .permissions_policy(|policy| policy.deny(["camera"]));
    // A field that is null counts as left out.
    assert_eq!(read, expected);
}
