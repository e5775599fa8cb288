//! The layer, its builder, and what a host can ask of it while it runs.

use std::fmt;
use std::sync::Arc;

use http::Request;
use tower_layer::Layer;

use super::decision::Decision;
use super::digest::Secret;
use super::headers::Headers;
use super::policy::Policy;
use super::quota::Quota;
use super::reject::Reject;
use super::rules::{Rules, Settings};
use super::service::{RateLimit, Shared};
use super::store::{Check, LocalStore, MemoryStore, Store, Usage};
use crate::clock::Clock;
use crate::config::ConfigError;

/// Meters the requests to every service it is put on; see the [module](super).
///
/// Clones share their buckets and everything else, and so do the services of one layer.
#[must_use = "a layer does nothing until it is applied"]
pub struct RateLimitLayer<St = MemoryStore> {
    shared: Arc<Shared<St>>,
}

impl RateLimitLayer {
    /// Starts a layer with a [`MemoryStore`] for 65,536 keys.
    pub fn builder() -> RateLimitBuilder {
        RateLimitBuilder {
            policies: Vec::new(),
            settings: Settings {
                event_source: true,
                ..Settings::default()
            },
            store: Chosen::Default(MemoryStore::new),
            clock: Clock::new(),
        }
    }

    /// How full the store is now; see [`MemoryStore::usage`].
    pub fn usage(&self) -> Usage {
        self.shared.store.usage(&self.shared.clock)
    }
}

impl<St: LocalStore> RateLimitLayer<St> {
    /// What the policy `policy` would say to `request`, without charging it. `None` if the policy
    /// does not apply to it, or there is none of this name. What other policies count by need not be there.
    pub fn peek<B>(&self, policy: &str, request: &Request<B>) -> Option<Decision> {
        let clock = &self.shared.clock;
        self.ask(policy, request, |store, checks| store.peek(checks, clock))
    }

    /// Fills the buckets that the policy `policy` has for whoever sent `request`: after a successful
    /// login, say. False if the policy does not apply to it, or there is none of this name.
    pub fn reset<B>(&self, policy: &str, request: &Request<B>) -> bool {
        let reset = |store: &St, checks: &[Check<'_>]| {
            checks.iter().for_each(|check| store.reset(check));
        };
        self.ask(policy, request, reset).is_some()
    }

    /// Gives `cells` back to the buckets that the policy `policy` has for whoever sent `request`, up
    /// to full. False if the policy does not apply to it, or there is none of this name.
    ///
    /// If requests of the same client race with it, up to one cell may be handed out early.
    pub fn refund<B>(&self, policy: &str, request: &Request<B>, cells: u64) -> bool {
        let refund = |store: &St, checks: &[Check<'_>]| {
            checks.iter().for_each(|check| store.refund(check, cells));
        };
        self.ask(policy, request, refund).is_some()
    }
}

impl<St> RateLimitLayer<St> {
    /// Changes the quotas of windows, by name, while requests are served: at once, in all clones and
    /// services of this layer, all of the changes or none.
    ///
    /// Buckets keep what they are: a time at which they are full again. So a client that has used its
    /// quota up waits as long as before for a full bucket, or for the new window if that is shorter,
    /// and its cells come back at the new rate. Nobody gains a second burst by a change. (At a Redis
    /// server the former window counts until there is room in it, since other processes may still have
    /// it.) What [`quota_for`](Policy::quota_for) says of a request stays as it is.
    ///
    /// # Errors
    ///
    /// If the layer has no window of a name, or a policy's constant cost would be more than its window
    /// holds.
    ///
    /// # Example
    ///
    /// ```
    /// use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, key};
    ///
    /// let limits = RateLimitLayer::builder()
    ///     .policy(Policy::new("api", Quota::per_second(50)).by(key::header("x-api-key")))
    ///     .build()?;
    /// limits.swap_quotas([("api", Quota::per_second(5))])?;
    ///
    /// let error = limits.swap_quotas([("app", Quota::per_second(5))]).unwrap_err();
    /// assert_eq!(error.value(), "app");
    /// # Ok::<_, bartizan::config::ConfigError>(())
    /// ```
    pub fn swap_quotas<'n>(
        &self,
        quotas: impl IntoIterator<Item = (&'n str, Quota)>,
    ) -> Result<(), ConfigError> {
        self.shared.rules.swap(quotas)
    }

    /// Asks the store something about the buckets that the policy `policy` has for whoever sent
    /// `request`. `None` if the policy does not apply to it, or there is none of this name.
    pub(super) fn ask<B, T>(
        &self,
        policy: &str,
        request: &Request<B>,
        ask: impl FnOnce(&St, &[Check<'_>]) -> T,
    ) -> Option<T> {
        let Shared { rules, store, .. } = &*self.shared;
        let applied = rules.applied_of(policy, &rules.head(request));
        (!applied.is_empty()).then(|| ask(store, &rules.checks(&applied)))
    }
}

impl<S, St> Layer<S> for RateLimitLayer<St> {
    type Service = RateLimit<S, St>;

    fn layer(&self, inner: S) -> RateLimit<S, St> {
        RateLimit::new(inner, Arc::clone(&self.shared))
    }
}

impl<St> Clone for RateLimitLayer<St> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<St: fmt::Debug> fmt::Debug for RateLimitLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("store", &self.shared.store)
            .finish_non_exhaustive()
    }
}

/// Makes a [`RateLimitLayer`].
#[must_use = "a builder does nothing until it is built"]
pub struct RateLimitBuilder<St = MemoryStore> {
    policies: Vec<Policy>,
    settings: Settings,
    store: Chosen<St>,
    clock: Clock,
}

/// The default store is not made before it is needed: it takes its memory at once.
enum Chosen<St> {
    Default(fn() -> St),
    Given(St),
}

impl<St> RateLimitBuilder<St> {
    /// Adds a policy. At least one is needed; a request passes only if all that apply to it let it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Adds several policies.
    pub fn policies(mut self, policies: impl IntoIterator<Item = Policy>) -> Self {
        self.policies.extend(policies);
        self
    }

    /// Keeps the buckets in `store`. Layers whose stores are clones of one [`MemoryStore`] share the
    /// buckets of policies and windows that have the same names: give those the same quotas.
    pub fn store<T: Store>(mut self, store: T) -> RateLimitBuilder<T> {
        self.settings.secret = store.secret().cloned();
        RateLimitBuilder {
            policies: self.policies,
            settings: self.settings,
            store: Chosen::Given(store),
            clock: self.clock,
        }
    }

    /// Reads the time from `clock`; the system's monotonic clock unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Matches the routes of policies against the template that a router in front of the layer has
    /// put into the request's extensions, and not against the path.
    ///
    /// Inside axum this is needed: within `Router::nest` a request's path has lost its prefix, and a
    /// rule for the whole path would silently never fire.
    ///
    /// ```
    /// use axum::extract::MatchedPath;
    /// use bartizan::rate_limit::RateLimitLayer;
    ///
    /// let builder = RateLimitLayer::builder().template_from(|path: &MatchedPath| path.as_str());
    /// ```
    pub fn template_from<T: Send + Sync + 'static>(
        mut self,
        template: impl Fn(&T) -> &str + Send + Sync + 'static,
    ) -> Self {
        self.settings.template = Some(Box::new(move |extensions| {
            extensions.get::<T>().map(&template)
        }));
        self
    }

    /// When clients are told about their quotas: [always](Headers::Always) unless set.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.settings.headers = headers;
        self
    }

    /// Adds `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) of the window that is
    /// closest to its limit, wherever the standard fields are sent: for clients that read no others.
    /// Off unless set. They cost four further allocations.
    pub fn legacy_headers(mut self, legacy: bool) -> Self {
        self.settings.legacy = legacy;
        self
    }

    /// Tells clients which bucket they are counted in (`pk`, the partition key of the draft): off unless
    /// set. Two responses with the same `pk` used up the same bucket; so a client that comes by several
    /// ways (addresses, accounts) learns which of them share one.
    ///
    /// A value is 72 bits of a keyed hash of policy, window and key. Without the secret nobody can find
    /// out from it whose bucket that is, nor that two policies count the same client. Under
    /// [`Secret::random`] it is another after a restart and in each process; under one that
    /// processes share it is the same in all of them. Layers that share a [`MemoryStore`] share its
    /// buckets only under the same secret. Both fields become each response's own, which is one
    /// allocation more.
    ///
    /// ```
    /// use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, Secret, key};
    ///
    /// let layer = RateLimitLayer::builder()
    ///     .policy(Policy::new("api", Quota::per_second(50)).by(key::header("x-api-key")))
    ///     .partition_keys(Secret::random())
    ///     .build()?;
    /// # Ok::<_, bartizan::config::ConfigError>(())
    /// ```
    pub fn partition_keys(mut self, secret: Secret) -> Self {
        self.settings.partitions = Some(secret);
        self
    }

    /// Whether a browser's `EventSource` is turned away with a stream that tells it when to come back:
    /// on unless set. A 429 would end it for good.
    pub fn event_source(mut self, spare: bool) -> Self {
        self.settings.event_source = spare;
        self
    }

    /// Answers refused requests in another way; [`Rejection::response`](super::Rejection::response) is
    /// the usual answer.
    ///
    /// ```
    /// use bartizan::rate_limit::{RateLimitLayer, Rejection};
    /// use http::HeaderValue;
    ///
    /// let builder = RateLimitLayer::builder().reject(|rejection: &Rejection<'_>| {
    ///     let mut response = rejection.response();
    ///     let value = HeaderValue::from_static("bartizan");
    ///     response.headers_mut().insert("x-refused-by", value);
    ///     response
    /// });
    /// ```
    pub fn reject(mut self, reject: impl Reject) -> Self {
        self.settings.reject = Some(Arc::new(reject));
        self
    }

    /// Whether a [`Report`](super::Report) of what was decided goes into the extensions of request
    /// and response: off unless set, since it costs up to eight allocations a request.
    pub fn expose_decision(mut self, expose: bool) -> Self {
        self.settings.expose = expose;
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// If there is no policy; if a name is unfit, or given twice; if a policy has no key, or one that
    /// its routes do not have; if a route's template cannot match; if a constant cost is more than a
    /// window holds; if [`Headers::NearLimit`] is over 100 per cent.
    pub fn build(mut self) -> Result<RateLimitLayer<St>, ConfigError> {
        if self.settings.secret.is_none() {
            // The names of buckets outlive a process only if the keys they are made of do.
            self.settings.secret.clone_from(&self.settings.partitions);
        }
        let shared = Shared {
            rules: Arc::new(Rules::new(self.policies, self.settings)?),
            store: match self.store {
                Chosen::Default(make) => make(),
                Chosen::Given(store) => store,
            },
            clock: self.clock,
        };
        Ok(RateLimitLayer {
            shared: Arc::new(shared),
        })
    }
}

impl<St> fmt::Debug for RateLimitBuilder<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitBuilder")
            .field("policies", &self.policies)
            .field("headers", &self.settings.headers)
            .finish_non_exhaustive()
    }
}
