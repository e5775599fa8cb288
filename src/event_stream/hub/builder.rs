//! How a hub is set up.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::tailer::Tailer;
use super::{EventHub, IDLE, Meters, RingBounds, Settings, Shard, Shared, ticks};
use crate::clock::Clock;
use crate::event_stream::store::EventStore;
use crate::trace::{Counter, Gauge};

impl EventHub {
    /// A hub over `store`, which is erased: no other type names it.
    pub fn builder<S: EventStore>(store: S) -> EventHubBuilder<S> {
        EventHubBuilder {
            store,
            shards: 1,
            reads: 16,
            settings: Settings {
                clock: Clock::new(),
                keep_alive: Duration::from_secs(15),
                max_age: Duration::from_secs(900),
                retry: Duration::from_secs(3),
                drain_over: Duration::from_secs(5),
                max_connections: 16_384,
                ring: RingBounds {
                    events: 4096,
                    bytes: 8 << 20,
                },
                poll_busy: Duration::from_millis(50),
                poll_idle: Duration::from_secs(1),
            },
        }
    }
}

/// Sets up an [`EventHub`]. Every value works: what would make no sense is taken as the nearest that
/// does, and each method says which.
#[derive(Clone, Debug)]
#[must_use]
pub struct EventHubBuilder<S> {
    store: S,
    shards: usize,
    reads: usize,
    settings: Settings,
}

impl<S: EventStore> EventHubBuilder<S> {
    /// How often an open stream hears something: 15 s, never less than 1 s. Proxies cut a silent
    /// connection after 30 to 100 s.
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.settings.keep_alive = every.max(Duration::from_secs(1));
        self
    }

    /// After how long a stream is ended, so that its client reconnects: 15 minutes, of which each
    /// stream gets 80 to 100 %; never less than 1 s. It bounds what a dead client costs when a proxy
    /// keeps its connection open.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.max_age = age.max(Duration::from_secs(1));
        self
    }

    /// When clients come back after a broken connection: 3 s, a third more or less for each; never
    /// less than 100 ms.
    pub fn retry(mut self, after: Duration) -> Self {
        self.settings.retry = after.max(Duration::from_millis(100));
        self
    }

    /// Over how long the clients of a drained process are told to spread: 5 s, never less than 1 s.
    pub fn drain_over(mut self, spread: Duration) -> Self {
        self.settings.drain_over = spread.max(Duration::from_secs(1));
        self
    }

    /// How many streams may be open at once: 16,384. More are turned away, a browser's
    /// `EventSource` with a stream that says when to come back.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.settings.max_connections = most;
        self
    }

    /// How many of the newest events are kept ready to be sent: 4,096 and 8 MiB, whichever is less.
    /// Readers who are farther behind are served from the store; with 0 all of them are.
    pub fn ring(mut self, events: usize, bytes: usize) -> Self {
        self.settings.ring = RingBounds { events, bytes };
        self
    }

    /// Between which pauses the store is asked for news when it gives no hints: 50 ms while there
    /// are some, growing to 1 s while there are none; never less than 1 ms.
    pub fn poll_every(mut self, busy: Duration, idle: Duration) -> Self {
        self.settings.poll_busy = busy.max(Duration::from_millis(1));
        self.settings.poll_idle = idle.max(self.settings.poll_busy);
        self
    }

    /// How many streams may read the store at once: 16, never less than 1.
    pub fn concurrent_reads(mut self, most: usize) -> Self {
        self.reads = most.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Over how many locks the connections are spread: 1, never less. More pay off from about
    /// 8,000 connections on several cores.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// The hub, and the future that feeds it. Nothing is spawned: poll the tailer for as long as the
    /// process serves.
    pub fn build(self) -> (EventHub, Tailer) {
        let keep_alive = ticks(self.settings.keep_alive);
        let shards = (0..self.shards)
            .map(|_| Mutex::new(Shard::new(keep_alive)))
            .collect();
        let shared = Arc::new(Shared {
            shards,
            store: Arc::new(self.store),
            reads: Semaphore::new(self.reads),
            connections: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            stage: AtomicU8::new(IDLE),
            started: self.settings.clock.now(),
            meters: Meters {
                connections: Gauge::new("bartizan_event_stream_connections", &[]),
                turned_away: Counter::new("bartizan_event_stream_turned_away_total", &[]),
            },
            settings: self.settings,
        });
        let tailer = Tailer::new(Arc::clone(&shared));
        (EventHub { shared }, tailer)
    }
}
