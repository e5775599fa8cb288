//! What a hub tells about itself: counts, lag, metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::event_stream::{EventHub, EventStream, Grant, MemoryStore};
use http::request::Parts;
use metrics::{Key, KeyName, Metadata, SharedString, Unit};
use tokio::time::sleep;

use super::reader::{Reader, ask};
use super::{event, feed, opened, settle};

#[tokio::test(start_paused = true)]
async fn stats_tell_who_is_behind_by_how_much_and_for_how_long() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(8, 1 << 20));
    settle().await;
    let events = EventStream::new(hub.clone());
    let mut current = opened(&events, "/").await;
    let mut slow = opened(&events, "/").await;
    let _elsewhere = opened(&events, "/?type=none").await;
    let quiet = hub.stats();
    assert_eq!(
        (quiet.waiting, quiet.replaying, quiet.most_behind),
        (0, 0, 0)
    );
    assert_eq!(quiet.oldest_unsent, Duration::ZERO);
    assert!(quiet.store_silent.unwrap() <= Duration::from_secs(1));

    let first = store.append(event("a", "0")).unwrap();
    sleep(Duration::from_secs(3)).await;
    for n in 1..5 {
        store.append(event("a", &n.to_string())).unwrap();
        settle().await;
        while current.ready().is_some() {}
    }
    let stats = hub.stats();
    assert_eq!((stats.waiting, stats.most_behind), (1, 5), "{stats:?}");
    assert!(
        (2750..=3750).contains(&stats.oldest_unsent.as_millis()),
        "{stats:?}"
    );
    assert_eq!((stats.events, stats.connections, stats.opened), (5, 3, 3));

    // More than are listed, and then more than the ring holds.
    for n in 5..7 {
        store.append(event("a", &n.to_string())).unwrap();
    }
    settle().await;
    assert_eq!(hub.stats().most_behind, 7);
    let behind = Reader::resume(&events, "/", &first.to_string()).await;
    for n in 7..40 {
        store.append(event("a", &n.to_string())).unwrap();
    }
    settle().await;
    for n in 0..40 {
        assert_eq!(slow.event().await.data, Some(n.to_string()));
    }
    drop(behind);
    while slow.ready().is_some() || current.ready().is_some() {}
    let stats = hub.stats();
    assert_eq!(
        (stats.waiting, stats.replaying, stats.most_behind),
        (0, 0, 0),
        "{stats:?}"
    );
    assert!(stats.demotions >= 1 && stats.hand_overs >= 1 && stats.reads >= 1);
}

#[tokio::test(start_paused = true)]
async fn counts_tell_how_streams_ended() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store).max_per_user(1).max_connections(3));
    settle().await;
    let user = |user: &'static str| {
        EventStream::new(hub.clone()).authorize(move |_: &Parts| Ok(Grant::user(user)))
    };
    let _first = opened(&user("u1"), "/").await;
    let _second = opened(&user("u1"), "/").await;
    let _other = opened(&user("u2"), "/").await;
    ask(&user("u3"), "/", &[]).await;
    assert_eq!(hub.revoke("u2"), 1);
    let stats = hub.stats();
    assert_eq!((stats.opened, stats.turned_away, stats.ended), (3, 1, 2));
    assert_eq!((stats.superseded, stats.stalled), (1, 0));
    sleep(Duration::from_secs(200)).await;
    // Nobody has polled it since it was woken for its first keep-alive.
    assert_eq!((hub.stats().ended, hub.stats().stalled), (3, 1));
    hub.drain();
    assert_eq!(hub.stats().ended, 3, "each ends once");
}

/// Keeps every counter and gauge that is registered, under its name and labels.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Recorder {
    fn register(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()));
        let labels: Vec<_> = labels.collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn read(&self) -> BTreeMap<String, u64> {
        let known = self.0.lock().unwrap();
        let read = |(name, value): (&String, &Arc<AtomicU64>)| {
            (name.clone(), value.load(Ordering::Relaxed))
        };
        known.iter().map(read).collect()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_goes_out_under_the_names_that_are_documented() {
    let recorder = Recorder::default();
    let store = MemoryStore::new();
    let (hub, tailer) = metrics::with_local_recorder(&recorder, || {
        EventHub::builder(store.clone()).max_connections(2).build()
    });
    tokio::spawn(tailer);
    settle().await;
    let events =
        EventStream::new(hub.clone()).authorize(|_: &Parts| Ok(Grant::user("someone@example.org")));
    let mut reader = opened(&events, "/").await;
    let mut garbled = Reader::resume(&events, "/", "garbage").await;
    assert!(garbled.event().await.is("reset"));
    ask(&events, "/", &[]).await;
    while garbled.ready().is_some() {}
    for n in 0..3 {
        store.append(event("a", &n.to_string())).unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    let read = recorder.read();
    let told = |name: &str| *read.get(name).unwrap_or_else(|| panic!("{name}: {read:?}"));
    let gauge = |name: &str| f64::from_bits(told(&format!("bartizan_event_stream_{name}{{}}")));
    let count = |name: &str| told(&format!("bartizan_event_stream_{name}"));
    assert_eq!(
        (gauge("connections"), gauge("waiting"), gauge("replaying")),
        (2.0, 2.0, 0.0)
    );
    assert_eq!(gauge("lag_events"), 3.0);
    assert!((4.0..=10.0).contains(&gauge("lag_seconds")));
    assert!(gauge("store_silent_seconds") <= 1.0);
    assert_eq!((count("opened_total{}"), count("events_total{}")), (2, 3));
    assert_eq!((count("wakes_total{}"), count("resets_total{}")), (2, 1));
    assert_eq!(
        (count("demotions_total{}"), count("hand_overs_total{}")),
        (0, 0)
    );
    assert_eq!(count("turned_away_total{reason=full}"), 1);
    assert!(count("store_reads_total{reader=tailer}") > 3);
    for never in [
        "turned_away_total{reason=address}",
        "turned_away_total{reason=draining}",
        "turned_away_total{reason=stale}",
        "store_reads_total{reader=stream}",
        "store_failures_total{reader=stream}",
        "store_failures_total{reader=tailer}",
        "ended_total{reason=revoked}",
    ] {
        assert_eq!(count(never), 0, "{never}");
    }
    hub.drain();
    reader.end().await;
    sleep(Duration::from_secs(1)).await;
    let read = recorder.read();
    assert_eq!(read["bartizan_event_stream_ended_total{reason=drain}"], 2);
    assert!(read.keys().all(|name| !name.contains("someone")));
    // The table in the documentation of the module names all of them, and nothing else.
    let documented = include_str!("../../../src/event_stream/mod.rs");
    let names: Vec<_> = read
        .keys()
        .filter_map(|name| name.split('{').next())
        .collect();
    for name in &names {
        assert!(
            documented.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
    let rows = documented
        .lines()
        .filter(|line| line.starts_with("//! | `bartizan_"));
    let distinct: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(rows.count(), distinct.len());
}
