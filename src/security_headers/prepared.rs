//! A policy rendered once: one header map for http, one for https, ready to clone.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::csp::{Csp, Directive, Template};
use super::header::{FrameOptions, names, referrer_list};
use super::leaky::LEAKY;
use super::policy::{Conflict, FollowOr, REPORTS, SecurityHeaders};
use crate::client::Scheme;
use crate::config::ConfigError;

/// A [`SecurityHeaders`] that has been checked and rendered; cloning it copies a pointer.
///
/// A handler that needs other headers than the rest of the service prepares them at start, and puts
/// a clone into its response's extensions: the innermost layer then uses it in place of its own.
/// The nonce is there only if the layer's own policy has one too.
///
/// ```
/// use bartizan::security_headers::SecurityHeaders;
/// use http::Response;
///
/// let embeddable = SecurityHeaders::web()
///     .frame_ancestors(["https://partner.example"])
///     .prepare()?;
///
/// let mut response = Response::new("a widget");
/// response.extensions_mut().insert(embeddable.clone());
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedHeaders {
    prepared: Arc<Prepared>,
}

#[derive(Debug)]
pub(super) struct Prepared {
    http: Variant,
    https: Variant,
    /// What to do with a header of the handler's, where it is not simply kept.
    pub(super) actions: HeaderMap<Action>,
    pub(super) cache_control: Option<HeaderValue>,
}

/// What is sent over one scheme.
#[derive(Debug)]
pub(super) struct Variant {
    /// Every header, policies without their nonce; and a place for those that handlers set and this
    /// layer does not, so that a clone has room for them without growing.
    pub(super) headers: HeaderMap,
    /// The enforced and the report-only policy, for responses that need them rendered otherwise.
    pub(super) policies: Vec<Policy>,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: HeaderName,
    pub(super) csp: Csp,
    pub(super) template: Template,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Remove,
    Override,
    Append,
}

impl PreparedHeaders {
    pub(super) fn new(policy: &SecurityHeaders) -> Result<Self, ConfigError> {
        policy.check()?;
        let mut actions = HeaderMap::default();
        for name in LEAKY {
            actions.insert(HeaderName::from_static(name), Action::Remove);
        }
        for name in &policy.keep_leaky {
            actions.remove(name);
        }
        for (name, conflict) in &policy.conflicts {
            match conflict {
                Conflict::Keep => drop(actions.remove(name)),
                Conflict::Override => drop(actions.insert(name.clone(), Action::Override)),
                Conflict::Append => drop(actions.insert(name.clone(), Action::Append)),
            }
        }
        Ok(Self {
            prepared: Arc::new(Prepared {
                http: Variant::new(policy, Scheme::Http)?,
                https: Variant::new(policy, Scheme::Https)?,
                actions,
                cache_control: policy.cache_control.clone(),
            }),
        })
    }

    pub(super) fn get(&self) -> &Prepared {
        &self.prepared
    }
}

impl Prepared {
    pub(super) fn variant(&self, scheme: Scheme) -> &Variant {
        match scheme {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        }
    }

    /// Whether any policy has a nonce source.
    pub(super) fn has_nonce(&self) -> bool {
        let mut policies = self.https.policies.iter();
        policies.any(|policy| policy.template.has_nonce())
    }

    /// Whether a header of the handler's may be replaced or added to, so that this layer has to know
    /// what an inner one has set.
    pub(super) fn competes(&self) -> bool {
        self.actions
            .values()
            .any(|action| *action != Action::Remove)
    }
}

impl Variant {
    fn new(policy: &SecurityHeaders, scheme: Scheme) -> Result<Self, ConfigError> {
        let mut headers = HeaderMap::new();
        // First, so that they stand where readers expect them.
        for name in SLOTS {
            headers.insert(name, HeaderValue::from_static(""));
        }
        let mut set = |name: HeaderName, text: String| {
            let value = checked(&name, &text)?;
            headers.insert(name, value);
            Ok::<_, ConfigError>(())
        };
        let mut policies = Vec::new();
        for (name, csp) in [
            (header::CONTENT_SECURITY_POLICY, enforced(policy)),
            (
                header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
                reported(policy),
            ),
        ] {
            let Some(csp) = csp else { continue };
            check_csp(&name, &csp, policy)?;
            let csp = match scheme {
                Scheme::Http => csp.without(Directive::UpgradeInsecureRequests),
                Scheme::Https => csp,
            };
            if csp != Csp::new() {
                set(name.clone(), csp.to_string())?;
                let template = Template::new(&csp);
                policies.push(Policy {
                    name,
                    csp,
                    template,
                });
            }
        }
        if let Some(hsts) = &policy.hsts {
            hsts.check()?;
            if scheme == Scheme::Https {
                set(header::STRICT_TRANSPORT_SECURITY, hsts.to_string())?;
            }
        }
        if let Some(list) = &policy.referrer {
            set(header::REFERRER_POLICY, referrer_list(list)?)?;
        }
        for (name, permissions) in [
            (names::PERMISSIONS_POLICY, &policy.permissions),
            (
                names::PERMISSIONS_POLICY_REPORT_ONLY,
                &policy.permissions_report_only,
            ),
        ] {
            if let Some(permissions) = permissions {
                permissions.check()?;
                set(name, permissions.to_string())?;
            }
        }
        policy.endpoints.check()?;
        if !policy.endpoints.is_empty() {
            set(names::REPORTING_ENDPOINTS, policy.endpoints.to_string())?;
        }
        let reporting = match policy.reports {
            Some(_) => format!("; report-to=\"{REPORTS}\""),
            None => String::new(),
        };
        let opener = |value: super::OpenerPolicy| value.as_str();
        let embedder = |value: super::EmbedderPolicy| value.as_str();
        for (name, value) in [
            (names::COOP, policy.opener.map(opener)),
            (
                names::COOP_REPORT_ONLY,
                policy.opener_report_only.map(opener),
            ),
            (names::COEP, policy.embedder.map(embedder)),
            (
                names::COEP_REPORT_ONLY,
                policy.embedder_report_only.map(embedder),
            ),
        ] {
            if let Some(value) = value {
                set(name, format!("{value}{reporting}"))?;
            }
        }
        let fixed = [
            (
                header::X_FRAME_OPTIONS,
                frame_options(policy).map(FrameOptions::as_str),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                policy.nosniff.then_some("nosniff"),
            ),
            (
                names::CORP,
                policy.resource.map(super::ResourcePolicy::as_str),
            ),
            (
                names::ORIGIN_AGENT_CLUSTER,
                policy.agent_cluster.then_some("?1"),
            ),
        ];
        for (name, value) in fixed {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        for (name, value) in &policy.further {
            headers.insert(name, value.clone());
        }
        let mut variant = Self { headers, policies };
        for policy in &variant.policies {
            let plain = policy.template.plain().clone();
            variant.headers.insert(policy.name.clone(), plain);
        }
        Ok(variant)
    }
}

/// The enforced policy, with where its reports go.
fn enforced(policy: &SecurityHeaders) -> Option<Csp> {
    Some(reporting(policy, policy.csp.clone()?))
}

/// The report-only policy, without what browsers ignore there.
fn reported(policy: &SecurityHeaders) -> Option<Csp> {
    let csp = policy.csp_report_only.clone()?;
    let csp = csp
        .without(Directive::Sandbox)
        .without(Directive::UpgradeInsecureRequests);
    Some(reporting(policy, csp))
}

fn reporting(policy: &SecurityHeaders, csp: Csp) -> Csp {
    match &policy.reports {
        Some(url) => csp.report_uri([url.as_str()]).report_to(REPORTS),
        None => csp,
    }
}

fn check_csp(name: &HeaderName, csp: &Csp, policy: &SecurityHeaders) -> Result<(), ConfigError> {
    // Before the policy's own check, which would find the address a second time and say less.
    policy.endpoints.check()?;
    csp.check()?;
    if *csp == Csp::new() {
        let fix = "a policy without a directive does nothing: take it out with without()";
        return Err(ConfigError::new(name.to_string(), "", fix));
    }
    match csp.endpoint() {
        Some(endpoint) if !policy.endpoints.contains(endpoint) => Err(ConfigError::new(
            format!("{name}, report-to"),
            endpoint,
            "no endpoint has this name: add it with endpoint(name, url)",
        )),
        _ => Ok(()),
    }
}

/// What was set, or what `frame-ancestors` says: of the enforced policy before the reported one, so
/// that trying a new policy out does not open the page to framing.
fn frame_options(policy: &SecurityHeaders) -> Option<FrameOptions> {
    match policy.frame_options {
        FollowOr::Set(options) => Some(options),
        FollowOr::Without => None,
        FollowOr::Follow => [&policy.csp, &policy.csp_report_only]
            .into_iter()
            .flatten()
            .find(|csp| csp.contains(Directive::FrameAncestors))
            .and_then(FrameOptions::following),
    }
}

fn checked(name: &HeaderName, text: &str) -> Result<HeaderValue, ConfigError> {
    if text.len() > LONGEST {
        let fix = "longer than 16 KiB: proxies and browsers refuse such a response";
        let start = text.chars().take(64).collect::<String>() + "…";
        return Err(ConfigError::new(name.to_string(), start, fix));
    }
    HeaderValue::from_str(text)
        .map_err(|_| ConfigError::new(name.to_string(), text, "a header value is visible ASCII"))
}

/// Headers that most handlers set: the prepared map has a place for each.
pub(super) const SLOTS: [HeaderName; SLOT_COUNT] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
];

pub(super) const SLOT_COUNT: usize = 3;

const LONGEST: usize = 16 * 1024;
