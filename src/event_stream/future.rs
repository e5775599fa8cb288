//! The response to come: at once, or after the host has decided.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use super::body::EventBody;
use crate::body::ResponseBody;

type Answer = Response<ResponseBody<EventBody>>;

/// The future of [`EventStream`](super::EventStream).
///
/// It is small, since hyper keeps its full size for as long as the connection lives.
pub struct ResponseFuture {
    state: State,
}

enum State {
    Ready(Option<Box<Answer>>),
    Asking(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl ResponseFuture {
    pub(super) fn ready(answer: Answer) -> Self {
        Self {
            state: State::Ready(Some(Box::new(answer))),
        }
    }

    pub(super) fn asking(asking: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self {
            state: State::Asking(Box::pin(asking)),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Ready(answer) => {
                Poll::Ready(Ok(*answer.take().expect("polled after completion")))
            }
            State::Asking(asking) => asking.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_enough_to_be_kept_for_a_connections_life() {
        assert!(size_of::<ResponseFuture>() <= 32);
    }
}
