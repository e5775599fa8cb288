//! Why a probe failed: a code for everyone, a text for nobody unless the host says so.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::super::Reason;
use super::classify::reason_of;

/// A probe's failure.
///
/// Made by `?` from any error. The error itself is kept for the log, at `debug`; no document ever
/// contains its text, which may name hosts, users and queries. What documents show is a
/// [`Reason`], read from the error and its sources, and a text only where the host gave
/// [one for the public](Self::public).
///
/// ```
/// use bartizan::health::{ProbeError, Reason};
/// use std::io;
///
/// let error = ProbeError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
/// assert_eq!(error.reason(), Reason::Refused);
/// ```
#[derive(Debug)]
pub struct ProbeError {
    reason: Reason,
    public: Option<Arc<str>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ProbeError {
    /// A failure that the probe found by itself.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            public: None,
            source: None,
        }
    }

    /// A failure caused by `source`: what `?` does, and for what is no `std::error::Error` too
    /// (`anyhow::Error`, `String`).
    #[must_use]
    pub fn caused_by(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        match source.into().downcast::<Carrier>() {
            Ok(carrier) => carrier.0,
            Err(source) => Self {
                reason: reason_of(&*source),
                public: None,
                source: Some(source),
            },
        }
    }

    /// Sets the reason, where the host knows better than the error's text.
    #[must_use]
    pub const fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }

    /// A failure caused by `source`, whose reason a driver's own code gives.
    #[allow(dead_code, reason = "only the probes behind features know such codes")]
    pub(super) fn because(reason: Reason, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..Self::new(reason)
        }
    }

    /// A text that viewers of details may read. At most 256 characters are kept and control
    /// characters are dropped. Do not put an error's text here.
    #[must_use]
    pub fn public(mut self, text: impl AsRef<str>) -> Self {
        self.public = Some(public_text(text.as_ref()));
        self
    }

    /// Why, as a code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn public_text(&self) -> Option<&Arc<str>> {
        self.public.as_ref()
    }

    /// The text of the error and its sources, for a log at `debug`: one line of bounded length.
    pub(in crate::health) fn chain(&self) -> impl fmt::Display + '_ {
        Chain(self.source.as_deref().map(|source| source as _))
    }
}

impl<E> From<E> for ProbeError
where
    E: Error + Send + Sync + 'static,
{
    fn from(source: E) -> Self {
        Self::caused_by(source)
    }
}

impl From<ProbeError> for Box<dyn Error + Send + Sync> {
    fn from(error: ProbeError) -> Self {
        Box::new(Carrier(error))
    }
}

/// Carries a `ProbeError` through `Box<dyn Error>` and back. `ProbeError` itself is no `Error`, or
/// it could not be made from every error.
#[derive(Debug)]
struct Carrier(ProbeError);

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.reason.as_str())
    }
}

impl Error for Carrier {}

struct Chain<'a>(Option<&'a (dyn Error + 'static)>);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line {
            log: f,
            left: MAX_LOGGED_CHARS,
        };
        for (index, error) in self.0.into_iter().flat_map(sources).enumerate() {
            let colon = if index > 0 { ": " } else { "" };
            // The writer stops the formatting where it is full: that is no failure.
            let _ = write!(line, "{colon}{error}");
        }
        Ok(())
    }
}

/// Writes what a server may have put into an error, so that it forges no line of a log and fills none.
struct Line<'a, 'f> {
    log: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().filter(|char| !char.is_control()) {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.log.write_char(char)?;
        }
        Ok(())
    }
}

/// An error and its sources, as far as they are looked at: an error may claim to be its own source.
pub(super) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <&'a _>::clone(error).source()).take(MAX_SOURCES)
}

/// What is left of a text that a document may show: no control characters, a bounded length.
pub(super) fn public_text(text: &str) -> Arc<str> {
    text.chars()
        .filter(|char| !char.is_control())
        .take(MAX_PUBLIC_CHARS)
        .collect::<String>()
        .into()
}

const MAX_SOURCES: usize = 16;

const MAX_PUBLIC_CHARS: usize = 256;

const MAX_LOGGED_CHARS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_error_survives_the_way_through_a_boxed_error() {
        let boxed: Box<dyn Error + Send + Sync> = ProbeError::new(Reason::Auth).public("x").into();
        let back = ProbeError::caused_by(boxed);
        assert_eq!(back.reason(), Reason::Auth);
        assert_eq!(back.public_text().unwrap().as_ref(), "x");
    }

    #[test]
    fn what_goes_to_the_log_is_one_line_of_bounded_length() {
        let forged = "no\r\nERROR forged\u{1b}[2J\u{85}";
        let error = ProbeError::caused_by(forged);
        assert_eq!(error.chain().to_string(), "noERROR forged[2J");
        let long = std::io::Error::other("é".repeat(1_000_000));
        let told = ProbeError::from(long).chain().to_string();
        assert_eq!(told.chars().count(), MAX_LOGGED_CHARS);
        assert_eq!(ProbeError::new(Reason::Auth).chain().to_string(), "");
    }

    #[test]
    fn public_text_is_capped_and_holds_no_control_characters() {
        let text = format!("\u{1b}[31mred\r\n\0{}", "é".repeat(10_000));
        let kept = public_text(&text);
        assert!(kept.starts_with("[31mredé"));
        assert_eq!(kept.chars().count(), 256);
    }
}
