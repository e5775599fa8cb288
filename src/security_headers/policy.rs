//! The whole header set as typed values, to be changed one by one.

use http::{HeaderName, HeaderValue};

use super::csp::{Csp, Directive, Source};
use super::header::{
    EmbedderPolicy, Endpoints, FrameOptions, Framing, Hsts, IntegrityDestination, OpenerPolicy,
    PermissionsPolicy, ReferrerPolicy, ResourcePolicy,
};
use super::prepared::PreparedHeaders;
use crate::config::ConfigError;

/// Which security headers responses get, and with which values.
///
/// Start from a preset ([`web`](Self::web), [`web_nonce`](Self::web_nonce), [`api`](Self::api),
/// [`assets`](Self::assets), [`user_content`](Self::user_content)) and change what has to differ.
/// Mistakes are told when a layer is built: see [`prepare`](Self::prepare).
///
/// ```
/// use bartizan::security_headers::{Directive, OpenerPolicy, SecurityHeaders, Source};
///
/// let policy = SecurityHeaders::web()
///     .frame_ancestors([Source::SelfOrigin])
///     .csp(|csp| csp.allow(Directive::ImgSrc, ["https://img.example.com"]))
///     .opener_policy(OpenerPolicy::SameOriginAllowPopups)
///     .without("permissions-policy");
/// policy.prepare()?;
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
///
/// It is no layer by itself: [`SecurityHeadersLayer::new`](super::SecurityHeadersLayer::new) makes one of it.
///
/// With the feature `serde` it is read from a file: see the [format](crate::security_headers#from-a-file).
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a policy does nothing until a layer is built from it"]
pub struct SecurityHeaders {
    pub(super) csp: Option<Csp>,
    pub(super) csp_report_only: Option<Csp>,
    pub(super) hsts: Option<Hsts>,
    pub(super) frame_options: Framing,
    pub(super) nosniff: bool,
    pub(super) referrer: Option<Vec<ReferrerPolicy>>,
    pub(super) permissions: Option<PermissionsPolicy>,
    pub(super) permissions_report_only: Option<PermissionsPolicy>,
    pub(super) opener: Option<OpenerPolicy>,
    pub(super) opener_report_only: Option<OpenerPolicy>,
    pub(super) embedder: Option<EmbedderPolicy>,
    pub(super) embedder_report_only: Option<EmbedderPolicy>,
    pub(super) resource: Option<ResourcePolicy>,
    pub(super) agent_cluster: bool,
    pub(super) integrity: Option<Vec<IntegrityDestination>>,
    pub(super) integrity_report_only: Option<Vec<IntegrityDestination>>,
    pub(super) endpoints: Endpoints,
    /// The endpoint of everything that can report, where one was given by `reports_to`.
    pub(super) reports: Option<String>,
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) further: Vec<(HeaderName, HeaderValue)>,
    pub(super) conflicts: Vec<(HeaderName, Conflict)>,
    pub(super) keep_leaky: Vec<HeaderName>,
    error: Option<ConfigError>,
}

/// What happens to a header that the handler has set as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Conflict {
    /// The handler's stays, and this layer's is not sent: the default for every header.
    Keep,
    /// This layer's is sent in its place.
    Override,
    /// Both are sent. Two content security policies are both enforced: what either blocks is
    /// blocked.
    Append,
}

impl SecurityHeaders {
    /// No header at all, to which values are added. Leaky headers are removed.
    pub const fn none() -> Self {
        Self {
            csp: None,
            csp_report_only: None,
            hsts: None,
            frame_options: Framing::Follow { last: None },
            nosniff: false,
            referrer: None,
            permissions: None,
            permissions_report_only: None,
            opener: None,
            opener_report_only: None,
            embedder: None,
            embedder_report_only: None,
            resource: None,
            agent_cluster: false,
            integrity: None,
            integrity_report_only: None,
            endpoints: Endpoints::new(),
            reports: None,
            cache_control: None,
            further: Vec::new(),
            conflicts: Vec::new(),
            keep_leaky: Vec::new(),
            error: None,
        }
    }

    /// Changes the enforced content security policy. Where it loses `frame-ancestors`, `X-Frame-Options`
    /// stays what it was.
    pub fn csp(mut self, change: impl FnOnce(Csp) -> Csp) -> Self {
        self.frame_options.remember(self.csp.as_ref());
        self.csp = Some(change(self.csp.unwrap_or_default()));
        self
    }

    /// Changes the policy that is reported against beside the enforced one. Browsers ignore
    /// `sandbox` and `upgrade-insecure-requests` there, so they are left out.
    pub fn csp_report_only(mut self, change: impl FnOnce(Csp) -> Csp) -> Self {
        self.csp_report_only = Some(change(self.csp_report_only.unwrap_or_default()));
        self
    }

    /// Says who may frame these pages: `frame-ancestors`, which `X-Frame-Options` follows.
    pub fn frame_ancestors(
        self,
        sources: impl IntoIterator<Item: TryInto<Source, Error: Into<ConfigError>>>,
    ) -> Self {
        self.csp(|csp| csp.set(Directive::FrameAncestors, sources))
    }

    /// Sets `X-Frame-Options` apart from `frame-ancestors`.
    pub fn frame_options(mut self, options: FrameOptions) -> Self {
        self.frame_options = Framing::Set(options);
        self
    }

    /// Sets `Strict-Transport-Security`; sent over https only, to hosts that have a name.
    pub fn hsts(mut self, hsts: Hsts) -> Self {
        self.hsts = Some(hsts);
        self
    }

    /// Sends `X-Content-Type-Options: nosniff`.
    pub fn nosniff(mut self) -> Self {
        self.nosniff = true;
        self
    }

    /// Sets `Referrer-Policy`. Browsers take the last one of the list that they know.
    pub fn referrer_policy(mut self, list: impl IntoIterator<Item = ReferrerPolicy>) -> Self {
        self.referrer = Some(list.into_iter().collect());
        self
    }

    /// Changes `Permissions-Policy`.
    pub fn permissions_policy(
        mut self,
        change: impl FnOnce(PermissionsPolicy) -> PermissionsPolicy,
    ) -> Self {
        self.permissions = Some(change(self.permissions.unwrap_or_default()));
        self
    }

    /// Sets `Cross-Origin-Opener-Policy`.
    pub fn opener_policy(mut self, policy: OpenerPolicy) -> Self {
        self.opener = Some(policy);
        self
    }

    /// Sets `Cross-Origin-Embedder-Policy`.
    pub fn embedder_policy(mut self, policy: EmbedderPolicy) -> Self {
        self.embedder = Some(policy);
        self
    }

    /// Sets `Cross-Origin-Resource-Policy`.
    pub fn resource_policy(mut self, policy: ResourcePolicy) -> Self {
        self.resource = Some(policy);
        self
    }

    /// Sends `Origin-Agent-Cluster: ?1`: this origin asks for a process of its own.
    pub fn origin_agent_cluster(mut self) -> Self {
        self.agent_cluster = true;
        self
    }

    /// Sets `Integrity-Policy`: what loads only with an `integrity` attribute.
    pub fn integrity_policy(
        mut self,
        blocked: impl IntoIterator<Item = IntegrityDestination>,
    ) -> Self {
        self.integrity = Some(blocked.into_iter().collect());
        self
    }

    /// Sends violation reports to `url`: a path of this origin, or an https address.
    ///
    /// Over plain http a content security policy has `report-uri` alone: Chromium keeps no endpoints
    /// that came over it, and beside `report-to` it would not look at `report-uri`.
    ///
    /// One call does what has to agree: the endpoint `security` in `Reporting-Endpoints`, `report-to`
    /// and `report-uri` (for browsers without the Reporting API) in both content security policies,
    /// the parameter `report-to` of the opener and embedder policies and of every feature of the permissions
    /// policy, and `endpoints` of the integrity policy.
    pub fn reports_to(mut self, url: &str) -> Self {
        self.endpoints.set(REPORTS, url);
        self.reports = Some(url.to_owned());
        self
    }

    /// Names a reporting endpoint, for a policy's own [`Csp::report_to`]. The name `default` also
    /// gets reports of crashes, deprecations and interventions.
    pub fn endpoint(mut self, name: &str, url: &str) -> Self {
        self.endpoints.set(name, url);
        self
    }

    /// Sets `Cache-Control` on responses whose handler says nothing, except on a 304.
    pub fn cache_control(mut self, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.cache_control = Some(value),
            Err(_) => self.fail("cache-control", value, "a header value is visible ASCII"),
        }
        self
    }

    /// Sends a further header, such as `x-dns-prefetch-control: off`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Some(name) = self.name(name) else {
            return self;
        };
        if TYPED.contains(&name.as_str()) {
            self.fail(
                name.to_string(),
                value,
                "this header has a method of its own",
            );
        } else if FRAMING.contains(&name.as_str()) {
            self.fail(
                name.to_string(),
                value,
                "this header is the server's or the handler's",
            );
        } else if let Ok(value) = HeaderValue::from_str(value) {
            self.further.retain(|(known, _)| *known != name);
            self.further.push((name, value));
        } else {
            self.fail(name.to_string(), value, "a header value is visible ASCII");
        }
        self
    }

    /// Takes the header `name` out of this policy. Without a content security policy
    /// `X-Frame-Options` stays what it was.
    pub fn without(mut self, name: impl AsRef<str>) -> Self {
        let Some(name) = self.name(name.as_ref()) else {
            return self;
        };
        match name.as_str() {
            "content-security-policy" => {
                self.frame_options.remember(self.csp.as_ref());
                self.csp = None;
            }
            "content-security-policy-report-only" => self.csp_report_only = None,
            "strict-transport-security" => self.hsts = None,
            "x-frame-options" => self.frame_options = Framing::Without,
            "x-content-type-options" => self.nosniff = false,
            "referrer-policy" => self.referrer = None,
            "cache-control" => self.cache_control = None,
            "permissions-policy" => self.permissions = None,
            "permissions-policy-report-only" => self.permissions_report_only = None,
            "cross-origin-opener-policy" => self.opener = None,
            "cross-origin-opener-policy-report-only" => self.opener_report_only = None,
            "cross-origin-embedder-policy" => self.embedder = None,
            "cross-origin-embedder-policy-report-only" => self.embedder_report_only = None,
            "cross-origin-resource-policy" => self.resource = None,
            "origin-agent-cluster" => self.agent_cluster = false,
            "integrity-policy" => self.integrity = None,
            "integrity-policy-report-only" => self.integrity_report_only = None,
            "reporting-endpoints" => {
                self.endpoints.clear();
                self.reports = None;
            }
            _ => self.further.retain(|(known, _)| *known != name),
        }
        self
    }

    /// Turns the header `name` into its report-only form: browsers report and block nothing.
    ///
    /// There is one of the content security, permissions, opener, embedder and integrity policies. It takes
    /// what the header is by then: set it before.
    pub fn report_only(mut self, name: impl AsRef<str>) -> Self {
        let Some(name) = self.name(name.as_ref()) else {
            return self;
        };
        let turned = match name.as_str() {
            "content-security-policy" => {
                self.frame_options.remember(self.csp.as_ref());
                turn(&mut self.csp, &mut self.csp_report_only)
            }
            "permissions-policy" => turn(&mut self.permissions, &mut self.permissions_report_only),
            "cross-origin-opener-policy" => turn(&mut self.opener, &mut self.opener_report_only),
            "cross-origin-embedder-policy" => {
                turn(&mut self.embedder, &mut self.embedder_report_only)
            }
            "integrity-policy" => turn(&mut self.integrity, &mut self.integrity_report_only),
            _ => Err(
                "only content-security-policy, permissions-policy, cross-origin-opener-policy, \
                 cross-origin-embedder-policy and integrity-policy have a report-only form",
            ),
        };
        turned.unwrap_or_else(|fix| self.fail("report_only", name.as_str(), fix));
        self
    }

    /// Decides what happens where the handler has set the header `name` as well.
    pub fn on_conflict(mut self, name: impl AsRef<str>, conflict: Conflict) -> Self {
        let Some(name) = self.name(name.as_ref()) else {
            return self;
        };
        if conflict == Conflict::Append && SINGLE.contains(&name.as_str()) {
            let fix = "browsers read one such header: keep or override";
            self.fail("on_conflict", name.as_str(), fix);
        } else {
            self.conflicts.retain(|(known, _)| *known != name);
            self.conflicts.push((name, conflict));
        }
        self
    }

    /// Leaves the header `name` on responses although it is on the list of leaky ones: `server`,
    /// `x-powered-by`, tracing identifiers and some eighty more of the [OWASP Secure Headers Project].
    ///
    /// What the server or a layer further out adds is out of this layer's reach.
    ///
    /// [OWASP Secure Headers Project]: https://owasp.org/www-project-secure-headers/
    pub fn keep_leaky(mut self, name: impl AsRef<str>) -> Self {
        if let Some(name) = self.name(name.as_ref()) {
            self.keep_leaky.push(name);
        }
        self
    }

    /// Checks and renders everything.
    ///
    /// A layer does it for itself; a prepared set is also what a handler puts into the extensions of
    /// a response that shall have other headers than the rest.
    ///
    /// Meant for start: what is prepared is kept for the life of the process, so that responses copy
    /// pointers to it and count no owners. The same text is kept once, however often it is prepared,
    /// no more than 256 KiB in all, and no more than 32 sets of some 50 KiB: further ones work alike,
    /// and a little slower.
    ///
    /// # Errors
    ///
    /// The first mistake: a malformed value, a `report-to` without its endpoint, HSTS `preload`
    /// without what it needs, an empty policy, a header longer than 16 KiB.
    pub fn prepare(&self) -> Result<PreparedHeaders, ConfigError> {
        PreparedHeaders::new(self)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn name(&mut self, name: &str) -> Option<HeaderName> {
        let parsed = HeaderName::try_from(name).ok();
        if parsed.is_none() {
            self.fail("header name", name, "a name is letters, digits and hyphens");
        }
        parsed
    }

    fn fail(&mut self, field: impl Into<String>, value: &str, fix: &'static str) {
        let error = ConfigError::new(field.into(), value, fix);
        self.error.get_or_insert(error);
    }
}

/// Moves what is `enforced` to where it is `reported`.
fn turn<T>(enforced: &mut Option<T>, reported: &mut Option<T>) -> Result<(), &'static str> {
    *reported = Some(
        enforced
            .take()
            .ok_or("this header is not set: set it before")?,
    );
    Ok(())
}

/// The endpoint of [`SecurityHeaders::reports_to`].
pub(super) const REPORTS: &str = "security";

const TYPED: [&str; 18] = [
    "cache-control",
    "content-security-policy",
    "content-security-policy-report-only",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy",
    "integrity-policy",
    "integrity-policy-report-only",
    "origin-agent-cluster",
    "permissions-policy",
    "permissions-policy-report-only",
    "reporting-endpoints",
];

/// Headers that browsers read once: a second one is ignored, or spoils the first.
const SINGLE: [&str; 11] = [
    "cache-control",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
];

/// Headers whose value depends on the response, or on the connection.
const FRAMING: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
