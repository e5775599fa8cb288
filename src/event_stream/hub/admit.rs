//! Who gets a stream, and who is turned away.

use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::Waker;

use http::Request;

use super::addresses::{Address, Addresses};
use super::connection::Connection;
use super::shared::{IDLE, IDLE_TOLD, RUNNING, Shared};
use super::slot::Opening;
use crate::trace::emit;

/// Why a stream cannot be opened now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::event_stream) enum Unavailable {
    /// There are too many streams in all.
    Full,
    /// There are too many from one address.
    Crowded,
    Draining,
    Stale,
    /// Its user was revoked while the host was asked.
    Revoked,
}

impl Unavailable {
    /// All of them, each at its own number.
    pub(super) const ALL: [Self; 5] = [
        Self::Full,
        Self::Crowded,
        Self::Draining,
        Self::Stale,
        Self::Revoked,
    ];

    /// Its name in metrics and problem documents.
    pub(in crate::event_stream) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Crowded => "address",
            Self::Draining => "draining",
            Self::Stale => "stale",
            Self::Revoked => "revoked",
        }
    }
}

impl Shared {
    /// Whom a request is counted under, where that is bounded.
    pub(in crate::event_stream) fn address<B>(&self, request: &Request<B>) -> Option<Address> {
        let (source, _) = self.settings.max_per_address.as_ref()?;
        Some(Address::of(source.identify(request).ip()))
    }

    /// Adds a connection, unless there are too many, nothing feeds the hub, or its user was revoked since
    /// there were `revocations`.
    pub(in crate::event_stream) fn open(
        self: &Arc<Self>,
        opening: Opening,
        address: Option<Address>,
        revocations: u64,
    ) -> Result<Connection, Unavailable> {
        let who = opening.who.clone();
        let opened = self.admit(address);
        let opened = opened.and_then(|()| self.connect(opening, address));
        // Its slot is there by now: whoever is revoked from here on is found in it.
        let opened = opened.and_then(|connection| match who {
            Some(who) if self.revocations.came_since(revocations, &who) => {
                Err(Unavailable::Revoked)
            }
            _ => Ok(connection),
        });
        if let Err(why) = opened {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            self.meters.turned_away(why);
            self.tell_idle();
        }
        opened
    }

    /// Says once that the host has forgotten something, if it has.
    fn tell_idle(&self) {
        let (idle, told) = (IDLE, IDLE_TOLD);
        let told = self
            .stage
            .compare_exchange(idle, told, Ordering::AcqRel, Ordering::Acquire);
        if told.is_ok() {
            emit!(
                warn,
                {},
                "a stream was turned away: nobody polls the event hub's tailer, so spawn it, tokio::spawn(tailer)"
            );
        }
    }

    /// Whether there are new streams at all.
    fn serves(&self) -> Result<(), Unavailable> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Unavailable::Draining);
        }
        match self.stage.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            _ => Err(Unavailable::Stale),
        }
    }

    /// Counts one more connection, if there is room for one.
    fn admit(&self, address: Option<Address>) -> Result<(), Unavailable> {
        self.serves()?;
        let most = self.settings.max_connections;
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .map_err(|_| Unavailable::Full)?;
        let fits = match (self.lock_addresses(), address) {
            (Some(mut addresses), Some(address)) => addresses.take(address),
            _ => true,
        };
        if !fits {
            self.uncount();
            return Err(Unavailable::Crowded);
        }
        Ok(())
    }

    /// Gives an admitted connection its place.
    fn connect(
        self: &Arc<Self>,
        opening: Opening,
        address: Option<Address>,
    ) -> Result<Connection, Unavailable> {
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        let shard = match &opening.who {
            // Where their number is bounded, all streams of a user are under one lock.
            Some(who) if self.settings.max_per_user.is_some() => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "any part of a hash will do"
                )]
                let hash = self.by_user.hash_one(who) as usize;
                hash % self.shards.len()
            }
            _ => opened % self.shards.len(),
        };
        let mut superseded = None;
        let slot = self.lock(shard).open(opening, &mut superseded);
        // Whatever happens from here on, its place is given back.
        let connection = Connection::new(Arc::clone(self), shard, slot, address);
        superseded.into_iter().for_each(Waker::wake);
        self.meters.opened.add(1);
        self.gauge();
        // An end of all streams that came between the first look and the slot has not seen the slot.
        self.serves().map(|()| connection)
    }

    /// Takes back what a connection was counted under.
    pub(super) fn left(&self, address: Option<Address>) {
        if let (Some(mut addresses), Some(address)) = (self.lock_addresses(), address) {
            addresses.give(address);
        }
        self.uncount();
        self.gauge();
    }

    fn uncount(&self) {
        if self.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until no connection is left.
    pub(super) async fn empty(&self) {
        loop {
            // Made before the look: whoever leaves after it is heard.
            let emptied = self.emptied.notified();
            if self.connections.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock_addresses(&self) -> Option<MutexGuard<'_, Addresses>> {
        let addresses = self.addresses.as_ref()?;
        Some(addresses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn gauge(&self) {
        let open = u32::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.meters.connections.set(open.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::task::Wake;

    use futures::poll;

    use super::*;
    use crate::event_stream::event::NewEvent;
    use crate::event_stream::hub::shard::Step;
    use crate::event_stream::hub::shared::SLICE;
    use crate::event_stream::hub::{EventHub, Tailer};
    use crate::event_stream::request::Start;
    use crate::event_stream::store::MemoryStore;

    async fn hub() -> (Arc<Shared>, Tailer) {
        let store = MemoryStore::new();
        store.append(NewEvent::text("a", "").unwrap()).unwrap();
        let (hub, mut tailer) = EventHub::builder(store).build();
        assert!(poll!(&mut tailer).is_pending());
        (hub.shared, tailer)
    }

    #[tokio::test]
    async fn a_stream_that_opens_while_all_are_ended_is_not_left_behind() {
        let (hub, tailer) = hub().await;
        hub.admit(None).unwrap();
        drop(tailer);
        // Nobody would ever come for this one again.
        let late = hub.connect(Opening::public(Start::Head), None);
        assert_eq!(late.err(), Some(Unavailable::Stale));
        assert_eq!(hub.connections.load(Ordering::Relaxed), 0);
    }

    /// Notes, when it is woken, how many streams have been ended by then.
    struct Counts {
        hub: Arc<Shared>,
        ended: AtomicUsize,
    }

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            let ended = self.hub.counts().ended.iter().sum::<u64>();
            let ended = usize::try_from(ended).unwrap();
            self.ended.fetch_min(ended, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_end_of_many_streams_lets_others_at_the_shard_in_between_and_forgets_none() {
        let (hub, _tailer) = hub().await;
        let most = 2 * SLICE + 9;
        let streams: Vec<_> = (0..most)
            .map(|_| hub.open(Opening::public(Start::Head), None, 0).unwrap())
            .collect();
        let counts = Arc::new(Counts {
            hub: Arc::clone(&hub),
            ended: AtomicUsize::new(usize::MAX),
        });
        let waker = Waker::from(Arc::clone(&counts));
        for stream in &streams {
            while !matches!(
                stream.with(|shard, slot| shard.poll(slot, &waker)),
                Step::Park(_)
            ) {}
        }
        assert_eq!(hub.drain(), most);
        assert_eq!(counts.ended.load(Ordering::Relaxed), SLICE);
        assert_eq!(hub.drain(), 0);
        for stream in &streams {
            let step = stream.with(|shard, slot| shard.poll(slot, &waker));
            assert!(matches!(step, Step::Close(..)), "{step:?}");
        }
    }

    /// A task that only its wakers keep alive, as with small executors, and what it owned goes with it:
    /// another stream, say, whose place is then given back.
    struct Task {
        hub: Arc<Shared>,
        could: Arc<AtomicBool>,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Task {
        fn drop(&mut self) {
            let could = self.hub.shards[0].try_lock().is_ok();
            self.could.store(could, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_stream_that_goes_to_another_task_may_end_the_one_that_it_came_from() {
        let (hub, _tailer) = hub().await;
        let stream = hub.open(Opening::public(Start::Head), None, 0).unwrap();
        let parks = |waker: &Waker| {
            while !matches!(
                stream.with(|shard, slot| shard.poll(slot, waker)),
                Step::Park(_)
            ) {}
        };
        let could = Arc::new(AtomicBool::new(false));
        let first = Task {
            hub: Arc::clone(&hub),
            could: Arc::clone(&could),
        };
        parks(&Waker::from(Arc::new(first)));
        parks(Waker::noop());
        assert_eq!(Arc::strong_count(&could), 1, "the first task is gone");
        assert!(could.load(Ordering::Relaxed), "with the shard unlocked");
    }
}
