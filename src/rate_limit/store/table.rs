//! A fixed table of buckets that many threads share without a lock.
//!
//! A cell is 128 bits: the tag of a key, and its TAT (see [`gcra`]). They are read together and
//! replaced together, only from the value that was seen. A key lives in one of the four ways of one
//! set. A cell whose TAT has passed is a full bucket, which is what an absent key has, so it *is* a
//! free slot: taking it over forgets nothing.
//!
//! Two requests may insert the same new key at once. Both pick the way with the earliest TAT, the
//! lowest of several, so that they meet in one cell and one of them starts over. Only where a TAT was
//! lowered in between (an undo, a refund, a reset) can they end up in two. So the rule is: *a request
//! charges every entry of its key, and looks for others after it has seen or made one.* All loads and
//! replacements have one total order; hence whoever sees the later entry sees the earlier one too,
//! and the earliest entry that lives has every charge that has not drained. Twins end by themselves
//! when the later one's TAT passes.

use std::sync::atomic::Ordering;

use portable_atomic::{AtomicU64, AtomicU128};

use crate::rate_limit::gcra::{self, Take};
use crate::rate_limit::quota::Quota;

/// A key's tag and TAT. An empty cell has zeros.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) tag: u64,
    pub(super) tat: u64,
}

/// What holds an entry. Generic so that a model can stand where the atomic does; all operations of
/// all cells have one total order.
pub(super) trait Cell: Default {
    /// The entry.
    fn load(&self) -> Entry;

    /// Puts `new` in place of `seen`; false, and nothing happened, if it is no longer there.
    fn replace(&self, seen: Entry, new: Entry) -> bool;
}

/// A time that several threads put off. Its operations are in the same order.
pub(super) trait Note: Default {
    /// The time.
    fn load(&self) -> u64;

    /// Puts `to` in place of an earlier time.
    fn raise(&self, to: u64);

    /// Puts zero in place of `seen`, unless somebody has changed it.
    fn clear(&self, seen: u64);
}

impl Cell for AtomicU128 {
    fn load(&self) -> Entry {
        let bits = self.load(Ordering::SeqCst);
        Entry {
            tag: (bits >> 64) as u64,
            tat: bits as u64,
        }
    }

    fn replace(&self, seen: Entry, new: Entry) -> bool {
        let bits = |entry: Entry| u128::from(entry.tag) << 64 | u128::from(entry.tat);
        self.compare_exchange(bits(seen), bits(new), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Note for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn raise(&self, to: u64) {
        self.fetch_max(to, Ordering::SeqCst);
    }

    fn clear(&self, seen: u64) {
        // If it fails, the note is somebody else's by now.
        let _ = self.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Sets of four cells.
#[derive(Debug)]
pub(super) struct Table<C> {
    sets: Box<[Set<C>]>,
}

/// One cache line, so that a look-up costs one miss.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set<C>([C; WAYS]);

/// A cell and what was seen in it: the key's own, or else the one a newcomer would take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    set: usize,
    way: usize,
    pub(super) seen: Entry,
    pub(super) own: bool,
    /// Whether the key has further entries.
    twin: bool,
}

impl Place {
    /// The TAT that a key starts from here; `None` if the set is full of buckets in use. A newcomer
    /// starts from `floor`.
    pub(super) fn tat(&self, now: u64, floor: u64) -> Option<u64> {
        match self.own {
            true => Some(self.seen.tat),
            false => (self.seen.tat <= now).then_some(floor),
        }
    }
}

/// Who wants how much, and when. It is at least one cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) tag: u64,
    /// The TAT that a newcomer starts from.
    pub(super) floor: u64,
    pub(super) quota: Quota,
    pub(super) cost: u64,
    pub(super) now: u64,
}

impl Order {
    fn take(self, tat: u64) -> Take {
        gcra::take(self.quota, tat, self.now, self.cost)
    }
}

/// What became of one attempt to take cells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    /// They are taken, and this undoes it.
    Taken(Receipt),
    /// They are not there. Nothing was written, but where the key has twins.
    Refused { tat: u64, take: Take },
    /// Four other keys have the set.
    Full,
    /// Another thread was faster: look again.
    Raced,
}

/// What a charge replaced by what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    set: usize,
    way: usize,
    before: Entry,
    pub(super) after: Entry,
}

impl Receipt {
    /// One that undoes nothing.
    pub(super) const fn kept(self) -> Self {
        Self {
            before: self.after,
            ..self
        }
    }
}

impl<C: Cell> Table<C> {
    /// A table of `sets` sets, a power of two. Every page is written to.
    pub(super) fn new(sets: usize) -> Self {
        debug_assert!(sets.is_power_of_two());
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
        }
    }

    pub(super) const fn capacity_of(sets: usize) -> usize {
        sets * WAYS
    }

    pub(super) const fn bytes_of(sets: usize) -> usize {
        sets.saturating_mul(size_of::<Set<C>>())
    }

    pub(super) fn capacity(&self) -> usize {
        Self::capacity_of(self.sets.len())
    }

    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.sets.len())
    }

    /// How many entries are in use, and how many sets are full of them.
    pub(super) fn usage(&self, now: u64) -> (usize, usize) {
        let in_use = |set: &Set<C>| set.0.iter().filter(|cell| cell.load().tat > now).count();
        self.sets.iter().fold((0, 0), |(entries, full), set| {
            let used = in_use(set);
            (entries + used, full + usize::from(used == WAYS))
        })
    }

    /// The set that `hash` falls into.
    pub(super) fn set_of(&self, hash: u64) -> usize {
        // The mask keeps the index below the power of two that `new` was given.
        hash as usize & (self.sets.len() - 1)
    }

    /// Where `tag` is, or where it would go.
    #[inline]
    pub(super) fn find(&self, set: usize, tag: u64) -> Place {
        let cells = &self.sets[set].0;
        // In this order: what comes after the key's own entry was looked at after it.
        let entries: [Entry; WAYS] = std::array::from_fn(|way| cells[way].load());
        let is_own = |entry: &Entry| entry.tag == tag;
        let (way, own) = match entries.iter().position(is_own) {
            Some(way) => (way, true),
            None => (earliest(&entries), false),
        };
        let twin = own
            && (entries[way + 1..].iter().any(is_own)
                // The ways before were looked at before; see the module's rule.
                || cells[..way].iter().any(|cell| is_own(&cell.load())));
        Place {
            set,
            way,
            seen: entries[way],
            own,
            twin,
        }
    }

    /// Tries once to take the cells that `order` asks for.
    #[inline]
    pub(super) fn attempt(&self, place: Place, order: Order) -> Attempt {
        let tag = order.tag;
        let Some(tat) = place.tat(order.now, order.floor) else {
            return Attempt::Full;
        };
        let next = match order.take(tat) {
            Take::Passed(next) => next,
            take => return Attempt::Refused { tat, take },
        };
        let after = Entry { tag, tat: next };
        if !self.replace(place, after) {
            return Attempt::Raced;
        }
        // Undoing an insertion leaves a full bucket behind, which is free, and means the same.
        let mut before = Entry { tag, tat };
        if !place.own || place.twin {
            match self.charge_others(place, order) {
                Ok(false) => {}
                // Of two charges one cannot tell which to put back: they stay.
                Ok(true) => before = after,
                Err((tat, take)) => return Attempt::Refused { tat, take },
            }
        }
        Attempt::Taken(Receipt {
            set: place.set,
            way: place.way,
            before,
            after,
        })
    }

    /// Takes cells from the key's entries but the one at `place`; tells whether there were any.
    ///
    /// # Errors
    ///
    /// One does not have them: the TAT it has, and what came of it.
    fn charge_others(&self, place: Place, order: Order) -> Result<bool, (u64, Take)> {
        let mut charged = false;
        for way in (0..WAYS).filter(|way| *way != place.way) {
            match self.charge(place.set, way, order) {
                None => {}
                Some((_, Take::Passed(_))) => charged = true,
                Some(refused) => return Err(refused),
            }
        }
        Ok(charged)
    }

    /// Takes cells from one cell if it is the key's; returns the TAT it had and what came of it.
    fn charge(&self, set: usize, way: usize, order: Order) -> Option<(u64, Take)> {
        let tag = order.tag;
        loop {
            let place = self.look(set, way, tag);
            if !place.own {
                return None;
            }
            let take = order.take(place.seen.tat);
            match take {
                Take::Passed(tat) if !self.replace(place, Entry { tag, tat }) => {}
                take => return Some((place.seen.tat, take)),
            }
        }
    }

    fn look(&self, set: usize, way: usize, tag: u64) -> Place {
        let seen = self.cell(set, way).load();
        Place {
            set,
            way,
            seen,
            own: seen.tag == tag,
            twin: false,
        }
    }

    /// Puts back what a receipt took, if nobody has touched it since.
    ///
    /// Taking the difference off a bucket that has moved on would hand out capacity early: the cells
    /// that drained in the meantime were counted on by others.
    pub(super) fn undo(&self, receipt: Receipt) {
        self.cell(receipt.set, receipt.way)
            .replace(receipt.after, receipt.before);
    }

    /// Changes the TAT that was seen in a key's own place, if it still is what was seen.
    pub(super) fn amend(&self, place: Place, change: impl Fn(u64) -> Option<u64>) {
        if let Some(tat) = change(place.seen.tat) {
            self.replace(place, Entry { tat, ..place.seen });
        }
    }

    /// Changes the TAT of every entry that a key has.
    pub(super) fn change(&self, set: usize, tag: u64, mut to: impl FnMut(u64) -> u64) {
        for way in 0..WAYS {
            loop {
                let place = self.look(set, way, tag);
                if !place.own {
                    break;
                }
                let tat = to(place.seen.tat);
                if self.replace(place, Entry { tag, tat }) {
                    break;
                }
            }
        }
    }

    fn replace(&self, place: Place, new: Entry) -> bool {
        self.cell(place.set, place.way).replace(place.seen, new)
    }

    fn cell(&self, set: usize, way: usize) -> &C {
        &self.sets[set].0[way]
    }
}

#[cfg(test)]
impl<C: Cell> Table<C> {
    /// Puts an entry where another one was.
    pub(super) fn put(&self, set: usize, way: usize, entry: Entry) {
        let cell = self.cell(set, way);
        assert!(cell.replace(cell.load(), entry), "nobody interrupts a test");
    }

    /// How many entries a tag has.
    pub(super) fn count(&self, set: usize, tag: u64) -> usize {
        (0..WAYS)
            .filter(|way| self.look(set, *way, tag).own)
            .count()
    }
}

/// The way whose bucket is full first, the lowest of several.
fn earliest(entries: &[Entry; WAYS]) -> usize {
    (1..WAYS).fold(0, |best, way| match entries[way].tat < entries[best].tat {
        true => way,
        false => best,
    })
}

const WAYS: usize = 4;
