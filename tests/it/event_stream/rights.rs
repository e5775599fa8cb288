//! Who sees what, and what is left of a stream, when the host's code or the client's timing is at its worst.

use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bartizan::event_stream::{
    Authorize, Denied, EventHub, EventStream, Grant, MemoryStore, Verdict, WebSockets,
};
use futures::FutureExt;
use http::Request;
use http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::sleep;
use tower::ServiceExt;

use super::reader::{Reader, ask, read};
use super::socket::{Heard, Socket, serve, serve_with, with_sockets};
use super::websocket::HANDSHAKE;
use super::{event, feed, opened, settle};

const JSON: (&str, &str) = ("accept", "application/json");

/// The path says who asks.
fn whoever(request: &Parts) -> Result<Grant, Denied> {
    Ok(Grant::user(&request.uri.path()[1..]))
}

async fn hub() -> (MemoryStore, EventHub) {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    (store, hub)
}

#[tokio::test(start_paused = true)]
async fn a_cursor_shows_whoever_comes_with_it_their_own_events_and_nobody_elses() {
    // From the ring, and from the store.
    for ring in [4096, 1] {
        let store = MemoryStore::new();
        let hub = feed(EventHub::builder(store.clone()).ring(ring, 1 << 20));
        settle().await;
        let events = with_sockets(EventStream::new(hub).authorize(whoever));
        let first = opened(&events, "/u1").await.id;
        for n in 0..20 {
            let new = event("a", &format!("u{}", n % 3));
            store.append(new.for_user(format!("u{}", n % 3))).unwrap();
        }
        settle().await;
        let mut one = Reader::resume(&events, "/u1", &first).await;
        assert_eq!(one.replay().await, ["u1"; 7]);
        let mut other = Reader::resume(&events, "/u2", &first).await;
        assert_eq!(other.replay().await, ["u2"; 6]);
        // Where the one has come to, the other goes on, in another form.
        store.append(event("a", "u1").for_user("u1")).unwrap();
        store.append(event("a", "u2").for_user("u2")).unwrap();
        let uri = format!("/u2?last_event_id={}", one.id);
        let (_, document) = read(ask(&events, &uri, &[JSON]).await).await;
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let data: Vec<_> = document["events"].as_array().unwrap().iter().collect();
        assert!(data.len() == 1 && data[0]["data"] == "u2", "{document}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_has_expired_shows_nothing() {
    let (store, hub) = hub().await;
    store.append(event("a", "secret").for_user("u1")).unwrap();
    settle().await;
    let events = with_sockets(EventStream::new(hub.clone()).authorize(|_: &Parts| {
        // The host reckons what is left of a token, and nothing is.
        Ok(Grant::user("u1").expires_in(Duration::ZERO))
    }));
    let (status, text) = read(ask(&events, "/?recent=9", &[]).await).await;
    assert_eq!((status, text.contains("secret")), (200, false), "{text}");
    let (_, text) = read(ask(&events, "/?recent=9&wait=5", &[JSON]).await).await;
    assert!(!text.contains("secret"), "{text}");
    let mut socket = Socket::open(&events, "?recent=9").await;
    let (last, _) = socket.end().await;
    assert!(last.is_none_or(|last| last["data"].is_null()));
    drop(socket);
    settle().await;
    let stats = hub.stats();
    assert_eq!((stats.connections, stats.ended), (0, 3));
}

/// Replaces the grant by one that has expired.
struct Expires;

impl Authorize for Expires {
    async fn open(&self, request: &Parts) -> Result<Grant, Denied> {
        whoever(request)
    }

    async fn recheck(&self, grant: &Grant) -> Verdict {
        Verdict::Replace(grant.clone().expires_in(Duration::ZERO))
    }
}

#[tokio::test(start_paused = true)]
async fn a_recheck_that_finds_a_grant_expired_lets_nothing_more_out() {
    let (store, hub) = hub().await;
    let events = EventStream::new(hub.clone()).authorize(Expires);
    let mut reader = opened(&events, "/u1").await;
    // The event is there when the stream is asked about.
    sleep(Duration::from_secs(16)).await;
    store.append(event("a", "secret").for_user("u1")).unwrap();
    settle().await;
    let mut found = Vec::new();
    while let Some(block) = reader.block().await {
        found.extend(block.data);
    }
    assert_eq!(found, [""; 0]);
    assert_eq!(hub.stats().ended, 1);
}

/// Answers a recheck with the same grant again, or not at all.
struct Rechecks {
    answers: bool,
}

impl Authorize for Rechecks {
    async fn open(&self, request: &Parts) -> Result<Grant, Denied> {
        let _ = request;
        Ok(Grant::user("u1"))
    }

    async fn recheck(&self, grant: &Grant) -> Verdict {
        match self.answers {
            true => Verdict::Replace(grant.clone()),
            false => pending().await,
        }
    }
}

/// A socket that is closed with 1008 does not come back: that is for those who may not.
#[tokio::test(start_paused = true)]
async fn a_socket_whose_recheck_takes_too_long_or_comes_to_another_grant_too_late_comes_back() {
    for answers in [true, false] {
        let store = MemoryStore::new();
        let hub = feed(EventHub::builder(store.clone()).ring(1, 1 << 20));
        let old = store.append(event("a", "old")).unwrap();
        for _ in 0..100 {
            store.append(event("a", &"x".repeat(9_000))).unwrap();
        }
        settle().await;
        let events = with_sockets(EventStream::new(hub).authorize(Rechecks { answers }));
        let query = format!("?last_event_id={old}");
        // It does not read for as long as the recheck has been due, and holds what was read for it.
        let mut socket = Socket::over(serve(&events, 4096), &query).await;
        sleep(Duration::from_secs(16)).await;
        let (last, close) = socket.end().await;
        assert!(last.unwrap()["retry"].is_number());
        assert_eq!(close, Heard::Close(1001, "age".to_owned()), "{answers}");
    }
}

/// Panics where the test says so.
struct Panics {
    rechecks: Arc<AtomicBool>,
}

impl Authorize for Panics {
    async fn open(&self, request: &Parts) -> Result<Grant, Denied> {
        yield_now().await;
        assert!(request.uri.path() != "/panics", "as a host's code might");
        whoever(request)
    }

    async fn recheck(&self, _: &Grant) -> Verdict {
        yield_now().await;
        assert!(
            !self.rechecks.load(Ordering::Relaxed),
            "as a host's code might"
        );
        Verdict::Keep
    }
}

#[tokio::test(start_paused = true)]
async fn what_panics_in_the_hosts_code_frees_the_place_and_harms_no_other_stream() {
    let (store, hub) = hub().await;
    let rechecks = Arc::new(AtomicBool::new(false));
    let events = EventStream::new(hub.clone()).authorize(Panics {
        rechecks: Arc::clone(&rechecks),
    });
    let asked = ask(&events, "/panics", &[]);
    assert!(AssertUnwindSafe(asked).catch_unwind().await.is_err());
    assert_eq!(hub.stats().connections, 0);

    let mut doomed = opened(&events, "/u1").await;
    let public = EventStream::new(hub.clone());
    let mut other = opened(&public, "/").await;
    rechecks.store(true, Ordering::Relaxed);
    let doomed = tokio::spawn(async move { while doomed.block().await.is_some() {} });
    sleep(Duration::from_secs(16)).await;
    assert!(doomed.await.unwrap_err().is_panic());
    assert_eq!(hub.stats().connections, 1);

    // Whoever is to drive a socket.
    let sockets = WebSockets::driven_by(|_| panic!("as a host's code might"));
    let sockets = public.clone().websockets(sockets);
    let connection = serve_with(sockets, 4096);
    let mut request = "GET / HTTP/1.1\r\n".to_owned();
    for (name, value) in HANDSHAKE {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let (mut read, mut write) = tokio::io::split(connection);

    write.write_all(request.as_bytes()).await.unwrap();
    write.write_all(b"\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = read.read_to_end(&mut answer).await;
    settle().await;
    assert_eq!((answer.len(), hub.stats().connections), (0, 1));

    store.append(event("a", "goes on")).unwrap();
    assert_eq!(other.event().await.data.unwrap(), "goes on");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_at_any_await_leaves_nothing_behind() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(1, 1 << 20));
    let old = store.append(event("a", "old")).unwrap();
    for _ in 0..9 {
        store.append(event("a", "news")).unwrap();
    }
    settle().await;
    let events = EventStream::new(hub.clone()).authorize(Panics {
        rechecks: Arc::default(),
    });
    let stream = ("accept", "text/event-stream");
    let mut given_up = 0;
    for uri in [
        format!("/u1?last_event_id={old}"),
        "/u1?recent=5".to_owned(),
        "/u1?wait=1".to_owned(),
    ] {
        for form in [stream, JSON] {
            for polls in 0.. {
                let request = Request::get(&*uri).header(form.0, form.1);
                let answering = events.clone().oneshot(request.body(()).unwrap());
                // The answer, and as much of its body as there are polls left.
                let reading = async {
                    let Ok(answer) = answering.await;
                    let body = pin!(answer.into_body());
                    let mut body = body;
                    while let Some(frame) = next(&mut body).await {
                        drop(frame);
                        yield_now().await;
                    }
                };
                let ended = polled(reading, polls).await;
                settle().await;
                let stats = hub.stats();
                assert_eq!(stats.connections, 0, "{uri} {form:?} {polls}");
                given_up += usize::from(!ended);
                if ended || polls > 30 {
                    break;
                }
            }
        }
    }
    assert!(given_up > 60, "{given_up}");
    let mut whole = Reader::resume(&events, "/u1", &old.to_string()).await;
    assert_eq!(whole.replay().await.len(), 9);
}

async fn next<B: http_body::Body>(
    body: &mut std::pin::Pin<&mut B>,
) -> Option<Result<http_body::Frame<B::Data>, B::Error>> {
    poll_fn(|cx| body.as_mut().poll_frame(cx)).await
}

/// Polls so many times, as often as there is a reason to, and drops it. Answers whether it came to its end.
async fn polled(future: impl Future<Output = ()>, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
