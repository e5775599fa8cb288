//! What all handles, connections and the tailer of one hub share.

use std::hash::RandomState;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use super::addresses::Addresses;
use super::nap::Turns;
use super::reads::Reads;
use super::revocations::Revocations;
use super::ring::RingBounds;
use super::shard::Shard;
use super::slot::Closing;
use super::stats::{Counts, HubStats, Lag, Meters, ReadMeters};
use crate::client::ClientSource;
use crate::clock::{Clock, Instant};
use crate::event_stream::store::DynStore;
use crate::rand;

pub(in crate::event_stream) struct Shared {
    pub(super) shards: Box<[Mutex<Shard>]>,
    /// One for each of them.
    pub(super) turns: Box<[Turns]>,
    pub(super) store: Arc<dyn DynStore>,
    pub(in crate::event_stream) settings: Settings,
    pub(in crate::event_stream) reads: Reads,
    pub(in crate::event_stream) revocations: Revocations,
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

impl Shared {
    /// The tick at which a stream that opens now is old enough: its maximum age, less some jitter.
    pub(in crate::event_stream) fn ages(&self) -> u32 {
        let most = self.settings.max_age;
        self.tick()
            .saturating_add(ticks(rand::between(most.mul_f64(0.8), most)))
    }

    /// The tick at which what is granted now expires: the first of all where nothing is left of it.
    pub(in crate::event_stream) fn expires(&self, lifetime: Option<Duration>) -> u32 {
        match lifetime {
            None => u32::MAX,
            Some(Duration::ZERO) => 0,
            Some(lifetime) => self.tick().saturating_add(ticks(lifetime)),
        }
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
        let mut ended = 0;
        self.each_slice(|shard, places, wakers| ended += shard.end(places, why, wakers));
        ended
    }

    /// Does something to all connections, and wakes whom that concerns. Others get at the shard in
    /// between: who opens meanwhile may be passed over.
    fn each_slice(&self, mut change: impl FnMut(&mut Shard, Range<usize>, &mut Vec<Waker>)) {
        let mut wakers = Vec::new();
        for at in 0..self.shards.len() {
            for from in (0..).step_by(SLICE) {
                let mut shard = self.lock(at);
                if from >= shard.places() {
                    break;
                }
                change(&mut shard, from..from + SLICE, &mut wakers);
                drop(shard);
                wakers.drain(..).for_each(Waker::wake);
            }
        }
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

    /// Locks a shard for whatever is to be done to its connections.
    pub(super) fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        let locked = self.lock_for_one(shard);
        self.turns[shard].pass();
        locked
    }

    /// Locks a shard for one connection's own doing, which leaves the wakers of all others where they are.
    pub(super) fn lock_for_one(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // No call leaves a shard half changed, and a panic in it is a bug of this crate alone.
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        self.each_slice(|shard, places, _| lag.add(shard.lag(places)));
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
}

/// Connections that are looked at in one go: some tens of microseconds under the lock of their shard.
pub(super) const SLICE: usize = 4096;

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
pub(super) const IDLE_TOLD: u8 = 3;
/// The tailer is being polled.
pub(super) const RUNNING: u8 = 1;
/// The tailer was dropped.
pub(super) const ENDED: u8 = 2;

/// No instant: clocks count from later.
pub(super) const NEVER: u64 = 0;
