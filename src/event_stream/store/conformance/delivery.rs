//! The whole way from an append to a client: a hub over the store, and one who reads page by page.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::{Either, join, select};
use futures::stream::{StreamExt, pending, repeat};
use tokio::time::timeout;

use super::Checked;
use super::reading::{DELIVERY, bounds, expect};
use super::rules::pass;
use super::samples::sample;
use crate::event_stream::body::EventBody;
use crate::event_stream::encode::blocks;
use crate::event_stream::event::NewEvent;
use crate::event_stream::hub::{EventHub, Opening};
use crate::event_stream::id::EventId;
use crate::event_stream::request::Start;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::{Bounds, EventStore, Page, Read};

/// What becomes of the store's hints before they reach the hub.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hints {
    AsTheyAre,
    /// None arrives.
    Lost,
    /// One after the other, for nothing.
    Storming,
}

/// A client who was away for half of the events, and is there for the rest, gets each of them once
/// and in order, through a hub that keeps one event.
pub(super) async fn deliver<S: EventStore>(
    store: S,
    append: &impl AsyncFn(&S, NewEvent),
    hints: Hints,
    events: u32,
) -> Checked {
    let store = Arc::new(store);
    let from = bounds(&store).await?.head();
    for n in 0..events / 2 {
        append(&store, sample(n)).await;
    }
    let (hub, tailer) = EventHub::builder(Hinted {
        store: Arc::clone(&store),
        hints,
    })
    .ring(1, 1 << 20)
    .poll_every(Duration::from_millis(1), Duration::from_millis(50))
    .build();
    let writing = async {
        for n in events / 2..events {
            append(&store, sample(n)).await;
            pass().await;
        }
    };
    let reading = async {
        let mut client = Client::default();
        let mut body = open(&hub, from).await;
        while client.seen < events {
            let before = client.seen;
            let more = async {
                while client.seen == before {
                    match poll_fn(|cx| body.poll_next(cx)).await {
                        Some(frame) => client.take_in(&frame)?,
                        None => break,
                    }
                }
                Ok(())
            };
            timeout(PATIENCE, more).await.unwrap_or(Ok(()))?;
            expect(client.seen > before, DELIVERY, || {
                format!("{before} of {events} events come with hints {hints:?}")
            })?;
        }
        Ok(())
    };
    let at_work = pin!(join(writing, reading));
    match select(tailer, at_work).await {
        Either::Left(((), _)) => unreachable!("a tailer never ends by itself"),
        Either::Right((((), read), _)) => read,
    }
}

/// A stream of everything after `from`, once the hub is fed.
async fn open(hub: &EventHub, from: EventId) -> EventBody {
    loop {
        let opening = Opening {
            selector: Selector::everything(),
            start: Start::After(from),
            who: None,
            rechecks: false,
            ages: hub.shared.ages(),
            expires: hub.shared.expires(None),
        };
        match hub.shared.open(opening, None, 0) {
            Ok(connection) => return EventBody::new(connection, None),
            Err(_) => pass().await,
        }
    }
}

/// What a client has seen: the first so many of the events, in order.
#[derive(Debug, Default)]
struct Client {
    seen: u32,
}

impl Client {
    fn take_in(&mut self, frame: &[u8]) -> Checked {
        let frame = std::str::from_utf8(frame).unwrap_or_default();
        for block in blocks(frame) {
            let Some(data) = block.data.filter(|_| block.kind != Some("caught-up")) else {
                continue;
            };
            let wanted = sample(self.seen);
            // Line ends are the stream's.
            let same =
                *data == *wanted.data().replace("\r\n", "\n") && block.kind == Some(wanted.kind());
            expect(same, DELIVERY, || {
                let kind = block.kind.unwrap_or_default();
                format!("in place of event {} comes {kind} {data:?}", self.seen)
            })?;
            self.seen += 1;
        }
        Ok(())
    }
}

/// The store with other hints.
struct Hinted<S> {
    store: Arc<S>,
    hints: Hints,
}

impl<S: EventStore> EventStore for Hinted<S> {
    type Error = S::Error;

    fn bounds(&self) -> impl Future<Output = Result<Bounds, S::Error>> + Send {
        self.store.bounds()
    }

    fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Read, S::Error>> + Send {
        self.store.read_after(cursor, selector, limit)
    }

    fn find_recent(
        &self,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Page, S::Error>> + Send {
        self.store.find_recent(selector, limit)
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        match self.hints {
            Hints::AsTheyAre => self.store.hints().boxed(),
            Hints::Lost => pending().boxed(),
            Hints::Storming => repeat(()).boxed(),
        }
    }
}

/// How long the next event may take.
const PATIENCE: Duration = Duration::from_secs(30);
