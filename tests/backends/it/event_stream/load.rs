//! Fifty clients of one hub who come and go, and what each of them got.

use std::collections::HashSet;
use std::time::Duration;

use bartizan::event_stream::{EventHub, EventId, EventStore, EventStream, HubStats};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::reader::{Block, Reader};
use crate::DEADLINE;

/// For how long writers write: `BARTIZAN_LOAD_SECONDS`, or 5 s.
pub(super) fn length() -> Duration {
    let told = std::env::var("BARTIZAN_LOAD_SECONDS").ok();
    let seconds = told.map(|told| told.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(5))
}

const CLIENTS: u64 = 50;

/// Clients at work.
pub(super) struct Crowd {
    pub(super) hub: EventHub,
    /// Where all of them began.
    pub(super) start: EventId,
    /// Where the log ends for good: whoever has read up to there may leave.
    end: watch::Sender<Option<EventId>>,
    clients: Vec<JoinHandle<Vec<Stretch>>>,
    tailer: JoinHandle<()>,
}

/// What a client read without being told to begin anew: all that the log has between two places.
#[derive(Debug)]
pub(super) struct Stretch {
    from: EventId,
    to: EventId,
    data: Vec<String>,
}

impl Stretch {
    fn begin(from: EventId) -> Self {
        Self {
            from,
            to: from,
            data: Vec::new(),
        }
    }

    fn take_in(&mut self, block: Block) {
        let is_event = block.is("x");
        if let Some(id) = block.id {
            self.to = id.parse().expect("an id of the stream");
        }
        self.data.extend(block.data.filter(|_| is_event));
    }

    fn has_reached(&self, end: &watch::Receiver<Option<EventId>>) -> bool {
        let end = *end.borrow();
        end.is_some_and(|end| self.to.position() >= end.position())
    }
}

impl Crowd {
    /// Lets fifty clients come, of whom one never leaves.
    pub(super) async fn gather(store: impl EventStore) -> Self {
        Self::of(store, 1).await
    }

    /// Lets fifty clients come who all go and come again.
    pub(super) async fn gather_but_none_stays(store: impl EventStore) -> Self {
        Self::of(store, 0).await
    }

    async fn of(store: impl EventStore, stays: u64) -> Self {
        // A ring so small that clients fall behind it, and come back to it.
        let hub = EventHub::builder(store).ring(RING as usize, 1 << 20);
        let (hub, tailer) = hub.build();
        let tailer = tokio::spawn(tailer);
        let start = async {
            loop {
                match hub.head() {
                    Some(head) => return head,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let start = timeout(DEADLINE, start).await.expect("the log can be read");
        let events = EventStream::new(hub.clone());
        let (end, ended) = watch::channel(None);
        let clients = (0..CLIENTS).map(|n| {
            let (events, end, hub) = (events.clone(), ended.clone(), hub.clone());
            tokio::spawn(async move {
                match n < stays {
                    true => vec![stay(&events, &hub, start, end).await],
                    false => come_and_go(&events, start, end, n).await,
                }
            })
        });
        Self {
            clients: clients.collect(),
            end,
            hub,
            start,
            tailer,
        }
    }

    /// Waits until all have read up to `end`, and answers what they got.
    pub(super) async fn leave(self, end: EventId) -> (Vec<Stretch>, HubStats) {
        self.end.send_replace(Some(end));
        let mut stretches = Vec::new();
        for client in self.clients {
            let read = timeout(DEADLINE, client).await;
            stretches.extend(read.expect("every client catches up").unwrap());
        }
        self.tailer.abort();
        (stretches, self.hub.stats())
    }
}

/// A stream that is open all the while, and once is not read until the ring has passed it by.
async fn stay(
    events: &EventStream,
    hub: &EventHub,
    from: EventId,
    end: watch::Receiver<Option<EventId>>,
) -> Stretch {
    let mut reader = Reader::resume(events, "/", &from.to_string()).await;
    let mut stretch = Stretch::begin(from);
    while stretch.data.is_empty() {
        stretch.take_in(reader.block().await.expect("the stream stays open"));
    }
    let passed_by = hub.stats().events + 2 * RING;
    while hub.stats().events < passed_by && end.borrow().is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    while !stretch.has_reached(&end) {
        // The end may be known only after it was read.
        let Ok(block) = timeout(MOMENT, reader.block()).await else {
            continue;
        };
        let block = block.expect("the stream stays open");
        assert!(!block.is("reset"), "{block:?}");
        stretch.take_in(block);
    }
    stretch
}

/// Stays for a while, goes, and comes back to where it was; some come back as somebody new.
async fn come_and_go(
    events: &EventStream,
    start: EventId,
    end: watch::Receiver<Option<EventId>>,
    seed: u64,
) -> Vec<Stretch> {
    let mut draw = Draw(seed);
    let mut before = Vec::new();
    let mut now = Some(Stretch::begin(start));
    while !now.as_ref().is_some_and(|now| now.has_reached(&end)) {
        let stays = Duration::from_millis(20 + draw.below(400));
        let id = now
            .as_ref()
            .map_or_else(String::new, |now| now.to.to_string());
        let mut reader = Reader::resume(events, "/", &id).await;
        let visit = async {
            while let Some(block) = reader.block().await {
                match (&mut now, &block.id) {
                    (Some(now), _) if !block.is("reset") => now.take_in(block),
                    (_, Some(id)) => {
                        let begun = Stretch::begin(id.parse().expect("an id of the stream"));
                        before.extend(now.replace(begun));
                    }
                    // The first bytes of a new stream.
                    (_, None) => {}
                }
            }
        };
        let _ = timeout(stays, visit).await;
        if seed.is_multiple_of(2) && draw.below(4) == 0 {
            before.extend(now.take());
        }
        sleep(Duration::from_millis(draw.below(100))).await;
    }
    before.extend(now);
    before
}

/// Holds what clients read against the log: between two places a client gets what the log has there,
/// once each, and in order.
pub(super) fn judge(log: &[(EventId, String)], stretches: &[Stretch]) -> Result<(), String> {
    for Stretch { from, to, data } in stretches {
        let within = from.position()..to.position();
        let wanted = log
            .iter()
            .filter(|(id, _)| id.position() > within.start && id.position() <= within.end);
        let wanted: Vec<_> = wanted.map(|(_, data)| data).collect();
        if data.iter().eq(wanted.iter().copied()) {
            continue;
        }
        let distinct: HashSet<_> = data.iter().collect();
        let lost = wanted.iter().filter(|wanted| !distinct.contains(**wanted));
        let (lost, doubled) = (lost.count(), data.len() - distinct.len());
        return Err(match (lost, doubled) {
            (0, 0) => format!(
                "between {from} and {to}: {} for {}",
                data.len(),
                wanted.len()
            ),
            _ => format!("between {from} and {to}: {lost} lost, {doubled} doubled"),
        });
    }
    Ok(())
}

/// Events in the hub's ring.
const RING: u64 = 8;

/// How long a client that has read everything waits before it looks whether that was all.
const MOMENT: Duration = Duration::from_millis(50);

/// Numbers that look random and are the same in every run.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
