//! What a browser's own `EventSource` makes of the ways in which a stream ends.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::body::ResponseBody;
use bartizan::event_stream::{
    Denied, EventBody, EventHub, EventHubBuilder, EventStream, Grant, MemoryStore, NewEvent,
};
use browser::Browser;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

const DEADLINE: Duration = Duration::from_secs(120);

const PAGE: &str = "<!doctype html><link rel=icon href='data:,'><script>
  const seen = { opened: 0, rows: [] };
  const source = new EventSource('/events');
  source.onopen = () => seen.opened++;
  source.addEventListener('row', (event) => seen.rows.push(Number(event.data)));
</script>";

/// A page at `/` and a stream, which may be replaced, at `/events`.
struct Site {
    address: SocketAddr,
    events: Arc<Mutex<EventStream>>,
    /// Requests for the stream.
    asked: Arc<AtomicUsize>,
    store: MemoryStore,
    written: usize,
}

impl Site {
    async fn start(store: &MemoryStore, events: EventStream) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let site = Self {
            address: listener.local_addr().unwrap(),
            events: Arc::new(Mutex::new(events)),
            asked: Arc::default(),
            store: store.clone(),
            written: 0,
        };
        let (events, asked) = (Arc::clone(&site.events), Arc::clone(&site.asked));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (events, asked) = (Arc::clone(&events), Arc::clone(&asked));
                let service = service_fn(move |request| {
                    let events = events.lock().unwrap().clone();
                    let asked = Arc::clone(&asked);
                    async move { answer(request, events, &asked).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        site
    }

    fn write(&mut self) {
        let row = NewEvent::json("row", &self.written).unwrap();
        self.store.append(row).unwrap();
        self.written += 1;
    }

    /// Writes a row and waits until the page has each row once and in order.
    async fn is_whole(&mut self, browser: &Browser) {
        self.write();
        let all: Vec<_> = (0..self.written).collect();
        until(browser, "return seen.rows", json!(all)).await;
    }

    async fn visit(&self) -> Browser {
        let browser = Browser::open().await;
        browser
            .goto(&format!("http://{}/", self.address))
            .await
            .unwrap();
        browser
    }
}

type Answer = Response<Either<Full<Bytes>, ResponseBody<EventBody>>>;

async fn answer(
    request: Request<Incoming>,
    events: EventStream,
    asked: &AtomicUsize,
) -> Result<Answer, Infallible> {
    if request.uri().path() == "/events" {
        asked.fetch_add(1, Ordering::Relaxed);
        return Ok(events.oneshot(request).await?.map(Either::Right));
    }
    let page = Response::builder().header("content-type", "text/html");
    let page = page.body(Full::new(Bytes::from_static(PAGE.as_bytes())));
    Ok(page.unwrap().map(Either::Left))
}

/// Waits until the page answers with this.
async fn until(browser: &Browser, script: &str, expected: Value) {
    let met = async {
        while browser.execute(script, Vec::new()).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, met).await.is_err() {
        let found = browser.execute(script, Vec::new()).await.unwrap();
        assert_eq!(found, expected, "{script}");
    }
}

/// A hub that is fed, and whose clients are told to come back soon.
fn feed(builder: EventHubBuilder<MemoryStore>) -> EventHub {
    let (hub, tailer) = builder
        .retry(Duration::from_millis(100))
        .drain_over(Duration::from_secs(1))
        .build();
    tokio::spawn(tailer);
    hub
}

async fn fed(builder: EventHubBuilder<MemoryStore>) -> EventHub {
    let hub = feed(builder);
    while hub.head().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hub
}

#[tokio::test]
async fn after_the_maximum_age_the_browser_comes_back_and_misses_nothing() {
    let store = MemoryStore::new();
    let hub = fed(EventHub::builder(store.clone()).max_age(Duration::from_secs(1))).await;
    let mut site = Site::start(&store, EventStream::new(hub)).await;
    let browser = site.visit().await;
    until(&browser, "return seen.opened", json!(1)).await;
    // Rows are written through four lives of the stream, and between them.
    while site.asked.load(Ordering::Relaxed) < 5 {
        site.write();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.is_whole(&browser).await;
    let opened = browser
        .execute("return seen.opened", Vec::new())
        .await
        .unwrap();
    assert!(opened.as_u64().unwrap() >= 4, "{opened}");
}

#[tokio::test]
async fn after_a_drain_the_browser_comes_back_to_the_next_process_and_misses_nothing() {
    let store = MemoryStore::new();
    let hub = fed(EventHub::builder(store.clone())).await;
    let mut site = Site::start(&store, EventStream::new(hub.clone())).await;
    let browser = site.visit().await;
    until(&browser, "return seen.opened", json!(1)).await;
    site.is_whole(&browser).await;

    let next = fed(EventHub::builder(store.clone())).await;
    *site.events.lock().unwrap() = EventStream::new(next.clone());
    site.write();
    hub.drain();
    site.write();
    site.is_whole(&browser).await;
    until(&browser, "return seen.opened", json!(2)).await;
    assert_eq!((hub.stats().connections, next.stats().connections), (0, 1));
}

#[tokio::test]
async fn a_browser_that_is_turned_away_comes_back_until_there_is_room() {
    let store = MemoryStore::new();
    let hub = fed(EventHub::builder(store.clone()).max_connections(1)).await;
    let events = EventStream::new(hub.clone());
    let taken = events.clone().oneshot(Request::new(())).await.unwrap();
    let mut site = Site::start(&store, events).await;
    let browser = site.visit().await;
    // It is told so twice at least: it has come back.
    while hub.stats().turned_away < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(
        &browser,
        "return source.readyState === EventSource.CLOSED",
        json!(false),
    )
    .await;
    drop(taken);
    while hub.stats().connections == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.is_whole(&browser).await;
}

#[tokio::test]
async fn a_browser_whose_right_was_revoked_asks_once_more_and_never_again() {
    let store = MemoryStore::new();
    let hub = fed(EventHub::builder(store.clone())).await;
    let allowed = Arc::new(AtomicBool::new(true));
    let right = Arc::clone(&allowed);
    let events = EventStream::new(hub.clone()).authorize(move |_: &Parts| {
        match right.load(Ordering::Relaxed) {
            true => Ok(Grant::user("u1")),
            false => Err(Denied::for_good()),
        }
    });
    let mut site = Site::start(&store, events).await;
    let browser = site.visit().await;
    until(&browser, "return seen.opened", json!(1)).await;
    site.is_whole(&browser).await;

    allowed.store(false, Ordering::Relaxed);
    assert_eq!(hub.revoke("u1"), 1);
    site.write();
    // Closed is for ever, as the specification has it.
    until(
        &browser,
        "return source.readyState === EventSource.CLOSED",
        json!(true),
    )
    .await;
    until(&browser, "return seen", json!({"opened": 1, "rows": [0]})).await;
    assert_eq!(site.asked.load(Ordering::Relaxed), 2);
    assert_eq!(hub.stats().connections, 0);
}
