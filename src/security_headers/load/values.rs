//! The other headers, as a file says them.

use std::time::Duration;

use crate::config::ConfigError;
use crate::load::Field;
use crate::security_headers::header::{
    Allowlist, EmbedderPolicy, FrameOptions, Hsts, IntegrityDestination, OpenerPolicy,
    PermissionsPolicy, ReferrerPolicy, ResourcePolicy,
};

pub(super) fn hsts(field: &Field<'_>) -> Result<Hsts, ConfigError> {
    let table = field.table(&["max_age", "include_subdomains", "preload"])?;
    let age = table.need("max_age", "say for how many seconds; 0 revokes it")?;
    let mut hsts = Hsts::max_age(Duration::from_secs(age.number()?));
    let flag = |name| table.get(name).map_or(Ok(false), |field| field.flag());
    if flag("include_subdomains")? {
        hsts = hsts.include_subdomains();
    }
    if flag("preload")? {
        hsts = hsts.preload();
    }
    hsts.check().map_err(|error| field.told(&error))?;
    Ok(hsts)
}

pub(super) fn permissions(
    field: &Field<'_>,
    mut policy: PermissionsPolicy,
) -> Result<PermissionsPolicy, ConfigError> {
    for (feature, value) in field.entries()? {
        if value.as_flag() == Some(false) {
            policy = policy.without(feature);
            continue;
        }
        let mut list = Allowlist::nobody();
        for item in value.items()? {
            list = match item.text()? {
                "*" => list.and_everybody(),
                "self" => list.and_self_origin(),
                origin => list.origin(origin),
            };
            let one = PermissionsPolicy::new().allow(feature, list.clone());
            one.check().map_err(|error| item.told(&error))?;
        }
        policy = policy.allow(feature, list);
        policy.check().map_err(|error| value.told(&error))?;
    }
    Ok(policy)
}

pub(super) fn frame_options(field: &Field<'_>) -> Result<FrameOptions, ConfigError> {
    word(field, &FRAME_OPTIONS, FrameOptions::as_str)
}

pub(super) fn opener(field: &Field<'_>) -> Result<OpenerPolicy, ConfigError> {
    word(field, &OPENER, OpenerPolicy::as_str)
}

pub(super) fn embedder(field: &Field<'_>) -> Result<EmbedderPolicy, ConfigError> {
    word(field, &EMBEDDER, EmbedderPolicy::as_str)
}

pub(super) fn resource(field: &Field<'_>) -> Result<ResourcePolicy, ConfigError> {
    word(field, &RESOURCE, ResourcePolicy::as_str)
}

pub(super) fn referrer(field: &Field<'_>) -> Result<Vec<ReferrerPolicy>, ConfigError> {
    let one = |field: &Field<'_>| word(field, &REFERRER, ReferrerPolicy::as_str);
    field.one_or_more()?.iter().map(one).collect()
}

pub(super) fn integrity(field: &Field<'_>) -> Result<Vec<IntegrityDestination>, ConfigError> {
    let one = |field: &Field<'_>| word(field, &INTEGRITY, IntegrityDestination::as_str);
    field.one_or_more()?.iter().map(one).collect()
}

/// One of `all`, by its name in the header.
fn word<T: Copy>(
    field: &Field<'_>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, ConfigError> {
    let words: Vec<_> = all.iter().map(|value| (name(*value), *value)).collect();
    field.one_of(&words)
}

const FRAME_OPTIONS: [FrameOptions; 2] = [FrameOptions::Deny, FrameOptions::SameOrigin];

const OPENER: [OpenerPolicy; 4] = [
    OpenerPolicy::UnsafeNone,
    OpenerPolicy::SameOrigin,
    OpenerPolicy::SameOriginAllowPopups,
    OpenerPolicy::NoopenerAllowPopups,
];

const EMBEDDER: [EmbedderPolicy; 3] = [
    EmbedderPolicy::UnsafeNone,
    EmbedderPolicy::RequireCorp,
    EmbedderPolicy::Credentialless,
];

const RESOURCE: [ResourcePolicy; 3] = [
    ResourcePolicy::SameOrigin,
    ResourcePolicy::SameSite,
    ResourcePolicy::CrossOrigin,
];

const REFERRER: [ReferrerPolicy; 8] = [
    ReferrerPolicy::NoReferrer,
    ReferrerPolicy::NoReferrerWhenDowngrade,
    ReferrerPolicy::Origin,
    ReferrerPolicy::OriginWhenCrossOrigin,
    ReferrerPolicy::SameOrigin,
    ReferrerPolicy::StrictOrigin,
    ReferrerPolicy::StrictOriginWhenCrossOrigin,
    ReferrerPolicy::UnsafeUrl,
];

const INTEGRITY: [IntegrityDestination; 2] =
    [IntegrityDestination::Script, IntegrityDestination::Style];
