//! Source expressions: what a directive may name.

use std::fmt;

use super::grammar;
use super::{Hash, HostSource};
use crate::config::ConfigError;

/// One source expression of a directive ([CSP3, 2.3.1]).
///
/// Whatever a source holds has been checked against the grammar, so none can end its directive,
/// start another one, or leave the header. Text is read with [`parse`](Self::parse) or `TryFrom`, in
/// the notation of the specification: keywords in single quotes, schemes with a colon.
///
/// ```
/// use bartizan::security_headers::Source;
///
/// assert_eq!(Source::parse("'self'")?, Source::SelfOrigin);
/// let error = Source::parse("self").unwrap_err();
/// assert!(error.fix().contains("write 'self'"));
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
///
/// [CSP3, 2.3.1]: https://www.w3.org/TR/CSP3/#framework-directive-source-list
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// `'none'`: nothing at all. It stands alone.
    None,
    /// `'self'`: the page's own origin.
    SelfOrigin,
    /// The nonce of this response: see [`CspNonce`](crate::security_headers::CspNonce). Written as
    /// `'nonce-{nonce}'` wherever a policy is shown or read as text.
    Nonce,
    /// The hash of one inline script or style.
    Hash(Hash),
    /// A host, with scheme, port and path where given.
    Host(HostSource),
    /// A whole scheme, such as `https:` or `data:`.
    Scheme(SchemeSource),
    /// `'strict-dynamic'`: scripts that a trusted script loads; host sources are then ignored.
    StrictDynamic,
    /// `'unsafe-inline'`: any inline script or style. Ignored beside a nonce or a hash.
    UnsafeInline,
    /// `'unsafe-eval'`: `eval` and its relatives.
    UnsafeEval,
    /// `'wasm-unsafe-eval'`: WebAssembly, without `eval`.
    WasmUnsafeEval,
    /// `'trusted-types-eval'`: `eval` where Trusted Types are enforced.
    TrustedTypesEval,
    /// `'unsafe-hashes'`: hashes also count for event handler attributes.
    UnsafeHashes,
    /// `'inline-speculation-rules'`: inline `<script type="speculationrules">`.
    InlineSpeculationRules,
    /// `'report-sample'`: the first characters of what was blocked go into the report.
    ReportSample,
    /// `'report-sha256'`: the SHA-256 hash of every script that loads is reported (`csp-hash`).
    ReportSha256,
    /// `'report-sha384'`: the same with SHA-384.
    ReportSha384,
    /// `'report-sha512'`: the same with SHA-512.
    ReportSha512,
    /// `'unsafe-webtransport-hashes'`: WebTransport to any server whose certificate's hash the page
    /// gives, in `connect-src`.
    UnsafeWebtransportHashes,
    /// `'unsafe-allow-redirects'`: in the grammar since `navigate-to`, which is gone; of no effect.
    UnsafeAllowRedirects,
}

impl Source {
    /// Reads one expression in the notation of the specification.
    ///
    /// # Errors
    ///
    /// Names the position of the first byte that does not belong, and what was likely meant: a
    /// keyword without its quotes, a scheme without its colon, a nonce fixed in the configuration, a
    /// hash of the wrong length.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        grammar::source(text).map_err(|fix| ConfigError::new("source", text, fix))
    }

    /// A host source, such as `https://cdn.example.com` or `*.example.com:*`.
    ///
    /// What users may choose, such as a domain of their own, goes through here rather than through
    /// [`parse`](Self::parse), by which they could choose `'unsafe-inline'`; and not without a look for `*`,
    /// which is a host as well.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and for anything that is no host.
    pub fn host(text: &str) -> Result<Self, ConfigError> {
        match Self::parse(text)? {
            host @ Self::Host(_) => Ok(host),
            _ => Err(ConfigError::new("source", text, "this is not a host")),
        }
    }

    /// The keywords, with the text they are written as.
    pub(super) const KEYWORDS: [(&'static str, Self); 15] = [
        ("'none'", Self::None),
        ("'self'", Self::SelfOrigin),
        ("'strict-dynamic'", Self::StrictDynamic),
        ("'unsafe-inline'", Self::UnsafeInline),
        ("'unsafe-eval'", Self::UnsafeEval),
        ("'wasm-unsafe-eval'", Self::WasmUnsafeEval),
        ("'trusted-types-eval'", Self::TrustedTypesEval),
        ("'unsafe-hashes'", Self::UnsafeHashes),
        ("'inline-speculation-rules'", Self::InlineSpeculationRules),
        ("'report-sample'", Self::ReportSample),
        ("'report-sha256'", Self::ReportSha256),
        ("'report-sha384'", Self::ReportSha384),
        ("'report-sha512'", Self::ReportSha512),
        (
            "'unsafe-webtransport-hashes'",
            Self::UnsafeWebtransportHashes,
        ),
        ("'unsafe-allow-redirects'", Self::UnsafeAllowRedirects),
    ];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nonce => f.write_str(NONCE),
            Self::Hash(hash) => hash.fmt(f),
            Self::Host(host) => host.fmt(f),
            Self::Scheme(scheme) => scheme.fmt(f),
            keyword => Self::KEYWORDS
                .iter()
                .find(|(_, known)| known == keyword)
                .map_or(Ok(()), |(text, _)| f.write_str(text)),
        }
    }
}

impl TryFrom<&str> for Source {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Source {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        Self::parse(&text)
    }
}

/// A scheme source: `https:`, `data:`, `blob:`, ...
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SchemeSource(pub(super) Box<str>);

impl fmt::Display for SchemeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.0)
    }
}

/// How a nonce is written where the value of a request is not known. No base64 contains a brace.
pub(super) const NONCE: &str = "'nonce-{nonce}'";
