//! What was decided about a request, for handlers and layers that want to know.

use std::sync::Arc;

use super::decision::Verdict;

/// What was decided, in the extensions of request and response where
/// [`expose_decision`](super::RateLimitBuilder::expose_decision) asks for it.
#[derive(Clone, Debug)]
pub struct Report {
    windows: Arc<[(Box<str>, Verdict)]>,
}

impl Report {
    pub(super) fn new<'w>(windows: impl Iterator<Item = (&'w str, Verdict)>) -> Self {
        Self {
            windows: windows
                .map(|(name, verdict)| (name.into(), verdict))
                .collect(),
        }
    }

    /// The windows that applied to the request, by name, shadows included.
    pub fn windows(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.windows
            .iter()
            .map(|(name, verdict)| (&**name, verdict))
    }

    /// What one window said; `None` if it did not apply.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<&Verdict> {
        self.windows()
            .find_map(|(known, verdict)| (known == name).then_some(verdict))
    }
}
