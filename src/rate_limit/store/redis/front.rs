//! What stands between requests and the server: a table of what is known, with one question at a time
//! for each bucket.
//!
//! The table has a fixed number of places in sets of four, each set behind a lock that is held for a few
//! instructions and never while anything is waited for. Where a set is full, the entry that was used
//! longest ago makes room. Nothing is lost by that but round trips, and cells that were held: the truth
//! is at the server.
//!
//! A request that has to ask while another one has asked for the same bucket waits for that answer. The
//! next to ask does so for all that are waiting by then. So a bucket has one question under way, however
//! many requests there are; and if whoever asks is dropped, those who wait are woken, and one of them
//! asks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::known::{Known, Order, Reply, Step, Verdicts};

/// The table.
pub(super) struct Front {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    /// How many cells one bucket's burst is divided into for a lease: none, or at least 1.
    leases: Option<u64>,
    /// How long a request waits, in nanoseconds.
    patience: u64,
}

#[derive(Default)]
struct Slot {
    /// The bucket's digest; zero in a slot that was never used.
    tag: u64,
    used: u64,
    known: Known,
    flight: Option<Arc<Flight>>,
    /// Cells that the requests want who wait for the flight.
    waiting: u64,
    /// Cells that those want who waited for the last one and have not come again yet.
    unmet: u64,
    landed: u64,
}

/// A question under way.
pub(super) struct Flight {
    landed: Arc<Notify>,
    began: u64,
}

/// What a request does next.
pub(super) enum Turn<'f> {
    /// It passes on cells that were held.
    Pass(Verdicts),
    /// It is refused.
    Refuse(Verdicts),
    /// It waits for another one's answer, and comes again.
    Wait(OwnedNotified),
    /// It asks.
    Ask(Asking<'f>),
}

/// Being the one who asks. Dropped before the answer is here, it makes way for the next.
pub(super) struct Asking<'f> {
    front: &'f Front,
    tag: u64,
    flight: Arc<Flight>,
    /// Cells for others who wait.
    pub(super) further: u64,
    /// Cells to take in advance.
    pub(super) advance: u64,
}

impl Front {
    /// A table for `keys` buckets, rounded up to a power of two.
    pub(super) fn new(keys: usize, leases: Option<u64>, patience: u64) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            leases,
            patience,
        }
    }

    /// Decides from what is known. `None` if there is nothing to decide from.
    pub(super) fn step(&self, tag: u64, order: &Order, now: u64) -> Step {
        self.find(tag, |slot| {
            slot.used = now;
            slot.known.step(order, now)
        })
        .unwrap_or(Step::Ask)
    }

    /// What a bucket is like from what is known; like a full one if nothing is.
    pub(super) fn levels(&self, tag: u64, order: &Order, now: u64) -> Verdicts {
        self.find(tag, |slot| slot.known.levels(order, now))
            .unwrap_or_else(|| Known::default().levels(order, now))
    }

    /// Decides from what is known, or says whether to wait or to ask. `again` says that the request has
    /// waited for another one's answer.
    pub(super) fn turn(&self, tag: u64, order: &Order, now: u64, again: bool) -> Turn<'_> {
        self.with(tag, now, |slot| {
            if again {
                slot.unmet = slot.unmet.saturating_sub(order.cells);
            } else if now.saturating_sub(slot.landed) >= self.patience {
                // Whoever has not come again by now has gone.
                slot.unmet = 0;
            }
            match slot.known.step(order, now) {
                Step::Pass(verdicts) => return Turn::Pass(verdicts),
                Step::Refuse(verdicts) => return Turn::Refuse(verdicts),
                Step::Ask => {}
            }
            if let Some(flight) = &slot.flight {
                // One that takes longer than anybody waits may belong to a task that is never run again.
                if now.saturating_sub(flight.began) < self.patience {
                    slot.waiting = slot.waiting.saturating_add(order.cells);
                    return Turn::Wait(Arc::clone(&flight.landed).notified_owned());
                }
            }
            let flight = Arc::new(Flight {
                landed: Arc::default(),
                began: now,
            });
            slot.flight = Some(Arc::clone(&flight));
            slot.waiting = 0;
            let further = std::mem::take(&mut slot.unmet);
            Turn::Ask(Asking {
                front: self,
                tag,
                flight,
                further,
                advance: slot.known.advance(self.most(order), now),
            })
        })
    }

    /// Puts cells back that a request had from those that were held, and did not pass.
    pub(super) fn give_back(&self, tag: u64, cells: u64, now: u64) {
        self.find(tag, |slot| slot.known.give_back(cells, now));
    }

    /// Cells of a bucket were put back at the server.
    pub(super) fn lower(&self, tag: u64, order: &Order) {
        self.find(tag, |slot| slot.known.lower(order));
    }

    /// Forgets what is known of a bucket, and the cells that are held.
    pub(super) fn forget(&self, tag: u64) {
        self.find(tag, |slot| slot.known = Known::default());
    }

    /// The most that is held of one bucket: what all windows allow.
    fn most(&self, order: &Order) -> u64 {
        let Some(parts) = self.leases else { return 0 };
        let bursts = order.quotas.iter().map(|quota| quota.cells() / parts);
        bursts.min().unwrap_or(0)
    }

    fn find<T>(&self, tag: u64, f: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut set = self.set(tag).lock().unwrap_or_else(PoisonError::into_inner);
        set.iter_mut().find(|slot| slot.tag == tag).map(f)
    }

    fn with<T>(&self, tag: u64, now: u64, f: impl FnOnce(&mut Slot) -> T) -> T {
        let mut set = self.set(tag).lock().unwrap_or_else(PoisonError::into_inner);
        let own = set.iter().position(|slot| slot.tag == tag);
        let way = own.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|way| set[*way].used).unwrap_or(0);
            set[oldest] = Slot {
                tag,
                ..Slot::default()
            };
            oldest
        });
        set[way].used = now;
        f(&mut set[way])
    }

    fn set(&self, tag: u64) -> &Mutex<[Slot; WAYS]> {
        // The mask keeps the index below the power of two that `new` has made.
        &self.sets[tag as usize & (self.sets.len() - 1)]
    }
}

impl Asking<'_> {
    /// The answer is here: it is learnt, and those who wait are woken.
    pub(super) fn answered(self, reply: &Reply, sent: u64, now: u64) {
        let patience = self.front.patience;
        self.front.find(self.tag, |slot| {
            slot.known.learn(reply, sent, now, patience);
            slot.landed = now;
        });
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.front.find(self.tag, |slot| {
            if slot.lands(&self.flight) {
                slot.flight = None;
                slot.unmet = slot.waiting;
            }
        });
        self.flight.landed.notify_waiters();
    }
}

impl Slot {
    /// Whether this is the flight that is waited for, and not one that was given up.
    fn lands(&self, flight: &Arc<Flight>) -> bool {
        (self.flight.as_ref()).is_some_and(|current| Arc::ptr_eq(current, flight))
    }
}

const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::quota::Quota;

    fn order() -> Order {
        Order {
            quotas: [Quota::per_hour(1)].into_iter().collect(),
            cells: 1,
        }
    }

    /// Makes it known that a key is used up.
    fn use_up(front: &Front, tag: u64, now: u64) {
        let Turn::Ask(asking) = front.turn(tag, &order(), now, false) else {
            panic!("nothing is known of {tag}");
        };
        let hour = Quota::per_hour(1).span(1);
        let reply = Reply {
            enough: true,
            further: 0,
            advance: 0,
            now,
            times: [now + hour].into_iter().collect(),
        };
        asking.answered(&reply, now, now);
    }

    #[test]
    fn a_full_set_forgets_what_was_used_longest_ago_and_grows_no_more() {
        let front = Front::new(1, None, 50);
        for tag in 1..=4 {
            use_up(&front, tag, tag);
        }
        let refuses = |tag| matches!(front.step(tag, &order(), 10), Step::Refuse(_));
        assert!(refuses(1));
        use_up(&front, 5, 11);
        assert!(!refuses(2), "it was used longest ago");
        for tag in [1, 3, 4, 5] {
            assert!(refuses(tag), "{tag}");
        }
    }

    /// How many cells a question asks for on behalf of others, if the request has to ask.
    fn further(front: &Front, now: u64, again: bool) -> Option<u64> {
        match front.turn(1, &order(), now, again) {
            Turn::Ask(asking) => Some(asking.further),
            _ => None,
        }
    }

    /// Has three requests wait for an answer.
    fn wait_for(front: &Front) -> Asking<'_> {
        let Turn::Ask(asking) = front.turn(1, &order(), 1, false) else {
            panic!("nothing is known");
        };
        for _ in 0..3 {
            let turn = front.turn(1, &order(), 1, false);
            assert!(matches!(turn, Turn::Wait(_)));
        }
        asking
    }

    #[test]
    fn the_next_question_is_for_those_who_still_wait() {
        let front = Front::new(1, None, 50);
        drop(wait_for(&front));
        assert_eq!(further(&front, 1, true), Some(2));
    }

    #[test]
    fn nobody_asks_for_those_who_were_refused_or_are_gone() {
        let front = Front::new(1, None, 50);
        let asking = wait_for(&front);
        let hour = Quota::per_hour(1).span(1);
        let reply = Reply {
            enough: true,
            further: 0,
            advance: 0,
            now: 1,
            times: [1 + hour].into_iter().collect(),
        };
        asking.answered(&reply, 1, 1);
        // Two are refused, and the third went away before it was told.
        for _ in 0..2 {
            assert_eq!(further(&front, 2, true), None);
        }
        assert_eq!(further(&front, 1 + hour, false), Some(0));
    }

    #[test]
    fn a_place_has_as_many_bytes_as_is_said() {
        let set = size_of::<Mutex<[Slot; WAYS]>>();
        assert!(set <= WAYS * 170, "{set}");
    }

    #[test]
    fn what_is_forgotten_while_it_is_asked_about_wakes_those_who_wait() {
        let front = Front::new(1, None, 50);
        let Turn::Ask(asking) = front.turn(1, &order(), 1, false) else {
            panic!("nothing is known");
        };
        let Turn::Wait(landed) = front.turn(1, &order(), 1, false) else {
            panic!("a question is under way");
        };
        for tag in 2..=5 {
            use_up(&front, tag, tag);
        }
        drop(asking);
        let landed = std::pin::pin!(landed);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(landed.poll(&mut context).is_ready());
    }
}
