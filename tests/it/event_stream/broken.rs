//! The hub over a host's store that breaks its contract, and under settings at the ends of what can be said.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bartizan::event_stream::{
    Bounds, Epoch, EventHub, EventHubBuilder, EventId, EventStore, EventStream, MemoryStore, Page,
    Position, Read, Selector,
};
use futures::Stream;
use tokio::time::{sleep, timeout};

use super::reader::{Reader, ask};
use super::{event, feed as feed_memory, opened, settle};

/// A store that is as broken as the test says, and a sound one below it.
#[derive(Clone, Default)]
struct Broken {
    log: MemoryStore,
    how: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

const SOUND: u8 = 0;
/// It fails.
const DOWN: u8 = 1;
/// It panics.
const PANICS: u8 = 2;
/// It fails with an error that panics when it is told.
const UNSPEAKABLE: u8 = 3;
/// Its log is another one whenever it is read.
const FLAPS: u8 = 4;
/// It has nothing, up to a place before the one that it was asked about.
const BACKWARDS: u8 = 5;

#[derive(Debug)]
struct Failure {
    unspeakable: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.unspeakable, "as a host's code might");
        f.write_str("down")
    }
}

impl std::error::Error for Failure {}

impl Broken {
    fn is(&self, how: u8) {
        self.how.store(how, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// What it says in place of an answer, if it gives none; or the log that it has at the moment.
    fn answer(&self) -> Result<Option<Bounds>, Failure> {
        match self.how.load(Ordering::Relaxed) {
            SOUND | BACKWARDS => Ok(None),
            DOWN => Err(Failure { unspeakable: false }),
            UNSPEAKABLE => Err(Failure { unspeakable: true }),
            FLAPS if self.asked() < 10_000 => {
                let epoch = Epoch::new(self.asked() as u64);
                Ok(Some(Bounds::new(epoch, Position::START, Position::START)))
            }
            _ => panic!("as a host's code might"),
        }
    }
}

impl EventStore for Broken {
    type Error = Failure;

    async fn bounds(&self) -> Result<Bounds, Failure> {
        match self.answer()? {
            Some(bounds) => Ok(bounds),
            None => Ok(self.log.bounds().await.unwrap()),
        }
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> Result<Read, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.how.load(Ordering::Relaxed) == BACKWARDS && self.asked() < 10_000 {
            let next = EventId::new(cursor.epoch(), Position::START);
            return Ok(Read::Page(Page::new(Vec::new(), next)));
        }
        match self.answer()? {
            Some(bounds) => Ok(Read::Gone(bounds)),
            None => Ok(self.log.read_after(cursor, selector, limit).await.unwrap()),
        }
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> Result<Page, Failure> {
        match self.answer()? {
            Some(bounds) => Ok(Page::new(Vec::new(), bounds.head())),
            None => Ok(self.log.find_recent(selector, limit).await.unwrap()),
        }
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let how = Arc::clone(&self.how);
        futures::stream::poll_fn(move |_| {
            assert!(
                how.load(Ordering::Relaxed) != PANICS,
                "as a host's code might"
            );
            std::task::Poll::Pending
        })
    }
}

fn feed(builder: EventHubBuilder<Broken>) -> (EventHub, EventStream) {
    let (hub, tailer) = builder.build();
    tokio::spawn(tailer);
    (hub.clone(), EventStream::new(hub))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_or_whose_error_does_is_an_outage_and_streams_stay_open() {
    for how in [DOWN, PANICS, UNSPEAKABLE] {
        let store = Broken::default();
        // Before the log was read for the first time, and after.
        store.is(how);
        let (hub, events) = feed(EventHub::builder(store.clone()));
        sleep(Duration::from_secs(1)).await;
        assert!(hub.head().is_none() && hub.stats().failed_reads > 1);
        store.is(SOUND);
        sleep(Duration::from_secs(5)).await;
        let mut reader = opened(&events, "/").await;
        let failed = hub.stats().failed_reads;
        store.is(how);
        sleep(Duration::from_secs(5)).await;
        store.log.append(event("a", "after")).unwrap();
        // A stream that reads by itself meets the same, and harms nobody else.
        let mut behind = Reader::resume(&events, "/", "1.1").await;
        assert!(
            timeout(Duration::from_secs(5), behind.event())
                .await
                .is_err()
        );
        assert!(hub.stats().failed_reads > failed);
        store.is(SOUND);
        assert_eq!(reader.event().await.data.as_deref(), Some("after"));
        assert!(behind.event().await.is("reset"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_tells_the_same_is_not_asked_as_fast_as_it_answers() {
    let store = Broken::default();
    store.is(FLAPS);
    let (hub, events) = feed(EventHub::builder(store.clone()));
    settle().await;
    let mut reader = Reader::resume(&events, "/", "ffff.1").await;
    let before = store.asked();
    let mut blocks = 0;
    let all = async {
        while reader.block().await.is_some() {
            blocks += 1;
        }
    };
    assert!(timeout(Duration::from_secs(1), all).await.is_err());
    let asked = store.asked() - before;
    assert!((5..60).contains(&asked), "{asked} reads in a second");
    assert!((2..60).contains(&blocks), "{blocks} blocks in a second");
    assert!(hub.stats().resets > 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_leads_back_is_not_asked_as_fast_as_it_answers() {
    let store = Broken::default();
    let ids = [(); 9].map(|()| store.log.append(event("a", "")).unwrap());
    let (_hub, events) = feed(EventHub::builder(store.clone()).ring(2, 1 << 20));
    settle().await;
    store.is(BACKWARDS);
    let before = store.asked();
    let mut reader = Reader::resume(&events, "/", &ids[1].to_string()).await;
    let stuck = timeout(Duration::from_secs(1), reader.event()).await;
    assert!(stuck.is_err());
    let asked = store.asked() - before;
    assert!((3..60).contains(&asked), "{asked} reads in a second");
    store.is(SOUND);
    for id in &ids[2..] {
        assert_eq!(reader.event().await.id, Some(id.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_asked_again_however_rarely_it_is_to_be_polled() {
    let store = Broken::default();
    store.is(DOWN);
    let builder = EventHub::builder(store.clone()).poll_every(Duration::MAX, Duration::MAX);
    let (hub, _events) = feed(builder);
    sleep(Duration::from_secs(20)).await;
    assert!(hub.stats().failed_reads > 2);
    store.is(SOUND);
    sleep(Duration::from_secs(10)).await;
    assert!(hub.head().is_some());
}

#[tokio::test(start_paused = true)]
async fn settings_at_their_ends_serve_and_turn_away() {
    for end in [Duration::ZERO, Duration::MAX] {
        let settings = |builder: EventHubBuilder<MemoryStore>| {
            let builder = builder.keep_alive(end).max_age(end).write_stall(end);
            let builder = builder.retry(end).drain_over(end).ring_age(end);
            builder.poll_every(end, end)
        };
        let log = MemoryStore::new();
        let hub = feed_memory(settings(EventHub::builder(log.clone())));
        settle().await;
        let events = EventStream::new(hub.clone());
        let mut reader = opened(&events, "/").await;
        log.append(event("a", "1")).unwrap();
        assert_eq!(reader.event().await.data.as_deref(), Some("1"));
        hub.drain();
        while reader.block().await.is_some() {}
        for full in [
            hub,
            feed_memory(settings(EventHub::builder(log.clone())).max_connections(0)),
        ] {
            settle().await;
            let events = EventStream::new(full);
            for (accept, status) in [("text/event-stream", 200), ("*/*", 503)] {
                let answer = ask(&events, "/", &[("accept", accept)]).await;
                assert_eq!(answer.status(), status);
            }
        }
    }
}
