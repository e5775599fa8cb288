//! The endpoints as a service of their own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::handle::Health;
use super::route::Route;
use crate::body::{NoBody, ResponseBody};

/// Answers health requests: all of [`Health::PATHS`] ([`Health::service`]), or one page whatever the
/// path ([`Health::live`] and its siblings). It is always ready and never fails.
#[derive(Clone, Debug)]
pub struct HealthService {
    health: Health,
    only: Option<Route>,
}

impl HealthService {
    pub(super) const fn new(health: Health, only: Option<Route>) -> Self {
        Self { health, only }
    }
}

impl<A> Service<Request<A>> for HealthService {
    type Response = Response<ResponseBody<NoBody>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let shared = &self.health.shared;
        let route = self.only.or_else(|| shared.route(request.uri().path()));
        let route = route.unwrap_or(Route::Unknown);
        let body = |bytes: Bytes| ResponseBody::local(bytes);
        let finish = |response| ready(Ok(response));
        if shared.has_viewers() {
            let (parts, _) = request.into_parts();
            shared.answer_viewer(route, &parts, body, finish)
        } else {
            shared.answer(route, &request, body, finish)
        }
    }
}
