//! From a policy to the text of its headers, with every check that spans more than one value.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, header};

use super::csp::{Csp, Directive};
use super::header::{
    EmbedderPolicy, FrameOptions, Framing, OpenerPolicy, PermissionsPolicy, ResourcePolicy,
    integrity_policy, names, referrer_list,
};
use super::policy::{REPORTS, SecurityHeaders};
use super::transport::Transport;
use crate::config::ConfigError;

/// Checks what can be wrong whatever the transport.
pub(super) fn check(policy: &SecurityHeaders) -> Result<(), ConfigError> {
    policy.check()?;
    // Before the content security policies, which repeat an address and would say less about it.
    policy.endpoints.check()?;
    for (name, csp) in policies(policy) {
        check_csp(&name, &csp, policy)?;
    }
    for permissions in [&policy.permissions, &policy.permissions_report_only] {
        permissions.as_ref().map_or(Ok(()), |list| list.check())?;
    }
    policy.hsts.map_or(Ok(()), |hsts| hsts.check())
}

/// The enforced and the report-only policy, with where their reports go.
pub(super) fn policies(policy: &SecurityHeaders) -> Vec<(HeaderName, Csp)> {
    let report = |csp: Csp| match &policy.reports {
        Some(url) => csp.report_uri([url.as_str()]).report_to(REPORTS),
        None => csp,
    };
    // Without what browsers ignore there, and complain about.
    let reportable = |csp: Csp| {
        csp.without(Directive::Sandbox)
            .without(Directive::UpgradeInsecureRequests)
    };
    let enforced = policy.csp.clone().map(report);
    let reported = policy.csp_report_only.clone().map(reportable).map(report);
    [
        (header::CONTENT_SECURITY_POLICY, enforced),
        (header::CONTENT_SECURITY_POLICY_REPORT_ONLY, reported),
    ]
    .into_iter()
    .filter_map(|(name, csp)| Some((name, csp?)))
    .collect()
}

/// `csp` as it is sent over `transport`; `None` when nothing is left of it.
pub(super) fn over(transport: Transport, csp: Csp) -> Option<Csp> {
    let csp = match transport {
        Transport::Https | Transport::HttpsUnnamed => csp,
        Transport::Http => {
            let csp = csp.without(Directive::UpgradeInsecureRequests);
            if csp.contains(Directive::ReportUri) {
                // Browsers that know `report-to` ignore `report-uri` beside it; of endpoints that came
                // over plain http Chromium knows nothing, so that nobody would be told.
                csp.without(Directive::ReportTo)
            } else {
                csp
            }
        }
    };
    (csp != Csp::new()).then_some(csp)
}

/// Every other header that is sent over `transport`.
pub(super) fn headers(
    policy: &SecurityHeaders,
    transport: Transport,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let hsts = policy.hsts.filter(|_| transport == Transport::Https);
    let referrer = policy.referrer.as_deref().map(referrer_list).transpose()?;
    let endpoints = Some(&policy.endpoints).filter(|endpoints| !endpoints.is_empty());
    let endpoint = policy.reports.as_ref().map(|_| REPORTS);
    let integrity = |blocked: &Option<Vec<_>>| {
        let blocked = blocked.as_deref();
        let text = blocked.map(|blocked| integrity_policy(blocked, endpoint));
        text.transpose()
    };
    let permissions = |list: &Option<PermissionsPolicy>| {
        let list = list.as_ref();
        list.map(|list| list.reporting_to(endpoint))
    };
    let rendered = [
        (names::INTEGRITY_POLICY, integrity(&policy.integrity)?),
        (
            names::INTEGRITY_POLICY_REPORT_ONLY,
            integrity(&policy.integrity_report_only)?,
        ),
        (
            header::STRICT_TRANSPORT_SECURITY,
            hsts.as_ref().map(ToString::to_string),
        ),
        (header::REFERRER_POLICY, referrer),
        (
            names::REPORTING_ENDPOINTS,
            endpoints.map(ToString::to_string),
        ),
        (names::PERMISSIONS_POLICY, permissions(&policy.permissions)),
        (
            names::PERMISSIONS_POLICY_REPORT_ONLY,
            permissions(&policy.permissions_report_only),
        ),
    ];
    let fixed = [
        (
            header::X_FRAME_OPTIONS,
            frame_options(policy).map(FrameOptions::as_str),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            policy.nosniff.then_some("nosniff"),
        ),
        (names::CORP, policy.resource.map(ResourcePolicy::as_str)),
        (
            names::ORIGIN_AGENT_CLUSTER,
            policy.agent_cluster.then_some("?1"),
        ),
    ];
    let reporting = [
        (names::COOP, policy.opener.map(OpenerPolicy::as_str)),
        (
            names::COOP_REPORT_ONLY,
            policy.opener_report_only.map(OpenerPolicy::as_str),
        ),
        (names::COEP, policy.embedder.map(EmbedderPolicy::as_str)),
        (
            names::COEP_REPORT_ONLY,
            policy.embedder_report_only.map(EmbedderPolicy::as_str),
        ),
    ];
    let report = |token: &'static str| match policy.reports {
        Some(_) => Cow::Owned(format!("{token}; report-to=\"{REPORTS}\"")),
        None => Cow::Borrowed(token),
    };
    let rendered = rendered.map(|(name, text)| (name, text.map(Cow::Owned)));
    let fixed = fixed.map(|(name, token)| (name, token.map(Cow::Borrowed)));
    let reporting = reporting.map(|(name, token)| (name, token.map(report)));

    let mut headers = Vec::new();
    for (name, text) in rendered.into_iter().chain(fixed).chain(reporting) {
        if let Some(text) = text {
            let value = value(&name, text)?;
            headers.push((name, value));
        }
    }
    headers.extend(policy.further.iter().cloned());
    Ok(headers)
}

fn check_csp(name: &HeaderName, csp: &Csp, policy: &SecurityHeaders) -> Result<(), ConfigError> {
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
        _ => value(name, csp.to_string().into()).map(drop),
    }
}

/// What was set, or what `frame-ancestors` says: of the enforced policy, or what that said last; of the
/// reported one only where nothing is known of that. So trying a new policy out does not open the page to
/// framing.
pub(super) fn frame_options(policy: &SecurityHeaders) -> Option<FrameOptions> {
    let says = |csp: &Option<Csp>| {
        let csp = csp.as_ref();
        csp.filter(|csp| csp.contains(Directive::FrameAncestors))
            .map(FrameOptions::following)
    };
    match policy.frame_options {
        Framing::Set(options) => Some(options),
        Framing::Without => None,
        Framing::Follow { last } => says(&policy.csp)
            .unwrap_or_else(|| last.or_else(|| says(&policy.csp_report_only).flatten())),
    }
}

fn value(name: &HeaderName, text: Cow<'static, str>) -> Result<HeaderValue, ConfigError> {
    if text.len() > LONGEST {
        let fix = "longer than 16 KiB: proxies and browsers refuse such a response";
        let start = text.chars().take(64).collect::<String>() + "…";
        return Err(ConfigError::new(name.to_string(), start, fix));
    }
    match text {
        Cow::Borrowed(token) => Ok(HeaderValue::from_static(token)),
        Cow::Owned(text) => HeaderValue::from_str(&text)
            .map_err(|_| ConfigError::new(name.to_string(), text, "not visible ASCII")),
    }
}

const LONGEST: usize = 16 * 1024;
