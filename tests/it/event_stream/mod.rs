//! `bartizan::event_stream` as a host sees it.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::time::Duration;

use bartizan::event_stream::{EventHub, EventHubBuilder, EventStream, MemoryStore, NewEvent};

use self::reader::Reader;

mod broken;
mod conformance;
mod delivery;
mod fuzz;
mod hosts;
mod idle;
mod lifecycle;
mod limits;
mod long_poll;
mod observed;
mod reader;
mod respond;
mod rights;
mod socket;
mod stacks;
mod transports;
mod websocket;

/// A hub that is fed.
fn feed(builder: EventHubBuilder<MemoryStore>) -> EventHub {
    let (hub, tailer) = builder.build();
    tokio::spawn(tailer);
    hub
}

/// A log, a hub over it that is fed, and its public stream.
async fn public() -> (MemoryStore, EventHub, EventStream) {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    (store, hub.clone(), EventStream::new(hub))
}

fn event(kind: &str, data: &str) -> NewEvent {
    NewEvent::text(kind, data).unwrap()
}

/// Lets the tailer take in what was appended. Time is paused: nobody waits.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}

/// Reads the blocks that open a stream without a cursor: the first bytes, and where it starts.
async fn opened(events: &EventStream, uri: &str) -> Reader {
    let mut reader = Reader::open(events, uri).await;
    assert!(reader.ready().expect("first bytes at once").retry.is_some());
    assert!(
        reader
            .ready()
            .expect("where the stream starts")
            .id
            .is_some()
    );
    assert_eq!(reader.ready(), None);
    reader
}
