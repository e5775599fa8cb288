//! The store, and what all its clones share.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::RedisResult;
use redis::aio::ConnectionLike;

use super::asked::Asked;
use super::builder::RedisStoreBuilder;
use super::flow::AtOnce;
use super::front::Front;
use super::outage::{Outage, Unreachable};
use super::server::Scripts;
use crate::backend::Circuit;
use crate::clock::{Clock, Instant};
use crate::rate_limit::decision::Decision;
use crate::rate_limit::digest::Secret;
use crate::rate_limit::store::{Answer, Check, MemoryStore, Store};
use crate::trace::Counter;

/// A store on a Redis server or cluster (6 or later, or Valkey), for limits that several processes
/// share.
///
/// # How it decides
///
/// 1. All windows of a policy are one key at the server for each caller, and one script decides about
///    them, in one round trip: all or nothing. The time is the server's; the clocks of the processes
///    do not matter. A refusal writes nothing.
/// 2. Several policies are asked about together, and so in the time of one trip. If one refuses, what
///    the others took is put back in a second trip, unless somebody has touched it since: then, as if
///    that trip fails, it stays charged. A quota is never exceeded.
/// 3. What the server answered is remembered. A caller who is known to be over a limit is refused
///    without a trip, until the instant that the server named; and for a second at most, so that a
///    [reset](Self::reset) elsewhere is soon seen.
/// 4. There is one trip at a time for each key. Requests that come meanwhile wait, and the next trip is
///    made for all of them.
/// 5. With [`leases`](RedisStoreBuilder::leases), off unless set, a process takes cells of a busy key in
///    advance, about a second's worth.
///
/// # When the server cannot be reached
///
/// A check has a [deadline](RedisStoreBuilder::deadline), 50 ms unless set, whatever the server or the
/// connection does. After [five failures](RedisStoreBuilder::breaker) in a row nobody asks any more, but
/// for one request after each pause; so an outage costs next to no time, and the shared limit is back
/// within seconds of the server, without a restart, if the [connection](#before-it-is-deployed) is. A
/// process may start during an outage.
///
/// What happens meanwhile has no default, since no choice is right for all:
///
/// | [`Outage`] | requests | right where |
/// |---|---|---|
/// | `Deny` | are refused with 503 | too many would do harm: logins, payments, codes by SMS |
/// | `Allow` | pass unmetered | the limit is for fairness, and what is behind it can take the load |
/// | `Local(share)` | are metered by each process, with a share of the quota | otherwise: the sum is about the quota if the balancer spreads requests evenly; a caller who always meets the same process gets a share of it |
///
/// With `Local` every bucket starts full when an outage begins, and so a caller may have up to one
/// further burst. A check that was given up may still have been charged at the server.
///
/// # Before it is deployed
///
/// - *Connection.* [`ConnectionManager`](redis::aio::ConnectionManager) connects again by itself, and made
///   by `new_lazy_with_config` it needs no server at the start. But it gives up for good if its password
///   is refused for some seconds; it keeps a connection that leads nowhere until the system gives that up,
///   up to a quarter of an hour; and it stays with a primary that has become a replica.
///   [`reconnect`](RedisStoreBuilder::reconnect) is for these. A `MultiplexedConnection`, also that of a
///   sentinel client, does not connect again: after a lost connection the outage lasts. Cluster
///   connections follow the cluster.
/// - *Server.* Of one that only speaks the protocol of Redis, its scripts have to be able to read the time
///   and write afterwards. The user needs `EVAL`, `EVALSHA` and the commands `TIME`, `GET`, `SET`, `DEL`.
/// - *Latency.* A request that has to ask waits for one round trip: put the server near. It needs some 10
///   to 20 microseconds for a policy of one window.
/// - *Memory.* Some 150 bytes for each key at the server, which expire when a bucket would be full again.
///   Choose the eviction policy `noeviction` or `volatile-ttl`: an evicted key is a reset limit. If the
///   server is full under `noeviction`, that is an outage.
/// - *Restarts and failovers.* Buckets that the server loses are full again. A replica that takes over
///   with a clock that is behind makes nobody wait longer than a window.
/// - *Privacy.* Names of keys are digests under the [`Secret`]; values are numbers.
/// - *Rates.* The server counts in whole microseconds, and rounds up: 300 a second are 299.94. A quota
///   of more than 100,000 a second for one key is better divided among processes.
/// - *Changes.* A policy under another name, or with other windows, has other buckets. A quota may
///   change: buckets keep what they are, and while processes have different ones for a policy, none of
///   them is exceeded. Whoever has used up the longer window waits for room in it, also under the shorter.
///
/// Clones share the connection and what is known.
///
/// # Example
///
/// ```
/// use bartizan::rate_limit::{Outage, Policy, Quota, RateLimitLayer, RedisStore, Secret, key};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use redis::aio::{ConnectionManager, ConnectionManagerConfig};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The same in all processes, from where passwords come from.
/// let secret = Secret::new("0c5e1b8d6e1f4e27a9d3b0f4c7281a55")?;
/// # /*
/// let client = redis::Client::open("redis://limits.internal/")?;
/// # */
/// # let client = redis::Client::open("redis://127.0.0.1:1/")?;
/// let connect = move || {
///     ConnectionManager::new_lazy_with_config(client.clone(), ConnectionManagerConfig::new())
/// };
/// let store = RedisStore::builder(connect()?, secret, Outage::Deny)
///     .reconnect(connect)
///     .build()?;
///
/// let login = Policy::new("login", Quota::per_minute(5)).by(key::header("x-account"));
/// let limits = RateLimitLayer::builder().policy(login).store(store).build()?;
///
/// let service = limits.layer(service_fn(|_: Request<()>| async {
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("welcome")))
/// }));
///
/// // There is no such server here, so logins are refused until there is.
/// let response = service.oneshot(Request::post("/login").body(())?).await?;
/// assert_eq!(response.status(), 503);
/// assert!(response.headers().contains_key("retry-after"));
/// # Ok(())
/// # }
/// ```
///
/// # Metrics
///
/// With the feature `metrics`:
///
/// | name | what |
/// |---|---|
/// | `bartizan_rate_limit_redis_trips_total` | round trips, by `outcome`: `answered`, `failed`, `late` |
/// | `bartizan_rate_limit_redis_known_total` | requests that were decided without asking |
/// | `bartizan_rate_limit_redis_outage_total` | requests that met an outage |
/// | `bartizan_backend_circuit_open` | 1 from a series of failures on, until the server answers again; label `backend` = `rate_limit_redis` |
/// | `bartizan_backend_circuit_opened_total` | how often that happened |
pub struct RedisStore<C> {
    shared: Arc<Shared<C>>,
}

/// What all clones share.
pub(super) struct Shared<C> {
    pub(super) connection: ArcSwap<C>,
    pub(super) reconnect: Option<Box<Reconnect<C>>>,
    pub(super) scripts: Scripts,
    pub(super) secret: Secret,
    pub(super) prefix: String,
    /// How long a check may take.
    pub(super) limit: Duration,
    pub(super) outage: Outage,
    /// The buckets of an outage, where they are kept here.
    pub(super) local: Option<MemoryStore>,
    pub(super) front: Front,
    pub(super) circuit: Circuit,
    pub(super) meters: Meters,
    /// The system's: the layer's may be one that stands still, and a server's does not.
    pub(super) clock: Clock,
}

pub(super) type Reconnect<C> = dyn Fn() -> RedisResult<C> + Send + Sync;

/// What is counted.
pub(super) struct Meters {
    /// Requests that were decided without asking.
    pub(super) known: Counter,
    /// Requests that met an outage.
    pub(super) outage: Counter,
    /// Round trips that brought an answer, an error, or nothing in time.
    pub(super) answered: Counter,
    pub(super) failed: Counter,
    pub(super) late: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let trips = |outcome| {
            let labels = [("outcome", outcome)];
            Counter::new("bartizan_rate_limit_redis_trips_total", &labels)
        };
        Self {
            known: Counter::new("bartizan_rate_limit_redis_known_total", &[]),
            outage: Counter::new("bartizan_rate_limit_redis_outage_total", &[]),
            answered: trips("answered"),
            failed: trips("failed"),
            late: trips("late"),
        }
    }
}

impl<C> RedisStore<C> {
    /// Starts a store over `connection`, which digests keys under `secret` and does `outage` while the
    /// server cannot be reached.
    pub fn builder(connection: C, secret: Secret, outage: Outage) -> RedisStoreBuilder<C> {
        RedisStoreBuilder::new(connection, secret, outage)
    }

    pub(super) fn new(shared: Shared<C>) -> Self {
        let shared = Arc::new(shared);
        Self { shared }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared<C> {
        &self.shared
    }

    /// Whether the server answers, as far as is known: false from a series of failures on, until it has
    /// answered again.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.shared.circuit.is_closed()
    }
}

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// What [`check`](Store::check) would say, without taking anything. It always asks the server, to which
    /// cells that were taken in advance are gone; in an outage it says what a check would.
    pub fn peek(&self, checks: &[Check<'_>]) -> impl Future<Output = Decision> + Send + use<C> {
        let (shared, asked) = self.asked(checks);
        async move { shared.peek(&asked).await }
    }

    /// Fills the buckets that `checks` are about: those of all windows of their policies, for their
    /// callers.
    ///
    /// Other processes may go on refusing for up to a second, on what they were last told.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or with an error.
    pub fn reset(
        &self,
        checks: &[Check<'_>],
    ) -> impl Future<Output = Result<(), Unreachable>> + Send + use<C> {
        let (shared, asked) = self.asked(checks);
        async move { shared.reset(&asked).await }
    }

    /// Puts `cells` back into the buckets that `checks` are about, up to full.
    ///
    /// This is a subtraction: if the clients of a bucket race with it, up to one cell may be handed out
    /// early. Other processes may go on refusing for up to a second, on what they were last told.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or with an error. The cells may have been put back.
    pub fn refund(
        &self,
        checks: &[Check<'_>],
        cells: u64,
    ) -> impl Future<Output = Result<(), Unreachable>> + Send + use<C> {
        let (shared, asked) = self.asked(checks);
        async move { shared.refund(&asked, cells).await }
    }

    fn asked(&self, checks: &[Check<'_>]) -> (Arc<Shared<C>>, Asked) {
        let shared = Arc::clone(&self.shared);
        let asked = Asked::new(checks, &shared.secret);
        (shared, asked)
    }
}

impl<C> Store for RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    type Wait = RedisWait;

    /// The layer's clock is not used: the time is the server's, and here the system's.
    fn check(&self, checks: &[Check<'_>], _: &Clock) -> Answer<RedisWait> {
        let asked = Asked::new(checks, &self.shared.secret);
        match self.shared.at_once(&asked) {
            AtOnce::Decided(decision) => Answer::Now(decision),
            AtOnce::Ask(found) => {
                let shared = Arc::clone(&self.shared);
                let wait = Box::pin(async move { shared.decide(&asked, found).await });
                Answer::Later(RedisWait(wait))
            }
        }
    }

    fn secret(&self) -> Option<&Secret> {
        Some(&self.shared.secret)
    }
}

impl<C> Shared<C> {
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// After so many requests that have tried in vain.
    pub(super) fn reconnect(&self, trials: u32) {
        let connect = self.reconnect.as_ref();
        let connect = connect.filter(|_| trials % TRIALS == 0);
        if let Some(Ok(connection)) = connect.map(|connect| connect()) {
            self.connection.store(Arc::new(connection));
        }
    }
}

impl<C: Clone> Shared<C> {
    pub(super) fn connection(&self) -> C {
        C::clone(&self.connection.load())
    }
}

/// A decision on its way from the server.
///
/// It is made within the [deadline](RedisStoreBuilder::deadline), whatever the server does.
///
/// # Cancel safety
///
/// Dropping it leaves the cells charged if the question was sent, and wakes the requests that waited for
/// its answer: one of them asks.
pub struct RedisWait(Pin<Box<dyn Future<Output = Decision> + Send>>);

impl Future for RedisWait {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWait").finish_non_exhaustive()
    }
}

impl<C> Clone for RedisStore<C> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.shared.prefix)
            .field("limit", &self.shared.limit)
            .field("outage", &self.shared.outage)
            .finish_non_exhaustive()
    }
}

/// How many trials a connection has, so that one that takes long to come about is not given up each time.
const TRIALS: u32 = 3;
