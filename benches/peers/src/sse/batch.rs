//! Many events for one user each, in one batch, without sockets: what the hub itself costs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bartizan::body::ResponseBody;
use bartizan::event_stream::{EventBody, EventHub, EventStream, Grant, MemoryStore, NewEvent};
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body::Body;
use tokio::sync::broadcast;
use tower::ServiceExt;

use crate::harness::{Effort, median};
use crate::report::{Row, Table};

const TITLE: &str = "SSE, a batch of targeted events in one process";

/// One event for each of many users at once, per delivery.
pub fn targeted(effort: Effort, wanted: &str) -> Option<Table> {
    if !TITLE.contains(wanted) {
        return None;
    }
    let users = effort.choose(8000, 500);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    let turns = effort.choose(15, 3);
    let walked = median((0..turns).map(|_| walk(users)).collect());
    let (all, read) = runtime.block_on(hub(users, users, turns));
    let (unheard, _) = runtime.block_on(hub(users, 0, turns));
    let rows = vec![
        Row::plain("tokio broadcast, everyone walks the batch", walked),
        Row::plain("bartizan, tailer and store included", all),
        Row::plain("bartizan, the same while nobody listens", unheard),
        Row::plain(
            "bartizan, the difference: what the hub does for each",
            all - unheard,
        ),
        Row::plain("bartizan, of that: each stream takes its own", read),
    ];
    let title = format!("{TITLE}, {users} users");
    println!("\n{title}");
    println!("{:<54} {:>18}", "", "ns/delivery");
    for row in &rows {
        println!("{:<54} {:>18.1}", row.name, row.cells[0].value);
    }
    Some(Table {
        title,
        floor: false,
        ratio: "",
        units: vec!["ns/delivery"],
        rows,
        notes: Vec::new(),
    })
}

fn walk(users: usize) -> f64 {
    let (send, _) = broadcast::channel::<(usize, Bytes)>(users.next_power_of_two());
    let mut readers: Vec<_> = (0..users).map(|_| send.subscribe()).collect();
    let event = Bytes::from(vec![b'x'; 150]);
    for user in 0..users {
        let _ = send.send((user, event.clone()));
    }
    let started = Instant::now();
    let mut delivered = 0;
    for (own, reader) in readers.iter_mut().enumerate() {
        while let Ok((user, _)) = reader.try_recv() {
            delivered += usize::from(user == own);
        }
    }
    assert_eq!(delivered, users);
    started.elapsed().as_nanos() as f64 / users as f64
}

/// What a batch for so many users takes in all while the streams of `listening` of them are open, and how
/// much of that is the streams' reading, once the hub has everything. The first batch is not counted.
async fn hub(users: usize, listening: usize, batches: usize) -> (f64, f64) {
    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone())
        .ring(users.next_power_of_two(), 64 << 20)
        .build();
    let tailer = tokio::spawn(tailer);
    while hub.head().is_none() {
        tokio::task::yield_now().await;
    }
    let mut streams = Vec::new();
    for user in 0..listening {
        let user: Arc<str> = user.to_string().into();
        let events = EventStream::new(hub.clone())
            .authorize(move |_: &Parts| Ok(Grant::user(Arc::clone(&user))));
        let request = Request::new(());
        let Ok(answer) = events.oneshot(request).await;
        let mut body = answer.into_body();
        while take(&mut body) > 0 {}
        streams.push(body);
    }
    let each = |time: Duration| time.as_nanos() as f64 / users as f64;
    let (mut all, mut read) = (Vec::new(), Vec::new());
    for batch in 0..=batches {
        let mut last = None;
        for user in 0..users {
            let event = NewEvent::text("tick", "#").expect("a type");
            last = store.append(event.for_user(user.to_string())).ok();
        }
        let started = Instant::now();
        while hub.head() != last {
            tokio::task::yield_now().await;
        }
        let published = started.elapsed();
        let delivered: usize = streams.iter_mut().map(take).sum();
        let elapsed = started.elapsed();
        assert_eq!(delivered, listening);
        // As a server does, which asks until there is nothing.
        assert_eq!(streams.iter_mut().map(take).sum::<usize>(), 0);
        if batch > 0 {
            all.push(each(elapsed));
            read.push(each(elapsed - published));
        }
    }
    tailer.abort();
    (median(all), median(read))
}

/// Polls once, and counts what came.
fn take(body: &mut ResponseBody<EventBody>) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(Some(_)) => 1,
        _ => 0,
    }
}
