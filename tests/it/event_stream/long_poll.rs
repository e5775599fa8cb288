//! The same events for clients to whom no stream gets through.

use std::time::Duration;

use bartizan::clock::{Clock, Instant};
use bartizan::event_stream::{
    Bounds, Denied, EventHub, EventId, EventStore, EventStream, Grant, MemoryStore, Page, Read,
    Selector,
};
use http::request::Parts;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt;

use super::reader::{Reader, ask, read};
use super::{event, feed, opened, public, settle};

const JSON: (&str, &str) = ("accept", "application/json");

fn now() -> Instant {
    Clock::new().now()
}

/// Polls once: status, headers and document.
async fn poll(events: &EventStream, uri: &str) -> (u16, HeaderMap, Value) {
    let answer = ask(events, uri, &[JSON]).await;
    let headers = answer.headers().clone();
    let (status, text) = read(answer).await;
    (status, headers, serde_json::from_str(&text).unwrap())
}

/// Polls from a cursor, which must work: the events' data, and the next cursor.
async fn after(events: &EventStream, cursor: &str, wait: u32) -> (Vec<String>, String) {
    let uri = format!("/?last_event_id={cursor}&wait={wait}");
    let (status, headers, document) = poll(events, &uri).await;
    assert_eq!(status, 200, "{document}");
    assert!(!headers.contains_key("event-stream-reset"), "{document}");
    (data(&document), text(&document["cursor"]))
}

fn data(document: &Value) -> Vec<String> {
    let events = document["events"].as_array().unwrap();
    events.iter().map(|event| text(&event["data"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn it_answers_with_the_first_events_and_where_to_go_on() {
    let (store, hub, events) = public().await;
    store.append(event("a", "before")).unwrap();
    settle().await;
    let (status, headers, start) = poll(&events, "/?wait=0").await;
    assert_eq!((status, &start["events"]), (200, &json!([])));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-store");

    let uri = format!("/?last_event_id={}", text(&start["cursor"]));
    let waiting = tokio::spawn(async move { poll(&events, &uri).await });
    sleep(Duration::from_secs(7)).await;
    assert_eq!(hub.stats().connections, 1);
    let before = now();
    let one = store.append(event("a", "one\r\ntwo")).unwrap().to_string();
    let two = store.append(event("message", "")).unwrap().to_string();
    let (_, _, document) = waiting.await.unwrap();
    assert!(now().since(before) < Duration::from_millis(100));
    let expected = json!({
        "events": [
            {"id": one, "type": "a", "data": "one\ntwo"},
            {"id": two, "type": "message", "data": ""},
        ],
        "cursor": two,
    });
    assert_eq!(document, expected);
    assert_eq!(hub.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn without_news_it_answers_after_its_wait_and_a_client_of_rare_events_stays_on_the_log() {
    let (store, _hub, events) = public().await;
    let mut cursor = opened(&events, "/").await.id.clone();
    for (query, seconds) in [("", 25), ("&wait=3", 3), ("&wait=600", 55), ("&wait=0", 0)] {
        let last = store.append(event("common", "")).unwrap().to_string();
        settle().await;
        let before = now();
        let uri = format!("/?type=rare&last_event_id={cursor}{query}");
        let (status, _, document) = poll(&events, &uri).await;
        let took = now().since(before).as_millis();
        assert!(
            (seconds * 1000..seconds * 1000 + 10).contains(&took),
            "{took}"
        );
        assert_eq!((status, &document["events"]), (200, &json!([])));
        assert_eq!(document["cursor"], last);
        cursor = last;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_goes_from_one_form_to_the_other_loses_and_doubles_nothing() {
    const EVENTS: usize = 600;
    let store = MemoryStore::new();
    // A ring so small that some switches are served by it, and some by the store.
    let hub = feed(EventHub::builder(store.clone()).ring(16, 1 << 20));
    settle().await;
    let events = EventStream::new(hub.clone());
    let mut cursor = opened(&events, "/").await.id.clone();
    let writer = tokio::spawn(async move {
        for n in 0..EVENTS {
            store.append(event("a", &n.to_string())).unwrap();
            // Bursts of 40, and single events between them.
            if n % 60 >= 40 {
                sleep(Duration::from_millis(70)).await;
            }
        }
    });
    let (mut seen, mut polls, mut streams) = (Vec::new(), 0, 0);
    while seen.len() < EVENTS {
        let (found, next) = after(&events, &cursor, 1).await;
        polls += usize::from(!found.is_empty());
        seen.extend(found);
        cursor = next;

        let mut reader = Reader::resume(&events, "/", &cursor).await;
        for _ in 0..seen.len() % 7 {
            let Ok(Some(block)) =
                tokio::time::timeout(Duration::from_millis(300), reader.block()).await
            else {
                break;
            };
            if !block.is("caught-up") {
                streams += usize::from(block.data.is_some());
                seen.extend(block.data);
            }
        }
        if !reader.id.is_empty() {
            cursor = reader.id.clone();
        }
    }
    writer.await.unwrap();
    let expected: Vec<_> = (0..EVENTS).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
    assert!(polls > 20 && streams > 20, "{polls} and {streams}");
    assert!(hub.stats().hand_overs > 5, "{:?}", hub.stats());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_told_in_the_document_and_in_the_head_and_only_once() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(2, 1 << 20));
    settle().await;
    let events = EventStream::new(hub);
    let ids: Vec<_> = (0..6)
        .map(|_| store.append(event("a", "")).unwrap())
        .collect();
    settle().await;
    store.trim(ids[2]);
    let invented = format!("{:x}.999999", ids[0].epoch().get());
    for (id, reason) in [
        ("garbage", "unreadable"),
        ("ffffffffffffffff.1", "epoch"),
        (&*ids[1].to_string(), "trimmed"),
        (&invented, "unknown"),
    ] {
        let before = now();
        let (status, headers, document) = poll(&events, &format!("/?last_event_id={id}")).await;
        assert!(now().since(before) < Duration::from_secs(1), "news at once");
        let head = ids[5].to_string();
        let reset = json!({"reason": reason, "head": head});
        let expected = json!({"events": [], "cursor": head, "reset": reset});
        assert_eq!((status, document), (200, expected));
        assert_eq!(headers["event-stream-reset"], reason);
        assert!(after(&events, &head, 0).await.0.is_empty());
    }
    let (found, _) = after(&events, &ids[2].to_string(), 0).await;
    assert_eq!(found.len(), 3);

    let uri = format!("/?last_event_id={}", ids[5]);
    let waiting = tokio::spawn({
        let events = events.clone();
        async move { poll(&events, &uri).await }
    });
    settle().await;
    store.clear();
    let id = store.append(event("a", "after")).unwrap().to_string();
    let (_, headers, document) = waiting.await.unwrap();
    assert_eq!(headers["event-stream-reset"], "epoch");
    assert_eq!(document["reset"]["reason"], "epoch");
    assert_eq!(document["cursor"], id);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_frees_its_place_and_its_client_loses_nothing() {
    let (store, hub, events) = public().await;
    let cursor = opened(&events, "/").await.id.clone();
    let uri = format!("/?last_event_id={cursor}");
    for n in 0..20_u64 {
        // Given up while it waits, and at the moment at which the event comes.
        let waiting = poll(&events, &uri);
        let gave_up = tokio::time::timeout(Duration::from_millis(n), waiting).await;
        assert_eq!(gave_up.is_err(), n < 10, "{n}");
        assert_eq!(hub.stats().connections, 0);
        if n == 9 {
            store.append(event("a", "one")).unwrap();
            settle().await;
        }
    }
    assert_eq!(after(&events, &cursor, 0).await.0, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn rights_filters_and_limits_are_those_of_a_stream() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).max_connections(1));
    settle().await;
    let events =
        EventStream::new(hub.clone()).authorize(|request: &Parts| match request.uri.path() {
            "/out" => Err(Denied::for_good()),
            _ => Ok(Grant::user("u1")),
        });
    for (kind, user) in [("a", "u1"), ("b", "u1"), ("a", "u2")] {
        let new = event(kind, &format!("{kind} {user}")).for_user(user);
        store.append(new).unwrap();
    }
    store.append(event("a", "public").topic("t")).unwrap();
    settle().await;
    for (query, expected) in [
        ("recent=9", &["a u1", "b u1", "public"][..]),
        ("recent=1", &["public"]),
        ("recent=9&type=a", &["a u1", "public"]),
        ("recent=9&topic=t", &["public"]),
        ("recent=9&user=u1", &["a u1", "b u1"]),
    ] {
        let (_, _, document) = poll(&events, &format!("/?{query}")).await;
        assert_eq!(data(&document), expected, "{query}");
    }
    for (uri, status) in [("/?user=u2", 403), ("/?wait=soon", 400), ("/out", 403)] {
        let (found, headers, problem) = poll(&events, uri).await;
        assert_eq!((found, &problem["status"]), (status, &json!(status)));
        assert_eq!(headers["content-type"], "application/problem+json");
    }

    let stream = opened(&events, "/?wait=soon").await;
    let (status, headers, problem) = poll(&events, "/").await;
    assert_eq!((status, &problem["reason"]), (503, &json!("full")));
    assert!(headers.contains_key("retry-after"));
    drop(stream);

    let head = Request::head("/").header(JSON.0, JSON.1).body(()).unwrap();
    let answer = events.clone().oneshot(head).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(read(answer).await, (200, String::new()));

    let waiting = tokio::spawn(async move { poll(&events, "/").await });
    settle().await;
    assert_eq!(hub.revoke("u1"), 1);
    let (status, _, document) = waiting.await.unwrap();
    assert_eq!((status, &document["events"]), (200, &json!([])));
}

#[tokio::test(start_paused = true)]
async fn a_client_far_behind_gets_bounded_answers_one_after_the_other() {
    let (store, _hub, events) = public().await;
    let mut cursor = opened(&events, "/").await.id.clone();
    let large = "x".repeat(1000);
    for _ in 0..2000 {
        store.append(event("a", &large)).unwrap();
    }
    settle().await;
    let (mut seen, mut answers) = (0, 0);
    while seen < 2000 {
        let (found, next) = after(&events, &cursor, 0).await;
        assert!((1..300).contains(&found.len()), "{}", found.len());
        seen += found.len();
        answers += 1;
        cursor = next;
    }
    assert_eq!(seen, 2000);
    assert!(answers >= 8, "{answers}");
}

/// A log that is reached over a network, or not at all.
struct Far {
    store: MemoryStore,
    broken: bool,
}

impl Far {
    async fn reach(&self) -> std::io::Result<()> {
        sleep(Duration::from_millis(300)).await;
        match self.broken {
            true => Err(std::io::ErrorKind::ConnectionRefused.into()),
            false => Ok(()),
        }
    }
}

fn sure<T>(read: Result<T, std::convert::Infallible>) -> T {
    let Ok(read) = read;
    read
}

impl EventStore for Far {
    type Error = std::io::Error;

    async fn bounds(&self) -> std::io::Result<Bounds> {
        self.reach().await?;
        Ok(sure(self.store.bounds().await))
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> std::io::Result<Read> {
        self.reach().await?;
        Ok(sure(self.store.read_after(cursor, selector, limit).await))
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> std::io::Result<Page> {
        self.reach().await?;
        Ok(sure(self.store.find_recent(selector, limit).await))
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_gets_on_over_a_slow_store_and_is_told_of_a_dead_one() {
    let store = MemoryStore::new();
    let hub = |broken| {
        let store = store.clone();
        let (hub, tailer) = EventHub::builder(Far { store, broken }).ring(0, 0).build();
        tokio::spawn(tailer);
        EventStream::new(hub)
    };
    let (slow, dead) = (hub(false), hub(true));
    sleep(Duration::from_secs(2)).await;
    let mut cursor = opened(&slow, "/").await.id.clone();
    for n in 0..300 {
        store.append(event("a", &n.to_string())).unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    let mut seen = Vec::new();
    while seen.len() < 300 {
        let (found, next) = after(&slow, &cursor, 0).await;
        assert!(!found.is_empty(), "after {}", seen.len());
        seen.extend(found);
        cursor = next;
    }
    assert!(
        seen.iter()
            .enumerate()
            .all(|(n, data)| *data == n.to_string())
    );

    let (status, headers, problem) = poll(&dead, "/?wait=1").await;
    assert_eq!((status, &problem["reason"]), (503, &json!("unavailable")));
    assert!(headers.contains_key("retry-after"));
    let uri = format!("/?wait=1&last_event_id={cursor}");
    let (status, _, document) = poll(&dead, &uri).await;
    assert_eq!((status, &document["cursor"]), (200, &json!(cursor)));
}
