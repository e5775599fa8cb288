//! Where the buckets are kept.

use std::fmt;

use super::decision::{Decision, Verdict};
use super::digest::{Secret, digest};
use super::gcra::{self, Take};
use super::quota::Quota;
use crate::clock::Clock;

#[cfg(feature = "governor")]
pub use self::governor::GovernorStore;
pub use self::memory::{MemoryStore, Usage};
#[cfg(feature = "redis")]
pub use self::redis::{Outage, RedisStore, RedisStoreBuilder, RedisWait, Share, Unreachable};

mod buckets;
#[cfg(feature = "governor")]
mod governor;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod table;

/// Keeps the buckets and decides.
///
/// The layer asks once per request, with every window that applies to it.
///
/// # Contract
///
/// - **All or nothing.** If any enforced check is refused, none may stay charged, but where requests
///   race: then an over-charge is allowed, and letting more pass than the quota is not. A
///   [shadow](Check::is_shadow) check never refuses anything, and is charged only if the request
///   passes.
/// - **It may forget** a bucket that is full, and no other: forgetting one in use resets a limit,
///   which an attacker who can make a store forget (by flooding it with keys) will have it do.
/// - **It is called from many threads at once**, and on a path where nothing may block. What has to
///   wait returns [`Answer::Later`].
/// - **The wait may be dropped** when the client goes away. The cells may stay charged.
///
/// A closure `Fn(&[Check<'_>], &Clock) -> Decision` is a store that answers at once. The feature
/// `test-util` has a suite that runs a store against this contract, `rate_limit::conformance`.
///
/// # Example
///
/// ```
/// use bartizan::clock::Clock;
/// use bartizan::rate_limit::{Check, Decision, Policy, Quota, RateLimitLayer, Verdict, key};
///
/// // For a test of something else: everything passes.
/// let open = |checks: &[Check<'_>], _: &Clock| {
///     let cells = checks.iter().map(|check| check.quota().cells());
///     Decision::new(checks, cells.map(|cells| Verdict::passed(cells, cells)))
/// };
/// let layer = RateLimitLayer::builder()
///     .policy(Policy::new("api", Quota::per_second(5)).by(key::constant()))
///     .store(open)
///     .build()?;
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no rate limiting buckets",
    note = "a closure must take `&[Check<'_>]` and `&Clock` and return a `Decision`"
)]
pub trait Store: Send + Sync + 'static {
    /// What an answer that has to be waited for is: a future of the [`Decision`], or [`Never`].
    type Wait: Wait;

    /// Decides about one request, and takes its cells if it passes.
    ///
    /// `clock` is the layer's. A store whose time is another's (a server's) need not use it.
    fn check(&self, checks: &[Check<'_>], clock: &Clock) -> Answer<Self::Wait>;

    /// The secret of all processes that share the buckets: keys are digested under it, so that they are
    /// the same in each. `None`, unless implemented, takes a key of this process alone.
    fn secret(&self) -> Option<&Secret> {
        None
    }
}

/// A [`Store`] in this process, whose buckets can be looked at and corrected without a wait: what
/// [`RateLimitLayer::peek`](super::RateLimitLayer::peek), `reset` and `refund` need.
///
/// # Contract
///
/// What holds of [`Store`], and: none of this makes a bucket of a key that has none, and a bucket gets
/// no fuller than full.
pub trait LocalStore: Store<Wait = Never> {
    /// What [`check`](Store::check) would say, without taking anything.
    fn peek(&self, checks: &[Check<'_>], clock: &Clock) -> Decision;

    /// Fills the bucket that a check is about.
    fn reset(&self, check: &Check<'_>);

    /// Puts `cells` back into the bucket that a check is about, up to full.
    fn refund(&self, check: &Check<'_>, cells: u64);
}

impl<F> Store for F
where
    F: Fn(&[Check<'_>], &Clock) -> Decision + Send + Sync + 'static,
{
    type Wait = Never;

    fn check(&self, checks: &[Check<'_>], clock: &Clock) -> Answer<Never> {
        Answer::Now(self(checks, clock))
    }
}

/// A store's answer: here, or on its way.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box for each request would cost more"
)]
#[non_exhaustive]
pub enum Answer<W> {
    /// The decision.
    Now(Decision),
    /// A future of the decision, for which the request is held.
    Later(W),
}

impl<W: Wait> Answer<W> {
    /// The decision, waited for if need be.
    pub async fn decision(self) -> Decision {
        match self {
            Self::Now(decision) => decision,
            Self::Later(wait) => wait.decision().await,
        }
    }
}

/// What can be waited for: every future of a [`Decision`], and [`Never`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `Store::Wait`",
    note = "it is `Never`, or a `Future<Output = Decision>`, e.g. a boxed one"
)]
pub trait Wait: Sized {
    /// Waits.
    fn decision(self) -> impl Future<Output = Decision>;
}

impl<W: Future<Output = Decision>> Wait for W {
    fn decision(self) -> impl Future<Output = Decision> {
        self
    }
}

impl Wait for Never {
    async fn decision(self) -> Decision {
        match self {}
    }
}

/// The [wait](Store::Wait) of a store that always answers at once.
///
/// There is no value of this type, so an inner service need not be `Clone` for a request that could
/// have to be held: none can.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Never {}

/// One window of one policy, asked about one caller.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    policy: &'a str,
    window: &'a str,
    scope: u64,
    key: u64,
    quota: Quota,
    cost: u64,
    shadow: bool,
    /// Whether the scope was made without a secret, which the store may have.
    by_name: bool,
    /// Whether the size of the bucket depends on the cost.
    elastic: bool,
}

impl<'a> Check<'a> {
    /// A check of one cell in the window `window` of the policy `policy`, for the caller `key`.
    ///
    /// The window that a policy starts with has the policy's name. In a store that processes share, equal
    /// names and keys are one bucket, whichever of them asks.
    #[must_use]
    pub fn new(policy: &'a str, window: &'a str, key: u64, quota: Quota) -> Self {
        Self {
            by_name: true,
            ..Self::scoped(policy, window, scope(None, policy, window), key, quota)
        }
    }

    /// The same with a [`scope`] that was computed before.
    pub(super) const fn scoped(
        policy: &'a str,
        window: &'a str,
        scope: u64,
        key: u64,
        quota: Quota,
    ) -> Self {
        Self {
            policy,
            window,
            scope,
            key,
            quota,
            cost: 1,
            shadow: false,
            by_name: false,
            elastic: false,
        }
    }

    /// The same check for `cost` cells. A cost of zero looks and takes nothing.
    #[must_use]
    pub const fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// The same check, to be counted and never enforced.
    #[must_use]
    pub const fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// The policy's name.
    #[must_use]
    pub const fn policy(&self) -> &'a str {
        self.policy
    }

    /// The window's name.
    #[must_use]
    pub const fn window(&self) -> &'a str {
        self.window
    }

    /// The caller: a keyed digest, which says nothing about who it is and is the same in all windows
    /// of a policy.
    #[must_use]
    pub const fn key(&self) -> u64 {
        self.key
    }

    /// The bucket's size and rate.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// The cells to take.
    #[must_use]
    pub const fn cells(&self) -> u64 {
        self.cost
    }

    /// Whether the check counts without being enforced.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// The digest of policy and window, without the caller.
    pub(super) const fn scope(&self) -> u64 {
        self.scope
    }

    /// The same, in all processes that share `secret`.
    #[allow(dead_code, reason = "for stores that processes share")]
    pub(super) fn scope_under(&self, secret: &Secret) -> u64 {
        match self.by_name {
            true => scope(Some(secret), self.policy, self.window),
            false => self.scope,
        }
    }

    /// The TAT to write in place of one that is later than can be. What is too late for an elastic check may
    /// be what a larger one has taken.
    fn healed(&self, tat: u64, now: u64) -> Option<u64> {
        gcra::healed(self.quota, tat, now).filter(|_| !self.elastic)
    }

    /// The verdict that follows from `take`.
    fn verdict(&self, tat: u64, now: u64, take: Take) -> Verdict {
        let take = match take {
            Take::Wait(_) if self.elastic => gcra::put_off(self.quota, tat, now, take),
            take => take,
        };
        buckets::verdict(self.quota, tat, now, take)
    }

    /// The digest of policy, window and caller. For one scope it is a permutation of the keys.
    pub(super) const fn bucket(&self) -> u64 {
        let mixed = (self.key ^ self.scope).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

impl fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("policy", &self.policy)
            .field("window", &self.window)
            .field("quota", &self.quota)
            .field("cells", &self.cost)
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}

/// The digest that tells one window of one policy from all others, by their names: layers that share
/// a store share the buckets of policies with the same name.
pub(super) fn scope(secret: Option<&Secret>, policy: &str, window: &str) -> u64 {
    digest(secret, &(policy, window))
}

/// The scope of a window under another quota than its own.
pub(super) fn planned(secret: Option<&Secret>, scope: u64, quota: Quota) -> u64 {
    digest(secret, &(scope, quota))
}
