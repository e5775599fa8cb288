//! Connections come, change, and end: by themselves, by the host, by the clock.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use super::{Shard, index};
use crate::event_stream::hub::replay::HandOver;
use crate::event_stream::hub::slot::{Closing, Opening, Slot, State};
use crate::event_stream::hub::stats::Counts;
use crate::event_stream::selector::Selector;

impl<H: HandOver> Shard<H> {
    /// Adds a connection, which is polled next. When its user has too many, the oldest of them ends,
    /// and `superseded` is whom to wake for it.
    pub(crate) fn open(&mut self, opening: Opening, superseded: &mut Option<Waker>) -> u32 {
        if let Some(who) = &opening.who {
            *superseded = self.make_room(who);
        }
        let now = self.wheel.now();
        self.slot_generation = self.slot_generation.wrapping_add(1);
        let mut slot = Slot::new(opening, self.slot_generation, now);
        slot.due = now.saturating_add(self.terms.keep_alive).min(slot.ends());
        if slot.ends() <= now {
            end(&mut slot, Closing::Age, now, &mut self.counts);
        }
        let entry = self.slots.vacant_entry();
        let id = index(entry.key());
        self.index.insert(id, &slot.selector, slot.who.as_ref());
        self.wheel.file(id, slot.generation, slot.due);
        entry.insert(slot);
        id
    }

    /// Ends the oldest stream of `who` when there are as many as there may be.
    fn make_room(&mut self, who: &str) -> Option<Waker> {
        if self.terms.per_user == usize::MAX {
            return None;
        }
        let latest = self.slot_generation;
        let open = |id: &u32| self.slots[*id as usize].closing.is_none();
        // Generations wrap around.
        let age = |id: &u32| latest.wrapping_sub(self.slots[*id as usize].generation);
        let held = || self.index.owned(who).filter(open);
        if held().count() < self.terms.per_user {
            return None;
        }
        let oldest = held().max_by_key(age)?;
        let slot = &mut self.slots[oldest as usize];
        end(
            slot,
            Closing::Superseded,
            self.wheel.now(),
            &mut self.counts,
        )
    }

    /// Removes a connection. What is returned is dropped after the lock is released, since a waker
    /// may do anything when it is.
    pub(in crate::event_stream::hub) fn close(&mut self, id: u32) -> Option<Slot> {
        let slot = self.slots.try_remove(id as usize)?;
        self.index.remove(id, &slot.selector, slot.who.as_ref());
        // The number of a class that ends with this member is given to another.
        self.memo = None;
        Some(slot)
    }

    /// Puts a connection, which is being polled, under another selector, from the next event on; or ends it,
    /// if that is what its grant comes to. What is returned is as in [`end_one`](Self::end_one).
    pub(crate) fn reselect(
        &mut self,
        id: u32,
        selector: Selector,
        who: Option<Arc<str>>,
        expires: u32,
    ) -> Option<Waker> {
        let slot = self.slots.get_mut(id as usize)?;
        if let (State::Parked, Some(ring)) = (slot.state, &self.ring) {
            slot.cursor = H::seen_while_parked(slot.cursor, ring.head());
        }
        // What is listed was matched by the former selector.
        slot.unlist();
        self.index.remove(id, &slot.selector, slot.who.as_ref());
        self.memo = None;
        self.index.insert(id, &selector, who.as_ref());
        slot.selector = selector;
        slot.who = who;
        slot.expires = expires;
        if slot.ends() < slot.due {
            slot.due = slot.ends();
            self.wheel.file(id, slot.generation, slot.due);
        }
        let now = self.wheel.now();
        (slot.ends() <= now)
            .then(|| end(slot, Closing::Age, now, &mut self.counts))
            .flatten()
    }

    /// Ends one connection, which is being polled. What is returned need not be woken, and is dropped after
    /// the lock is released.
    pub(crate) fn end_one(&mut self, id: u32, why: Closing) -> Option<Waker> {
        let slot = self.slots.get_mut(id as usize)?;
        end(slot, why, self.wheel.now(), &mut self.counts)
    }

    /// Ends the streams that were granted to `who`, and answers how many.
    pub(crate) fn end_of(&mut self, who: &str, why: Closing, wakers: &mut Vec<Waker>) -> usize {
        let (slots, now) = (&mut self.slots, self.wheel.now());
        let ended = self.index.owned(who).filter(|id| {
            let slot = &mut slots[*id as usize];
            let open = slot.closing.is_none();
            wakers.extend(end(slot, why, now, &mut self.counts));
            open
        });
        ended.count()
    }

    /// All connections have a place below this.
    pub(crate) fn places(&self) -> usize {
        self.slots.capacity()
    }

    /// Ends the streams in some places, and answers how many.
    pub(crate) fn end(
        &mut self,
        places: Range<usize>,
        why: Closing,
        wakers: &mut Vec<Waker>,
    ) -> usize {
        let mut ended = 0;
        for place in places {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            ended += usize::from(slot.closing.is_none());
            wakers.extend(end(slot, why, self.wheel.now(), &mut self.counts));
        }
        ended
    }

    /// Moves to the tick `to`: keep-alives, rechecks, ends.
    pub(crate) fn tick(&mut self, to: u32, wakers: &mut Vec<Waker>) {
        if let Some(ring) = &mut self.ring {
            ring.tick(to);
        }
        let (slots, terms, counts) = (&mut self.slots, self.terms, &mut self.counts);
        self.wheel.advance(to, |id, generation, due| {
            let slot = slots.get_mut(id as usize)?;
            // A slot that is due at another tick has been filed for that.
            if slot.generation != generation || slot.due != due || slot.closing.is_some() {
                return None;
            }
            if due > to {
                return Some(due);
            }
            let stalls = slot
                .neglected_since()
                .map(|since| since.saturating_add(terms.write_stall));
            if to >= slot.ends() || stalls.is_some_and(|stalls| to >= stalls) {
                let why = match to >= slot.ends() {
                    true => Closing::Age,
                    false => Closing::Stalled,
                };
                wakers.extend(end(slot, why, to, counts));
                return None;
            }
            wakers.extend(slot.wake(to));
            slot.beat = true;
            slot.recheck = slot.rechecks;
            let next = to.saturating_add(terms.keep_alive).min(slot.ends());
            slot.due = stalls.map_or(next, |stalls| next.min(stalls));
            Some(slot.due)
        });
    }

    /// Whether a connection that is polled may send no more of a page that it holds, as it has ended
    /// or has to be rechecked first.
    pub(crate) fn holds_back(&mut self, id: u32) -> bool {
        let now = self.wheel.now();
        self.slots.get_mut(id as usize).is_none_or(|slot| {
            slot.touch(now);
            slot.closing.is_some() || slot.recheck
        })
    }
}

/// Ends a stream at the tick `now`, unless it has ended before. Answers whom to wake.
fn end(slot: &mut Slot, why: Closing, now: u32, counts: &mut Counts) -> Option<Waker> {
    if slot.closing.is_none() {
        slot.closing = Some(why);
        counts.ended[why as usize] += 1;
    }
    slot.wake(now)
}
