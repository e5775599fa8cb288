//! A finding: what is weak, how much so, and what to do.

use std::borrow::Cow;
use std::fmt;

use crate::security_headers::csp::Directive;

/// Something in a policy that browsers accept and an attacker would like.
///
/// `Display` says it in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    severity: Severity,
    directive: Cow<'static, str>,
    value: String,
    help: &'static str,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        directive: Directive,
        value: impl ToString,
        help: &'static str,
    ) -> Self {
        Self::of_header(severity, directive.name(), value, help)
    }

    /// A finding about a header that has no directives.
    pub(super) fn of_header(
        severity: Severity,
        header: &'static str,
        value: impl ToString,
        help: &'static str,
    ) -> Self {
        Self {
            severity,
            directive: header.into(),
            value: value.to_string(),
            help,
        }
    }

    /// The same of the report-only policy, which protects nothing: good to know, and no more.
    pub(super) fn reported(self) -> Self {
        Self {
            severity: Severity::Info,
            directive: format!("content-security-policy-report-only, {}", self.directive).into(),
            ..self
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The directive of the content security policy, or the header, that is weak or missing.
    #[must_use]
    pub fn directive(&self) -> &str {
        &self.directive
    }

    /// The source or value at fault; empty where something is missing.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Why it matters, and what to write instead.
    #[must_use]
    pub fn help(&self) -> &str {
        self.help
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.severity, self.directive)?;
        if !self.value.is_empty() {
            write!(f, " {}", self.value)?;
        }
        write!(f, ": {}", self.help)
    }
}

/// How bad a [`Finding`] is; the worse, the greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Severity {
    /// Could be stricter, or has no effect.
    Info,
    /// Weak under circumstances that only the site's owner knows.
    Low,
    /// Weak, but something else must go wrong as well.
    Medium,
    /// Injected markup can run scripts.
    High,
}
