//! `Permissions-Policy`: which browser features this page and its frames may use.

use std::fmt;

use crate::config::ConfigError;
use crate::security_headers::csp::Source;

/// Browser features and who may use them ([Permissions Policy]), as a structured field.
///
/// Unknown features are not refused, since browsers add some every year; one that a browser does
/// not know costs a warning in its console.
///
/// ```
/// use bartizan::security_headers::{Allowlist, PermissionsPolicy};
///
/// let policy = PermissionsPolicy::new()
///     .deny(["camera", "microphone"])
///     .allow("geolocation", Allowlist::self_origin().origin("https://maps.example"));
/// assert_eq!(
///     policy.to_string(),
///     r#"camera=(), microphone=(), geolocation=(self "https://maps.example")"#
/// );
/// ```
///
/// [Permissions Policy]: https://www.w3.org/TR/permissions-policy/
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct PermissionsPolicy {
    features: Vec<(String, Allowlist)>,
}

impl PermissionsPolicy {
    /// A policy that says nothing about any feature.
    pub const fn new() -> Self {
        Self {
            features: Vec::new(),
        }
    }

    /// Takes `features` from this page and all its frames.
    pub fn deny<'a>(self, features: impl IntoIterator<Item = &'a str>) -> Self {
        features.into_iter().fold(self, |policy, feature| {
            policy.allow(feature, Allowlist::nobody())
        })
    }

    /// Gives `feature` to those on the list, in place of what was said of it before.
    pub fn allow(mut self, feature: &str, list: Allowlist) -> Self {
        match self.features.iter_mut().find(|(known, _)| known == feature) {
            Some((_, old)) => *old = list,
            None => self.features.push((feature.to_owned(), list)),
        }
        self
    }

    /// Says nothing of `feature` any more: browsers decide by their default.
    pub fn without(mut self, feature: &str) -> Self {
        self.features.retain(|(known, _)| known != feature);
        self
    }

    /// The header's text, with the endpoint of its reports: a parameter of each feature, and a token, as
    /// Chromium takes no string there.
    pub(crate) fn reporting_to(&self, endpoint: Option<&str>) -> String {
        let report = endpoint.map_or(String::new(), |name| format!(";report-to={name}"));
        let features = self.features.iter();
        let features = features.map(|(feature, list)| format!("{feature}={list}{report}"));
        features.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|(feature, _)| feature.as_str())
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.features.is_empty() {
            let fix = "name a feature, or remove the header with without()";
            return Err(ConfigError::new(FIELD, "", fix));
        }
        for (feature, list) in &self.features {
            let known =
                |byte: u8| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit();
            if !feature.starts_with(|first: char| first.is_ascii_lowercase())
                || !feature.bytes().all(known)
            {
                let fix = "a feature is lower-case letters, digits and hyphens: `camera`";
                return Err(ConfigError::new(FIELD, feature.as_str(), fix));
            }
            for origin in &list.origins {
                check_origin(origin)
                    .map_err(|fix| ConfigError::new(format!("{FIELD}, {feature}"), origin, fix))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for PermissionsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reporting_to(None))
    }
}

/// Who may use one feature.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Allowlist {
    everybody: bool,
    self_origin: bool,
    origins: Vec<String>,
}

impl Allowlist {
    /// Nobody: `()`.
    pub const fn nobody() -> Self {
        Self {
            everybody: false,
            self_origin: false,
            origins: Vec::new(),
        }
    }

    /// Every origin that this page frames: `*`.
    pub const fn everybody() -> Self {
        Self::nobody().and_everybody()
    }

    /// This page's own origin: `(self)`.
    pub const fn self_origin() -> Self {
        Self::nobody().and_self_origin()
    }

    pub(crate) const fn and_everybody(mut self) -> Self {
        self.everybody = true;
        self
    }

    pub(crate) const fn and_self_origin(mut self) -> Self {
        self.self_origin = true;
        self
    }

    /// Also `origin`, such as `https://maps.example` or `https://*.maps.example`.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_owned());
        self
    }
}

impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.everybody {
            return f.write_str("*");
        }
        let own = self.self_origin.then(|| "self".to_owned());
        // Checked: an origin holds neither a quote nor a backslash.
        let others = self.origins.iter().map(|origin| format!("\"{origin}\""));
        let all: Vec<_> = own.into_iter().chain(others).collect();
        write!(f, "({})", all.join(" "))
    }
}

/// `https://host[:port]`, with an optional leading `*.`: a host source with a scheme and no path.
fn check_origin(origin: &str) -> Result<(), String> {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme))
        .ok_or("an origin begins with https://")?;
    if host.contains('/') {
        return Err("an origin has no path".to_owned());
    }
    let host = Source::host(origin);
    host.map_or_else(|error| Err(error.fix().to_owned()), |_| Ok(()))
}

const FIELD: &str = "permissions-policy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_structured_fields() {
        for (list, text) in [
            (Allowlist::nobody(), "x=()"),
            (Allowlist::everybody(), "x=*"),
            (Allowlist::self_origin(), "x=(self)"),
            (
                Allowlist::nobody().origin("https://*.a.example:8443"),
                r#"x=("https://*.a.example:8443")"#,
            ),
        ] {
            let policy = PermissionsPolicy::new().allow("x", list);
            assert!(policy.check().is_ok());
            assert_eq!(policy.to_string(), text);
        }
    }

    #[test]
    fn nothing_can_leave_its_string_or_its_list() {
        for origin in [
            "https://a.example\"), camera=(\"",
            "https://a.example\\",
            "https://a.example/x",
            "https://a example",
            "https://",
            "a.example",
            "https://b\u{fc}cher.example",
            "https://a.example\r\nx: y",
        ] {
            let list = Allowlist::self_origin().origin(origin);
            let error = PermissionsPolicy::new().allow("camera", list).check();
            assert_eq!(error.unwrap_err().value(), origin);
        }
        for feature in ["Camera", "camera=*,x", "", "1x", "a b"] {
            assert!(
                PermissionsPolicy::new().deny([feature]).check().is_err(),
                "{feature}"
            );
        }
        assert!(PermissionsPolicy::new().check().is_err());
    }

    #[test]
    fn the_last_word_on_a_feature_counts() {
        let policy = PermissionsPolicy::new()
            .deny(["camera"])
            .allow("camera", Allowlist::self_origin());
        assert_eq!(policy.to_string(), "camera=(self)");
    }
}
