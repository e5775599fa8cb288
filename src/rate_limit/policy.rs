//! A named rule: how much, counted by what, for which requests.

use std::borrow::Cow;
use std::fmt;

use super::head::Head;
use super::key::Key;
use super::quota::Quota;
use super::route::Route;

/// A named rule: a [`Quota`], the [`Key`] it is counted by, and the requests it applies to.
///
/// ```
/// use bartizan::rate_limit::{Policy, Quota, Route, key};
///
/// let login = Policy::new("login", Quota::per_minute(5))
///     .and("login-daily", Quota::per_day(50))
///     .on(Route::post("/login"))
///     .by(key::header("x-account"));
/// ```
#[must_use = "a policy does nothing until a layer is built with it"]
pub struct Policy {
    pub(super) windows: Vec<(Cow<'static, str>, Quota)>,
    pub(super) key: Option<Key>,
    pub(super) routes: Vec<Route>,
    pub(super) cost: Cost,
    pub(super) unit: Option<Cow<'static, str>>,
    pub(super) quota_for: Option<Box<QuotaFn>>,
    pub(super) skip: Vec<Box<SkipFn>>,
    pub(super) shadow: bool,
}

/// What a request takes.
pub(super) enum Cost {
    Cells(u64),
    Of(Box<CostFn>),
}

type CostFn = dyn Fn(&Head<'_>) -> u64 + Send + Sync;
type QuotaFn = dyn Fn(&Head<'_>) -> Option<Quota> + Send + Sync;
type SkipFn = dyn Fn(&Head<'_>) -> bool + Send + Sync;

impl Policy {
    /// A policy and its first window, which share a name: 1 to 64 visible ASCII characters without
    /// `"` and `\`. It is sent to clients and labels metrics.
    pub fn new(name: impl Into<Cow<'static, str>>, quota: Quota) -> Self {
        Self {
            windows: vec![(name.into(), quota)],
            key: None,
            routes: Vec::new(),
            cost: Cost::Cells(1),
            unit: None,
            quota_for: None,
            skip: Vec::new(),
            shadow: false,
        }
    }

    /// A further window with a name of its own, for the same requests and key. A request passes only
    /// if all windows let it.
    pub fn and(mut self, name: impl Into<Cow<'static, str>>, quota: Quota) -> Self {
        self.windows.push((name.into(), quota));
        self
    }

    /// What requests are counted by. There is no default: see [`key`](super::key).
    pub fn by(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Applies the policy to this route alone, and to those that further calls name. Without any, it
    /// applies to all requests.
    pub fn on(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// How many cells a request takes: 1 unless set. A request of cost 0 is looked at and takes none.
    pub fn cost(mut self, cells: u64) -> Self {
        self.cost = Cost::Cells(cells);
        self
    }

    /// How many cells a request takes, decided for each. What costs more than a bucket holds is
    /// answered with 413.
    pub fn cost_for(mut self, cost: impl Fn(&Head<'_>) -> u64 + Send + Sync + 'static) -> Self {
        self.cost = Cost::Of(Box::new(cost));
        self
    }

    /// What the cells of this policy are, for clients to read in `RateLimit-Policy` (its `qu`):
    /// `content-bytes` where [`cost_for`](Self::cost_for) is the length of the content, or a unit of
    /// the host's own. Without it a cell is a request. The same characters as for a name.
    pub fn unit(mut self, unit: impl Into<Cow<'static, str>>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// The quota of the first window, decided for each request: a tenant's plan. `None` takes the
    /// quota that the policy was made with.
    ///
    /// The same key under another quota has another bucket, so that a client cannot play two plans
    /// against each other. Decide by what the key is made of.
    pub fn quota_for(
        mut self,
        quota: impl Fn(&Head<'_>) -> Option<Quota> + Send + Sync + 'static,
    ) -> Self {
        self.quota_for = Some(Box::new(quota));
        self
    }

    /// Leaves out requests for which this, or any further such closure, says true.
    pub fn skip(mut self, skip: impl Fn(&Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.skip.push(Box::new(skip));
        self
    }

    /// Counts, logs and measures, and never refuses: to try a quota on real traffic.
    ///
    /// It is not announced in response fields, and a key that would
    /// [reject](Key::or_reject) is shared.
    pub fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// The name of the policy, which is that of its first window.
    pub(super) fn name(&self) -> &str {
        &self.windows[0].0
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("windows", &self.windows)
            .field("key", &self.key)
            .field("routes", &self.routes)
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}
