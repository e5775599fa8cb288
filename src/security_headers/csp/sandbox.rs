//! What a sandboxed page may still do.

use std::fmt;

/// A permission given back to a page under the directive `sandbox` ([HTML, 7.1.5]).
///
/// [HTML, 7.1.5]: https://html.spec.whatwg.org/multipage/browsers.html#sandboxing
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Sandbox {
    /// Downloads.
    AllowDownloads,
    /// Form submission.
    AllowForms,
    /// `alert` and other modal windows.
    AllowModals,
    /// Locking the orientation of the screen.
    AllowOrientationLock,
    /// Locking the pointer.
    AllowPointerLock,
    /// Pop-up windows.
    AllowPopups,
    /// Pop-up windows that are not sandboxed themselves.
    AllowPopupsToEscapeSandbox,
    /// Presentation sessions.
    AllowPresentation,
    /// The page keeps its own origin. Beside `AllowScripts` a framed page can take its sandbox off.
    AllowSameOrigin,
    /// Scripts.
    AllowScripts,
    /// Navigating the top-level page.
    AllowTopNavigation,
    /// Navigating the top-level page after a user's click.
    AllowTopNavigationByUserActivation,
    /// Navigating the top-level page to an address of another application.
    AllowTopNavigationToCustomProtocols,
}

impl Sandbox {
    /// The token, as it stands in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowDownloads => "allow-downloads",
            Self::AllowForms => "allow-forms",
            Self::AllowModals => "allow-modals",
            Self::AllowOrientationLock => "allow-orientation-lock",
            Self::AllowPointerLock => "allow-pointer-lock",
            Self::AllowPopups => "allow-popups",
            Self::AllowPopupsToEscapeSandbox => "allow-popups-to-escape-sandbox",
            Self::AllowPresentation => "allow-presentation",
            Self::AllowSameOrigin => "allow-same-origin",
            Self::AllowScripts => "allow-scripts",
            Self::AllowTopNavigation => "allow-top-navigation",
            Self::AllowTopNavigationByUserActivation => "allow-top-navigation-by-user-activation",
            Self::AllowTopNavigationToCustomProtocols => "allow-top-navigation-to-custom-protocols",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
    }

    pub(super) const ALL: [Self; 13] = [
        Self::AllowDownloads,
        Self::AllowForms,
        Self::AllowModals,
        Self::AllowOrientationLock,
        Self::AllowPointerLock,
        Self::AllowPopups,
        Self::AllowPopupsToEscapeSandbox,
        Self::AllowPresentation,
        Self::AllowSameOrigin,
        Self::AllowScripts,
        Self::AllowTopNavigation,
        Self::AllowTopNavigationByUserActivation,
        Self::AllowTopNavigationToCustomProtocols,
    ];
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
