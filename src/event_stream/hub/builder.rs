//! How a hub is set up.

use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::addresses::Addresses;
use super::handle::EventHub;
use super::nap::Turns;
use super::reads::Reads;
use super::revocations::Revocations;
use super::ring::RingBounds;
use super::shard::{Shard, Terms};
use super::shared::{IDLE, NEVER, Settings, Shared, ticks};
use super::stats::{Meters, ReadMeters};
use super::tailer::Tailer;
use crate::client::ClientSource;
use crate::clock::Clock;
use crate::event_stream::store::{DynStore, EventStore};

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
                write_stall: Duration::from_secs(120),
                retry: Duration::from_secs(3),
                drain_over: Duration::from_secs(5),
                max_connections: 16_384,
                max_per_user: None,
                max_per_address: None,
                ring: RingBounds {
                    events: 4096,
                    bytes: 8 << 20,
                    age: ticks(Duration::from_secs(600)),
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
    /// less than 100 ms, never more than a day.
    pub fn retry(mut self, after: Duration) -> Self {
        self.settings.retry = after.clamp(Duration::from_millis(100), DAY);
        self
    }

    /// Over how long the clients of a drained process are told to spread: 5 s, never less than 1 s, never
    /// more than a day.
    pub fn drain_over(mut self, spread: Duration) -> Self {
        self.settings.drain_over = spread.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// How many streams may be open at once: 16,384. More are turned away, a browser's
    /// `EventSource` with a stream that says when to come back.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.settings.max_connections = most;
        self
    }

    /// How many streams one user may hold open: no limit, unless this is called; never less than 1.
    ///
    /// The user is whom the grant names ([`Grant::user`](crate::event_stream::Grant::user)); streams
    /// of nobody are not bounded by it, and a long-poll is a stream while it waits. One more, and the oldest makes room: it is told by
    /// `event: superseded`, whose data is `{"cursor": ".."}`, and ends. Its `EventSource` does not
    /// come back to push out the next: the id of that event is answered 204, which an `EventSource`
    /// takes as never, and 409 to others. A page that wants its stream back, as when the user turns
    /// to it again, opens a new one with that cursor for `?last_event_id=`.
    pub fn max_per_user(mut self, most: usize) -> Self {
        self.settings.max_per_user = Some(most.max(1));
        self
    }

    /// How many streams one client address may hold open: no limit, unless this is called.
    ///
    /// `source` says which address that is; the addresses of one IPv6 network (/64) count as one, as
    /// do all clients whose address is unknown. More are turned away as they are beyond
    /// [`max_connections`](Self::max_connections): a whole office may share an address, so nobody
    /// loses a stream to a neighbour.
    pub fn max_per_address(mut self, source: &ClientSource, most: usize) -> Self {
        self.settings.max_per_address = Some((source.clone(), most));
        self
    }

    /// How long data may wait for a client that takes none of it: 2 minutes, never less than 1 s.
    /// Then its stream ends, with the next bytes that its socket takes; the client reconnects, and
    /// resumes.
    ///
    /// What the server and the kernel have buffered for it counts as taken, and only they can close
    /// a socket that takes nothing at all: on Linux `TCP_USER_TIMEOUT` does.
    pub fn write_stall(mut self, after: Duration) -> Self {
        self.settings.write_stall = after.max(Duration::from_secs(1));
        self
    }

    /// How many of the newest events are kept ready to be sent: 4,096 and 8 MiB, whichever is less.
    /// Readers who are farther behind are served from the store; with 0 all of them are.
    ///
    /// So a batch that is larger than the ring and published at once sends those to the store who do not
    /// take its beginning before its end has come: in a burst that is nearly everybody. They lose nothing,
    /// and those who want the same share their reads. Where such batches go to many, make the ring larger
    /// than the largest.
    pub fn ring(mut self, events: usize, bytes: usize) -> Self {
        self.settings.ring.events = events;
        self.settings.ring.bytes = bytes;
        self
    }

    /// For how long events are kept ready at most: 10 minutes, never less than 250 ms. Who comes back
    /// after longer is served from the store.
    pub fn ring_age(mut self, age: Duration) -> Self {
        self.settings.ring.age = ticks(age);
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
        let settings = self.settings;
        let terms = Terms {
            keep_alive: ticks(settings.keep_alive),
            write_stall: ticks(settings.write_stall),
            per_user: settings.max_per_user.unwrap_or(usize::MAX),
        };
        let shards: Box<[_]> = (0..self.shards)
            .map(|_| Mutex::new(Shard::new(terms)))
            .collect();
        let addresses = settings.max_per_address.as_ref();
        let store: Arc<dyn DynStore> = Arc::new(self.store);
        let shared = Arc::new(Shared {
            turns: shards.iter().map(|_| Turns::default()).collect(),
            shards,
            reads: Reads::new(Arc::clone(&store), self.reads),
            revocations: Revocations::new(),
            store,
            addresses: addresses.map(|(_, most)| Mutex::new(Addresses::new(*most))),
            by_user: RandomState::new(),
            connections: AtomicUsize::new(0),
            emptied: Notify::new(),
            opened: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
            events: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            heard: AtomicU64::new(NEVER),
            draining: AtomicBool::new(false),
            stage: AtomicU8::new(IDLE),
            started: settings.clock.now(),
            meters: Meters::new(),
            tail_meters: ReadMeters::of("tailer"),
            settings,
        });
        let tailer = Tailer::new(Arc::clone(&shared));
        (EventHub { shared }, tailer)
    }
}

/// The longest that a client is told to stay away.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
