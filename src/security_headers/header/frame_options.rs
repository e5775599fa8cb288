//! `X-Frame-Options`: what browsers without `frame-ancestors` understand.

use crate::security_headers::csp::{Csp, Directive, Source};

/// Who may frame this page, for browsers that do not know `frame-ancestors` ([HTML, 7.7]).
///
/// Unless it is set, the header says what the policy's `frame-ancestors` says, and is left out where
/// it cannot: a list of hosts has no equivalent.
///
/// [HTML, 7.7]: https://html.spec.whatwg.org/multipage/document-lifecycle.html#the-x-frame-options-header
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FrameOptions {
    /// Nobody.
    Deny,
    /// Pages of the same origin.
    SameOrigin,
}

impl FrameOptions {
    /// The same rule as `frame-ancestors` of `csp`, where there is one.
    pub(crate) fn following(csp: &Csp) -> Option<Self> {
        match csp.sources(Directive::FrameAncestors)? {
            [Source::None] => Some(Self::Deny),
            [Source::SelfOrigin] => Some(Self::SameOrigin),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::SameOrigin => "SAMEORIGIN",
        }
    }
}
