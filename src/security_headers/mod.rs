//! A typed set of security headers on every response.
//!
//! 1. A [`SecurityHeaders`] policy starts from a preset, and any one value can be changed or taken out;
//!    five of the policies can be made [report-only](SecurityHeaders::report_only). What browsers would
//!    misread cannot be built: the error names the directive, the value, its place and what was likely
//!    meant.
//! 2. [`SecurityHeadersLayer`] renders it once. Each response costs a copy of the prepared header map,
//!    into which the handler's own headers are moved; its body is not touched, whatever its type.
//! 3. A header that the handler has set is kept, unless [`on_conflict`](SecurityHeaders::on_conflict)
//!    says otherwise. Cookies keep their number and order. Headers that tell what runs here
//!    (`Server`, `X-Powered-By`, some eighty more) are removed.
//! 4. `Strict-Transport-Security` and `upgrade-insecure-requests` are sent over https only, as
//!    [`ClientSource`](crate::client::ClientSource) tells it; the former to hosts that have a name.
//! 5. A policy with [`Source::Nonce`] gives every request a [`CspNonce`]. If the handler reads it, the
//!    response's policies carry it, and the response becomes `Cache-Control: private`, without a header
//!    that tells single caches otherwise (`CDN-Cache-Control`, `Surrogate-Control`, `X-Accel-Expires`).
//!    If not, the policy goes out without its nonce source, and never weaker for that.
//! 6. On a 304 a policy with a nonce is left out: the cached page has the nonce of its own response.
//!    No layer further out puts its own there, and none takes the `private` away.
//! 7. A response can choose another [`PreparedHeaders`], or add sources by [`CspAppend`], through its
//!    extensions. Of nested layers the inner one wins, header by header.
//! 8. 1xx responses and the tunnel of a successful CONNECT are left as they are.
//! 9. [`lint`](SecurityHeaders::lint) tells what a well-formed policy leaves open, also with what a
//!    response [adds](SecurityHeaders::lint_with), for a host's test to assert that there is nothing.
//! 10. [`ReportCollector`] is the endpoint for what browsers report, bounded against floods;
//!     [`reports_to`](SecurityHeaders::reports_to) points every header at it that can report.
//!
//! # Deployment
//!
//! - Put the layer outermost, so that refusals of the layers below carry the headers too, and layers
//!   that catch panics inside it. A service that fails with an error has no response to decorate.
//! - Behind a proxy that terminates TLS, tell [`client`](SecurityHeadersLayer::client) which proxy to
//!   believe; without it no response carries HSTS.
//! - A cache in front must not store pages with a nonce: it would hand one nonce to everybody. They
//!   are marked private, and a proxy that ignores it needs another preset.
//! - The generator of nonces is seeded when a thread first uses it, and not anew when the process forks or
//!   its machine is cloned while it runs. A server that forks its workers does so before it builds anything.
//! - Pages that are swapped in as fragments (htmx, Turbo) run under the first page's nonce, which a
//!   fragment cannot know: give their scripts a [`Hash`](struct@Hash), or let `'strict-dynamic'` load them.
//!
//! For an OpenAPI document: these headers are on every response, so say it once, as the guide
//! [`contract`](crate::guide::contract#security-headers) does; it has the answers of a [`ReportCollector`], too.
//!
//! # Example
//!
//! ```
//! use bartizan::client::ClientSource;
//! use bartizan::security_headers::{Directive, SecurityHeaders, SecurityHeadersLayer, Source};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = SecurityHeaders::web()
//!     .frame_ancestors([Source::SelfOrigin])
//!     .csp(|csp| csp.allow(Directive::ImgSrc, ["data:", "https://img.example.com"]));
//! let tls = ClientSource::peer().over_tls();
//!
//! let service = ServiceBuilder::new()
//!     .layer(SecurityHeadersLayer::new(policy)?.client(&tls))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new("hello"))
//!     }));
//! let response = service.oneshot(Request::new(())).await?;
//!
//! let headers = response.headers();
//! assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
//! assert_eq!(headers["strict-transport-security"], "max-age=63072000; includeSubDomains");
//! assert_eq!(
//!     headers["content-security-policy"],
//!     "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; \
//!      object-src 'none'; script-src-attr 'none'; upgrade-insecure-requests; \
//!      img-src 'self' data: https://img.example.com"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # From helmet
//!
//! | helmet | here |
//! |---|---|
//! | an option that is `false` | [`without`](SecurityHeaders::without) the header's name |
//! | `contentSecurityPolicy.directives` | [`csp`](SecurityHeaders::csp); a directive that is `null`: [`Csp::without`] |
//! | `contentSecurityPolicy.useDefaults: false` | `csp(\|_\| Csp::new())`, and every directive |
//! | a function among the sources, for a nonce | [`Source::Nonce`], and [`CspNonce`] in the handler |
//! | `contentSecurityPolicy.reportOnly` | `report_only("content-security-policy")`, or both side by side by [`csp_report_only`](SecurityHeaders::csp_report_only) |
//! | `crossOriginEmbedderPolicy`, `-OpenerPolicy`, `-ResourcePolicy` | [`embedder_policy`](SecurityHeaders::embedder_policy), [`opener_policy`](SecurityHeaders::opener_policy), [`resource_policy`](SecurityHeaders::resource_policy) |
//! | `originAgentCluster` | [`origin_agent_cluster`](SecurityHeaders::origin_agent_cluster) |
//! | `referrerPolicy` | [`referrer_policy`](SecurityHeaders::referrer_policy) |
//! | `strictTransportSecurity` with `maxAge`, `includeSubDomains`, `preload` | [`hsts`](SecurityHeaders::hsts) with an [`Hsts`] |
//! | `xContentTypeOptions` | [`nosniff`](SecurityHeaders::nosniff) |
//! | `xFrameOptions` | follows `frame-ancestors`; [`frame_options`](SecurityHeaders::frame_options) |
//! | `xPoweredBy` | removed; [`keep_leaky`](SecurityHeaders::keep_leaky) keeps it |
//! | `xDnsPrefetchControl`, `xDownloadOptions`, `xPermittedCrossDomainPolicies`, `xXssProtection` | of no use to current browsers; [`header`](SecurityHeaders::header) sends them |
//!
//! [`web`](SecurityHeaders::web) starts stricter than helmet does: nobody may frame the pages, styles are
//! the site's own files and none inline, fonts and images come from the site itself, `<base>` is not
//! heeded. It is milder in one: `Referrer-Policy` is `strict-origin-when-cross-origin` rather than
//! `no-referrer`, by which browsers send `Origin: null` with a site's own forms. HSTS is for two years.

#![cfg_attr(feature = "serde", doc = include_str!("load/format.md"))]

pub use self::append::CspAppend;
pub use self::csp::{Csp, Directive, Hash, HostSource, Sandbox, SchemeSource, Source};
pub use self::future::ResponseFuture;
pub use self::header::{
    Allowlist, EmbedderPolicy, FrameOptions, Hsts, IntegrityDestination, OpenerPolicy,
    PermissionsPolicy, ReferrerPolicy, ResourcePolicy, SiteData,
};
pub use self::layer::SecurityHeadersLayer;
pub use self::lint::{Finding, Severity};
pub use self::nonce::{CspNonce, Nonce};
pub use self::policy::{Conflict, SecurityHeaders};
pub use self::prepared::PreparedHeaders;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub use self::report::report_sink_conformance;
pub use self::report::{
    CollectFuture, Disposition, MemorySink, Report, ReportCollector, ReportSink,
};
pub use self::service::SecurityHeadersService;

mod append;
mod csp;
mod future;
mod header;
mod intern;
mod layer;
mod leaky;
mod lint;
#[cfg(feature = "serde")]
mod load;
mod merge;
mod nonce;
mod policy;
mod prepared;
mod presets;
mod private;
mod render;
mod report;
mod service;
mod transport;
