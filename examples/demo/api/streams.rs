//! `--streams-per-user`: a user's newest streams stay open, older ones make room.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use http_body::Frame;
use tokio::sync::oneshot;

use crate::session::Sessions;

/// The bound, and what there is to count.
#[derive(Clone)]
pub(super) struct Streams {
    sessions: Sessions,
    most: NonZeroUsize,
    /// The ends of each user's open streams, oldest first: a stream ends when its own is dropped.
    open: Arc<Mutex<HashMap<String, VecDeque<oneshot::Sender<()>>>>>,
}

impl Streams {
    pub(super) fn new(sessions: Sessions, most: NonZeroUsize) -> Self {
        Self {
            sessions,
            most,
            open: Arc::default(),
        }
    }

    /// Middleware around the event stream.
    pub(super) async fn bound(
        State(streams): State<Self>,
        request: Request,
        next: Next,
    ) -> Response {
        let user = streams.sessions.user(request.headers());
        let response = next.run(request).await;
        match user {
            Some(user) if response.status() == StatusCode::OK => {
                response.map(|body| Body::new(streams.hold(user, body)))
            }
            _ => response,
        }
    }

    fn hold(self, user: String, body: Body) -> Held {
        let (end, ended) = oneshot::channel();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = open.entry(user.clone()).or_default();
        of_user.push_back(end);
        if of_user.len() > self.most.get() {
            of_user.pop_front();
        }
        drop(open);
        Held {
            body: Some(body),
            ended,
            user,
            streams: self,
        }
    }
}

/// The body of a stream, in its place.
struct Held {
    body: Option<Body>,
    ended: oneshot::Receiver<()>,
    user: String,
    streams: Streams,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if Pin::new(&mut this.ended).poll(cx).is_ready() {
            // Whoever reads this closes, rather than come back and push out the next.
            this.body = None;
            let told = Bytes::from_static(b"event: superseded\ndata: by a newer stream\n\n");
            return Poll::Ready(Some(Ok(Frame::data(told))));
        }
        Pin::new(body).poll_frame(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ended.close();
        let mut open = self
            .streams
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = open.get_mut(&self.user) {
            of_user.retain(|end| !end.is_closed());
            if of_user.is_empty() {
                open.remove(&self.user);
            }
        }
    }
}
