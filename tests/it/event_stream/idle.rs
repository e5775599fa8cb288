//! What a connection that waits for events keeps, beside the same connection without a hub.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bartizan::event_stream::{EventHub, EventStream, Grant, MemoryStore};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, service_fn};

use super::socket::serve_with;
use super::{feed, settle};

/// As many as fit no table exactly: tables that double have room left, and that counts.
const CLIENTS: usize = 1000;

/// A body that says one thing, and then nothing.
struct Silent {
    opened: bool,
}

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut self.opened, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
            true => Poll::Pending,
        }
    }
}

/// The head of an event stream, as one would write it by hand, and silence.
async fn by_hand(_: Request<Incoming>) -> Result<Response<Silent>, Infallible> {
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-cache, no-transform")
        .header("x-accel-buffering", "no");
    Ok(response.body(Silent { opened: false }).unwrap())
}

/// Bytes that each of so many clients of `service` keeps allocated while it waits.
fn kept<S, B>(runtime: &Runtime, service: &S) -> u64
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut clients = Vec::with_capacity(CLIENTS);
    let open = async {
        for client in 0..CLIENTS {
            let mut connection = serve_with(service.clone(), 1024);
            let request = format!("GET /?caller={client} HTTP/1.1\r\nhost: x\r\n\r\n");
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            connection.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 200");
            clients.push(connection);
        }
        settle().await;
    };
    let counted = allocation_counter::measure(|| runtime.block_on(open));
    // What these connections keep is given back before the next are counted.
    drop(clients);
    runtime.block_on(settle());
    counted.bytes_current.unsigned_abs() / CLIENTS as u64
}

#[test]
fn an_idle_stream_keeps_no_more_than_one_written_by_hand_and_256_bytes_more_for_a_user() {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let hub = || {
        let _entered = runtime.enter();
        let hub = feed(EventHub::builder(MemoryStore::new()));
        runtime.block_on(settle());
        EventStream::new(hub)
    };
    let public = hub();
    let private = hub().authorize(|request: &Parts| {
        let query = request.uri.query().unwrap_or_default();
        Ok(Grant::user(query.trim_start_matches("caller=")))
    });
    let floor = kept(&runtime, &service_fn(by_hand));
    let (public, private) = (kept(&runtime, &public), kept(&runtime, &private));
    // Nobody's stream, and one that is granted to a user and gets that user's events.
    assert!(public <= floor, "{public} over {floor}");
    assert!(private <= floor + 256, "{private} over {floor}");
}
