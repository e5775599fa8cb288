//! `Integrity-Policy`: what loads only with a matching integrity attribute.

use crate::config::ConfigError;

/// What is blocked when its element has no `integrity` attribute ([SRI, 3.8]).
///
/// Pages whose scripts lack the attribute break: try it with
/// `.report_only("integrity-policy")` first.
///
/// [SRI, 3.8]: https://www.w3.org/TR/sri-2/#integrity-policy-section
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum IntegrityDestination {
    /// Scripts.
    Script,
    /// Style sheets.
    Style,
}

impl IntegrityDestination {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Style => "style",
        }
    }
}

/// The header's text, with the endpoint of its reports.
pub(crate) fn integrity_policy(
    blocked: &[IntegrityDestination],
    endpoint: Option<&str>,
) -> Result<String, ConfigError> {
    if blocked.is_empty() {
        let fix = "name what to block, or remove the header with without()";
        return Err(ConfigError::new("integrity-policy", "", fix));
    }
    let names: Vec<_> = blocked.iter().map(|blocked| blocked.as_str()).collect();
    let endpoints = endpoint.map_or(String::new(), |name| format!(", endpoints=({name})"));
    Ok(format!(
        "blocked-destinations=({}){endpoints}",
        names.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_dictionary_of_lists() {
        let both = [IntegrityDestination::Script, IntegrityDestination::Style];
        assert_eq!(
            integrity_policy(&both, Some("security")).unwrap(),
            "blocked-destinations=(script style), endpoints=(security)"
        );
        assert_eq!(
            integrity_policy(&both[..1], None).unwrap(),
            "blocked-destinations=(script)"
        );
        assert!(integrity_policy(&[], None).is_err());
    }
}
