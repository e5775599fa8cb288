//! The service: asks, and carries out what was decided.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::hold::{Hold, Park};
use super::rules::{AppliedList, Rules};
use super::store::{Answer, MemoryStore, Store};
use crate::body::ResponseBody;
use crate::clock::Clock;

/// The service of a [`RateLimitLayer`](super::RateLimitLayer).
pub struct RateLimit<S, St = MemoryStore> {
    inner: S,
    shared: Arc<Shared<St>>,
}

/// What all services of a layer share, behind one pointer.
pub(super) struct Shared<St> {
    /// In a pointer of their own for the futures of a store that waits.
    pub(super) rules: Arc<Rules>,
    pub(super) store: St,
    pub(super) clock: Clock,
}

impl<S, St> RateLimit<S, St> {
    pub(super) fn new(inner: S, shared: Arc<Shared<St>>) -> Self {
        Self { inner, shared }
    }

    /// The service within.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, St, A, B> Service<Request<A>> for RateLimit<S, St>
where
    S: Service<Request<A>, Response = Response<B>>,
    St: Store,
    St::Wait: Park<S, Request<A>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, <St::Wait as Park<S, Request<A>>>::Parked>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let Shared {
            rules,
            store,
            clock,
        } = &*self.shared;
        let mut applied = AppliedList::new();
        if let Err(policy) = rules.applied(&rules.head(&request), &mut applied) {
            return ResponseFuture::refused(rules.no_key(&request, policy));
        }
        let answer = match &*applied {
            [] => return ResponseFuture::passed(self.inner.call(request), None),
            // The usual case, without a list.
            [only] => store.check(slice::from_ref(&rules.check(only)), clock),
            several => store.check(&rules.checks(several), clock),
        };
        match answer {
            // By reference: a decision has room for several verdicts, and is not worth moving.
            Answer::Now(ref decision) => match rules.settle(&mut request, &applied, decision) {
                // The service that was polled ready is the one called: no clone, nothing held.
                Ok(pass) => {
                    let passed = rules.passed(&applied, decision, pass);
                    ResponseFuture::passed(self.inner.call(request), passed)
                }
                Err(response) => ResponseFuture::refused(response),
            },
            Answer::Later(wait) => {
                let rules = Arc::clone(rules);
                let hold = Hold { rules, applied };
                ResponseFuture::held(wait.park(&mut self.inner, request, hold))
            }
        }
    }
}

impl<S: Clone, St> Clone for RateLimit<S, St> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, St> fmt::Debug for RateLimit<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
