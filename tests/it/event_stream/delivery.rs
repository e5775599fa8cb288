//! Who gets what, once and in order.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bartizan::event_stream::{EventHub, EventStream, Grant, MemoryStore, NewEvent};
use http::request::Parts;

use super::reader::{Reader, ask, read};
use super::{event, feed, opened, public, settle};

/// Whoever the header `x-user` names: the tests' session.
fn by_header(request: &Parts) -> Result<Grant, bartizan::event_stream::Denied> {
    match request
        .headers
        .get("x-user")
        .and_then(|user| user.to_str().ok())
    {
        Some(user) => Ok(Grant::user(user)),
        None => Ok(Grant::public()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_gets_what_happens_from_now_on_and_never_somebodys_private_events() {
    let (store, _hub, events) = public().await;
    store.append(event("a", "before")).unwrap();
    settle().await;
    let mut reader = opened(&events, "/").await;
    store.append(event("a", "private").for_user("u1")).unwrap();
    let id = store.append(event("a", "one")).unwrap();
    let one = reader.event().await;
    assert_eq!(
        (one.event.as_deref(), one.data.as_deref()),
        (Some("a"), Some("one"))
    );
    assert_eq!(one.id, Some(id.to_string()));
}

#[tokio::test(start_paused = true)]
async fn type_topic_and_user_limit_a_stream_exactly() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    let events = EventStream::new(hub).authorize(|_: &Parts| Ok(Grant::user("u1")));
    for (kind, topic, user) in [
        ("a", "t", ""),
        ("b", "t", ""),
        ("a", "s", ""),
        ("ab", "t", ""),
        ("a", "t", "u1"),
        ("a", "t", "u2"),
    ] {
        let mut new = event(kind, &format!("{kind}{topic}{user}")).topic(topic);
        if !user.is_empty() {
            new = new.for_user(user);
        }
        store.append(new).unwrap();
    }
    for (uri, expected) in [
        ("/?recent=9", &["at", "bt", "as", "abt", "atu1"][..]),
        ("/?recent=9&type=a", &["at", "as", "atu1"]),
        ("/?recent=9&type=a,b&topic=t", &["at", "bt", "atu1"]),
        ("/?recent=9&user=u1", &["atu1"]),
        ("/?recent=2", &["abt", "atu1"]),
        ("/?recent=9&topic=T", &[]),
    ] {
        let mut reader = Reader::open(&events, uri).await;
        assert_eq!(reader.replay().await, expected, "{uri}");
    }
    let (status, problem) = read(ask(&events, "/?user=u2", &[]).await).await;
    assert_eq!(status, 403);
    assert!(problem.contains(r#""status":403"#) && !problem.contains("u2"));
}

#[tokio::test(start_paused = true)]
async fn a_client_resumes_after_what_it_has_seen() {
    let (store, _hub, events) = public().await;
    let ids: Vec<_> = (0..5)
        .map(|n| {
            store
                .append(event("a", &n.to_string()))
                .unwrap()
                .to_string()
        })
        .collect();
    settle().await;
    let mut by_header = Reader::resume(&events, "/?recent=3", &ids[1]).await;
    assert_eq!(by_header.replay().await, ["2", "3", "4"]);
    let uri = format!("/?last_event_id={}", ids[3]);
    assert_eq!(Reader::open(&events, &uri).await.replay().await, ["4"]);
    let mut current = Reader::resume(&events, "/", &ids[4]).await;
    assert!(current.replay().await.is_empty());
    store.append(event("a", "5")).unwrap();
    assert_eq!(current.event().await.data.as_deref(), Some("5"));
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_to_one_user_among_ten_thousand_wakes_exactly_one() {
    const USERS: usize = 10_000;
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    let events = EventStream::new(hub.clone()).authorize(by_header);
    let mut streams = Vec::new();
    for user in 0..USERS {
        let request = http::Request::get("/").header("x-user", user.to_string());
        let answer = tower::ServiceExt::oneshot(events.clone(), request.body(()).unwrap()).await;
        let mut reader = Reader::over(answer.unwrap());
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        while reader.poll(&waker).is_ready() {}
        streams.push((reader, count));
    }
    let woken = |streams: &[(Reader, Arc<Count>)]| -> Vec<usize> {
        let woken = |(_, count): &(_, Arc<Count>)| count.0.load(Ordering::Relaxed) > 0;
        (0..USERS).filter(|at| woken(&streams[*at])).collect()
    };
    for n in 0..3 {
        let new = NewEvent::text("a", n.to_string()).unwrap();
        store.append(new.for_user("7777")).unwrap();
    }
    settle().await;
    assert_eq!(woken(&streams), [7777]);
    assert_eq!(
        streams[7777].1.0.load(Ordering::Relaxed),
        1,
        "one wake for a burst"
    );
    assert_eq!(hub.stats().wakes, 1);
    assert!(matches!(
        streams[7777].0.poll(Waker::noop()),
        Poll::Ready(true)
    ));

    store.append(event("a", "to all")).unwrap();
    settle().await;
    assert_eq!(woken(&streams).len(), USERS);
    assert_eq!(hub.stats().connections, USERS);
    drop(streams);
    assert_eq!(hub.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_for_a_minute_loses_nothing() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(256, 1 << 20));
    settle().await;
    let events = EventStream::new(hub.clone());
    let mut reader = opened(&events, "/").await;
    for n in 0..20_000 {
        store.append(event("a", &n.to_string())).unwrap();
        if n % 1000 == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    settle().await;
    for n in 0..20_000 {
        assert_eq!(reader.event().await.data, Some(n.to_string()));
    }
    assert!(reader.largest <= 16 * 1024, "{}", reader.largest);
    assert_eq!(hub.stats().demotions, 1);
    assert_eq!(hub.stats().hand_overs, 1);
    assert_eq!(hub.stats().resets, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_grows_faster_than_it_is_read_leaves_others_their_turn() {
    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone()).build();
    let mut tailer = pin!(tailer);
    let mut context = Context::from_waker(Waker::noop());
    let mut taken_in_a_turn = || {
        let before = hub.stats().events;
        assert!(tailer.as_mut().poll(&mut context).is_pending());
        hub.stats().events - before
    };
    assert_eq!(taken_in_a_turn(), 0, "it waits for the first one");
    for n in 0..5_000 {
        store.append(event("a", &n.to_string())).unwrap();
    }
    // A page each, and whoever that woke runs before the next.
    let turns: Vec<_> = (0..10).map(|_| taken_in_a_turn()).collect();
    assert_eq!(turns.iter().sum::<u64>(), 5_000, "{turns:?}");
    assert!(turns.iter().all(|taken| *taken <= 512), "{turns:?}");
}
