//! The quotas of a layer's windows, which can be swapped while requests read them.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::header::HeaderValue;

use super::quota::Quota;

/// The quotas of all windows at one time.
#[derive(Default)]
pub(super) struct Quotas {
    /// In the order of the layer's windows, each with the `RateLimit-Policy` list of it alone.
    pub(super) windows: Vec<(Quota, Option<HeaderValue>)>,
    /// The `RateLimit-Policy` list of all windows.
    pub(super) announced: Option<HeaderValue>,
}

/// What applies now: read without a lock, and replaced as a whole.
///
/// Most layers keep the quotas they were built with. They pay a plain load for being able to change
/// them; the others, from their first change on, what it costs to read what may be replaced meanwhile.
pub(super) struct Live {
    built: Arc<Quotas>,
    current: ArcSwap<Quotas>,
    has_changed: AtomicBool,
}

/// Quotas that stay as they are for as long as they are held.
pub(super) enum Held<'l> {
    Built(&'l Quotas),
    Current(Guard<Arc<Quotas>>),
}

impl Live {
    pub(super) fn new(built: Quotas) -> Self {
        let built = Arc::new(built);
        Self {
            current: ArcSwap::new(Arc::clone(&built)),
            built,
            has_changed: AtomicBool::new(false),
        }
    }

    pub(super) fn load(&self) -> Held<'_> {
        match self.has_changed.load(Ordering::Acquire) {
            false => Held::Built(&self.built),
            true => Held::Current(self.current.load()),
        }
    }

    /// Replaces the quotas by what `change` makes of them. It is called again if another change was
    /// faster.
    pub(super) fn change(&self, change: impl Fn(&Quotas) -> Quotas) {
        self.current.rcu(|current| change(current));
        self.has_changed.store(true, Ordering::Release);
    }
}

impl Deref for Held<'_> {
    type Target = Quotas;

    fn deref(&self) -> &Quotas {
        match self {
            Self::Built(quotas) => quotas,
            Self::Current(quotas) => quotas,
        }
    }
}
