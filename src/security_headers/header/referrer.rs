//! `Referrer-Policy`.

use crate::config::ConfigError;

/// How much of this page's address its links and requests tell ([Referrer Policy]).
///
/// `NoReferrer` also makes browsers send `Origin: null` with this page's own form posts, which checks
/// against cross-site requests then refuse.
///
/// [Referrer Policy]: https://www.w3.org/TR/referrer-policy/
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReferrerPolicy {
    /// Nothing.
    NoReferrer,
    /// The whole address, but nothing from https to http.
    NoReferrerWhenDowngrade,
    /// The origin.
    Origin,
    /// The whole address to the same origin, the origin to others.
    OriginWhenCrossOrigin,
    /// The whole address, to the same origin alone.
    SameOrigin,
    /// The origin, but nothing from https to http.
    StrictOrigin,
    /// The whole address to the same origin, the origin to others, nothing from https to http.
    StrictOriginWhenCrossOrigin,
    /// The whole address to anybody.
    UnsafeUrl,
}

impl ReferrerPolicy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoReferrer => "no-referrer",
            Self::NoReferrerWhenDowngrade => "no-referrer-when-downgrade",
            Self::Origin => "origin",
            Self::OriginWhenCrossOrigin => "origin-when-cross-origin",
            Self::SameOrigin => "same-origin",
            Self::StrictOrigin => "strict-origin",
            Self::StrictOriginWhenCrossOrigin => "strict-origin-when-cross-origin",
            Self::UnsafeUrl => "unsafe-url",
        }
    }
}

/// Browsers take the last value they know, so a list gives old ones a fallback first.
pub(crate) fn referrer_list(policies: &[ReferrerPolicy]) -> Result<String, ConfigError> {
    if policies.is_empty() {
        let fix = "name at least one policy, or remove the header with without()";
        return Err(ConfigError::new("referrer-policy", "", fix));
    }
    let names: Vec<_> = policies.iter().map(|policy| policy.as_str()).collect();
    Ok(names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fallback_comes_first_and_a_list_is_not_empty() {
        let list = [ReferrerPolicy::NoReferrer, ReferrerPolicy::StrictOrigin];
        assert_eq!(referrer_list(&list).unwrap(), "no-referrer, strict-origin");
        assert!(referrer_list(&[]).is_err());
    }
}
