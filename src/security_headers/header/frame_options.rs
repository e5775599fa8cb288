//! `X-Frame-Options`: what browsers without `frame-ancestors` understand.

use crate::security_headers::csp::{Csp, Directive, Source};

/// Who may frame this page, for browsers that do not know `frame-ancestors` ([HTML, 7.7]).
///
/// Unless it is set, the header says what the policy's `frame-ancestors` says, and is left out where
/// it cannot: a list of hosts has no equivalent. A policy that says nothing of framing leaves it what it was.
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

/// Where the value of the header comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// From `frame-ancestors`; where that is gone, it stays what it was, so that another policy or none
    /// does not open the pages to framing.
    Follow { last: Option<FrameOptions> },
    /// It was set.
    Set(FrameOptions),
    /// It was taken out.
    Without,
}

impl Framing {
    /// What `csp` says of framing holds until another policy says something.
    pub(crate) fn remember(&mut self, csp: Option<&Csp>) {
        let csp = csp.filter(|csp| csp.contains(Directive::FrameAncestors));
        if let (Self::Follow { last }, Some(csp)) = (self, csp) {
            *last = FrameOptions::following(csp);
        }
    }
}
