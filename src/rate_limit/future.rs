//! The response of a metered request, on its way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;

use super::hold::Released;
use super::settle::Passed;
use crate::body::ResponseBody;

pin_project! {
    /// The future of [`RateLimit`](super::RateLimit).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner service's future. The cells stay charged.
    pub struct ResponseFuture<F, P> {
        #[pin]
        state: State<F, P>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, P> {
        /// The store has yet to answer.
        Held { #[pin] parked: P },
        /// The inner service is at work.
        Inner { #[pin] future: F, passed: Option<Passed> },
        /// Nothing but the answer is left.
        Refused { response: Option<Box<Response<Bytes>>> },
    }
}

// Each is written where it is returned: a future of this size is not worth moving once more.
impl<F, P> ResponseFuture<F, P> {
    pub(super) fn held(parked: P) -> Self {
        Self {
            state: State::Held { parked },
        }
    }

    pub(super) fn passed(future: F, passed: Option<Passed>) -> Self {
        Self {
            state: State::Inner { future, passed },
        }
    }

    pub(super) fn refused(response: Box<Response<Bytes>>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }
}

impl<F, P, B, E> Future for ResponseFuture<F, P>
where
    F: Future<Output = Result<Response<B>, E>>,
    P: Future<Output = Released<F>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Held { parked } => match ready!(parked.poll(cx)) {
                    Ok((future, passed)) => State::Inner { future, passed },
                    Err(response) => State::Refused {
                        response: Some(response),
                    },
                },
                StateProjection::Inner { future, passed } => {
                    let mut response = ready!(future.poll(cx))?;
                    if let Some(passed) = passed {
                        passed.mark(&mut response);
                    }
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProjection::Refused { response } => {
                    let response = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(response.map(ResponseBody::local)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<F, P> fmt::Debug for ResponseFuture<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
