//! Holding a request until a store has answered, where it has to be waited for.

use std::fmt;
use std::future::{Future, Pending};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::decision::Decision;
use super::rules::{AppliedList, Rules};
use super::settle::Passed;
use super::store::{Never, Wait};

/// A [wait](super::Store::Wait) for which a request can be held: [`Never`], for any inner service, and
/// futures of a [`Decision`], for those that are `Clone`. Nothing else needs to be one.
#[diagnostic::on_unimplemented(
    message = "a request to `{S}` cannot be held while `{Self}` is waited for",
    note = "`Store::Wait` is `Never`, or a `Future<Output = Decision>` over a service that is `Clone`"
)]
pub trait Park<S, R>: Wait
where
    S: Service<R>,
{
    /// The held request.
    #[doc(hidden)]
    type Parked: Future<Output = Released<S::Future>>;

    /// Holds `request`, and the service that was polled ready for it.
    #[doc(hidden)]
    fn park(self, ready: &mut S, request: R, hold: Hold) -> Self::Parked;
}

/// What the inner service does next, or the refusal.
pub(super) type Released<F> = Result<(F, Option<Passed>), Box<Response<Bytes>>>;

/// What it takes to act on the decision once it is here.
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub struct Hold {
    pub(super) rules: Arc<Rules>,
    pub(super) applied: AppliedList,
}

impl<S, A> Park<S, Request<A>> for Never
where
    S: Service<Request<A>>,
{
    type Parked = Pending<Released<S::Future>>;

    fn park(self, _: &mut S, _: Request<A>, _: Hold) -> Self::Parked {
        match self {}
    }
}

impl<W, S, A> Park<S, Request<A>> for W
where
    W: Future<Output = Decision>,
    S: Service<Request<A>> + Clone,
{
    type Parked = Parked<W, S, A>;

    fn park(self, ready: &mut S, request: Request<A>, hold: Hold) -> Self::Parked {
        // A clone is not ready: it stays behind, and the service that was polled ready is called.
        let next = ready.clone();
        Parked {
            wait: self,
            held: Some((mem::replace(ready, next), request, hold)),
        }
    }
}

pin_project! {
    /// A request, and the service that is ready for it, while a store has yet to answer.
    #[allow(unnameable_types, reason = "a part of `ResponseFuture`")]
    pub struct Parked<W, S, A> {
        #[pin]
        wait: W,
        held: Option<(S, Request<A>, Hold)>,
    }
}

impl<W, S, A> Future for Parked<W, S, A>
where
    W: Future<Output = Decision>,
    S: Service<Request<A>>,
{
    type Output = Released<S::Future>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let decision = ready!(this.wait.poll(cx));
        let (mut service, mut request, hold) = this.held.take().expect("polled after completion");
        let settled = hold
            .rules
            .settle(&mut request, &hold.applied, &decision)
            .map(|pass| {
                let passed = hold.rules.passed(&hold.applied, &decision, pass);
                (service.call(request), passed)
            });
        Poll::Ready(settled)
    }
}

impl<W, S, A> fmt::Debug for Parked<W, S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
