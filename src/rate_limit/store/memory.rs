//! Buckets in this process's memory, of which there is a fixed amount.

use std::fmt;
use std::sync::Arc;

use portable_atomic::AtomicU128;

use super::buckets::Buckets;
use super::{Answer, Check, LocalStore, Never, Store};
use crate::clock::Clock;
use crate::rate_limit::decision::Decision;

/// The default store: a table in memory whose size is fixed when it is made.
///
/// - **Bounded.** All memory is taken, and every page of it touched, at construction: 20 bytes a
///   key, 1.25 MiB by default. A flood of distinct keys changes nothing about it.
/// - **Exact.** A bucket is forgotten only once it is full again, which is what a key that was never
///   seen has. So nobody resets an exhausted limit by flooding the store with keys.
/// - **Lock-free.** A look-up reads one cache line, a charge is one 128-bit compare-exchange, and a
///   refusal writes nothing.
///
/// When the four slots that a key may have are all in use by others, the keys that come new share one
/// further bucket for each window, until a slot is free. Newcomers are then refused earlier than
/// they would be; what one key may have in all stays within the quota. To keep this from happening
/// outside of an attack, choose a [capacity](Self::with_capacity) of twice the keys that are active
/// within the longest window, for each window of each policy. Two keys share a bucket by chance once in about 10^18 look-ups.
///
/// Where policies race for their last cells, the one taken first is put back in the way that
/// [`RateLimitLayer`](crate::rate_limit::RateLimitLayer) describes: never over the quota.
///
/// x86-64 (with `cmpxchg16b`, found at run time) and aarch64 have the 128-bit atomics this rests on.
/// Elsewhere `portable-atomic` puts a short lock in their place: correct, slower, and not lock-free.
///
/// Clones share the buckets.
#[derive(Clone)]
pub struct MemoryStore {
    buckets: Arc<Buckets<AtomicU128>>,
}

impl MemoryStore {
    /// A store for 65,536 keys.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(65_536)
    }

    /// A store for `keys` keys, rounded up to a power of two: at least 4, and at 20 bytes each.
    ///
    /// Every window of every policy counts: a client under two policies is two keys.
    ///
    /// # Panics
    ///
    /// If `keys` is more than 2^32, or the memory cannot be had.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        assert!(
            u32::try_from(keys.saturating_sub(1)).is_ok(),
            "a store of over 2^32 keys takes over 80 GiB: lower the capacity"
        );
        Self {
            buckets: Arc::new(Buckets::new(keys.max(1))),
        }
    }

    /// A store for as many keys as fit into `bytes` bytes, a power of two: at least 4, which take 128.
    ///
    /// ```
    /// use bartizan::rate_limit::MemoryStore;
    ///
    /// let store = MemoryStore::with_bytes(64 << 20);
    /// assert_eq!(store.capacity(), 2 << 20);
    /// assert_eq!(store.bytes(), 40 << 20);
    /// ```
    ///
    /// # Panics
    ///
    /// If more than 2^32 keys would fit, or the memory cannot be had.
    #[must_use]
    pub fn with_bytes(bytes: usize) -> Self {
        Self::with_capacity(Buckets::<AtomicU128>::keys_in(bytes))
    }

    /// How many keys have a slot of their own at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buckets.capacity()
    }

    /// The bytes of the table: what this store takes, and all that it ever will.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buckets.bytes()
    }

    /// How full the store is now. It walks the table, a cache line for every four keys, so it is for a
    /// status page or a gauge and not for every request.
    #[must_use]
    pub fn usage(&self, clock: &Clock) -> Usage {
        let now = clock.now().as_nanos();
        let (keys, full_sets) = self.buckets.usage(now);
        Usage {
            keys,
            full_sets,
            shared: self.buckets.shared(now),
            capacity: self.capacity(),
            bytes: self.bytes(),
        }
    }
}

/// How full a [`MemoryStore`] is. While requests are served it is approximate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    keys: usize,
    full_sets: usize,
    shared: usize,
    capacity: usize,
    bytes: usize,
}

impl Usage {
    /// Keys whose buckets are in use: that is, not full again.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// How many keys have a slot of their own at most.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes of the store: the same at all times.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Buckets in use that newcomers share. Above zero, somebody may be refused for what others did:
    /// under an attack of new keys, or with a store that is too small.
    #[must_use]
    pub const fn shared(&self) -> usize {
        self.shared
    }

    /// Sets of four slots that are all in use: keys that come new to them share a bucket.
    ///
    /// There are a quarter as many sets as slots. Outside of an attack this should be near zero; if it
    /// is not, the store is too small.
    #[must_use]
    pub const fn full_sets(&self) -> usize {
        self.full_sets
    }
}

impl Store for MemoryStore {
    type Wait = Never;

    fn check(&self, checks: &[Check<'_>], clock: &Clock) -> Answer<Never> {
        Answer::Now(self.buckets.check(checks, clock))
    }
}

impl LocalStore for MemoryStore {
    fn peek(&self, checks: &[Check<'_>], clock: &Clock) -> Decision {
        self.buckets.peek(checks, clock)
    }

    /// A bucket that newcomers share is left as it is.
    fn reset(&self, check: &Check<'_>) {
        self.buckets.reset(check);
    }

    /// This is a subtraction: if the clients of a bucket race with it, up to one cell may be handed
    /// out early.
    fn refund(&self, check: &Check<'_>, cells: u64) {
        self.buckets.refund(check, cells);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
