//! The decision about several buckets at once, over [tables](Table) of bounded size.

use std::time::Duration;

use portable_atomic::AtomicU64;
use smallvec::{SmallVec, smallvec};

use super::Check;
use super::table::{Attempt, Cell, Note, Order, Place, Receipt, Table};
use crate::clock::Clock;
use crate::rate_limit::decision::{Decision, Verdict};
use crate::rate_limit::gcra::{self, Take};
use crate::rate_limit::quota::Quota;

/// The buckets of all keys, and those that newcomers share where the table is full.
#[derive(Debug)]
pub(super) struct Buckets<C, N = AtomicU64> {
    home: Table<C>,
    /// One entry for each window that has overflowed in a group of four sets.
    spill: Table<C>,
    /// No spilled entry is in use from then on; zero if there is none at all.
    spilled_until: N,
}

/// Where a check's bucket is.
#[derive(Clone, Copy)]
struct Spot {
    home: Place,
    /// The bucket that the key would share or has shared, if any is in use anywhere.
    spill: Option<Place>,
}

/// A charge that can be undone.
struct Charge {
    spilled: bool,
    receipt: Receipt,
}

impl<C: Cell, N: Note> Buckets<C, N> {
    /// Buckets for `keys` keys, rounded up to a power of two.
    pub(super) fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(4).next_power_of_two();
        Self {
            home: Table::new(sets),
            spill: Table::new(sets.div_ceil(4)),
            spilled_until: N::default(),
        }
    }

    /// How many keys, a power of two, have buckets in so many bytes.
    pub(super) fn keys_in(bytes: usize) -> usize {
        let bytes_of = Table::<C>::bytes_of;
        let bytes_of = |sets: usize| bytes_of(sets).saturating_add(bytes_of(sets.div_ceil(4)));
        let mut sets = 1;
        while sets < MAX_SETS && bytes_of(2 * sets) <= bytes {
            sets *= 2;
        }
        Table::<C>::capacity_of(sets)
    }

    pub(super) fn capacity(&self) -> usize {
        self.home.capacity()
    }

    pub(super) fn bytes(&self) -> usize {
        self.home.bytes() + self.spill.bytes()
    }

    /// How many keys are in use, and how many sets are full of them.
    pub(super) fn usage(&self, now: u64) -> (usize, usize) {
        self.home.usage(now)
    }

    /// How many buckets in use newcomers share.
    pub(super) fn shared(&self, now: u64) -> usize {
        self.spill.usage(now).0
    }

    /// Takes the cells of all enforced checks or of none, then those of the shadows.
    pub(super) fn check(&self, checks: &[Check<'_>], clock: &Clock) -> Decision {
        if let [check] = checks {
            return Decision::of_one(check, self.check_one(check, clock));
        }
        self.check_all(checks, clock)
    }

    fn check_all(&self, checks: &[Check<'_>], clock: &Clock) -> Decision {
        let (spots, now) = self.look_at_all(checks, clock);
        let mut allowed = true;
        for (check, spot) in checks.iter().zip(&spots) {
            if !self.passes(check, spot, now) {
                self.heal(check, spot, now, clock);
                allowed &= check.is_shadow();
            }
        }
        if !allowed {
            return Decision::new(checks, self.quote(checks, &spots, now));
        }
        let mut charges: SmallVec<[Charge; 4]> = SmallVec::new();
        let mut verdicts: SmallVec<[Verdict; 4]> = smallvec![Verdict::passed(0, 0); checks.len()];
        for shadow in [false, true] {
            for (index, check) in checks.iter().enumerate() {
                if check.is_shadow() != shadow {
                    continue;
                }
                let (charge, verdict) = self.take(check, spots[index], now, clock);
                if !shadow && !verdict.has_passed() {
                    // Lost to a racing request: what was taken goes back, the latest first.
                    charges.iter().rev().for_each(|charge| self.undo(charge));
                    verdicts = self.quote(checks, &spots, now);
                    verdicts[index] = verdict;
                    return Decision::new(checks, verdicts);
                }
                verdicts[index] = verdict;
                charges.extend(charge);
            }
        }
        Decision::passed(verdicts)
    }

    /// The same for one check, which has no other to be undone for.
    fn check_one(&self, check: &Check<'_>, clock: &Clock) -> Verdict {
        let spot = self.look(check);
        let now = self.now(clock);
        if check.cells() > 0 {
            let order = Order::new(check, &spot, now);
            match self.home.attempt(spot.home, order) {
                Attempt::Taken(receipt) => {
                    let tat = receipt.after.tat;
                    let passed = (tat, Take::Passed(tat));
                    let (tat, take) = match spot.home.own {
                        true => passed,
                        false => self.charge_shared(check, order, clock).unwrap_or(passed),
                    };
                    return check.verdict(tat, now, take);
                }
                Attempt::Refused { tat, take } => {
                    self.heal(check, &spot, now, clock);
                    return check.verdict(tat, now, take);
                }
                // Seldom: out of the way of those who know their place.
                Attempt::Full | Attempt::Raced => {}
            }
        }
        self.check_again(check, spot, now, clock)
    }

    /// The same for a check that costs nothing, or whose first attempt came to nothing.
    #[inline(never)]
    fn check_again(&self, check: &Check<'_>, spot: Spot, now: u64, clock: &Clock) -> Verdict {
        let (_, verdict) = self.take(check, spot, now, clock);
        if !verdict.has_passed() {
            self.heal(check, &spot, now, clock);
        }
        verdict
    }

    /// What [`check`](Self::check) would say, without taking anything.
    pub(super) fn peek(&self, checks: &[Check<'_>], clock: &Clock) -> Decision {
        let (spots, now) = self.look_at_all(checks, clock);
        Decision::new(checks, self.quote(checks, &spots, now))
    }

    /// Fills the bucket of a check.
    pub(super) fn reset(&self, check: &Check<'_>) {
        self.home.change(self.set(check), check.bucket(), |_| 0);
    }

    /// Puts cells back into the bucket of a check.
    pub(super) fn refund(&self, check: &Check<'_>, cells: u64) {
        self.home.change(self.set(check), check.bucket(), |tat| {
            gcra::refund(check.quota(), tat, cells)
        });
    }

    /// Reads the buckets first and the clock after them. A TAT that is too late for the time is then
    /// known to come from a clock that went back, and not from another thread's later reading.
    fn look_at_all(&self, checks: &[Check<'_>], clock: &Clock) -> (SmallVec<[Spot; 4]>, u64) {
        let spots: SmallVec<[Spot; 4]> = checks.iter().map(|check| self.look(check)).collect();
        let now = self.now(clock);
        (spots, now)
    }

    /// The time, which is read after the buckets; and the end of the spill, once its time has come.
    fn now(&self, clock: &Clock) -> u64 {
        let now = clock.now().as_nanos();
        let until = self.spilled_until.load();
        if until != 0 && until < now {
            // Newcomers need not look at the spill any more. If this fails, somebody has spilled.
            self.spilled_until.clear(until);
        }
        now
    }

    fn look(&self, check: &Check<'_>) -> Spot {
        let home = self.home.find(self.set(check), check.bucket());
        let spilled = !home.own && self.spilled_until.load() != 0;
        let spill = spilled.then(|| self.look_at_spill(check));
        Spot { home, spill }
    }

    fn look_at_spill(&self, check: &Check<'_>) -> Place {
        let group = self.spill.set_of(self.set(check) as u64 / 4);
        self.spill.find(group, check.scope())
    }

    fn set(&self, check: &Check<'_>) -> usize {
        self.home.set_of(check.bucket())
    }

    /// What each check comes to if nothing is taken.
    fn quote(&self, checks: &[Check<'_>], spots: &[Spot], now: u64) -> SmallVec<[Verdict; 4]> {
        let quote = |(check, spot): (&Check<'_>, &Spot)| {
            let quota = check.quota();
            match self.tat(check, spot, now) {
                Ok(tat) => check.verdict(tat, now, gcra::take(quota, tat, now, check.cells())),
                Err(place) => crowded_out(check, place, now),
            }
        };
        checks.iter().zip(spots).map(quote).collect()
    }

    fn passes(&self, check: &Check<'_>, spot: &Spot, now: u64) -> bool {
        let take = |tat| gcra::take(check.quota(), tat, now, check.cells());
        let passes = |tat| matches!(take(tat), Take::Passed(_));
        // Who is crowded out may still look.
        (self.tat(check, spot, now)).map_or(check.cells() == 0, passes)
    }

    /// The TAT that a check starts from, or the place it would get if that were not in use.
    fn tat(&self, check: &Check<'_>, spot: &Spot, now: u64) -> Result<u64, Place> {
        if let Some(tat) = spot.home.tat(now, spot.floor(now)) {
            return Ok(tat);
        }
        let place = spot.spill.unwrap_or_else(|| self.look_at_spill(check));
        place.tat(now, 0).ok_or(place)
    }

    /// Takes the cells of one check, whatever other threads do meanwhile.
    fn take(
        &self,
        check: &Check<'_>,
        mut spot: Spot,
        mut now: u64,
        clock: &Clock,
    ) -> (Option<Charge>, Verdict) {
        let quota = check.quota();
        if check.cells() == 0 {
            let tat = self.tat(check, &spot, now);
            let verdict = |tat| check.verdict(tat, now, Take::Passed(tat));
            return (
                None,
                tat.map_or_else(|place| crowded_out(check, place, now), verdict),
            );
        }
        loop {
            let order = Order::new(check, &spot, now);
            let mut attempt = self.home.attempt(spot.home, order);
            let spilled = matches!(attempt, Attempt::Full);
            if spilled {
                self.spill_until(gcra::ceiling(quota, now));
                let place = spot.spill.unwrap_or_else(|| self.look_at_spill(check));
                let shared = Order {
                    tag: check.scope(),
                    floor: 0,
                    ..order
                };
                attempt = self.spill.attempt(place, shared);
                if matches!(attempt, Attempt::Full) {
                    return (None, crowded_out(check, place, now));
                }
            }
            match attempt {
                Attempt::Taken(receipt) => {
                    let charge = Charge { spilled, receipt };
                    let met = match spilled {
                        true => self.charge_slot(check, order),
                        false if spot.home.own => None,
                        false => self.charge_shared(check, order, clock),
                    };
                    return match met {
                        None => {
                            let tat = receipt.after.tat;
                            (Some(charge), check.verdict(tat, now, Take::Passed(tat)))
                        }
                        Some((tat, take @ Take::Passed(_))) => {
                            // Of two charges one cannot tell which to put back: they stay.
                            let receipt = receipt.kept();
                            let charge = Charge { receipt, ..charge };
                            (Some(charge), check.verdict(tat, now, take))
                        }
                        Some((tat, take)) => {
                            if spilled {
                                self.undo(&charge);
                            }
                            // A slot stays charged: it speaks for the shared bucket from now on.
                            (None, check.verdict(tat, now, take))
                        }
                    };
                }
                Attempt::Refused { tat, take } => return (None, check.verdict(tat, now, take)),
                Attempt::Full | Attempt::Raced => {}
            }
            spot = self.look(check);
            now = clock.now().as_nanos();
        }
    }

    /// Charges the slot that a key has got while the bucket that it shared was charged. Returns the TAT
    /// and what came of it; `None` if it has got none.
    ///
    /// This and [`charge_shared`](Self::charge_shared) are what [`table`](super::table) does about
    /// twins: of a request that charges the shared bucket and one that takes a slot for the same key, the
    /// later one sees the other.
    fn charge_slot(&self, check: &Check<'_>, order: Order) -> Option<(u64, Take)> {
        loop {
            let place = self.home.find(self.set(check), order.tag);
            if !place.own {
                return None;
            }
            match self.home.attempt(place, order) {
                Attempt::Taken(receipt) => {
                    let tat = receipt.after.tat;
                    return Some((tat, Take::Passed(tat)));
                }
                Attempt::Refused { tat, take } => return Some((tat, take)),
                Attempt::Full | Attempt::Raced => {}
            }
        }
    }

    /// Adds to a slot, just taken, what others have taken from the shared bucket since it was looked
    /// at. Returns the TAT and whether the slot holds that much; `None` if they have not.
    fn charge_shared(&self, check: &Check<'_>, order: Order, clock: &Clock) -> Option<(u64, Take)> {
        if self.spilled_until.load() == 0 {
            return None;
        }
        let place = self.look_at_spill(check);
        let missed = (place.seen.tat).saturating_sub(order.floor.max(order.now));
        if !place.own || missed == 0 {
            return None;
        }
        // As of now: those who shared may have read the time later than `order` was given.
        let ceiling = gcra::ceiling(order.quota, clock.now().as_nanos());
        let mut most = 0;
        self.home.change(self.set(check), order.tag, |tat| {
            most = tat.saturating_add(missed);
            most.min(ceiling)
        });
        let take = match most <= ceiling {
            true => Take::Passed(most),
            false => gcra::take(order.quota, u64::MAX, order.now, order.cost),
        };
        Some((most.min(ceiling), take))
    }

    /// Notes that spilled entries are in use until `tat`, rounded up so that this is seldom written.
    /// Once nothing is in use the note is taken away by [`look_at_all`](Self::look_at_all).
    fn spill_until(&self, tat: u64) {
        let until = tat | SPILL_GRAIN;
        if self.spilled_until.load() < until {
            self.spilled_until.raise(until);
        }
    }

    /// Puts back what a charge took, if nobody has touched the bucket since.
    fn undo(&self, charge: &Charge) {
        let table = if charge.spilled {
            &self.spill
        } else {
            &self.home
        };
        table.undo(charge.receipt);
    }

    /// A bucket that was written under a clock that has gone back since is emptied as of now: its
    /// caller waits a window, and not the jump. It is the one write of a refusal.
    fn heal(&self, check: &Check<'_>, spot: &Spot, now: u64, clock: &Clock) {
        let late = |now| move |tat| check.healed(tat, now);
        if spot.home.own {
            return self.home.amend(spot.home, late(now));
        }
        // The clock is read after the bucket here, too.
        let (place, now) = match spot.spill {
            Some(place) => (place, now),
            None => (self.look_at_spill(check), clock.now().as_nanos()),
        };
        if place.own {
            self.spill.amend(place, late(now));
        }
    }
}

impl Order {
    fn new(check: &Check<'_>, spot: &Spot, now: u64) -> Self {
        Self {
            tag: check.bucket(),
            floor: spot.floor(now),
            quota: check.quota(),
            cost: check.cells(),
            now,
        }
    }
}

impl Spot {
    /// The TAT that a newcomer starts from: what it may have taken from the shared bucket counts.
    fn floor(&self, now: u64) -> u64 {
        match self.spill {
            Some(place) if place.own && place.seen.tat > now => place.seen.tat,
            _ => 0,
        }
    }
}

pub(super) fn verdict(quota: Quota, tat: u64, now: u64, take: Take) -> Verdict {
    let level = gcra::level(quota, tat, now);
    let (limit, remaining) = (quota.cells(), level.remaining);
    let verdict = match take {
        Take::Passed(_) => Verdict::passed(limit, remaining),
        Take::Wait(nanos) => Verdict::refused(limit, remaining, Duration::from_nanos(nanos)),
        Take::Never => Verdict::too_costly(limit, remaining),
    };
    verdict.resets_in(level.next, level.full)
}

/// The table is full of keys in use, and the shared buckets are those of other windows.
fn crowded_out(check: &Check<'_>, place: Place, now: u64) -> Verdict {
    let (quota, limit) = (check.quota(), check.quota().cells());
    let wait = Duration::from_nanos(place.seen.tat.saturating_sub(now)).min(quota.window());
    match check.cells() {
        0 => Verdict::passed(limit, 0),
        cells if cells > limit => Verdict::too_costly(limit, 0),
        _ => Verdict::refused(limit, 0, wait),
    }
    .resets(wait, wait)
}

/// More than any machine has room for.
const MAX_SETS: usize = 1 << 31;

/// About a second.
const SPILL_GRAIN: u64 = (1 << 30) - 1;

#[cfg(test)]
#[path = "model.rs"]
mod model;
#[cfg(test)]
#[path = "schedules.rs"]
mod schedules;
