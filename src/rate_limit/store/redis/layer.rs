//! What a host can ask of a layer whose buckets are at a Redis server.

use http::Request;
use redis::aio::ConnectionLike;

use super::outage::Unreachable;
use super::store::RedisStore;
use crate::rate_limit::decision::Decision;
use crate::rate_limit::layer::RateLimitLayer;

impl<C> RateLimitLayer<RedisStore<C>>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// What the policy `policy` would say to `request`, without charging it. `None` if the policy
    /// does not apply to it, or there is none of this name.
    ///
    /// See [`RedisStore::peek`].
    pub fn peek<B>(
        &self,
        policy: &str,
        request: &Request<B>,
    ) -> impl Future<Output = Option<Decision>> + Send + use<B, C> {
        let peeked = self.ask(policy, request, |store, checks| store.peek(checks));
        async move {
            match peeked {
                Some(peeked) => Some(peeked.await),
                None => None,
            }
        }
    }

    /// Fills the buckets that the policy `policy` has for whoever sent `request`: after a successful
    /// login, say. False if the policy does not apply to it, or there is none of this name.
    ///
    /// See [`RedisStore::reset`].
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or with an error.
    pub fn reset<B>(
        &self,
        policy: &str,
        request: &Request<B>,
    ) -> impl Future<Output = Result<bool, Unreachable>> + Send + use<B, C> {
        told(self.ask(policy, request, |store, checks| store.reset(checks)))
    }

    /// Gives `cells` back to the buckets that the policy `policy` has for whoever sent `request`, up
    /// to full. False if the policy does not apply to it, or there is none of this name.
    ///
    /// See [`RedisStore::refund`].
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or with an error. The cells may have been given back.
    pub fn refund<B>(
        &self,
        policy: &str,
        request: &Request<B>,
        cells: u64,
    ) -> impl Future<Output = Result<bool, Unreachable>> + Send + use<B, C> {
        told(self.ask(policy, request, |store, checks| store.refund(checks, cells)))
    }
}

/// Whether there was anything to tell the server, once it has been told.
async fn told(
    telling: Option<impl Future<Output = Result<(), Unreachable>>>,
) -> Result<bool, Unreachable> {
    match telling {
        Some(telling) => telling.await.map(|()| true),
        None => Ok(false),
    }
}
