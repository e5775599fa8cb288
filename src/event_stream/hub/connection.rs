//! A connection's place in the hub.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::addresses::Address;
use super::nap::Nap;
use super::replay::Proved;
use super::shard::{Shard, Step};
use super::shared::Shared;

/// A connection's place in the hub, given back when it is dropped.
pub(in crate::event_stream) struct Connection {
    pub(in crate::event_stream) hub: Arc<Shared>,
    shard: usize,
    slot: u32,
    address: Option<Address>,
    /// What to remember of the last poll, if that has parked it.
    nap: Option<Nap>,
}

impl Connection {
    pub(super) fn new(hub: Arc<Shared>, shard: usize, slot: u32, address: Option<Address>) -> Self {
        Self {
            hub,
            shard,
            slot,
            address,
            nap: None,
        }
    }

    /// Says what the connection does next, or keeps its waker.
    pub(in crate::event_stream) fn poll(&mut self, waker: &Waker) -> Step {
        let mut shard = self.hub.lock_for_one(self.shard);
        let step = shard.poll(self.slot, waker);
        let turns = &self.hub.turns[self.shard];
        self.nap = match step {
            Step::Park(_) | Step::Last(..) => Some(Nap::new(turns, waker)),
            _ => None,
        };
        step
    }

    /// Whether the last poll has parked it, and this one would come to the same.
    pub(in crate::event_stream) fn naps(&self, waker: &Waker) -> bool {
        let turns = &self.hub.turns[self.shard];
        let nap = self.nap.as_ref();
        nap.is_some_and(|nap| nap.lasts::<Proved>(turns, waker))
    }

    /// Acts on the connection's shard, under its lock.
    pub(in crate::event_stream) fn with<T>(&self, act: impl FnOnce(&mut Shard, u32) -> T) -> T {
        act(&mut self.hub.lock_for_one(self.shard), self.slot)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let slot = self.hub.lock_for_one(self.shard).close(self.slot);
        drop(slot);
        self.hub.left(self.address);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use futures::poll;

    use super::*;
    use crate::event_stream::event::NewEvent;
    use crate::event_stream::hub::{EventHub, Opening};
    use crate::event_stream::request::Start;
    use crate::event_stream::store::MemoryStore;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[tokio::test]
    async fn with_its_last_event_a_stream_naps_until_somebody_else_has_the_shard() {
        let store = MemoryStore::new();
        let (hub, mut tailer) = EventHub::builder(store.clone()).build();
        assert!(poll!(&mut tailer).is_pending());
        let opening = Opening::public(Start::Head);
        let mut stream = hub.shared.open(opening, None, 0).unwrap();
        let (mine, others) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));

        assert!(!stream.naps(&mine), "nobody has asked");
        assert!(matches!(stream.poll(&mine), Step::Send(_)));
        assert!(!stream.naps(&mine), "there may be more");
        assert!(matches!(stream.poll(&mine), Step::Park(_)));
        assert!(stream.naps(&mine) && stream.naps(&mine.clone()));
        assert!(!stream.naps(&others), "this one is not kept");

        let id = store.append(NewEvent::text("a", "").unwrap()).unwrap();
        tokio::spawn(tailer);
        let head = || hub.shared.lock_for_one(0).head();
        while head() != Some(id) {
            tokio::task::yield_now().await;
        }
        assert!(!stream.naps(&mine), "it was woken");
        assert!(matches!(stream.poll(&mine), Step::Last(..)));
        assert!(stream.naps(&mine));
        drop(hub.shared.lock(0));
        assert!(!stream.naps(&mine), "somebody may have taken its waker");
        assert!(matches!(stream.poll(&mine), Step::Park(_)));
        assert!(stream.naps(&mine));
    }
}
