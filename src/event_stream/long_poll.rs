//! A stream that ends after its first batch, answered as one JSON document: for clients behind
//! proxies that let no stream through.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::sleep;

use super::batch::Batch;
use super::body::EventBody;
use super::id::EventId;

/// The first events of `body` for a client that stands at `cursor`, or none after `wait`.
///
/// `wait` is for what has not happened yet. A client that is behind waits for the store as well, so
/// that it gets on with `wait=0` too.
///
/// # Cancel safety
///
/// When it is dropped its place in the hub is free, and the client asks again from where it stands.
pub(super) async fn gather(mut body: EventBody, cursor: Option<EventId>, wait: Duration) -> Batch {
    let mut batch = Batch::after(cursor);
    let mut patience = pin!(sleep(wait));
    let mut waited = false;
    poll_fn(|cx| {
        loop {
            match body.poll_next(cx) {
                Poll::Ready(Some(frame)) => {
                    batch.take_in(&frame);
                    if batch.is_full() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if batch.has_news() => return Poll::Ready(()),
                Poll::Pending => {
                    ready!(patience.as_mut().poll(cx));
                    if waited || !body.is_busy() {
                        return Poll::Ready(());
                    }
                    waited = true;
                    patience.set(sleep(FOR_THE_STORE));
                }
            }
        }
    })
    .await;
    batch
}

/// How much longer a client that is behind waits for the store.
const FOR_THE_STORE: Duration = Duration::from_secs(5);
