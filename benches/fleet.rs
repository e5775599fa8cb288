//! Many streams of one hub, without sockets: what the hub does is all that is measured.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bartizan::body::ResponseBody;
use bartizan::event_stream::{
    Denied, EventBody, EventHub, EventStream, Grant, MemoryStore, NewEvent, Tailer,
};
use http::Request;
use http::request::Parts;
use http_body::Body;
use tokio::runtime::{Builder, Runtime};

use crate::call::call;

/// Streams of the users `0`, `1`, .., one each.
#[derive(Debug)]
pub struct Fleet {
    runtime: Runtime,
    store: MemoryStore,
    hub: EventHub,
    tailer: Pin<Box<Tailer>>,
    streams: Vec<Pin<Box<ResponseBody<EventBody>>>>,
}

impl Fleet {
    /// Opens so many streams, and reads what each begins with.
    ///
    /// # Panics
    ///
    /// If the system has no timers to give.
    #[must_use]
    pub fn open(users: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build();
        let store = MemoryStore::new();
        let (hub, tailer) = EventHub::builder(store.clone())
            .max_connections(users)
            // The largest batch fits: who is behind the ring reads the store, which is another question.
            .ring(1 << 14, 64 << 20)
            .build();
        let mut fleet = Self {
            runtime: runtime.expect("a runtime without I/O"),
            store,
            hub: hub.clone(),
            tailer: Box::pin(tailer),
            streams: Vec::with_capacity(users),
        };
        fleet.publish(event("start", None));
        let mut events = EventStream::new(hub).authorize(session);
        for user in 0..users {
            let request = Request::get("/").header("x-user", user.to_string());
            let request = request.body(()).expect("a valid request");
            let guard = fleet.runtime.enter();
            let mut stream = Box::pin(call(&mut events, request).into_body());
            drop(guard);
            read(&mut stream);
            fleet.streams.push(stream);
        }
        fleet
    }

    /// Appends an event, and lets the hub take it in.
    ///
    /// # Panics
    ///
    /// If the hub is no longer fed.
    pub fn publish(&mut self, event: NewEvent) {
        self.publish_all([event]);
    }

    /// Appends events, and then lets the hub take them in.
    ///
    /// # Panics
    ///
    /// If the hub is no longer fed, or there is no event.
    pub fn publish_all(&mut self, events: impl IntoIterator<Item = NewEvent>) {
        let ids = events
            .into_iter()
            .map(|event| self.store.append(event).expect("a log that never ends"));
        let id = ids.last().expect("events");
        let Self {
            runtime,
            hub,
            tailer,
            ..
        } = self;
        runtime.block_on(poll_fn(|context| {
            assert!(tailer.as_mut().poll(context).is_pending(), "it never ends");
            match hub.head() {
                Some(head) if head == id => Poll::Ready(()),
                _ => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        }));
    }

    /// Reads the streams of some users to their end; returns the bytes that were there.
    pub fn read(&mut self, users: impl IntoIterator<Item = usize>) -> usize {
        let _guard = self.runtime.enter();
        users
            .into_iter()
            .map(|user| read(&mut self.streams[user]))
            .sum()
    }
}

/// An event for one user or for all.
///
/// # Panics
///
/// If it cannot be sent as one.
pub fn event(data: &str, user: Option<usize>) -> NewEvent {
    let event = NewEvent::text("bench", data).expect("a valid event");
    match user {
        Some(user) => event.for_user(user.to_string()),
        None => event,
    }
}

fn read(stream: &mut Pin<Box<ResponseBody<EventBody>>>) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    while let Poll::Ready(Some(Ok(frame))) = stream.as_mut().poll_frame(&mut context) {
        bytes += frame.into_data().map_or(0, |data| data.len());
    }
    bytes
}

fn session(request: &Parts) -> Result<Grant, Denied> {
    let user = request.headers.get("x-user");
    let user = user.and_then(|user| user.to_str().ok());
    Ok(user.map_or_else(Grant::public, Grant::user))
}
