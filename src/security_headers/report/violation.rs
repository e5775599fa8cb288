//! A report, as it is passed on.

/// What a browser says it found, or what somebody says who can send a request.
///
/// Every text came from outside: it is at most 1,024 characters long (the sample 100), holds no control
/// characters, and addresses have lost their query, fragment and credentials. Nothing else is promised:
/// escape it where it is shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    pub(super) kind: String,
    pub(super) document: String,
    pub(super) blocked: String,
    pub(super) directive: String,
    pub(super) disposition: Disposition,
    pub(super) source_file: String,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) sample: String,
}

impl Report {
    /// What kind of report it is: `csp-violation`, `coop`, `coep`, `permissions-policy-violation`,
    /// `deprecation`, ...
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address of the page.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }

    /// What was blocked: an address, a scheme, or `inline`, `eval`, ...; empty where the report does
    /// not say.
    #[must_use]
    pub fn blocked(&self) -> &str {
        &self.blocked
    }

    /// The directive, or the feature of a permissions policy, that was violated.
    #[must_use]
    pub fn directive(&self) -> &str {
        &self.directive
    }

    /// Whether it was blocked, or only reported.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// The file whose code did it; empty where the report does not say.
    #[must_use]
    pub fn source_file(&self) -> &str {
        &self.source_file
    }

    /// The line in that file, from 1.
    #[must_use]
    pub const fn line(&self) -> Option<u32> {
        self.line
    }

    /// The column in that line, from 1.
    #[must_use]
    pub const fn column(&self) -> Option<u32> {
        self.column
    }

    /// The first characters of an inline script or style, where the directive has `'report-sample'`.
    #[must_use]
    pub fn sample(&self) -> &str {
        &self.sample
    }
}

/// What became of the violation.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Disposition {
    /// It was blocked.
    #[default]
    Enforce,
    /// It was reported only.
    Report,
}
