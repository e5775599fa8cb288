//! Buckets in the concurrent map of the `governor` crate, one for each key.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use governor::RateLimiter;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::RateLimitingMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use smallvec::SmallVec;

use super::buckets::verdict;
use super::{Answer, Check, LocalStore, Never, Store};
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::rate_limit::decision::{Decision, Verdict};
use crate::rate_limit::gcra::{self, Take};
use crate::rate_limit::quota::Quota;

/// A store on governor's concurrent map: every key has a bucket of its own, and memory follows the
/// number of keys in use.
///
/// It is made [from](From) any `governor::RateLimiter` whose keys are `u64` and whose state is the
/// crate's default, dashmap; its map, hasher and clock are what runs on. The quotas are those of the
/// policies, so that one store serves all windows; [`Quota`] converts to and from
/// `governor::Quota`. [`new`](Self::new) starts with an empty map under this crate's clock.
///
/// - **Exact**, and decided as governor decides, cell by cell. Governor's own arithmetic wraps for large
///   costs and long windows, it knows no cost of zero, and it cannot take a charge back; so the
///   decision is this crate's, which saturates, in governor's atomic step on the bucket.
/// - **All or nothing.** What one window refuses is charged to none. Where requests race, a charge that
///   comes to nothing is put back unless somebody has touched the bucket since, as in
///   [`MemoryStore`](super::MemoryStore).
/// - **Swept on a budget.** Once as many keys have come new as there were after the last sweep (and
///   at least 1,024), one request walks the map and drops the buckets that are full again. So the map
///   has at most twice the keys that were in use then, plus 1,024, and the walks cost a constant for
///   each new key: but in one piece, about 8 ms for a million.
/// - **Bounded**, but only by [a number of keys](Self::with_limit), at some 40 bytes each. At that number
///   newcomers are refused until buckets are full again, and for a second at most until they are swept:
///   one of the newcomers does that. Where strangers can make up keys,
///   [`MemoryStore`](super::MemoryStore) is the better choice: it has a fixed size and never walks.
///
/// Its locks are those of the map's shards, held for one step. Clones share the buckets.
///
/// # Example
///
/// ```
/// use std::num::NonZeroU32;
/// use bartizan::rate_limit::{GovernorStore, Policy, Quota, RateLimitLayer, key};
///
/// let fifty = governor::Quota::per_second(NonZeroU32::new(50).unwrap());
/// let limiter = governor::RateLimiter::keyed(fifty);
///
/// let layer = RateLimitLayer::builder()
///     .policy(Policy::new("api", Quota::try_from(fifty)?).by(key::header("x-api-key")))
///     .store(GovernorStore::from(limiter))
///     .build()?;
/// # Ok::<_, bartizan::config::ConfigError>(())
/// ```
pub struct GovernorStore<C: GovernorClock = Clock, H = RandomState> {
    shared: Arc<Shared<C, H>>,
}

struct Shared<C: GovernorClock, H> {
    map: DashMapStateStore<u64, H>,
    clock: C,
    start: C::Instant,
    limit: usize,
    /// The keys that the last sweep has left.
    kept: AtomicUsize,
    /// Requests of keys that were not in the map, since then.
    newcomers: AtomicUsize,
    sweeping: AtomicBool,
    /// When the last sweep was.
    swept: AtomicU64,
}

/// What a charge replaced by what.
struct Receipt {
    key: u64,
    before: u64,
    after: u64,
}

impl GovernorStore {
    /// A store for up to 1,048,576 keys.
    #[must_use]
    pub fn new() -> Self {
        Self::made(DashMapStateStore::default(), Clock::new(), DEFAULT_LIMIT)
    }
}

impl<C, H> GovernorStore<C, H>
where
    C: GovernorClock,
    H: BuildHasher + Clone,
{
    /// The same store, emptied, for up to `keys` keys, at least 1. Each window of each policy counts.
    #[must_use]
    pub fn with_limit(self, keys: usize) -> Self
    where
        C: Clone,
    {
        let hasher = self.shared.map.hasher().clone();
        let map = DashMapStateStore::with_hasher(hasher);
        Self::made(map, self.shared.clock.clone(), keys)
    }

    /// How many keys are in the map, those included whose buckets are full again and await a sweep.
    #[must_use]
    pub fn keys(&self) -> usize {
        ShrinkableKeyedStateStore::len(&self.shared.map)
    }

    /// Drops the buckets that are full again, now: for hosts that fall quiet. It walks the map.
    pub fn sweep(&self) {
        self.shared.sweep();
    }

    fn made(map: DashMapStateStore<u64, H>, clock: C, limit: usize) -> Self {
        let shared = Shared {
            map,
            start: clock.now(),
            clock,
            limit: limit.max(1),
            kept: AtomicUsize::new(0),
            newcomers: AtomicUsize::new(0),
            sweeping: AtomicBool::new(false),
            swept: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<C, H> Store for GovernorStore<C, H>
where
    C: GovernorClock<Instant: 'static> + Send + Sync + 'static,
    H: BuildHasher + Clone + Send + Sync + 'static,
{
    type Wait = Never;

    /// `clock` is not read: governor's is.
    fn check(&self, checks: &[Check<'_>], _: &Clock) -> Answer<Never> {
        Answer::Now(self.shared.check(checks))
    }
}

impl<C, H> LocalStore for GovernorStore<C, H>
where
    C: GovernorClock<Instant: 'static> + Send + Sync + 'static,
    H: BuildHasher + Clone + Send + Sync + 'static,
{
    /// `clock` is not read: governor's is.
    fn peek(&self, checks: &[Check<'_>], _: &Clock) -> Decision {
        self.shared.quote(checks)
    }

    fn reset(&self, check: &Check<'_>) {
        self.shared.change(check, |_| 0);
    }

    /// In one atomic step, so that no cell is handed out twice.
    fn refund(&self, check: &Check<'_>, cells: u64) {
        self.shared
            .change(check, |tat| gcra::refund(check.quota(), tat, cells));
    }
}

impl<C, H> Shared<C, H>
where
    C: GovernorClock,
    H: BuildHasher + Clone,
{
    fn check(&self, checks: &[Check<'_>]) -> Decision {
        if checks.len() > 1 {
            let decision = self.quote(checks);
            if !decision.is_allowed() {
                return decision;
            }
        }
        let mut verdicts: SmallVec<[Verdict; 4]> =
            SmallVec::from_elem(Verdict::passed(0, 0), checks.len());
        let mut receipts: SmallVec<[Receipt; 4]> = SmallVec::new();
        for shadow in [false, true] {
            for (index, check) in checks.iter().enumerate() {
                if check.is_shadow() != shadow {
                    continue;
                }
                let (verdict, receipt) = self.visit(check, true);
                if !shadow && !verdict.has_passed() {
                    // Lost to a racing request: what was taken goes back, the latest first.
                    receipts.iter().rev().for_each(|receipt| self.undo(receipt));
                    let mut verdicts: SmallVec<[Verdict; 4]> = checks
                        .iter()
                        .map(|check| self.visit(check, false).0)
                        .collect();
                    verdicts[index] = verdict;
                    return Decision::new(checks, verdicts);
                }
                verdicts[index] = verdict;
                receipts.extend(receipt);
            }
        }
        Decision::new(checks, verdicts)
    }

    /// What each check comes to if nothing is taken.
    fn quote(&self, checks: &[Check<'_>]) -> Decision {
        let quotes = checks.iter().map(|check| self.visit(check, false).0);
        Decision::new(checks, quotes)
    }

    /// Changes the TAT of the bucket that a check is about, if there is one.
    fn change(&self, check: &Check<'_>, to: impl Fn(u64) -> u64) {
        let key = check.bucket();
        let change = |tat: Option<Nanos>| match tat {
            Some(tat) => Ok(((), to(tat.as_u64()).into())),
            None => Err(()),
        };
        // Without a bucket there is nothing to change, and asking the map for one would make it.
        if self.map.contains_key(&key) {
            let _ = self.map.measure_and_replace(&key, change);
        }
    }

    /// What a check comes to; with `take`, its cells are taken if they are there.
    fn visit(&self, check: &Check<'_>, take: bool) -> (Verdict, Option<Receipt>) {
        let (quota, key) = (check.quota(), check.bucket());
        let take = take && check.cells() > 0;
        if !self.map.contains_key(&key) {
            let now = self.now();
            let fresh = gcra::take(quota, 0, now, check.cells());
            if !take || fresh == Take::Never {
                return (verdict(quota, 0, now, fresh), None);
            }
            if !self.admits_newcomer() {
                let wait = quota.interval();
                let refused = Verdict::refused(quota.cells(), 0, wait);
                return (refused.resets(wait, wait), None);
            }
        }
        let visited = self.map.measure_and_replace(&key, |tat| {
            // The clock is read after the bucket: a TAT that is too late for the time is then known
            // to come from a clock that went back, and not from another thread's later reading.
            let now = self.now();
            let before = tat.map_or(0, Nanos::as_u64);
            let outcome = gcra::take(quota, before, now, check.cells());
            match outcome {
                Take::Passed(after) if take => {
                    let verdict = verdict(quota, after, now, outcome);
                    let receipt = Receipt { key, before, after };
                    Ok(((verdict, Some(receipt)), after.into()))
                }
                _ => {
                    let verdict = verdict(quota, before, now, outcome);
                    match gcra::healed(quota, before, now) {
                        Some(healed) => Ok(((verdict, None), healed.into())),
                        None => Err(verdict),
                    }
                }
            }
        });
        visited.unwrap_or_else(|verdict| (verdict, None))
    }

    /// Puts back what a charge took, if nobody has touched the bucket since.
    fn undo(&self, receipt: &Receipt) {
        let untouched = |tat: Option<Nanos>| match tat {
            Some(tat) if tat.as_u64() == receipt.after => Ok(((), receipt.before.into())),
            _ => Err(()),
        };
        // If it fails, the cells stay charged, which the contract allows.
        let _ = self.map.measure_and_replace(&receipt.key, untouched);
    }

    /// Whether there is room for one more key. Sweeps first, where it is time to.
    fn admits_newcomer(&self) -> bool {
        let newcomers = self.newcomers.fetch_add(1, Ordering::Relaxed) + 1;
        let kept = self.kept.load(Ordering::Relaxed);
        let is_full = kept.saturating_add(newcomers) > self.limit;
        let is_due = newcomers > kept.max(SWEEP_AFTER) || (is_full && self.has_rested());
        if !is_due || self.sweeping.swap(true, Ordering::Acquire) {
            return !is_full;
        }
        self.sweep();
        self.sweeping.store(false, Ordering::Release);
        let newcomers = self.newcomers.fetch_add(1, Ordering::Relaxed) + 1;
        let kept = self.kept.load(Ordering::Relaxed);
        kept.saturating_add(newcomers) <= self.limit
    }

    /// Whether the last sweep is long enough ago for one that few newcomers pay for.
    fn has_rested(&self) -> bool {
        let swept = self.swept.load(Ordering::Relaxed);
        // A clock that has gone back makes nobody wait until it has caught up.
        self.now().abs_diff(swept) >= REST
    }

    fn sweep(&self) {
        // Who comes in from here on may be counted twice, and never not at all.
        self.newcomers.store(0, Ordering::Relaxed);
        self.swept.store(self.now(), Ordering::Relaxed);
        let before = ShrinkableKeyedStateStore::len(&self.map);
        self.map.retain_recent(self.now().into());
        let kept = ShrinkableKeyedStateStore::len(&self.map);
        if kept < before / 4 {
            // A map keeps the size it once had unless it is told.
            ShrinkableKeyedStateStore::shrink_to_fit(&self.map);
        }
        self.kept.store(kept, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.clock.now().duration_since(self.start).as_u64()
    }
}

/// Takes over the map and the clock of a limiter. Its buckets start full, and its quota is left
/// behind: the policies have theirs.
impl<C, H, MW> From<RateLimiter<u64, DashMapStateStore<u64, H>, C, MW>> for GovernorStore<C, H>
where
    C: GovernorClock + Clone,
    H: BuildHasher + Clone,
    MW: RateLimitingMiddleware<C::Instant>,
{
    fn from(limiter: RateLimiter<u64, DashMapStateStore<u64, H>, C, MW>) -> Self {
        let clock = limiter.clock().clone();
        let map = limiter.into_state_store();
        // Their times count from an origin that the limiter does not tell, and their keys are not
        // the digests that a layer asks about.
        map.clear();
        Self::made(map, clock, DEFAULT_LIMIT)
    }
}

impl Default for GovernorStore {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: GovernorClock, H> Clone for GovernorStore<C, H> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: GovernorClock, H> fmt::Debug for GovernorStore<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GovernorStore")
            .field("limit", &self.shared.limit)
            .finish_non_exhaustive()
    }
}

/// Under this clock a governor follows tokio's paused time, or stands still until it is advanced.
impl GovernorClock for Clock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.now().as_nanos().into()
    }
}

impl TryFrom<governor::Quota> for Quota {
    type Error = ConfigError;

    /// # Errors
    ///
    /// If governor has rounded the interval down to no time at all, or if the burst takes more than
    /// 100 years to come back, beyond which governor wraps.
    fn try_from(quota: governor::Quota) -> Result<Self, ConfigError> {
        Self::try_per(1, quota.replenish_interval())?.try_burst(quota.burst_size().get().into())
    }
}

impl TryFrom<Quota> for governor::Quota {
    type Error = ConfigError;

    /// # Errors
    ///
    /// If a full bucket has more than 2^32 - 1 cells.
    fn try_from(quota: Quota) -> Result<Self, ConfigError> {
        let cells = u32::try_from(quota.cells()).ok().and_then(NonZeroU32::new);
        Self::with_period(quota.interval())
            .zip(cells)
            .map(|(governor, cells)| governor.allow_burst(cells))
            .ok_or_else(|| {
                let fix = "a governor holds 2^32 - 1 cells at most: lower the burst";
                ConfigError::new("burst", quota.cells().to_string(), fix)
            })
    }
}

const DEFAULT_LIMIT: usize = 1 << 20;

/// New keys between two sweeps, at least.
const SWEEP_AFTER: usize = 1024;

/// Nanoseconds between two sweeps of a full map, at least: a hundred times what a million keys take.
const REST: u64 = 1_000_000_000;

#[cfg(test)]
#[path = "governor_tests.rs"]
mod tests;
