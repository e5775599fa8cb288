//! How a store is set up.

use std::fmt;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::RedisResult;

use super::front::Front;
use super::outage::Outage;
use super::server::Scripts;
use super::store::{Meters, Reconnect, RedisStore, Shared};
use crate::backend::{Circuit, Settings};
use crate::clock::{self, Clock};
use crate::config::ConfigError;
use crate::rate_limit::digest::Secret;
use crate::rate_limit::store::MemoryStore;

/// Makes a [`RedisStore`].
#[must_use = "a builder does nothing until it is built"]
pub struct RedisStoreBuilder<C> {
    connection: C,
    reconnect: Option<Box<Reconnect<C>>>,
    secret: Secret,
    outage: Outage,
    prefix: String,
    limit: Duration,
    leases: Option<u32>,
    front: usize,
    local: usize,
    circuit: Settings,
}

impl<C> RedisStoreBuilder<C> {
    pub(super) fn new(connection: C, secret: Secret, outage: Outage) -> Self {
        Self {
            connection,
            reconnect: None,
            secret,
            outage,
            prefix: String::from("bartizan"),
            limit: Duration::from_millis(50),
            leases: None,
            front: 8_192,
            local: 65_536,
            circuit: Settings {
                failures: 5,
                pause: Duration::from_secs(1),
                longest: Duration::from_secs(10),
            },
        }
    }

    /// What the names of all keys at the server begin with: `bartizan` unless set. Applications that
    /// use one server need different ones, and processes that share limits the same.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a check may take in all, round trips and what it waits for included: 50 ms unless set.
    /// A server that takes longer counts as one that cannot be reached.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Takes cells in advance, for a fleet of `instances` processes: off unless set.
    ///
    /// A process that is busy with a key then takes cells for about a second of it in one round trip. It
    /// holds at most a tenth of the burst, divided by `instances`: `most`. In a stretch of time `t` all of
    /// them together let at most `t / interval + burst + instances x most` pass, which is a tenth of a
    /// burst more than without. Once less than a fifth of a burst is left at the server, nothing is taken
    /// in advance.
    ///
    /// Buckets with a burst of less than ten times `instances` are not leased. If there are more
    /// processes than said, each of them adds another `most`.
    pub fn leases(mut self, instances: u32) -> Self {
        self.leases = Some(instances);
        self
    }

    /// How many buckets this process remembers something of, rounded up to a power of two: 8,192 unless
    /// set, at some 170 bytes each, taken when the store is built. What is forgotten costs a round trip.
    pub fn remembers(mut self, buckets: usize) -> Self {
        self.front = buckets;
        self
    }

    /// How many buckets [`Outage::Local`] keeps, as [`MemoryStore::with_capacity`]: 65,536 unless set.
    pub fn local_capacity(mut self, buckets: usize) -> Self {
        self.local = buckets;
        self
    }

    /// How many round trips in a row have to fail until the server is asked no more, and for how long it
    /// is not: 5 and a second, unless set. After that, one request tries; as long as that fails, each
    /// pause is twice as long as the one before, up to ten of the first.
    pub fn breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.circuit = Settings {
            failures,
            pause,
            longest: pause.saturating_mul(10),
        };
        self
    }

    /// Takes another connection from `connect` as long as the server cannot be reached: at every third
    /// request that [tries](Self::breaker) in vain. Off unless set; an error leaves the one that there is.
    ///
    /// A connection that comes back by itself [does not always](RedisStore#before-it-is-deployed).
    /// `connect` is called while a request waits, so it must not: it returns one that connects when it is
    /// first used, as in the [example](RedisStore#example).
    pub fn reconnect(
        mut self,
        connect: impl Fn() -> RedisResult<C> + Send + Sync + 'static,
    ) -> Self {
        self.reconnect = Some(Box::new(connect));
        self
    }

    /// Builds the store. Nothing is sent: the server need not be up.
    ///
    /// # Errors
    ///
    /// If the prefix is empty, or has a brace, a blank or anything else than visible ASCII in it; if the
    /// deadline, the number of instances, of failures or of buckets, or the pause is zero; or if there are
    /// more than 2^24 buckets.
    pub fn build(self) -> Result<RedisStore<C>, ConfigError> {
        let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
        if self.prefix.is_empty() || !self.prefix.bytes().all(visible) {
            let fix = "use visible ASCII characters without blanks and braces";
            return Err(ConfigError::new("prefix", self.prefix, fix));
        }
        let zero = |field, is_zero: bool| match is_zero {
            true => Err(ConfigError::new(field, "0", "use more than zero")),
            false => Ok(()),
        };
        zero("deadline", self.limit.is_zero())?;
        zero("leases", self.leases == Some(0))?;
        zero("breaker: failures", self.circuit.failures == 0)?;
        zero("breaker: pause", self.circuit.pause.is_zero())?;
        for (field, buckets) in [("remembers", self.front), ("local capacity", self.local)] {
            if !(1..=MOST_BUCKETS).contains(&buckets) {
                let fix = "use 1 to 16777216 buckets";
                return Err(ConfigError::new(field, buckets.to_string(), fix));
            }
        }
        // Of a burst each process may hold so small a part.
        let parts = self.leases.map(|instances| u64::from(instances) * 10);
        Ok(RedisStore::new(Shared {
            connection: ArcSwap::from_pointee(self.connection),
            reconnect: self.reconnect,
            scripts: Scripts::new(),
            secret: self.secret,
            prefix: self.prefix,
            limit: self.limit,
            local: match self.outage {
                Outage::Local(_) => Some(MemoryStore::with_capacity(self.local)),
                Outage::Deny | Outage::Allow => None,
            },
            outage: self.outage,
            front: Front::new(self.front, parts, clock::nanos(self.limit)),
            circuit: Circuit::new("rate_limit_redis", self.circuit),
            meters: Meters::new(),
            clock: Clock::new(),
        }))
    }
}

impl<C> fmt::Debug for RedisStoreBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("limit", &self.limit)
            .field("outage", &self.outage)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}

const MOST_BUCKETS: usize = 1 << 24;
