//! Directives: their names, and what each takes.

use std::fmt;

/// A directive of Content Security Policy Level 3 and of the specifications that extend it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Directive {
    /// The fallback of every directive that names what may be fetched.
    DefaultSrc,
    /// Scripts.
    ScriptSrc,
    /// Script elements; falls back to `script-src`.
    ScriptSrcElem,
    /// Event handler attributes; falls back to `script-src`.
    ScriptSrcAttr,
    /// Styles.
    StyleSrc,
    /// Style sheets and style elements; falls back to `style-src`.
    StyleSrcElem,
    /// Style attributes; falls back to `style-src`.
    StyleSrcAttr,
    /// Images.
    ImgSrc,
    /// Fonts.
    FontSrc,
    /// Where scripts may connect: `fetch`, `EventSource`, `WebSocket`, beacons.
    ConnectSrc,
    /// Audio, video, captions.
    MediaSrc,
    /// Plugins.
    ObjectSrc,
    /// The web app manifest.
    ManifestSrc,
    /// Frames and workers; falls back to `default-src`.
    ChildSrc,
    /// What this page may frame; falls back to `child-src`.
    FrameSrc,
    /// Fenced frames; falls back to `frame-src`.
    FencedFrameSrc,
    /// Workers; falls back to `child-src`, then to `script-src`.
    WorkerSrc,
    /// The URL of `<base>`.
    BaseUri,
    /// Where forms may be submitted.
    FormAction,
    /// Who may frame this page. Takes `'self'`, hosts and schemes only.
    FrameAncestors,
    /// The restrictions of a sandboxed frame: [`Csp::sandbox`](super::Csp::sandbox).
    Sandbox,
    /// Names of Trusted Types policies: [`Csp::trusted_types`](super::Csp::trusted_types).
    TrustedTypes,
    /// `'script'`: dangerous DOM sinks take Trusted Types alone.
    RequireTrustedTypesFor,
    /// Fetch `http:` addresses over `https:`. Sent over https only.
    UpgradeInsecureRequests,
    /// WebRTC: [`Csp::block_webrtc`](super::Csp::block_webrtc).
    Webrtc,
    /// The reporting endpoint: [`Csp::report_to`](super::Csp::report_to).
    ReportTo,
    /// Where older browsers post reports: [`Csp::report_uri`](super::Csp::report_uri).
    ReportUri,
}

impl Directive {
    /// The name, as it stands in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DefaultSrc => "default-src",
            Self::ScriptSrc => "script-src",
            Self::ScriptSrcElem => "script-src-elem",
            Self::ScriptSrcAttr => "script-src-attr",
            Self::StyleSrc => "style-src",
            Self::StyleSrcElem => "style-src-elem",
            Self::StyleSrcAttr => "style-src-attr",
            Self::ImgSrc => "img-src",
            Self::FontSrc => "font-src",
            Self::ConnectSrc => "connect-src",
            Self::MediaSrc => "media-src",
            Self::ObjectSrc => "object-src",
            Self::ManifestSrc => "manifest-src",
            Self::ChildSrc => "child-src",
            Self::FrameSrc => "frame-src",
            Self::FencedFrameSrc => "fenced-frame-src",
            Self::WorkerSrc => "worker-src",
            Self::BaseUri => "base-uri",
            Self::FormAction => "form-action",
            Self::FrameAncestors => "frame-ancestors",
            Self::Sandbox => "sandbox",
            Self::TrustedTypes => "trusted-types",
            Self::RequireTrustedTypesFor => "require-trusted-types-for",
            Self::UpgradeInsecureRequests => "upgrade-insecure-requests",
            Self::Webrtc => "webrtc",
            Self::ReportTo => "report-to",
            Self::ReportUri => "report-uri",
        }
    }

    /// Whether the value is a list of sources.
    pub(crate) const fn takes_sources(self) -> bool {
        !matches!(
            self,
            Self::Sandbox
                | Self::TrustedTypes
                | Self::RequireTrustedTypesFor
                | Self::UpgradeInsecureRequests
                | Self::Webrtc
                | Self::ReportTo
                | Self::ReportUri
        )
    }

    /// The directives that a browser consults in turn when this one is absent ([CSP3, 6.8.3]).
    ///
    /// [CSP3, 6.8.3]: https://www.w3.org/TR/CSP3/#directive-fallback-list
    pub(crate) const fn fallbacks(self) -> &'static [Self] {
        use Directive::{ChildSrc, DefaultSrc, FrameSrc, ScriptSrc, StyleSrc};
        match self {
            Self::ScriptSrcElem | Self::ScriptSrcAttr => &[ScriptSrc, DefaultSrc],
            Self::StyleSrcElem | Self::StyleSrcAttr => &[StyleSrc, DefaultSrc],
            Self::WorkerSrc => &[ChildSrc, ScriptSrc, DefaultSrc],
            Self::FrameSrc => &[ChildSrc, DefaultSrc],
            Self::FencedFrameSrc => &[FrameSrc, ChildSrc, DefaultSrc],
            Self::ScriptSrc
            | Self::StyleSrc
            | Self::ImgSrc
            | Self::FontSrc
            | Self::ConnectSrc
            | Self::MediaSrc
            | Self::ObjectSrc
            | Self::ManifestSrc
            | Self::ChildSrc => &[DefaultSrc],
            _ => &[],
        }
    }

    /// Reads a name, in any case; the error says what was likely meant.
    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        let known = all.find(|known| known.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| meant(name))
    }

    /// Every directive.
    pub(crate) const ALL: [Self; 27] = [
        Self::DefaultSrc,
        Self::ScriptSrc,
        Self::ScriptSrcElem,
        Self::ScriptSrcAttr,
        Self::StyleSrc,
        Self::StyleSrcElem,
        Self::StyleSrcAttr,
        Self::ImgSrc,
        Self::FontSrc,
        Self::ConnectSrc,
        Self::MediaSrc,
        Self::ObjectSrc,
        Self::ManifestSrc,
        Self::ChildSrc,
        Self::FrameSrc,
        Self::FencedFrameSrc,
        Self::WorkerSrc,
        Self::BaseUri,
        Self::FormAction,
        Self::FrameAncestors,
        Self::Sandbox,
        Self::TrustedTypes,
        Self::RequireTrustedTypesFor,
        Self::UpgradeInsecureRequests,
        Self::Webrtc,
        Self::ReportTo,
        Self::ReportUri,
    ];
}

/// Why there is no directive `name`, and which one comes near.
fn meant(name: &str) -> String {
    if let Some((_, instead)) = GONE
        .iter()
        .find(|(gone, _)| name.eq_ignore_ascii_case(gone))
    {
        return format!("browsers have dropped this directive: {instead}");
    }
    // `scriptSrc`, `script_src`, `script`: as other libraries or memory have it.
    let letters = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let name = letters(name);
    let near = |known: &Directive| letters(known.name()) == name;
    let begins = |known: &Directive| !name.is_empty() && letters(known.name()).starts_with(&name);
    let all = Directive::ALL;
    match all
        .iter()
        .find(|d| near(d))
        .or(all.iter().find(|d| begins(d)))
    {
        Some(known) => format!("no such directive: write {known}"),
        None => {
            let known = all.map(Directive::name).join(" ");
            format!("no such directive; there are {known}")
        }
    }
}

/// Directives of earlier drafts.
const GONE: [(&str, &str); 6] = [
    (
        "block-all-mixed-content",
        "use upgrade-insecure-requests, which does more",
    ),
    ("navigate-to", "nothing stands in its place"),
    ("plugin-types", "use object-src 'none'"),
    ("prefetch-src", "default-src decides about prefetching"),
    ("referrer", "use the header Referrer-Policy"),
    ("require-sri-for", "use the header Integrity-Policy"),
];

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
