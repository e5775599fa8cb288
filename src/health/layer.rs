//! The layer that answers health paths in front of anything else.

use std::convert::identity;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::future::ResponseFuture;
use super::handle::Health;
use crate::body::ResponseBody;

/// Answers [`Health::PATHS`] and passes everything else to the service below: from
/// [`Health::layer`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied"]
pub struct HealthLayer {
    health: Health,
}

impl HealthLayer {
    pub(super) const fn new(health: Health) -> Self {
        Self { health }
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = WithHealth<S>;

    fn layer(&self, inner: S) -> WithHealth<S> {
        WithHealth {
            inner,
            health: self.health.clone(),
        }
    }
}

/// The service of [`HealthLayer`].
///
/// Readiness is the inner service's: put this layer outside of what makes callers wait (concurrency
/// limits, buffers), or probes wait with them.
#[derive(Clone, Debug)]
pub struct WithHealth<S> {
    inner: S,
    health: Health,
}

impl<S, A, B> Service<Request<A>> for WithHealth<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let shared = &self.health.shared;
        let Some(route) = shared.route(request.uri().path()) else {
            return ResponseFuture::inner(self.inner.call(request));
        };
        if shared.has_viewers() {
            let (parts, _) = request.into_parts();
            shared.answer_viewer(route, &parts, identity, ResponseFuture::answered)
        } else {
            shared.answer(route, &request, identity, ResponseFuture::answered)
        }
    }
}
