//! The event log over real servers: the contract, and what a load with accidents leaves of it.

mod load;
mod postgres;
mod postgres_load;
#[path = "../../../it/event_stream/reader.rs"]
#[allow(
    dead_code,
    reason = "the client of the room's own tests, of which these need a part"
)]
mod reader;
mod redis;
mod redis_load;
mod redis_reconnect;
mod stalled;

use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::event_stream::conformance::Violation;
use bartizan::event_stream::{EventId, EventStore, NewEvent};

use crate::DEADLINE;

type Checked = Result<(), Violation>;

fn event(data: &str) -> NewEvent {
    NewEvent::text("x", data).unwrap()
}

/// Waits until an event that was appended can be read: elsewhere on the server a transaction may be
/// at work that is older.
async fn until_read(store: &impl EventStore, id: EventId) {
    let stands = until(|| async {
        let bounds = store.bounds().await.ok()?;
        (bounds.head().position() >= id.position()).then_some(())
    });
    stands.await.expect("what is committed can be read");
}

/// Asks until there is an answer, or the deadline has passed.
async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> Option<T> {
    let clock = Clock::new();
    let began = clock.now();
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if clock.now().since(began) > DEADLINE {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
