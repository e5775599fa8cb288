//! More sources for the policy of one response.

use http::Extensions;

use super::csp::{Csp, Directive, Source, read_sources};
use crate::config::ConfigError;

/// Sources that one response needs beyond the layer's policy: typed, checked, merged.
///
/// Build it once, at start; a handler adds a clone to its response. The sources go into the enforced
/// and the report-only policy by the rule of [`Csp::allow`]; additions by several hands add up, and also hold when the response chose another
/// [`PreparedHeaders`](super::PreparedHeaders). Such a response renders its policy anew. A nonce
/// among them counts only if the layer's own policy has one too.
///
/// ```
/// use bartizan::security_headers::{CspAppend, Directive};
/// use http::Response;
///
/// let maps = CspAppend::new(Directive::ImgSrc, ["https://tiles.example"])?
///     .and(Directive::ConnectSrc, ["https://tiles.example"])?;
///
/// let mut response = Response::new("a page with a map");
/// maps.clone().add_to(response.extensions_mut());
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "sources count once they are added to a response"]
pub struct CspAppend {
    more: Vec<(Directive, Vec<Source>)>,
}

impl CspAppend {
    /// Adds `sources` to `directive`.
    ///
    /// # Errors
    ///
    /// As [`Csp::check`]: the directive, the source, its place and what was likely meant.
    pub fn new(
        directive: Directive,
        sources: impl IntoIterator<Item: TryInto<Source, Error: Into<ConfigError>>>,
    ) -> Result<Self, ConfigError> {
        Self { more: Vec::new() }.and(directive, sources)
    }

    /// Also adds `sources` to `directive`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn and(
        mut self,
        directive: Directive,
        sources: impl IntoIterator<Item: TryInto<Source, Error: Into<ConfigError>>>,
    ) -> Result<Self, ConfigError> {
        self.more
            .push((directive, read_sources(directive, sources)?));
        Ok(self)
    }

    /// Puts the sources into a response's `extensions`, with those that are there already.
    pub fn add_to(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            Some(earlier) => earlier.more.extend(self.more),
            None => drop(extensions.insert(self)),
        }
    }

    pub(super) fn has_nonce(&self) -> bool {
        let mut sources = self.more.iter().flat_map(|(_, sources)| sources);
        sources.any(|source| *source == Source::Nonce)
    }

    /// `csp` with these sources.
    pub(super) fn applied_to(&self, csp: &Csp) -> Csp {
        let mut csp = csp.clone();
        for (directive, sources) in &self.more {
            csp.widen(*directive, sources);
        }
        csp
    }
}
