//! The presets: header sets that a whole class of services can start from.

use std::time::Duration;

use super::csp::{Csp, Directive, Source};
use super::header::{EmbedderPolicy, Hsts, OpenerPolicy, ReferrerPolicy, ResourcePolicy};
use super::policy::SecurityHeaders;

/// [`web`](SecurityHeaders::web).
impl Default for SecurityHeaders {
    fn default() -> Self {
        Self::web()
    }
}

impl SecurityHeaders {
    /// For sites: works with templates as they are, as long as scripts come from the site's own
    /// files. The default to start from.
    ///
    /// | header | value | what it breaks, and how to relax it |
    /// |---|---|---|
    /// | `Content-Security-Policy` | `default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; script-src-attr 'none'; upgrade-insecure-requests` (the last over https only) | inline scripts and styles, CDNs: `.csp(\|csp\| csp.allow(..))`, or [`web_nonce`](Self::web_nonce); being framed: [`frame_ancestors`](Self::frame_ancestors) |
    /// | `Strict-Transport-Security` | `max-age=63072000; includeSubDomains`, over https only | subdomains that speak plain http: [`hsts`](Self::hsts) |
    /// | `X-Frame-Options` | `DENY` | follows `frame-ancestors` |
    /// | `X-Content-Type-Options` | `nosniff` | files served under a wrong type |
    /// | `Referrer-Policy` | `strict-origin-when-cross-origin` | nothing |
    /// | `Cross-Origin-Opener-Policy` | `same-origin` | OAuth and payment pop-ups: `.opener_policy(OpenerPolicy::SameOriginAllowPopups)` |
    /// | `Cross-Origin-Resource-Policy` | `same-origin` | images, scripts and fonts that other sites embed: `.resource_policy(ResourcePolicy::CrossOrigin)` |
    /// | `Origin-Agent-Cluster` | `?1` | setting `document.domain` |
    /// | `Permissions-Policy` | `camera`, `display-capture`, `geolocation`, `hid`, `microphone`, `payment`, `serial`, `usb`, each `=()` | pages that use one: `.permissions_policy(\|policy\| policy.allow("camera", Allowlist::self_origin()))` |
    ///
    /// Every preset also removes headers that tell what runs here: see
    /// [`keep_leaky`](Self::keep_leaky).
    pub fn web() -> Self {
        Self::document().csp(|_| {
            Csp::new()
                .set(Directive::DefaultSrc, [Source::SelfOrigin])
                .set(Directive::BaseUri, [Source::None])
                .set(Directive::FormAction, [Source::SelfOrigin])
                .set(Directive::FrameAncestors, [Source::None])
                .set(Directive::ObjectSrc, [Source::None])
                .set(Directive::ScriptSrcAttr, [Source::None])
                .upgrade_insecure_requests()
        })
    }

    /// For sites whose templates put the nonce of [`CspNonce`](super::CspNonce) on every `<script>`:
    /// injected markup cannot run, wherever scripts come from.
    ///
    /// As [`web`](Self::web), with the policy `default-src 'none'; script-src 'nonce-…' 'strict-dynamic'
    /// https: 'unsafe-inline'; style-src 'self' 'nonce-…'; img-src 'self' data:; font-src, connect-src,
    /// manifest-src, media-src, worker-src and form-action 'self'; base-uri, object-src and
    /// frame-ancestors 'none'; require-trusted-types-for 'script'; upgrade-insecure-requests`.
    ///
    /// `https:` and `'unsafe-inline'` are there for browsers that know no nonces; all others ignore
    /// them. `require-trusted-types-for` breaks libraries that write strings to `innerHTML`:
    /// `.csp(|csp| csp.without(Directive::RequireTrustedTypesFor))`.
    pub fn web_nonce() -> Self {
        let own = [Source::SelfOrigin];
        let none = [Source::None];
        Self::document().csp(|_| {
            Csp::new()
                .set(Directive::DefaultSrc, none.clone())
                .set(
                    Directive::ScriptSrc,
                    [
                        "'nonce-{nonce}'",
                        "'strict-dynamic'",
                        "https:",
                        "'unsafe-inline'",
                    ],
                )
                .set(Directive::StyleSrc, [Source::SelfOrigin, Source::Nonce])
                .set(Directive::ImgSrc, ["'self'", "data:"])
                .set(Directive::FontSrc, own.clone())
                .set(Directive::ConnectSrc, own.clone())
                .set(Directive::ManifestSrc, own.clone())
                .set(Directive::MediaSrc, own.clone())
                .set(Directive::WorkerSrc, own.clone())
                .set(Directive::FormAction, own)
                .set(Directive::BaseUri, none.clone())
                .set(Directive::ObjectSrc, none.clone())
                .set(Directive::FrameAncestors, none)
                .require_trusted_types()
                .upgrade_insecure_requests()
        })
    }

    /// For services that answer programs: nothing a response contains can load, run or be framed.
    ///
    /// `default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`, HSTS (over
    /// https), `nosniff`, `no-referrer`, CORP `same-origin`, COEP `require-corp`, and `Cache-Control:
    /// no-store` where the handler says nothing. CORP does not affect requests that CORS allows.
    pub fn api() -> Self {
        Self::transport()
            .csp(|_| {
                Csp::new()
                    .set(Directive::DefaultSrc, [Source::None])
                    .set(Directive::BaseUri, [Source::None])
                    .set(Directive::FormAction, [Source::None])
                    .set(Directive::FrameAncestors, [Source::None])
            })
            .referrer_policy([ReferrerPolicy::NoReferrer])
            .resource_policy(ResourcePolicy::SameOrigin)
            .embedder_policy(EmbedderPolicy::RequireCorp)
            .cache_control("no-store")
    }

    /// For public static files that other sites may embed: HSTS (over https), `nosniff`, and CORP
    /// `cross-origin`.
    ///
    /// There is no content security policy: serve HTML and SVG from elsewhere, or add one.
    pub fn assets() -> Self {
        Self::transport().resource_policy(ResourcePolicy::CrossOrigin)
    }

    /// For files that users uploaded: whatever they contain, browsers run none of it in this origin.
    ///
    /// `default-src 'none'; sandbox; frame-ancestors 'none'`, HSTS (over https), `nosniff`,
    /// `no-referrer` and CORP `same-origin`. Send `Content-Disposition: attachment` as well, and best
    /// serve them from a host of their own.
    pub fn user_content() -> Self {
        Self::transport()
            .csp(|_| {
                Csp::new()
                    .set(Directive::DefaultSrc, [Source::None])
                    .sandbox([])
                    .set(Directive::FrameAncestors, [Source::None])
            })
            .referrer_policy([ReferrerPolicy::NoReferrer])
            .resource_policy(ResourcePolicy::SameOrigin)
    }

    /// What every response of every service should have. Never `preload`: that is the decision of
    /// whoever owns the domain.
    fn transport() -> Self {
        Self::none()
            .hsts(Hsts::max_age(TWO_YEARS).include_subdomains())
            .nosniff()
    }

    /// What documents have beside their content security policy.
    fn document() -> Self {
        Self::transport()
            .referrer_policy([ReferrerPolicy::StrictOriginWhenCrossOrigin])
            .opener_policy(OpenerPolicy::SameOrigin)
            .resource_policy(ResourcePolicy::SameOrigin)
            .origin_agent_cluster()
            .permissions_policy(|policy| policy.deny(POWERFUL))
    }
}

const TWO_YEARS: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

/// Features that give a page a sense, a device or a wallet. All are known to current browsers, so
/// none costs a warning in a console.
const POWERFUL: [&str; 8] = [
    "camera",
    "display-capture",
    "geolocation",
    "hid",
    "microphone",
    "payment",
    "serial",
    "usb",
];
