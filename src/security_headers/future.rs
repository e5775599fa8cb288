//! The response future: applies the headers once the head is there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Response, StatusCode};
use pin_project_lite::pin_project;

use super::append::CspAppend;
use super::merge::Facts;
use super::nonce::CspNonce;
use super::prepared::PreparedHeaders;
use super::transport::Transport;

pin_project! {
    /// The future of [`SecurityHeadersService`](super::SecurityHeadersService).
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        headers: PreparedHeaders,
        transport: Transport,
        nonce: Option<CspNonce>,
        tunnel: bool,
        outer: Outer,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(
        inner: F,
        headers: PreparedHeaders,
        transport: Transport,
        nonce: Option<CspNonce>,
        tunnel: bool,
        outer: Outer,
    ) -> Self {
        Self {
            inner,
            headers,
            transport,
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
        // Changed where it lies: a response is large, and every move of it is a copy.
        let mut polled = this.inner.poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled {
            let status = response.status();
            // Otherwise the connection is no longer HTTP, or not yet: a header could only do harm.
            if !(status.is_informational() || *this.tunnel && status.is_success()) {
                finish(
                    response,
                    this.headers,
                    *this.transport,
                    this.nonce.take(),
                    *this.outer,
                );
            }
        }
        polled
    }
}

/// Puts the headers on a response that goes out as HTTP.
fn finish<B>(
    response: &mut Response<B>,
    headers: &PreparedHeaders,
    transport: Transport,
    nonce: Option<CspNonce>,
    outer: Outer,
) {
    let mut facts = Facts {
        transport,
        status: response.status(),
        nonce: nonce.as_ref().and_then(CspNonce::read),
        append: None,
        inner: &[],
    };
    let renews = facts.status == StatusCode::NOT_MODIFIED;
    if response.extensions().is_empty() && !outer.asks && !(renews && headers.get().has_nonce) {
        headers.get().apply(response.headers_mut(), &facts);
    } else {
        let mut told = Told::take(response.extensions_mut());
        let headers = told.chosen.as_ref().unwrap_or(headers);
        facts.append = told.append.as_ref();
        facts.inner = &told.inner.0;
        headers.get().apply(response.headers_mut(), &facts);
        // What is left out of a 304 on purpose, a layer further out must not put there.
        let leaves_out = headers.get().carries_nonce(facts.append) || !told.inner.0.is_empty();
        if outer.asks || renews && leaves_out {
            told.inner.0.push(headers.clone());
            response.extensions_mut().insert(told.inner);
        }
    }
    if let Some(nonce) = nonce {
        nonce.retire();
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
