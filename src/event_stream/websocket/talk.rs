//! The conversation over an open socket: what the stream says goes out, one frame of it at a time,
//! and of what the client says only its signs of life count.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FusedStream;
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::message::{LARGEST_PART, Outbox, Piece};
use crate::event_stream::body::EventBody;
use crate::event_stream::hub::Closing;

/// Carries `body` over `io` until one side ends it.
///
/// Its place in the hub is free when this is done, so what the hub counts as open is open.
pub(super) async fn talk<S>(io: S, body: EventBody)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(LARGEST_PART)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_frame_size(Some(LARGEST_FROM_CLIENT))
        .max_message_size(Some(LARGEST_FROM_CLIENT));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let patience = body.keep_alive().saturating_mul(2);
    let mut talk = Talk {
        socket,
        body,
        outbox: Outbox::default(),
        unflushed: 0,
        stalled: false,
        patience,
        silence: Box::pin(sleep(patience)),
    };
    let end = poll_fn(|cx| talk.poll(cx)).await;
    if !matches!(end, End::Gone) {
        let _ = timeout(PARTING, part(talk.socket, end)).await;
    }
}

struct Talk<S> {
    socket: WebSocketStream<S>,
    body: EventBody,
    outbox: Outbox,
    /// Bytes that were handed over since the socket last took everything.
    unflushed: usize,
    /// The socket does not take what it was given.
    stalled: bool,
    /// How long a client may show no sign of life.
    patience: Duration,
    silence: Pin<Box<Sleep>>,
}

/// Why the conversation is over.
enum End {
    /// The client is not there any more.
    Gone,
    /// The client said good-bye, and gets its answer.
    Answered,
    /// Told to the client.
    Told(CloseCode, &'static str),
}

impl<S> Talk<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_client(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_stream(cx) {
            return Poll::Ready(end);
        }
        self.silence.as_mut().poll(cx).map(|()| End::Gone)
    }

    /// Hears the client out. Pings are answered and closing is acknowledged below; the rest means
    /// nothing but that it is there.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        for _ in 0..HEARD_AT_ONCE {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(Message::Close(_)))) => return Poll::Ready(End::Answered),
                // From one that takes nothing it does not count, or it could stay like that.
                Poll::Ready(Some(Ok(_))) if self.stalled => {}
                Poll::Ready(Some(Ok(_))) => self.still_there(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(End::of(&error)),
                Poll::Ready(None) => return Poll::Ready(End::Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
        // It talks without end: the others' turn, and then again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what the stream says for as long as the socket takes it. Nothing is asked of the stream
    /// while a frame of it waits to be sent, so nothing piles up here.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.unflushed >= LARGEST_PART {
                if let Err(Gone) = ready!(self.poll_flush(cx)) {
                    return Poll::Ready(End::Gone);
                }
            }
            match self.outbox.next() {
                Some(piece) => {
                    self.unflushed += piece.size();
                    if Pin::new(&mut self.socket).start_send(piece.into()).is_err() {
                        return Poll::Ready(End::Gone);
                    }
                }
                None => match self.body.poll_next(cx) {
                    Poll::Ready(Some(frame)) => self.outbox.put(&frame),
                    Poll::Ready(None) => return Poll::Ready(End::said(self.body.ended())),
                    Poll::Pending => break,
                },
            }
        }
        if self.unflushed > 0 {
            if let Err(Gone) = ready!(self.poll_flush(cx)) {
                return Poll::Ready(End::Gone);
            }
        }
        Poll::Pending
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(cx) else {
            self.stalled = true;
            return Poll::Pending;
        };
        self.unflushed = 0;
        if std::mem::take(&mut self.stalled) {
            // What it takes at last shows that it reads.
            self.still_there();
        }
        Poll::Ready(flushed.map_err(|_| Gone))
    }

    fn still_there(&mut self) {
        self.silence.set(sleep(self.patience));
    }
}

/// The connection broke.
struct Gone;

impl End {
    /// What the client did wrong, if it is still there to be told.
    fn of(error: &Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                Self::Told(CloseCode::Size, "a client has little to say here")
            }
            Error::Utf8(_) => Self::Told(CloseCode::Invalid, "text is UTF-8"),
            Error::Protocol(_) => Self::Told(CloseCode::Protocol, "not a frame that is allowed"),
            _ => Self::Gone,
        }
    }

    /// Why the hub ended the stream.
    fn said(why: Option<Closing>) -> Self {
        match why {
            Some(Closing::Age) => Self::Told(CloseCode::Away, "age"),
            Some(Closing::Drain) => Self::Told(CloseCode::Away, "drain"),
            Some(Closing::Revoked) => Self::Told(CloseCode::Policy, "revoked"),
            Some(Closing::Superseded) => Self::Told(CloseCode::Policy, "superseded"),
            Some(Closing::Stalled) => Self::Told(CloseCode::Away, "stalled"),
            Some(Closing::Stale) | None => Self::Told(CloseCode::Again, "stale"),
        }
    }
}

/// Closes the socket: the closing handshake, and then the connection, by the server first.
async fn part<S>(mut socket: WebSocketStream<S>, end: End)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let End::Told(code, reason) = end {
        let reason = Utf8Bytes::from_static(reason);
        let close = Message::Close(Some(CloseFrame { code, reason }));
        if socket.send(close).await.is_err() {
            return;
        }
    }
    // A socket that could not be read has no more to say.
    let broken = socket.is_terminated();
    while let Some(Ok(_)) = socket.next().await {}
    if !broken {
        return;
    }
    // A connection that is dropped with bytes unread is reset, and may take the close frame along.
    let mut io = socket.into_inner();
    let mut scrap = vec![0; READ_BUFFER];
    if io.shutdown().await.is_ok() {
        while io.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
    }
}

impl Piece {
    fn size(&self) -> usize {
        match self {
            Self::Text { part, .. } => part.len(),
            Self::Ping => 0,
        }
    }
}

impl From<Piece> for Message {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Ping => Self::Ping(Bytes::new()),
            Piece::Text { part, first, last } => {
                let kind = if first { Data::Text } else { Data::Continue };
                Self::Frame(Frame::message(part, OpCode::Data(kind), last))
            }
        }
    }
}

/// Bytes of a message that a client may send; it has nothing to say but signs of life.
const LARGEST_FROM_CLIENT: usize = 4096;

/// Bytes that are read at once, and kept for as long as a socket is open.
const READ_BUFFER: usize = 1024;

/// Bytes that lie ready to be sent at most: one part on top of less than one, and the answers to
/// pings of a client that sends many and reads nothing. Such a client is cut off here.
const WRITE_BUFFER: usize = 4 * LARGEST_PART;

/// Messages of a client that are read before it is the stream's turn.
const HEARD_AT_ONCE: usize = 32;

/// How long the closing handshake may take.
const PARTING: Duration = Duration::from_secs(5);
