//! `Cross-Origin-Opener-Policy`, `-Embedder-Policy` and `-Resource-Policy`.

/// Whether windows of other origins keep a handle on this page ([HTML, 7.1.3]).
///
/// [HTML, 7.1.3]: https://html.spec.whatwg.org/multipage/browsers.html#cross-origin-opener-policies
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OpenerPolicy {
    /// They do, as without the header.
    UnsafeNone,
    /// They do not, in either direction. Breaks OAuth and payment pop-ups, whose `window.opener`
    /// becomes null.
    SameOrigin,
    /// They do not, but pop-ups that this page opens keep their opener: for OAuth and payments.
    SameOriginAllowPopups,
    /// This page has no opener; pop-ups that it opens keep theirs.
    NoopenerAllowPopups,
}

impl OpenerPolicy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UnsafeNone => "unsafe-none",
            Self::SameOrigin => "same-origin",
            Self::SameOriginAllowPopups => "same-origin-allow-popups",
            Self::NoopenerAllowPopups => "noopener-allow-popups",
        }
    }
}

/// What other origins must say before this page may embed them ([HTML, 7.1.4]).
///
/// [HTML, 7.1.4]: https://html.spec.whatwg.org/multipage/browsers.html#coep
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EmbedderPolicy {
    /// Nothing, as without the header.
    UnsafeNone,
    /// They must allow it by CORP or CORS. Breaks third-party images, frames and advertisements.
    RequireCorp,
    /// Requests to them go without cookies instead.
    Credentialless,
}

impl EmbedderPolicy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UnsafeNone => "unsafe-none",
            Self::RequireCorp => "require-corp",
            Self::Credentialless => "credentialless",
        }
    }
}

/// Who may embed this response without CORS ([Fetch, 3.7]).
///
/// [Fetch, 3.7]: https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ResourcePolicy {
    /// Pages of the same origin.
    SameOrigin,
    /// Pages of the same site: a CDN on a sibling host.
    SameSite,
    /// Any page: public images, scripts and fonts.
    CrossOrigin,
}

impl ResourcePolicy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossOrigin => "cross-origin",
        }
    }
}
