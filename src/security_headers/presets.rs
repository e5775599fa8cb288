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
    /// | `Content-Security-Policy` | `default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; script-src-attr 'none'; upgrade-insecure-requests` (the last over https only) | inline scripts and styles: [`web_nonce`](Self::web_nonce), or a [`Hash`](struct@super::Hash); files from a CDN: `.csp(\|csp\| csp.allow(Directive::ScriptSrc, ["https://cdn.example.com"]))`, and so on for each kind of file; embedded videos and payment forms: `allow(Directive::FrameSrc, ..)`; forms that post elsewhere: `allow(Directive::FormAction, ..)`; being framed: [`frame_ancestors`](Self::frame_ancestors) |
    /// | `Strict-Transport-Security` | `max-age=63072000; includeSubDomains`, over https only, and to no address and not to `localhost` | subdomains that speak plain http: [`hsts`](Self::hsts) |
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
    /// As [`web`](Self::web), but for the content security policy:
    ///
    /// | directive | value | what it breaks, and how to relax it |
    /// |---|---|---|
    /// | `default-src` | `'none'` | whatever is not named below, such as frames: `.csp(\|csp\| csp.allow(Directive::FrameSrc, ["https://video.example"]))` |
    /// | `script-src` | `'nonce-…' 'strict-dynamic' https: 'unsafe-inline'` | scripts without the nonce and inline event handlers. What a script with the nonce loads runs, from whatever CDN. Browsers that know nonces ignore `https:` and `'unsafe-inline'`, which are there for those that do not |
    /// | `style-src` | `'self' 'nonce-…'` | style attributes in markup, inline styles without the nonce, styles of a CDN: `allow(Directive::StyleSrc, ..)` |
    /// | `img-src` | `'self' data:` | images from elsewhere: `allow(Directive::ImgSrc, ..)` |
    /// | `font-src`, `connect-src`, `manifest-src`, `media-src`, `worker-src` | `'self'` | fonts of a CDN, APIs on other hosts, ..: `allow(Directive::ConnectSrc, ["https://api.example.com"])` |
    /// | `form-action` | `'self'` | forms that post elsewhere: `allow(Directive::FormAction, ..)` |
    /// | `base-uri`, `object-src` | `'none'` | `<base>` and plugins |
    /// | `frame-ancestors` | `'none'` | being framed: [`frame_ancestors`](Self::frame_ancestors) |
    /// | `require-trusted-types-for` | `'script'` | libraries that write strings to `innerHTML`: `.csp(\|csp\| csp.without(Directive::RequireTrustedTypesFor))` |
    /// | `upgrade-insecure-requests` | over https only | |
    ///
    /// Pages that a shared cache keeps cannot have a nonce: they are marked `Cache-Control: private`.
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
    /// | header | value | what it breaks, and how to relax it |
    /// |---|---|---|
    /// | `Content-Security-Policy` | `default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'` | pages, such as those of an API's documentation: serve them under [`web`](Self::web), by a layer of their own or a [`PreparedHeaders`](super::PreparedHeaders) in the response |
    /// | `Strict-Transport-Security` | as [`web`](Self::web) | |
    /// | `X-Frame-Options` | `DENY` | follows `frame-ancestors` |
    /// | `X-Content-Type-Options` | `nosniff` | responses under a wrong type |
    /// | `Referrer-Policy` | `no-referrer` | nothing: an answer to a program has no links |
    /// | `Cross-Origin-Resource-Policy` | `same-origin` | `<img>` and the like of other origins: [`resource_policy`](Self::resource_policy). What CORS allows is not affected |
    /// | `Cross-Origin-Embedder-Policy` | `require-corp` | nothing that loads nothing |
    /// | `Cache-Control` | `no-store`, where the handler says nothing | caching: say so in the handler, or `.without("cache-control")` |
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

    /// For public static files that other sites may embed.
    ///
    /// | header | value | what it breaks, and how to relax it |
    /// |---|---|---|
    /// | `Strict-Transport-Security` | as [`web`](Self::web) | |
    /// | `X-Content-Type-Options` | `nosniff` | files served under a wrong type |
    /// | `Cross-Origin-Resource-Policy` | `cross-origin` | nothing; to keep other sites out, `.resource_policy(ResourcePolicy::SameSite)` |
    ///
    /// There is no content security policy: serve HTML and SVG from elsewhere, or add one.
    pub fn assets() -> Self {
        Self::transport().resource_policy(ResourcePolicy::CrossOrigin)
    }

    /// For files that users uploaded: whatever they contain, browsers run none of it in this origin.
    ///
    /// | header | value | what it breaks, and how to relax it |
    /// |---|---|---|
    /// | `Content-Security-Policy` | `default-src 'none'; sandbox; frame-ancestors 'none'` | everything active in HTML, SVG and PDF, also their styles and images: `.csp(\|csp\| csp.allow(Directive::StyleSrc, ["'unsafe-inline'"]))`; previews in a frame: `.frame_ancestors([Source::SelfOrigin])` |
    /// | `Strict-Transport-Security` | as [`web`](Self::web) | |
    /// | `X-Frame-Options` | `DENY` | follows `frame-ancestors` |
    /// | `X-Content-Type-Options` | `nosniff` | files served under a wrong type |
    /// | `Referrer-Policy` | `no-referrer` | nothing |
    /// | `Cross-Origin-Resource-Policy` | `same-origin` | images that other sites embed, and a site that serves uploads from a host of their own: `.resource_policy(ResourcePolicy::SameSite)` |
    ///
    /// Send `Content-Disposition: attachment` as well, and best serve them from a host of their own.
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
