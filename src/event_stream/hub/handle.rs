//! What a host holds in its hands.

use std::fmt;
use std::sync::Arc;

use super::shared::Shared;
use super::slot::Closing;
use super::stats::HubStats;
use crate::event_stream::id::EventId;
use crate::trace::emit;

/// The handle of a hub: opens streams, ends them, counts them. Clones are the same hub.
///
/// [`builder`](Self::builder) makes it together with its [`Tailer`](super::Tailer), the one future
/// that reads the store for all streams and drives their timers. Until the tailer is polled, and
/// once it has ended, new streams are turned away and open ones told to come back later.
#[derive(Clone)]
pub struct EventHub {
    pub(in crate::event_stream) shared: Arc<Shared>,
}

impl EventHub {
    /// Ends all streams and turns new ones away: call it when the process is asked to stop.
    ///
    /// Each client is told where it stands and to come back after a random part of
    /// [`drain_over`](super::EventHubBuilder::drain_over), so that the next process is not met by
    /// all of them at once. Idempotent, and never undone.
    pub fn drain(&self) {
        let streams = self.shared.drain();
        emit!(debug, { streams = streams }, "the event hub drains");
    }

    /// Waits until no stream is open: after [`drain`](Self::drain), until all clients have been told.
    ///
    /// A server that shuts down gracefully waits for its streams, and not for the connections that it has
    /// handed over to WebSockets. A client that takes nothing may keep a stream open until it stalls:
    /// put a timeout around this.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn closed(&self) {
        self.shared.empty().await;
    }

    /// Ends the streams that were granted to `user`, and answers how many they were.
    ///
    /// A client that reconnects is asked again: withdraw the right first, then revoke. A request about
    /// which [`Authorize`](crate::event_stream::Authorize) is being asked meanwhile is told to come back,
    /// since the answer may be of before. It costs that user's streams, however many others there are.
    pub fn revoke(&self, user: &str) -> usize {
        self.shared.revocations.add(user);
        self.shared
            .each_shard(|shard, wakers| shard.end_of(user, Closing::Revoked, wakers))
            .into_iter()
            .sum()
    }

    /// Where the hub's copy of the log ends; `None` before it has read the log for the first time.
    #[must_use]
    pub fn head(&self) -> Option<EventId> {
        self.shared.lock(0).head()
    }

    /// Counts, for a status page or a test. It looks at every connection once.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.shared.stats()
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
