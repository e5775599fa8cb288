//! The service: notes what the response will need to know of its request.

use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower_service::Service;

use super::future::{Outer, ResponseFuture};
use super::nonce::CspNonce;
use super::prepared::PreparedHeaders;
use super::transport::Transport;
use crate::client::ClientSource;

/// The service of [`SecurityHeadersLayer`](super::SecurityHeadersLayer).
#[derive(Clone, Debug)]
pub struct SecurityHeadersService<S> {
    inner: S,
    headers: PreparedHeaders,
    client: ClientSource,
}

impl<S> SecurityHeadersService<S> {
    pub(super) const fn new(inner: S, headers: PreparedHeaders, client: ClientSource) -> Self {
        Self {
            inner,
            headers,
            client,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SecurityHeadersService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let headers = self.headers.clone();
        let transport = Transport::of(&request, &self.client);
        let tunnel = request.method() == Method::CONNECT;
        let extensions = request.extensions_mut();
        let prepared = headers.get();
        let nonce = prepared.has_nonce.then(|| CspNonce::shared(extensions));
        let outer = Outer::mark(extensions, prepared.competes);
        ResponseFuture::new(
            self.inner.call(request),
            headers,
            transport,
            nonce,
            tunnel,
            outer,
        )
    }
}
