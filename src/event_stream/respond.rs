//! Any stream of events as a response, without a hub.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::encode::{self, Encoded};
use super::head;

/// Answers with the events of `stream`: tokens of a model, the progress of a job.
///
/// It may send [`Event`](super::Event)s, which carry ids, or [`NewEvent`](super::NewEvent)s, which
/// do not. The head and a first comment go out at once, and another comment whenever the stream has
/// been silent for 15 s, so that no proxy takes it for dead. Nothing is resumed: for that, append to
/// a store and use an [`EventStream`](super::EventStream).
///
/// An `Err` ends the response as a broken connection, which is what it is: a client can tell it from
/// an end. A browser's `EventSource` reconnects after both; the last event should tell it to close.
/// Neither is the stream polled after it has ended or failed.
///
/// A silent stream needs tokio's timers.
///
/// # Cancel safety
///
/// The stream is polled by the connection that it goes to, as fast as that takes what comes, and is
/// dropped with it: when the client leaves, at the latest with the first comment that cannot be
/// sent. What has to be cleaned up belongs into its `Drop`.
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
        silence: None,
        silent: false,
        phase: Phase::Opening,
    })
}

pin_project! {
    /// The body of [`respond`]: the events of a stream.
    pub struct StreamBody<S> {
        #[pin]
        stream: S,
        // How much longer it may be silent, once it has been.
        silence: Option<Pin<Box<Sleep>>>,
        silent: bool,
        phase: Phase,
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Nothing was sent.
    Opening,
    Open,
    Ended,
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
        match *this.phase {
            Phase::Open => {}
            Phase::Ended => return Poll::Ready(None),
            Phase::Opening => {
                *this.phase = Phase::Open;
                return Poll::Ready(Some(Ok(Frame::data(encode::comment()))));
            }
        }
        match this.stream.poll_next(cx) {
            Poll::Ready(Some(Ok(event))) => {
                *this.silent = false;
                Poll::Ready(Some(Ok(Frame::data(event.into().into_bytes()))))
            }
            Poll::Ready(Some(Err(error))) => {
                *this.phase = Phase::Ended;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                *this.phase = Phase::Ended;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let silence = this
                    .silence
                    .get_or_insert_with(|| Box::pin(sleep(KEEP_ALIVE)));
                if !std::mem::replace(this.silent, true) {
                    silence.as_mut().set(sleep(KEEP_ALIVE));
                }
                ready!(silence.as_mut().poll(cx));
                *this.silent = false;
                Poll::Ready(Some(Ok(Frame::data(encode::comment()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended
    }
}

impl<S> fmt::Debug for StreamBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBody").finish_non_exhaustive()
    }
}

/// How long a stream may be silent: proxies cut a silent connection after 30 to 100 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
