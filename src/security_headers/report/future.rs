//! The future of the collector: reads a body up to its limit, then answers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::answer::taken;
use super::intake::{Intake, Limits};
use super::read::Format;
use crate::body::{NoBody, ResponseBody};
use crate::clock::Clock;

pin_project! {
    /// The future of [`ReportCollector`](super::ReportCollector).
    pub struct CollectFuture<B> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<B> {
        Reading {
            #[pin] body: B,
            read: Vec<u8>,
            format: Format,
            intake: Arc<Intake>,
            limits: Limits,
            clock: Clock,
        },
        Answered { response: Option<Response<Bytes>> },
    }
}

impl<B> CollectFuture<B> {
    pub(super) const fn answered(response: Response<Bytes>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }

    pub(super) const fn reading(
        body: B,
        format: Format,
        intake: Arc<Intake>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            state: State::Reading {
                body,
                read: Vec::new(),
                format,
                intake,
                limits,
                clock,
            },
        }
    }
}

impl<B: Body> Future for CollectFuture<B> {
    type Output = Result<Response<ResponseBody<NoBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().state.project() {
            StateProjection::Answered { response } => {
                response.take().expect("polled after completion")
            }
            StateProjection::Reading {
                mut body,
                read,
                format,
                intake,
                limits,
                clock,
            } => {
                if body.size_hint().lower() > limits.body as u64 {
                    intake.refuse();
                } else if ready!(poll_whole(body.as_mut(), read, limits.body, cx)) {
                    intake.take(*format, read, *limits, clock.now());
                } else {
                    intake.refuse();
                }
                taken()
            }
        };
        Poll::Ready(Ok(response.map(ResponseBody::local)))
    }
}

/// Appends what comes to `read`; whether the body ended well within `limit`.
fn poll_whole<B: Body>(
    mut body: Pin<&mut B>,
    read: &mut Vec<u8>,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    loop {
        let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else {
            return Poll::Ready(true);
        };
        let Ok(frame) = frame else {
            return Poll::Ready(false);
        };
        // Trailers say nothing here.
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > limit - read.len() {
            return Poll::Ready(false);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            read.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
}

impl<B> fmt::Debug for CollectFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectFuture").finish_non_exhaustive()
    }
}
