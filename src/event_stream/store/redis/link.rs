//! The connection that is used, and for how long it has been of no use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Instant;

/// The connection of a store and of all its clones.
pub(super) struct Link<C> {
    current: Mutex<Current<C>>,
    replaced: Arc<watch::Sender<()>>,
}

struct Current<C> {
    connection: C,
    /// Every call since then has failed, on this connection or the one before.
    failing_since: Option<Instant>,
}

impl<C> Link<C> {
    pub(super) fn new(connection: C) -> Self {
        Self {
            current: Mutex::new(Current {
                connection,
                failing_since: None,
            }),
            replaced: Arc::default(),
        }
    }

    pub(super) fn answered(&self) {
        self.current().failing_since = None;
    }

    /// Takes in that a call has failed. Answers whether all of them have for `patience`, and then
    /// begins to count anew: so that a connection which takes long to come about is not given up by
    /// all who waited for the one before.
    pub(super) fn failed(&self, now: Instant, patience: Duration) -> bool {
        let mut current = self.current();
        let since = *current.failing_since.get_or_insert(now);
        let is_over = now != since && now.since(since) >= patience;
        if is_over {
            current.failing_since = None;
        }
        is_over
    }

    pub(super) fn replace(&self, connection: C) {
        let before = std::mem::replace(&mut self.current().connection, connection);
        drop(before);
        self.replaced.send_replace(());
    }

    /// Told of each connection that takes the place of another.
    pub(super) fn replaced(&self) -> Arc<watch::Sender<()>> {
        Arc::clone(&self.replaced)
    }

    fn current(&self) -> MutexGuard<'_, Current<C>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone> Link<C> {
    pub(super) fn connection(&self) -> C {
        self.current().connection.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_connection_is_of_no_use_once_every_call_has_failed_for_long() {
        let link = Link::new(());
        let failed = |seconds| {
            let now = Instant::from_nanos(0).after(Duration::from_secs(seconds));
            link.failed(now, PATIENCE)
        };
        for (second, is_over) in [(0, false), (0, false), (4, false), (5, true)] {
            assert_eq!(failed(second), is_over, "{second}");
        }
        // The next one has its time as well.
        for (second, is_over) in [(5, false), (9, false), (10, true), (11, false)] {
            assert_eq!(failed(second), is_over, "{second}");
        }
        link.answered();
        assert!(!failed(20) && failed(99));
    }
}
