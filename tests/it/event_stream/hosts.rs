//! The hub over a host's own store: slow, silent, noisy, failing, and in the middle of a change.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bartizan::event_stream::{
    Bounds, EventHub, EventId, EventStore, EventStream, MemoryStore, Page, Read, Selector,
};
use futures::Stream;
use tokio::time::{sleep, timeout};

use super::reader::Reader;
use super::{event, opened, settle};
use crate::logs::logged;

/// A store that does what the test says.
#[derive(Clone, Default)]
struct Host {
    log: MemoryStore,
    says: Arc<Says>,
}

#[derive(Default)]
struct Says {
    /// Nothing can be read.
    down: AtomicBool,
    /// Pages are empty and go nowhere.
    stuck: AtomicBool,
    /// How many milliseconds a read takes, and one.
    slow: AtomicUsize,
    /// There is always a hint.
    storming: AtomicBool,
    /// An event is appended while the newest are being read, this many times.
    interposes: AtomicUsize,
    reads: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

impl Host {
    /// Counts a read and takes the time of one.
    async fn trip(&self) -> io::Result<()> {
        self.says.reads.fetch_add(1, Ordering::Relaxed);
        let running = self.says.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.says.most_running.fetch_max(running, Ordering::Relaxed);
        let slow = self.says.slow.load(Ordering::Relaxed) as u64;
        sleep(Duration::from_millis(1 + slow)).await;
        self.says.running.fetch_sub(1, Ordering::Relaxed);
        match self.says.down.load(Ordering::Relaxed) {
            true => Err(io::Error::other("postgres://secret@db is down")),
            false => Ok(()),
        }
    }

    fn reads(&self) -> usize {
        self.says.reads.load(Ordering::Relaxed)
    }
}

impl EventStore for Host {
    type Error = io::Error;

    async fn bounds(&self) -> io::Result<Bounds> {
        self.trip().await?;
        Ok(self
            .log
            .bounds()
            .await
            .unwrap_or_else(|never| match never {}))
    }

    async fn read_after(&self, at: EventId, want: &Selector, limit: usize) -> io::Result<Read> {
        self.trip().await?;
        if self.says.stuck.load(Ordering::Relaxed) {
            return Ok(Read::Page(Page::new(Vec::new(), at)));
        }
        let read = self.log.read_after(at, want, limit).await;
        Ok(read.unwrap_or_else(|never| match never {}))
    }

    async fn find_recent(&self, want: &Selector, limit: usize) -> io::Result<Page> {
        let page = self.log.find_recent(want, limit).await;
        let left = &self.says.interposes;
        let take = |n: usize| n.checked_sub(1);
        if left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
        {
            self.log.append(event("a", "interposed")).unwrap();
        }
        self.trip().await?;
        Ok(page.unwrap_or_else(|never| match never {}))
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let says = Arc::clone(&self.says);
        futures::stream::poll_fn(move |_| match says.storming.load(Ordering::Relaxed) {
            true => std::task::Poll::Ready(Some(())),
            false => std::task::Poll::Pending,
        })
    }
}

fn feed(host: &Host, ring: usize) -> (EventHub, EventStream) {
    let (hub, tailer) = EventHub::builder(host.clone()).ring(ring, 1 << 20).build();
    tokio::spawn(tailer);
    (hub.clone(), EventStream::new(hub))
}

#[tokio::test(start_paused = true)]
async fn what_arrives_between_the_newest_and_the_present_is_neither_lost_nor_doubled() {
    for ring in [0, 2, 4096] {
        let host = Host::default();
        for n in 0..5 {
            host.log.append(event("a", &n.to_string())).unwrap();
        }
        let (_hub, events) = feed(&host, ring);
        settle().await;
        host.says.interposes.store(1, Ordering::Relaxed);
        let mut reader = Reader::open(&events, "/?recent=3").await;
        let mut found = Vec::new();
        while found.last().is_none_or(|last| last != "after") {
            if found.len() == 4 {
                host.log.append(event("a", "after")).unwrap();
            }
            let event = reader.event().await;
            if !event.is("caught-up") {
                found.extend(event.data);
            }
        }
        assert_eq!(
            found,
            ["2", "3", "4", "interposed", "after"],
            "ring of {ring}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_hints_is_polled_and_hears_no_more_than_that_of_a_quiet_log() {
    let host = Host::default();
    let (_hub, events) = feed(&host, 64);
    settle().await;
    let mut reader = opened(&events, "/").await;
    sleep(Duration::from_secs(10)).await;
    let before = host.reads();
    sleep(Duration::from_secs(100)).await;
    assert!((90..=105).contains(&(host.reads() - before)));
    host.log.append(event("a", "late")).unwrap();
    let late = timeout(Duration::from_millis(1100), reader.event()).await;
    assert_eq!(late.unwrap().data.as_deref(), Some("late"));
    host.log.append(event("a", "soon")).unwrap();
    let soon = timeout(Duration::from_millis(60), reader.event()).await;
    assert_eq!(soon.unwrap().data.as_deref(), Some("soon"));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_hints_is_not_a_storm_of_reads() {
    let host = Host::default();
    let (_hub, events) = feed(&host, 64);
    settle().await;
    let mut reader = opened(&events, "/").await;
    host.says.storming.store(true, Ordering::Relaxed);
    let before = host.reads();
    sleep(Duration::from_secs(10)).await;
    assert!(host.reads() - before < 2000, "{}", host.reads() - before);
    host.log.append(event("a", "x")).unwrap();
    let soon = timeout(Duration::from_millis(20), reader.event()).await;
    assert_eq!(soon.unwrap().data.as_deref(), Some("x"));
}

#[tokio::test(start_paused = true)]
async fn through_an_outage_streams_stay_open_and_then_catch_up() {
    let host = Host::default();
    host.says.down.store(true, Ordering::Relaxed);
    let first = host.log.append(event("a", "0")).unwrap().to_string();
    let (hub, events) = feed(&host, 2);
    settle().await;
    // Opened while nothing has been read yet.
    let mut fresh = Reader::open(&events, "/").await;
    let mut resumed = Reader::resume(&events, "/", &first).await;
    let mut recent = Reader::open(&events, "/?recent=1").await;
    assert!(fresh.ready().unwrap().retry.is_some());
    assert_eq!(fresh.ready(), None);
    sleep(Duration::from_secs(40)).await;
    assert_eq!(hub.head(), None);
    assert!(fresh.ready().is_some(), "a keep-alive without a cursor");
    assert!(host.reads() < 40, "pauses grow: {}", host.reads());
    host.says.down.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(6)).await;
    assert!(resumed.replay().await.is_empty());
    assert_eq!(recent.replay().await, ["0"]);

    // And again while they are open, with more than the ring holds.
    while fresh.ready().is_some() {}
    host.says.down.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(20)).await;
    let expected: Vec<_> = (1..=30).map(|n| n.to_string()).collect();
    for n in &expected {
        host.log.append(event("a", n)).unwrap();
    }
    sleep(Duration::from_secs(20)).await;
    host.says.down.store(false, Ordering::Relaxed);
    for reader in [&mut fresh, &mut resumed, &mut recent] {
        for n in &expected {
            assert_eq!(reader.event().await.data.as_ref(), Some(n));
        }
    }
    assert_eq!(hub.stats().resets, 0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_logged_once_however_often_the_store_is_asked_and_so_is_its_end() {
    let host = Host::default();
    let lines = logged(async {
        let (hub, events) = feed(&host, 4);
        settle().await;
        let mut reader = opened(&events, "/").await;
        for outage in 1..=2 {
            host.says.down.store(true, Ordering::Relaxed);
            sleep(Duration::from_secs(60)).await;
            let stats = hub.stats();
            assert!(stats.failed_reads >= 10 * outage, "{stats:?}");
            assert!(
                stats.store_silent.unwrap() >= Duration::from_secs(55),
                "{stats:?}"
            );
            host.says.down.store(false, Ordering::Relaxed);
            sleep(Duration::from_secs(10)).await;
            assert!(hub.stats().store_silent.unwrap() <= Duration::from_secs(2));
        }
        while reader.ready().is_some() {}
    })
    .await;
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("WARN"), 2, "{lines:?}");
    assert_eq!(
        (count("cannot be read"), count("can be read again")),
        (2, 2)
    );
    assert_eq!(
        count("secret"),
        0,
        "what a driver says is for `debug`: {lines:?}"
    );
}

#[tokio::test]
async fn a_tailer_that_nobody_spawned_is_missed_once_and_one_that_was_dropped_is_told_too() {
    let lines = logged(async {
        let (hub, tailer) = EventHub::builder(MemoryStore::new()).build();
        let events = EventStream::new(hub);
        for _ in 0..3 {
            let request = http::Request::get("/").body(()).unwrap();
            let answer = tower::ServiceExt::oneshot(events.clone(), request).await;
            assert_eq!(answer.unwrap().status(), 503);
        }
        drop(tailer);
    })
    .await;
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("tokio::spawn(tailer)"), 1, "{lines:?}");
    assert_eq!(count("tailer has ended"), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_restarted_process_resume_from_the_ring_and_do_not_storm_the_store() {
    let host = Host::default();
    let ids: Vec<_> = (0..500)
        .map(|_| host.log.append(event("a", "")).unwrap())
        .collect();
    let (hub, events) = feed(&host, 256);
    settle().await;
    sleep(Duration::from_secs(5)).await;
    let before = host.reads();
    for id in &ids[300..] {
        let mut reader = Reader::resume(&events, "/", &id.to_string()).await;
        while reader.ready().is_some_and(|block| !block.is("caught-up")) {}
        assert_eq!(reader.id, ids[499].to_string());
    }
    assert_eq!(host.reads(), before, "nobody asked the store");
    assert_eq!(hub.stats().hand_overs, 0);

    // Those who are farther behind do, a few at a time.
    let mut far: Vec<_> = Vec::new();
    for id in &ids[..200] {
        far.push(Reader::resume(&events, "/", &id.to_string()).await);
    }
    let replays = far.iter_mut().map(Reader::replay);
    let replays = futures::future::join_all(replays).await;
    for (behind, replay) in replays.iter().enumerate() {
        assert_eq!(replay.len(), 499 - behind);
    }
    let most = host.says.most_running.load(Ordering::Relaxed);
    assert!(
        (8..=17).contains(&most),
        "{most} at once: 16 streams and the tailer"
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_stand_at_one_place_and_want_the_same_share_their_reads() {
    let host = Host::default();
    let ids: Vec<_> = (0..1000)
        .map(|n| host.log.append(event("a", &n.to_string())).unwrap())
        .collect();
    let (hub, events) = feed(&host, 8);
    settle().await;
    sleep(Duration::from_secs(5)).await;
    let before = host.reads();
    let mut readers = Vec::new();
    for n in 0..300 {
        // A third of them want something else, and share among themselves.
        let uri = if n % 3 == 0 { "/?type=a" } else { "/" };
        let (events, id) = (events.clone(), ids[0].to_string());
        readers.push(tokio::spawn(async move {
            Reader::resume(&events, uri, &id).await.replay().await
        }));
    }
    let expected: Vec<_> = (1..1000).map(|n| n.to_string()).collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), expected);
    }
    let stats = hub.stats();
    // Eight pages for each of two selectors, and the tailer's own.
    assert!(host.reads() - before < 24, "{}", host.reads() - before);
    assert!(stats.reads < 20 && stats.shared_reads > 2000, "{stats:?}");
    assert_eq!((stats.replaying, stats.connections), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_the_middle_of_a_shared_read_takes_it_from_nobody() {
    let host = Host::default();
    let ids: Vec<_> = (0..50)
        .map(|n| host.log.append(event("a", &n.to_string())).unwrap())
        .collect();
    let (hub, events) = feed(&host, 4);
    settle().await;
    host.says.slow.store(100, Ordering::Relaxed);
    let mut readers: Vec<_> = (0..5)
        .map(|_| {
            let (events, id) = (events.clone(), ids[0].to_string());
            tokio::spawn(async move { Reader::resume(&events, "/", &id).await.replay().await })
        })
        .collect();
    for _ in 0..4 {
        sleep(Duration::from_millis(20)).await;
        // Whoever began it is among them.
        readers.remove(0).abort();
    }
    let last = timeout(Duration::from_secs(1), readers.remove(0)).await;
    assert_eq!(last.expect("in the time of one read").unwrap().len(), 49);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(hub.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_a_second_at_most_for_what_only_the_store_knows() {
    let host = Host::default();
    let ids: Vec<_> = (0..50)
        .map(|_| host.log.append(event("a", "")).unwrap())
        .collect();
    let (_hub, events) = feed(&host, 4);
    settle().await;
    host.log.trim(ids[9]);
    let clock = bartizan::clock::Clock::new();
    for (slow, told) in [(500, true), (5000, false)] {
        host.says.slow.store(slow, Ordering::Relaxed);
        let before = clock.now();
        let mut reader = Reader::resume(&events, "/", &ids[3].to_string()).await;
        assert!(clock.now().since(before) <= Duration::from_secs(1));
        let header = reader.headers.get("event-stream-reset");
        assert_eq!(header.is_some_and(|reason| reason == "trimmed"), told);
        assert!(
            reader.event().await.is("reset"),
            "it comes in the stream in any case"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_nowhere_is_asked_less_and_less() {
    let host = Host::default();
    let ids: Vec<_> = (0..50)
        .map(|_| host.log.append(event("a", "")).unwrap())
        .collect();
    let (_hub, events) = feed(&host, 4);
    settle().await;
    sleep(Duration::from_secs(5)).await;
    host.says.stuck.store(true, Ordering::Relaxed);
    let mut reader = Reader::resume(&events, "/", &ids[0].to_string()).await;
    let before = host.reads();
    assert!(
        timeout(Duration::from_secs(30), reader.event())
            .await
            .is_err()
    );
    // The tailer's own, one a second, are among them.
    assert!(host.reads() - before < 60, "{}", host.reads() - before);
    host.says.stuck.store(false, Ordering::Relaxed);
    assert_eq!(reader.replay().await.len(), 49);
}

/// Real threads and real wakes: the interleavings themselves are the model's affair.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_clients_that_come_and_go_on_several_threads_lose_and_double_nothing() {
    const EACH: usize = 300;
    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone())
        .ring(64, 1 << 20)
        .shards(2)
        .build();
    tokio::spawn(tailer);
    let events = EventStream::new(hub.clone());
    while hub.head().is_none() {
        tokio::task::yield_now().await;
    }
    let start = hub.head().unwrap().to_string();
    let clients: Vec<_> = (0..12)
        .map(|client: usize| {
            let (events, mut id) = (events.clone(), start.clone());
            tokio::spawn(async move {
                let kind = ["a", "b", "c"][client % 3];
                let mut found = Vec::new();
                while found.len() < EACH {
                    let uri = format!("/?type={kind}");
                    let mut reader = Reader::resume(&events, &uri, &id).await;
                    for _ in 0..=20 + client * 7 {
                        let event = reader.event().await;
                        assert!(!event.is("reset"));
                        if event.is(kind) {
                            found.extend(event.data);
                        }
                        if found.len() == EACH {
                            break;
                        }
                    }
                    id = reader.id;
                }
                (kind, found)
            })
        })
        .collect();
    for kind in ["a", "b", "c"] {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                store.append(event(kind, &n.to_string())).unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    let expected: Vec<_> = (0..EACH).map(|n| n.to_string()).collect();
    let mut heard = BTreeMap::new();
    for client in clients {
        let client = timeout(Duration::from_secs(60), client).await;
        let (kind, found) = client.expect("within a minute").unwrap();
        assert_eq!(found, expected);
        *heard.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(heard, BTreeMap::from([("a", 4), ("b", 4), ("c", 4)]));
    assert_eq!(hub.stats().connections, 0);
    assert_eq!(hub.stats().resets, 0);
}
