//! How streams open, resume, stay alive and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bartizan::clock::{Clock, Instant};
use bartizan::event_stream::{
    Authorize, Denied, EventHub, EventStream, Grant, MemoryStore, Verdict,
};
use http::request::Parts;
use http::{Method, Request};
use tokio::time::sleep;
use tower::ServiceExt;

use super::reader::{Reader, ask, read};
use super::{event, feed, opened, public, settle};

fn now() -> Instant {
    Clock::new().now()
}

const BROWSER: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test(start_paused = true)]
async fn nothing_on_the_way_may_keep_a_stream_back() {
    let (_store, _hub, events) = public().await;
    let reader = opened(&events, "/").await;
    let headers = &reader.headers;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache, no-transform");
    assert_eq!(headers["x-accel-buffering"], "no");
    for absent in ["connection", "content-length", "event-stream-reset"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_carries_the_cursor_past_events_the_client_does_not_get() {
    let (store, hub, events) = public().await;
    let mut reader = opened(&events, "/?type=rare").await;
    let start = reader.id.clone();
    let mut last = start.clone();
    for _ in 0..5 {
        for _ in 0..2000 {
            last = store.append(event("common", "")).unwrap().to_string();
        }
        let before = now();
        let beat = reader.block().await.unwrap();
        assert!(beat.data.is_none() && beat.retry.is_none());
        assert!(
            (14..=16).contains(&now().since(before).as_secs()),
            "{:?}",
            now().since(before)
        );
    }
    assert_eq!(reader.id, last);
    assert_ne!(reader.id, start);
    assert_eq!(
        hub.stats().demotions,
        0,
        "a reader of rare events is not a slow one"
    );
}

#[tokio::test(start_paused = true)]
async fn garbage_for_a_last_event_id_is_told_in_band_and_in_the_head_and_only_once() {
    let (store, hub, events) = public().await;
    let head = store.append(event("a", "")).unwrap().to_string();
    settle().await;
    for id in ["garbage", "1.2.3", "ffffffffffffffff.1", &"9".repeat(5000)] {
        let mut reader = Reader::resume(&events, "/", id).await;
        assert!(reader.headers.contains_key("event-stream-reset"));
        let reset = reader.event().await;
        assert!(reset.is("reset"));
        assert_eq!(reset.id.as_ref(), Some(&head));
        let data: serde_json::Value = serde_json::from_str(&reset.data.unwrap()).unwrap();
        assert_eq!(data["head"], head);
        assert!(reader.replay().await.is_empty());
        let mut again = Reader::resume(&events, "/", &reader.id.clone()).await;
        assert!(again.replay().await.is_empty(), "no second reset");
    }
    assert_eq!(hub.stats().resets, 4);
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_or_invented_position_and_a_cleared_log_are_told() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(2, 1 << 20));
    settle().await;
    let events = EventStream::new(hub);
    let ids: Vec<_> = (0..6)
        .map(|_| store.append(event("a", "")).unwrap())
        .collect();
    settle().await;
    store.trim(ids[2]);
    let reason = async |id: &str| {
        let mut reader = Reader::resume(&events, "/", id).await;
        let reset = reader.event().await;
        assert!(reset.is("reset"), "{reset:?}");
        let data: serde_json::Value = serde_json::from_str(&reset.data.unwrap()).unwrap();
        assert_eq!(
            reader.headers["event-stream-reset"],
            data["reason"].as_str().unwrap()
        );
        data["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(&ids[1].to_string()).await, "trimmed");
    let epoch = ids[0].to_string();
    let invented = format!("{}.999999", epoch.split_once('.').unwrap().0);
    assert_eq!(reason(&invented).await, "unknown");
    assert_eq!(
        Reader::resume(&events, "/", &ids[2].to_string())
            .await
            .replay()
            .await
            .len(),
        3
    );

    let mut open = opened(&events, "/").await;
    store.clear();
    store.append(event("a", "after")).unwrap();
    let reset = open.event().await;
    assert!(reset.is("reset") && reset.data.unwrap().contains("epoch"));
    let next = store.append(event("a", "next")).unwrap();
    assert_eq!(open.event().await.id, Some(next.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_age_and_tells_where_the_client_stands() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).max_age(Duration::from_secs(100)));
    settle().await;
    let events = EventStream::new(hub.clone());
    let mut reader = opened(&events, "/?type=none").await;
    let head = store.append(event("a", "")).unwrap().to_string();
    let before = now();
    let last = reader.end().await;
    assert!((79..=101).contains(&now().since(before).as_secs()));
    assert_eq!(last.id, Some(head));
    assert!((1000..6000).contains(&last.retry.unwrap()));
    drop(reader);
    assert_eq!(hub.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn ages_and_reconnection_times_are_spread_so_that_clients_do_not_come_in_step() {
    let store = MemoryStore::new();
    let builder = EventHub::builder(store.clone())
        .max_age(Duration::from_secs(1000))
        .retry(Duration::from_secs(9));
    let hub = feed(builder);
    settle().await;
    let events = EventStream::new(hub);
    let (start, mut retries, mut ages) = (now(), Vec::new(), Vec::new());
    let streams = (0..50).map(|_| async {
        let mut reader = Reader::open(&events, "/").await;
        let first = reader.block().await.unwrap().retry.unwrap();
        reader.end().await;
        (first, now().since(start).as_secs())
    });
    for (retry, age) in futures::future::join_all(streams).await {
        retries.push(retry);
        ages.push(age);
    }
    let spread = |found: &[u64]| found.iter().max().unwrap() - found.iter().min().unwrap();
    assert!(
        retries.iter().all(|ms| (6000..=12_000).contains(ms)),
        "{retries:?}"
    );
    assert!(spread(&retries) > 3000, "{retries:?}");
    assert!(
        ages.iter().all(|age| (800..=1001).contains(age)),
        "{ages:?}"
    );
    assert!(spread(&ages) > 100, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drained_hub_ends_its_streams_spreads_their_clients_and_turns_new_ones_away() {
    let (_store, hub, events) = public().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(opened(&events, "/").await);
    }
    hub.drain();
    let mut retries = Vec::new();
    for reader in &mut streams {
        let last = reader.end().await;
        assert!(last.id.is_some());
        retries.push(last.retry.unwrap());
    }
    assert!(retries.iter().all(|ms| (500..=5000).contains(ms)));
    let spread = retries.iter().max().unwrap() - retries.iter().min().unwrap();
    assert!(spread > 2000, "{retries:?}");

    let (status, body) = read(ask(&events, "/", &[BROWSER]).await).await;
    assert_eq!(status, 200);
    assert!(body.starts_with("retry: "));
    let answer = ask(&events, "/", &[]).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(read(answer).await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn without_its_tailer_a_hub_opens_no_stream_and_ends_those_it_has() {
    let (hub, tailer) = EventHub::builder(MemoryStore::new()).build();
    let events = EventStream::new(hub);
    let (status, problem) = read(ask(&events, "/", &[]).await).await;
    assert_eq!(status, 503);
    assert!(problem.contains(r#""reason":"stale""#));
    let running = tokio::spawn(tailer);
    settle().await;
    let mut reader = opened(&events, "/").await;
    running.abort();
    assert!(reader.end().await.retry.is_some());
    assert_eq!(read(ask(&events, "/", &[]).await).await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn methods_and_bad_queries_are_answered_without_a_stream() {
    let (_store, hub, events) = public().await;
    for (method, status) in [("HEAD", 200), ("OPTIONS", 204), ("POST", 405), ("PUT", 405)] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).body("ignored").unwrap();
        let answer = events.clone().oneshot(request).await.unwrap();
        if status > 200 {
            assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
        }
        let found = read(answer).await;
        assert_eq!(found.0, status);
        assert!(status == 405 || found.1.is_empty());
    }
    for query in [
        "type=",
        "type=a,,b",
        "user=%00",
        "recent=x",
        "recent=-1",
        "topic=%ff",
    ] {
        let answer = ask(&events, &format!("/?{query}"), &[BROWSER]).await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(read(answer).await.0, 400, "{query}");
    }
    assert_eq!(hub.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_denied_gets_a_status_and_an_event_source_204_where_it_should_never_return() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store));
    let denied = |denied: fn() -> Denied| {
        EventStream::new(hub.clone()).authorize(move |_: &Parts| Err(denied()))
    };
    let soon = || Denied::for_now(Duration::from_secs(2));
    for (events, browser, other) in [
        (denied(Denied::unauthorized), 401, 401),
        (denied(Denied::forbidden), 403, 403),
        (denied(Denied::for_good), 204, 403),
        (denied(soon), 200, 503),
    ] {
        assert_eq!(read(ask(&events, "/", &[BROWSER]).await).await.0, browser);
        assert_eq!(read(ask(&events, "/", &[]).await).await.0, other);
    }
}

/// What the host says of every stream, changed as the test goes on.
#[derive(Clone)]
struct Mood(Arc<AtomicU8>);

impl Authorize for Mood {
    async fn open(&self, _: &Parts) -> Result<Grant, Denied> {
        Ok(Grant::user("u1"))
    }

    async fn recheck(&self, _: &Grant) -> Verdict {
        match self.0.load(Ordering::Relaxed) {
            0 => Verdict::Keep,
            1 => Verdict::Replace(Grant::public()),
            2 => Verdict::End,
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recheck_keeps_narrows_or_ends_a_stream_before_anything_more_is_written() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    let mood = Mood(Arc::default());
    let events = EventStream::new(hub).authorize(mood.clone());
    let mut reader = opened(&events, "/").await;
    let private = || store.append(event("a", "private").for_user("u1")).unwrap();
    assert!(reader.block().await.unwrap().data.is_none());
    private();
    assert_eq!(reader.event().await.data.as_deref(), Some("private"));

    // Listed for the reader under the former grant, and not sent under the new one.
    mood.0.store(1, Ordering::Relaxed);
    sleep(Duration::from_millis(14_500)).await;
    private();
    sleep(Duration::from_secs(1)).await;
    store.append(event("a", "public")).unwrap();
    assert_eq!(reader.event().await.data.as_deref(), Some("public"));

    for (verdict, within) in [(2, 16), (3, 26)] {
        mood.0.store(0, Ordering::Relaxed);
        let mut reader = opened(&events, "/").await;
        mood.0.store(verdict, Ordering::Relaxed);
        let before = now();
        let last = reader.block().await.unwrap();
        assert!(
            last.retry.is_some(),
            "nothing was written before the answer"
        );
        assert!(now().since(before) <= Duration::from_secs(within));
        assert_eq!(reader.block().await, None);
    }
}

/// It was read from the store under a grant that is in question by now.
#[tokio::test(start_paused = true)]
async fn a_recheck_comes_before_the_rest_of_a_page_that_a_slow_client_has_not_taken() {
    for (verdict, goes_on) in [(0, true), (1, false), (2, false)] {
        let store = MemoryStore::new();
        let hub = feed(EventHub::builder(store.clone()).ring(0, 0));
        settle().await;
        let mood = Mood(Arc::default());
        let events = EventStream::new(hub).authorize(mood.clone());
        let first = store.append(event("a", "first")).unwrap();
        // Each a frame of its own, all of one page.
        for _ in 0..5 {
            let large = event("a", &"x".repeat(10_000)).for_user("u1");
            store.append(large).unwrap();
        }
        store.append(event("a", "last")).unwrap();
        let mut reader = Reader::resume(&events, "/", &first.to_string()).await;
        assert_eq!(
            reader.event().await.data.map(|data| data.len()),
            Some(10_000)
        );
        mood.0.store(verdict, Ordering::Relaxed);
        sleep(Duration::from_secs(20)).await;
        let mut rest = Vec::new();
        while rest.len() < 5 {
            match reader.block().await {
                Some(block) => rest.extend(block.data),
                None => break,
            }
        }
        assert_eq!(rest.len(), if goes_on { 5 } else { 0 }, "verdict {verdict}");
        if verdict == 1 {
            let id = reader.id.clone();
            let public = EventStream::new(feed(EventHub::builder(store.clone())));
            settle().await;
            let mut again = Reader::resume(&public, "/", &id).await;
            assert_eq!(
                again.replay().await,
                ["last"],
                "it comes back where it stood"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_grant_expires() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store));
    settle().await;
    let events = EventStream::new(hub)
        .authorize(|_: &Parts| Ok(Grant::user("u1").expires_in(Duration::from_secs(40))));
    let mut reader = opened(&events, "/").await;
    let before = now();
    reader.end().await;
    assert!((39..=41).contains(&now().since(before).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_can_wait_until_the_last_stream_has_ended() {
    let (_store, hub, events) = public().await;
    hub.closed().await;
    let (first, last) = (opened(&events, "/").await, opened(&events, "/").await);
    let waiting = hub.clone();
    let waiting = tokio::spawn(async move { waiting.closed().await });
    drop(first);
    settle().await;
    assert!(!waiting.is_finished());
    drop(last);
    settle().await;
    assert!(waiting.is_finished());
}
