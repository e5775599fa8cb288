//! What a hub tells about itself.

use std::ops::AddAssign;
use std::time::Duration;

use super::admit::Unavailable;
use super::shared::TICK;
use super::slot::Closing;
use crate::trace::{Counter, Gauge};

/// Counts of a hub since it was built, and how far everybody is behind now.
///
/// With the feature `metrics` they go to the recorder that is installed when the hub is built, under
/// the names in the [module's](crate::event_stream#metrics) table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Streams that are open now.
    pub connections: usize,
    /// Streams that were opened.
    pub opened: u64,
    /// Requests that were turned away: too many, draining, no tailer, or revoked meanwhile.
    pub turned_away: usize,
    /// Streams that the hub ended, for whatever reason; the others ended when their client left.
    pub ended: u64,
    /// Streams that made room for a newer one of their user.
    pub superseded: u64,
    /// Streams that ended since their client took nothing.
    pub stalled: u64,
    /// Events that the tailer read.
    pub events: u64,
    /// Wakes that the publishing of events caused: one for each reader who was waiting.
    pub wakes: u64,
    /// Times that a reader fell behind the ring and was served from the store instead.
    pub demotions: u64,
    /// Times that a reader went over from the store to the ring.
    pub hand_overs: u64,
    /// Times that a reader was told that what it wants to resume from is gone.
    pub resets: u64,
    /// Reads of the store for streams that are behind the ring.
    pub reads: u64,
    /// Streams that shared such a read with another, and needed none of their own.
    pub shared_reads: u64,
    /// Reads of the store that failed, the tailer's and those of streams.
    pub failed_reads: u64,
    /// Streams that are served from the store now.
    pub replaying: usize,
    /// Streams for which events of the ring wait that were not taken yet.
    pub waiting: usize,
    /// How many events wait for the one of them that is farthest behind.
    pub most_behind: u64,
    /// How long the oldest of these events has waited, to the next 250 ms.
    pub oldest_unsent: Duration,
    /// How long ago the store last answered the tailer, and so how old the hub's view of the log may
    /// be; `None` before it did for the first time.
    pub store_silent: Option<Duration>,
}

/// What happened in a shard, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) wakes: u64,
    pub(super) demotions: u64,
    pub(super) hand_overs: u64,
    pub(super) resets: u64,
    /// By why.
    pub(super) ended: [u64; Closing::ALL.len()],
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.wakes += other.wakes;
        self.demotions += other.demotions;
        self.hand_overs += other.hand_overs;
        self.resets += other.resets;
        for (ended, more) in self.ended.iter_mut().zip(other.ended) {
            *ended += more;
        }
    }
}

/// How far readers are behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Lag {
    pub(super) replaying: usize,
    pub(super) waiting: usize,
    /// Of the one that is farthest behind.
    pub(super) events: u64,
    /// Of the one whose event has waited longest.
    pub(super) ticks: u32,
}

impl Lag {
    /// Takes in the readers of another shard.
    pub(super) fn add(&mut self, other: Self) {
        self.replaying += other.replaying;
        self.waiting += other.waiting;
        self.events = self.events.max(other.events);
        self.ticks = self.ticks.max(other.ticks);
    }

    /// How long the oldest event has waited.
    pub(super) fn oldest(&self) -> Duration {
        TICK * self.ticks
    }
}

pub(super) struct Meters {
    pub(super) connections: Gauge,
    pub(super) opened: Counter,
    turned_away: [Counter; Unavailable::ALL.len()],
    pub(super) events: Counter,
    wakes: Counter,
    demotions: Counter,
    hand_overs: Counter,
    resets: Counter,
    ended: [Counter; Closing::ALL.len()],
    replaying: Gauge,
    waiting: Gauge,
    lag_events: Gauge,
    lag_seconds: Gauge,
    store_silent: Gauge,
}

impl Meters {
    pub(super) fn new() -> Self {
        let counter = |name| Counter::new(name, &[]);
        let gauge = |name| Gauge::new(name, &[]);
        Self {
            connections: gauge("bartizan_event_stream_connections"),
            opened: counter("bartizan_event_stream_opened_total"),
            turned_away: Unavailable::ALL.map(|why| {
                let label = [("reason", why.name())];
                Counter::new("bartizan_event_stream_turned_away_total", &label)
            }),
            events: counter("bartizan_event_stream_events_total"),
            wakes: counter("bartizan_event_stream_wakes_total"),
            demotions: counter("bartizan_event_stream_demotions_total"),
            hand_overs: counter("bartizan_event_stream_hand_overs_total"),
            resets: counter("bartizan_event_stream_resets_total"),
            ended: Closing::ALL.map(|why| {
                Counter::new(
                    "bartizan_event_stream_ended_total",
                    &[("reason", why.name())],
                )
            }),
            replaying: gauge("bartizan_event_stream_replaying"),
            waiting: gauge("bartizan_event_stream_waiting"),
            lag_events: gauge("bartizan_event_stream_lag_events"),
            lag_seconds: gauge("bartizan_event_stream_lag_seconds"),
            store_silent: gauge("bartizan_event_stream_store_silent_seconds"),
        }
    }

    pub(super) fn turned_away(&self, why: Unavailable) {
        self.turned_away[why as usize].add(1);
    }

    /// Counts what has happened in the shards since `before`.
    pub(super) fn happened(&self, before: &Counts, now: &Counts) {
        self.wakes.add(now.wakes - before.wakes);
        self.demotions.add(now.demotions - before.demotions);
        self.hand_overs.add(now.hand_overs - before.hand_overs);
        self.resets.add(now.resets - before.resets);
        for (counter, (now, before)) in self.ended.iter().zip(now.ended.iter().zip(before.ended)) {
            counter.add(now - before);
        }
    }

    /// Shows how far everybody is behind.
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is that far behind needs no unit place"
    )]
    pub(super) fn behind(&self, lag: &Lag, store_silent: Option<Duration>) {
        self.replaying.set(lag.replaying as f64);
        self.waiting.set(lag.waiting as f64);
        self.lag_events.set(lag.events as f64);
        self.lag_seconds.set(lag.oldest().as_secs_f64());
        if let Some(silent) = store_silent {
            self.store_silent.set(silent.as_secs_f64());
        }
    }
}

/// Reads of the store, by who asked.
pub(super) struct ReadMeters {
    reads: Counter,
    failures: Counter,
}

impl ReadMeters {
    pub(super) fn of(reader: &'static str) -> Self {
        let label = [("reader", reader)];
        Self {
            reads: Counter::new("bartizan_event_stream_store_reads_total", &label),
            failures: Counter::new("bartizan_event_stream_store_failures_total", &label),
        }
    }

    pub(super) fn read(&self) {
        self.reads.add(1);
    }

    pub(super) fn failed(&self) {
        self.failures.add(1);
    }
}
