//! An open socket as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::talk::talk;
use crate::event_stream::body::EventBody;
use crate::trace::emit;

/// One WebSocket: waits for the server to hand the connection over, and carries the stream over it
/// until it is closed.
///
/// [`WebSockets::driven_by`](super::WebSockets::driven_by) gives it to the host, which polls it to
/// its end, as with `tokio::spawn`. It needs tokio's timers, and hyper as the server.
///
/// # Cancel safety
///
/// When it is dropped the connection is cut, and its place in the hub is free. The client resumes
/// from the last `id` that it saw.
#[must_use = "a socket says nothing until it is polled"]
pub struct WebSocketConnection {
    running: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl WebSocketConnection {
    pub(super) fn new(upgrade: OnUpgrade, body: EventBody) -> Self {
        let running = async move {
            match timeout(HAND_OVER, upgrade).await {
                Ok(Ok(io)) => talk(TokioIo::new(io), body).await,
                Ok(Err(error)) => emit!(
                    debug,
                    { error = error },
                    "the server did not hand a connection over: does it serve with upgrades?"
                ),
                Err(_) => emit!(debug, {}, "a connection was not handed over in time"),
            }
        };
        Self {
            running: Box::pin(running),
        }
    }
}

impl Future for WebSocketConnection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.running.as_mut().poll(cx)
    }
}

impl fmt::Debug for WebSocketConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConnection")
            .finish_non_exhaustive()
    }
}

/// How long the server may take to send the 101 and to hand the connection over.
const HAND_OVER: Duration = Duration::from_secs(10);
