//! Any stream of events as a response, without a hub.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::encode::{self, Encoded};
use super::head;

/// Answers with the events of `stream`: tokens of a model, the progress of a job.
///
/// The stream is polled by the connection that it goes to and dropped with it. It may send
/// [`Event`](super::Event)s, which carry ids, or [`NewEvent`](super::NewEvent)s, which do not. The
/// head and a first comment go out at once. Nothing is resumed, and nothing is sent while the
/// stream is silent: for that, append to a store and use an [`EventStream`](super::EventStream).
///
/// An `Err` ends the response as a broken connection, which is what it is: a client can tell it from
/// an end. A browser's `EventSource` reconnects after both; the last event should tell it to close.
///
/// ```
/// use bartizan::event_stream::{NewEvent, respond};
/// use futures::stream;
/// use http_body_util::BodyExt;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let tokens = stream::iter(["Hello", " world"].map(|token| NewEvent::text("token", token)));
/// let response = respond(tokens);
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// let body = response.into_body().collect().await?.to_bytes();
/// assert_eq!(body, ":\n\nevent: token\ndata: Hello\n\nevent: token\ndata:  world\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn respond<S, T, E>(stream: S) -> Response<StreamBody<S>>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Encoded>,
{
    head::stream(StreamBody {
        stream,
        opened: false,
    })
}

pin_project! {
    /// The body of [`respond`]: the events of a stream.
    pub struct StreamBody<S> {
        #[pin]
        stream: S,
        opened: bool,
    }
}

impl<S, T, E> Body for StreamBody<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Encoded>,
{
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let this = self.project();
        if !std::mem::replace(this.opened, true) {
            return Poll::Ready(Some(Ok(Frame::data(encode::comment()))));
        }
        let event = ready!(this.stream.poll_next(cx));
        Poll::Ready(event.map(|event| event.map(|event| Frame::data(event.into().into_bytes()))))
    }
}

impl<S> fmt::Debug for StreamBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody").finish_non_exhaustive()
    }
}
