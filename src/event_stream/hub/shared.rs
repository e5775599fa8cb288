//! What all handles, connections and the tailer of one hub share.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use foldhash::fast::RandomState;
use http::Request;
use tokio::sync::Notify;

use super::addresses::{Address, Addresses};
use super::connection::Connection;
use super::reads::Reads;
use super::ring::RingBounds;
use super::shard::Shard;
use super::slot::{Closing, Opening};
use super::stats::{Counts, HubStats, Lag, Meters, ReadMeters};
use crate::client::ClientSource;
use crate::clock::{Clock, Instant};
use crate::event_stream::store::DynStore;
use crate::rand;
use crate::trace::emit;

pub(in crate::event_stream) struct Shared {
    pub(super) shards: Box<[Mutex<Shard>]>,
    pub(super) store: Arc<dyn DynStore>,
    pub(in crate::event_stream) settings: Settings,
    pub(in crate::event_stream) reads: Reads,
    /// Never locked together with a shard.
    pub(super) addresses: Option<Mutex<Addresses>>,
    pub(super) by_user: RandomState,
    pub(super) connections: AtomicUsize,
    /// Told whenever the last connection has gone.
    pub(super) emptied: Notify,
    pub(super) opened: AtomicUsize,
    pub(super) turned_away: AtomicUsize,
    pub(super) events: AtomicU64,
    pub(super) failed_reads: AtomicU64,
    /// When the store last answered the tailer, in nanoseconds of the clock.
    pub(super) heard: AtomicU64,
    pub(super) draining: AtomicBool,
    pub(super) stage: AtomicU8,
    pub(super) started: Instant,
    pub(super) meters: Meters,
    pub(super) tail_meters: ReadMeters,
}

/// What the builder was told.
#[derive(Clone, Debug)]
pub(in crate::event_stream) struct Settings {
    pub(super) clock: Clock,
    pub(in crate::event_stream) keep_alive: Duration,
    pub(super) max_age: Duration,
    pub(super) write_stall: Duration,
    pub(in crate::event_stream) retry: Duration,
    pub(in crate::event_stream) drain_over: Duration,
    pub(super) max_connections: usize,
    pub(super) max_per_user: Option<usize>,
    pub(super) max_per_address: Option<(ClientSource, usize)>,
    pub(super) ring: RingBounds,
    pub(super) poll_busy: Duration,
    pub(super) poll_idle: Duration,
}

/// Why a stream cannot be opened now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::event_stream) enum Unavailable {
    /// There are too many streams in all.
    Full,
    /// There are too many from one address.
    Crowded,
    Draining,
    Stale,
}

impl Unavailable {
    /// All of them, each at its own number.
    pub(super) const ALL: [Self; 4] = [Self::Full, Self::Crowded, Self::Draining, Self::Stale];

    /// Its name in metrics and problem documents.
    pub(in crate::event_stream) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Crowded => "address",
            Self::Draining => "draining",
            Self::Stale => "stale",
        }
    }
}

impl Shared {
    /// Whom a request is counted under, where that is bounded.
    pub(in crate::event_stream) fn address<B>(&self, request: &Request<B>) -> Option<Address> {
        let (source, _) = self.settings.max_per_address.as_ref()?;
        Some(Address::of(source.identify(request).ip()))
    }

    /// Adds a connection, unless there are too many or nothing feeds the hub.
    pub(in crate::event_stream) fn open(
        self: &Arc<Self>,
        opening: Opening,
        address: Option<Address>,
    ) -> Result<Connection, Unavailable> {
        let opened = self.admit(address);
        let opened = opened.and_then(|()| self.connect(opening, address));
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

    /// The tick at which a stream that opens now is old enough: its maximum age, less some jitter.
    pub(in crate::event_stream) fn ages(&self) -> u32 {
        let most = self.settings.max_age;
        self.tick()
            .saturating_add(ticks(rand::between(most.mul_f64(0.8), most)))
    }

    /// The tick at which what is granted now expires.
    pub(in crate::event_stream) fn expires(&self, lifetime: Option<Duration>) -> u32 {
        lifetime.map_or(u32::MAX, |lifetime| {
            self.tick().saturating_add(ticks(lifetime))
        })
    }

    /// The reconnection time that a stream is told: spread, so that clients do not come in step.
    pub(in crate::event_stream) fn retry(&self) -> Duration {
        rand::jitter(self.settings.retry, 33)
    }

    /// The current tick.
    pub(super) fn tick(&self) -> u32 {
        let since = self.settings.clock.now().since(self.started);
        u32::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    /// Turns new streams away and ends those that are open. Answers how many.
    pub(super) fn drain(&self) -> usize {
        self.draining.store(true, Ordering::Release);
        self.end(Closing::Drain)
    }

    /// Ends all streams.
    pub(super) fn end(&self, why: Closing) -> usize {
        self.each_shard(|shard, wakers| shard.end(why, wakers))
            .into_iter()
            .sum()
    }

    /// Changes one shard after the other, and wakes whom that concerns after each lock is released.
    pub(super) fn each_shard<T>(
        &self,
        mut change: impl FnMut(&mut Shard, &mut Vec<Waker>) -> T,
    ) -> Vec<T> {
        let mut wakers = Vec::new();
        let mut results = Vec::new();
        for at in 0..self.shards.len() {
            results.push(change(&mut self.lock(at), &mut wakers));
            wakers.drain(..).for_each(Waker::wake);
        }
        results
    }

    pub(super) fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // No call leaves a shard half changed, and a panic in it is a bug of this crate alone.
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_addresses(&self) -> Option<MutexGuard<'_, Addresses>> {
        let addresses = self.addresses.as_ref()?;
        Some(addresses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn stats(&self) -> HubStats {
        let (counts, lag) = (self.counts(), self.lag());
        let (reads, shared_reads, failed) = self.reads.counts();
        HubStats {
            connections: self.connections.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed) as u64,
            turned_away: self.turned_away.load(Ordering::Relaxed),
            ended: counts.ended.iter().sum(),
            superseded: counts.ended[Closing::Superseded as usize],
            stalled: counts.ended[Closing::Stalled as usize],
            events: self.events.load(Ordering::Relaxed),
            wakes: counts.wakes,
            demotions: counts.demotions,
            hand_overs: counts.hand_overs,
            resets: counts.resets,
            reads,
            shared_reads,
            failed_reads: failed + self.failed_reads.load(Ordering::Relaxed),
            replaying: lag.replaying,
            waiting: lag.waiting,
            most_behind: lag.events,
            oldest_unsent: lag.oldest(),
            store_silent: self.store_silent(),
        }
    }

    /// What happened in all shards.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for at in 0..self.shards.len() {
            counts += self.lock(at).counts;
        }
        counts
    }

    /// How far the readers of all shards are behind.
    pub(super) fn lag(&self) -> Lag {
        let mut lag = Lag::default();
        for at in 0..self.shards.len() {
            lag.add(self.lock(at).lag());
        }
        lag
    }

    /// Takes in that the store has answered the tailer.
    pub(super) fn heard(&self) {
        let now = self.settings.clock.now().as_nanos();
        self.heard.store(now, Ordering::Relaxed);
    }

    /// How long ago it did.
    pub(super) fn store_silent(&self) -> Option<Duration> {
        let heard = match self.heard.load(Ordering::Relaxed) {
            NEVER => return None,
            nanos => Instant::from_nanos(nanos),
        };
        Some(self.settings.clock.now().since(heard))
    }

    fn gauge(&self) {
        let open = u32::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.meters.connections.set(open.into());
    }
}

/// `duration` in ticks, rounded up, and at least one.
pub(super) fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis()))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// The grain of all timers of streams.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The tailer has not been polled.
pub(super) const IDLE: u8 = 0;
/// The same, and somebody was turned away for it.
const IDLE_TOLD: u8 = 3;
/// The tailer is being polled.
pub(super) const RUNNING: u8 = 1;
/// The tailer was dropped.
pub(super) const ENDED: u8 = 2;

/// No instant: clocks count from later.
pub(super) const NEVER: u64 = 0;

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use futures::poll;

    use super::*;
    use crate::event_stream::event::NewEvent;
    use crate::event_stream::hub::shard::Step;
    use crate::event_stream::hub::{EventHub, Tailer};
    use crate::event_stream::request::Start;
    use crate::event_stream::selector::Selector;
    use crate::event_stream::store::MemoryStore;

    async fn hub() -> (Arc<Shared>, Tailer) {
        let store = MemoryStore::new();
        store.append(NewEvent::text("a", "").unwrap()).unwrap();
        let (hub, mut tailer) = EventHub::builder(store).build();
        assert!(poll!(&mut tailer).is_pending());
        (hub.shared, tailer)
    }

    fn opening() -> Opening {
        Opening {
            selector: Selector::public(),
            start: Start::Head,
            who: None,
            rechecks: false,
            ages: u32::MAX,
            expires: u32::MAX,
        }
    }

    #[tokio::test]
    async fn a_stream_that_opens_while_all_are_ended_is_not_left_behind() {
        let (hub, tailer) = hub().await;
        hub.admit(None).unwrap();
        drop(tailer);
        // Nobody would ever come for this one again.
        let late = hub.connect(opening(), None);
        assert_eq!(late.err(), Some(Unavailable::Stale));
        assert_eq!(hub.connections.load(Ordering::Relaxed), 0);
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
        let stream = hub.open(opening(), None).unwrap();
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
