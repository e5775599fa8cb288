//! The response future: applies the headers once the head is there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Extensions, Response};
use pin_project_lite::pin_project;

use super::append::CspAppend;
use super::merge::Facts;
use super::nonce::CspNonce;
use super::prepared::PreparedHeaders;
use crate::client::Scheme;

pin_project! {
    /// The future of [`SecurityHeadersService`](super::SecurityHeadersService).
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        headers: PreparedHeaders,
        scheme: Scheme,
        nonce: Option<CspNonce>,
        tunnel: bool,
        outer: Outer,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(
        inner: F,
        headers: PreparedHeaders,
        scheme: Scheme,
        nonce: Option<CspNonce>,
        tunnel: bool,
        outer: Outer,
    ) -> Self {
        Self {
            inner,
            headers,
            scheme,
            nonce,
            tunnel,
            outer,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let status = response.status();
        // The connection is no longer HTTP, or not yet: a header could only do harm.
        if status.is_informational() || *this.tunnel && status.is_success() {
            return Poll::Ready(Ok(response));
        }
        let told = Told::take(response.extensions_mut());
        let headers = told.chosen.as_ref().unwrap_or(this.headers);
        headers.get().apply(
            response.headers_mut(),
            &Facts {
                scheme: *this.scheme,
                status,
                nonce: this.nonce.as_ref().and_then(CspNonce::read),
                append: told.append.as_ref(),
                inner: &told.inner.0,
            },
        );
        if let Some(nonce) = this.nonce.take() {
            nonce.retire();
        }
        if this.outer.asks {
            let mut inner = told.inner;
            inner.0.push(headers.clone());
            response.extensions_mut().insert(inner);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Whether a layer further out replaces or adds to headers, and so must be told which of them were
/// set by a layer further in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    asks: bool,
}

impl Outer {
    /// Reads the mark of a layer further out, and leaves one if this layer needs an answer itself.
    pub(super) fn mark(extensions: &mut Extensions, competes: bool) -> Self {
        let asks = extensions.get::<Asked>().is_some();
        if competes && !asks {
            extensions.insert(Asked);
        }
        Self { asks }
    }
}

/// What the handler and the layers further in have told by the response's extensions.
#[derive(Default)]
struct Told {
    append: Option<CspAppend>,
    chosen: Option<PreparedHeaders>,
    inner: Inner,
}

impl Told {
    /// Takes it out, so that a layer further out does not apply it to its own policy again.
    fn take(extensions: &mut Extensions) -> Self {
        if extensions.is_empty() {
            return Self::default();
        }
        Self {
            append: extensions.remove(),
            chosen: extensions.remove(),
            inner: extensions.remove().unwrap_or_default(),
        }
    }
}

/// In a request: a layer further out wants to know what the layers further in have set.
#[derive(Clone, Copy)]
struct Asked;

/// In a response: the layers further in, each with the headers it has set.
#[derive(Clone, Default)]
struct Inner(Vec<PreparedHeaders>);
