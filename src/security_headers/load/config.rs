//! The whole of a policy: its preset, and what differs from it.

use serde::de::{Deserialize, Deserializer, Error};

use super::{csp, values};
use crate::config::ConfigError;
use crate::load::{Field, Node};
use crate::security_headers::policy::{Conflict, SecurityHeaders};
use crate::security_headers::render;
use crate::security_headers::transport::Transport;

/// The format is documented in the [module](crate::security_headers#from-a-file). The error names the
/// path within the policy.
impl<'de> Deserialize<'de> for SecurityHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        read(&node).map_err(D::Error::custom)
    }
}

fn read(node: &Node) -> Result<SecurityHeaders, ConfigError> {
    let known: Vec<_> = HEADERS.iter().chain(&FIELDS).copied().collect();
    let table = Field::root(node).table(&known)?;
    let mut policy = match table.get("preset") {
        Some(field) => field.one_of(&PRESETS)?(),
        None => SecurityHeaders::default(),
    };
    for name in HEADERS {
        if let Some(field) = table.get(name) {
            policy = match field.as_flag() {
                Some(false) => policy.without(name),
                _ => header(policy, name, &field)?,
            };
        }
    }
    if let Some(field) = table.get("reports_to") {
        policy = sound(policy.reports_to(field.text()?), &field)?;
    }
    for (name, field) in entries(table.get("endpoints"))? {
        policy = sound(policy.endpoint(name, field.text()?), &field)?;
    }
    for (name, field) in entries(table.get("headers"))? {
        policy = sound(policy.header(name, field.text()?), &field)?;
    }
    for (name, field) in entries(table.get("on_conflict"))? {
        policy = sound(policy.on_conflict(name, field.one_of(&CONFLICTS)?), &field)?;
    }
    for field in list(table.get("keep_leaky"))? {
        policy = sound(policy.keep_leaky(field.text()?), &field)?;
    }
    // Last: it takes the values as they are now.
    for field in list(table.get("report_only"))? {
        policy = sound(policy.report_only(field.text()?), &field)?;
    }
    let checked = render::check(&policy);
    let rendered = checked.and_then(|()| render::headers(&policy, Transport::Https));
    match rendered {
        Ok(_) => Ok(policy),
        Err(error) => {
            let path = error.field().replace(", ", ".");
            Err(ConfigError::new(
                path,
                error.value(),
                error.fix().to_owned(),
            ))
        }
    }
}

/// `policy` with the header `name` as `field` says it.
fn header(
    policy: SecurityHeaders,
    name: &str,
    field: &Field<'_>,
) -> Result<SecurityHeaders, ConfigError> {
    let fixed = |value: &'static str| field.one_of(&[(value, ())]);
    Ok(match name {
        "content-security-policy" => {
            let csp = csp::read(field, policy.csp.clone().unwrap_or_default())?;
            policy.csp(|_| csp)
        }
        "content-security-policy-report-only" => {
            let csp = csp::read(field, policy.csp_report_only.clone().unwrap_or_default())?;
            policy.csp_report_only(|_| csp)
        }
        "strict-transport-security" => policy.hsts(values::hsts(field)?),
        "x-frame-options" => policy.frame_options(values::frame_options(field)?),
        "x-content-type-options" => {
            fixed("nosniff")?;
            policy.nosniff()
        }
        "referrer-policy" => policy.referrer_policy(values::referrer(field)?),
        "permissions-policy" => {
            let list = values::permissions(field, policy.permissions.clone().unwrap_or_default())?;
            policy.permissions_policy(|_| list)
        }
        "cross-origin-opener-policy" => policy.opener_policy(values::opener(field)?),
        "cross-origin-embedder-policy" => policy.embedder_policy(values::embedder(field)?),
        "cross-origin-resource-policy" => policy.resource_policy(values::resource(field)?),
        "origin-agent-cluster" => {
            fixed("?1")?;
            policy.origin_agent_cluster()
        }
        "integrity-policy" => policy.integrity_policy(values::integrity(field)?),
        // What is left of `HEADERS`.
        _ => sound(policy.cache_control(field.text()?), field)?,
    })
}

/// `policy`, unless what was last done to it was a mistake, which `field` made.
fn sound(policy: SecurityHeaders, field: &Field<'_>) -> Result<SecurityHeaders, ConfigError> {
    let checked = policy.check().and_then(|()| policy.endpoints.check());
    checked.map_err(|error| field.told(&error))?;
    Ok(policy)
}

fn entries<'n>(field: Option<Field<'n>>) -> Result<Vec<(&'n str, Field<'n>)>, ConfigError> {
    field.map_or(Ok(Vec::new()), |field| field.entries())
}

fn list<'n>(field: Option<Field<'n>>) -> Result<Vec<Field<'n>>, ConfigError> {
    field.map_or(Ok(Vec::new()), |field| field.one_or_more())
}

/// The headers that a file names, each a typed value.
const HEADERS: [&str; 13] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "strict-transport-security",
    "x-frame-options",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-embedder-policy",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
    "integrity-policy",
    "cache-control",
];

/// What is none.
const FIELDS: [&str; 7] = [
    "preset",
    "report_only",
    "reports_to",
    "endpoints",
    "headers",
    "on_conflict",
    "keep_leaky",
];

type Preset = fn() -> SecurityHeaders;

const PRESETS: [(&str, Preset); 6] = [
    ("web", SecurityHeaders::web),
    ("web_nonce", SecurityHeaders::web_nonce),
    ("api", SecurityHeaders::api),
    ("assets", SecurityHeaders::assets),
    ("user_content", SecurityHeaders::user_content),
    ("none", SecurityHeaders::none),
];

const CONFLICTS: [(&str, Conflict); 3] = [
    ("keep", Conflict::Keep),
    ("override", Conflict::Override),
    ("append", Conflict::Append),
];
