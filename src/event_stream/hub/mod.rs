//! One log, many readers: the hub that feeds every stream of a process.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{Clock, Instant};
use crate::rand;
use crate::trace::{Counter, Gauge};

use super::id::EventId;
use super::store::DynStore;

pub use self::builder::EventHubBuilder;
pub use self::tailer::Tailer;

pub(super) use self::frame::FrameOf;
pub(super) use self::replay::deliverable;
pub(super) use self::ring::RingBounds;
pub(super) use self::shard::{Shard, Step};
pub(super) use self::slot::{Closing, Opening};

mod builder;
mod frame;
mod index;
mod replay;
mod ring;
mod shard;
mod slot;
mod tailer;
mod wheel;

/// The handle of a hub: opens streams, ends them, counts them. Clones are the same hub.
///
/// [`builder`](Self::builder) makes it together with its [`Tailer`], the one future that reads the
/// store for all streams and drives their timers. Until the tailer is polled, and once it has ended,
/// new streams are turned away and open ones told to come back later.
#[derive(Clone)]
pub struct EventHub {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    shards: Box<[Mutex<Shard>]>,
    pub(super) store: Arc<dyn DynStore>,
    pub(super) settings: Settings,
    /// Reads of the store by streams that are under way: a fleet of clients that resumes is not a
    /// storm on the store.
    pub(super) reads: Semaphore,
    connections: AtomicUsize,
    opened: AtomicUsize,
    turned_away: AtomicUsize,
    draining: AtomicBool,
    stage: AtomicU8,
    started: Instant,
    meters: Meters,
}

/// What the builder was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) clock: Clock,
    pub(super) keep_alive: Duration,
    pub(super) max_age: Duration,
    pub(super) retry: Duration,
    pub(super) drain_over: Duration,
    pub(super) max_connections: usize,
    pub(super) ring: RingBounds,
    pub(super) poll_busy: Duration,
    pub(super) poll_idle: Duration,
}

/// Counts of a hub since it was built, but for `connections`: those are open now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Streams that are open.
    pub connections: usize,
    /// Requests that were turned away: too many, draining, or no tailer.
    pub turned_away: usize,
    /// Wakes that the publishing of events caused: one for each reader who was waiting.
    pub wakes: u64,
    /// Times that a reader fell behind the ring and was served from the store instead.
    pub demotions: u64,
    /// Times that a reader went over from the store to the ring.
    pub hand_overs: u64,
    /// Times that a reader was told that what it wants to resume from is gone.
    pub resets: u64,
}

impl EventHub {
    /// Ends all streams and turns new ones away: call it when the process is asked to stop.
    ///
    /// Each client is told where it stands and to come back after a random part of
    /// [`drain_over`](EventHubBuilder::drain_over), so that the next process is not met by all of
    /// them at once. Idempotent, and never undone.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.end(Closing::Drain, None);
    }

    /// Ends the streams that were granted to `user`, and answers how many they were.
    ///
    /// A client that reconnects is asked again: withdraw the right first, then revoke. It looks at
    /// every connection once.
    pub fn revoke(&self, user: &str) -> usize {
        self.shared.end(Closing::Revoked, Some(user))
    }

    /// Where the hub's copy of the log ends; `None` before it has read the log for the first time.
    #[must_use]
    pub fn head(&self) -> Option<EventId> {
        self.shared.lock(0).head()
    }

    /// Counts, for a status page or a test.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let mut stats = HubStats {
            connections: self.shared.connections.load(Ordering::Relaxed),
            turned_away: self.shared.turned_away.load(Ordering::Relaxed),
            ..HubStats::default()
        };
        for at in 0..self.shared.shards.len() {
            let counts = self.shared.lock(at).counts;
            stats.wakes += counts.wakes;
            stats.demotions += counts.demotions;
            stats.hand_overs += counts.hand_overs;
            stats.resets += counts.resets;
        }
        stats
    }
}

/// Why a stream cannot be opened now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unavailable {
    Full,
    Draining,
    Stale,
}

impl Shared {
    /// Adds a connection, unless there are too many or nothing feeds the hub.
    pub(super) fn open(self: &Arc<Self>, opening: Opening) -> Result<Connection, Unavailable> {
        let opened = self.admit().map(|()| self.connect(opening));
        // A drain that came between the first look and the slot has not seen the slot.
        let opened = match self.draining.load(Ordering::Acquire) {
            true => Err(Unavailable::Draining),
            false => opened,
        };
        if opened.is_err() {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            self.meters.turned_away.add(1);
        }
        opened
    }

    /// Counts one more connection, if there is room for one.
    fn admit(&self) -> Result<(), Unavailable> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Unavailable::Draining);
        }
        if self.stage.load(Ordering::Acquire) != RUNNING {
            return Err(Unavailable::Stale);
        }
        let most = self.settings.max_connections;
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .map_or(Err(Unavailable::Full), |_| Ok(()))
    }

    fn connect(self: &Arc<Self>, opening: Opening) -> Connection {
        let shard = self.opened.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let slot = self.lock(shard).open(opening);
        self.gauge();
        Connection {
            hub: Arc::clone(self),
            shard,
            slot,
        }
    }

    /// The tick at which a stream that opens now is old enough: its maximum age, less some jitter.
    pub(super) fn ages(&self) -> u32 {
        let most = self.settings.max_age;
        self.tick()
            .saturating_add(ticks(rand::between(most.mul_f64(0.8), most)))
    }

    /// The tick at which what is granted now expires.
    pub(super) fn expires(&self, lifetime: Option<Duration>) -> u32 {
        lifetime.map_or(u32::MAX, |lifetime| {
            self.tick().saturating_add(ticks(lifetime))
        })
    }

    /// The reconnection time that a stream is told: spread, so that clients do not come in step.
    pub(super) fn retry(&self) -> Duration {
        rand::jitter(self.settings.retry, 33)
    }

    /// The current tick.
    fn tick(&self) -> u32 {
        let since = self.settings.clock.now().since(self.started);
        u32::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    fn end(&self, why: Closing, who: Option<&str>) -> usize {
        self.each_shard(|shard, wakers| shard.end(why, who, wakers))
            .into_iter()
            .sum()
    }

    /// Changes one shard after the other, and wakes whom that concerns after each lock is released.
    fn each_shard<T>(&self, mut change: impl FnMut(&mut Shard, &mut Vec<Waker>) -> T) -> Vec<T> {
        let mut wakers = Vec::new();
        let mut results = Vec::new();
        for at in 0..self.shards.len() {
            results.push(change(&mut self.lock(at), &mut wakers));
            wakers.drain(..).for_each(Waker::wake);
        }
        results
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // No call leaves a shard half changed, and a panic in it is a bug of this crate alone.
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn gauge(&self) {
        let open = u32::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.meters.connections.set(open.into());
    }
}

/// A connection's place in the hub, given back when it is dropped.
pub(super) struct Connection {
    pub(super) hub: Arc<Shared>,
    shard: usize,
    slot: u32,
}

impl Connection {
    /// Acts on the connection's shard, under its lock.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Shard, u32) -> T) -> T {
        act(&mut self.hub.lock(self.shard), self.slot)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let slot = self.hub.lock(self.shard).close(self.slot);
        drop(slot);
        self.hub.connections.fetch_sub(1, Ordering::Relaxed);
        self.hub.gauge();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

struct Meters {
    connections: Gauge,
    turned_away: Counter,
}

/// `duration` in ticks, rounded up, and at least one.
fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis()))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// The grain of all timers of streams.
const TICK: Duration = Duration::from_millis(250);

/// The tailer has not been polled.
const IDLE: u8 = 0;
/// The tailer is being polled.
const RUNNING: u8 = 1;
/// The tailer was dropped.
const ENDED: u8 = 2;

#[cfg(test)]
mod model;
