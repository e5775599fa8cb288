//! What one process knows of one bucket at the server, and what it decides without asking.
//!
//! A bucket's arrival times only grow, as long as nobody puts cells back. So the times that the server
//! last told are the least that can be true now, and a request that they refuse would be refused: it
//! need not be sent. They are trusted for [a second](TRUSTED), so that cells put back elsewhere are
//! soon seen.
//!
//! Cells that were taken at the server and not yet given to a request are held here. Some were taken
//! for requests that waited for the answer, and lapse with them. The others were taken in advance: a
//! *lease*. Whoever spends them needs no leave, since they are paid. A process never leases so much
//! that it holds more than its share, `most`; so in a stretch of time `t` a fleet of `n` lets at most
//! `t / interval + burst + n * most` pass: what is taken there in that time, and what was held when it
//! began. A lease lapses when the bucket would be full again.

use smallvec::SmallVec;

use crate::rate_limit::decision::{Outcome, Verdict};
use crate::rate_limit::gcra::{self, Take};
use crate::rate_limit::quota::Quota;
use crate::rate_limit::store::buckets::verdict;

/// One verdict for each window of a policy.
pub(super) type Verdicts = SmallVec<[Verdict; 2]>;

/// The windows of one policy, whose buckets are one at the server, and what is asked of them.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// In whole microseconds.
    pub(super) quotas: SmallVec<[Quota; 2]>,
    pub(super) cells: u64,
}

impl Order {
    /// The same windows, to be looked at.
    pub(super) fn of_none(&self) -> Self {
        Self {
            cells: 0,
            ..self.clone()
        }
    }
}

/// What the server answered, in its own time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reply {
    pub(super) enough: bool,
    /// Cells taken for others who wait.
    pub(super) further: u64,
    /// Cells taken in advance.
    pub(super) advance: u64,
    /// In nanoseconds, as the times.
    pub(super) now: u64,
    pub(super) times: SmallVec<[u64; 2]>,
}

/// What is known of one bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The least arrival times that can be true, in this process's time.
    times: SmallVec<[u64; 2]>,
    /// When the question was sent that they answer.
    learned: Option<u64>,
    /// Cells for those who waited.
    spare: Cells,
    /// Cells taken in advance.
    lease: Cells,
    /// How many to take in advance next time.
    step: u64,
    /// When cells were last asked for.
    asked: Option<u64>,
    /// The most that may be held in advance.
    most: u64,
}

/// Cells that are held until they lapse.
#[derive(Clone, Copy, Debug, Default)]
struct Cells {
    count: u64,
    until: u64,
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// It passes on cells that were held.
    Pass(Verdicts),
    /// It is refused, as the server would.
    Refuse(Verdicts),
    /// Only the server can tell.
    Ask,
}

impl Known {
    /// Decides from what is known. A request that passes takes the cells.
    pub(super) fn step(&mut self, order: &Order, now: u64) -> Step {
        if order.cells == 0 {
            return Step::Ask;
        }
        if self.take(order.cells, now) {
            return Step::Pass(self.quote(order, now, |_| Take::Passed(0)));
        }
        if self.is_fresh(now) {
            let verdicts = self.levels(order, now);
            if verdicts.iter().any(|verdict| !verdict.has_passed()) {
                return Step::Refuse(verdicts);
            }
        }
        Step::Ask
    }

    /// What each window would say, from what is known, be it old or nothing.
    pub(super) fn levels(&self, order: &Order, now: u64) -> Verdicts {
        let mut times = self.times.iter().copied();
        self.quote(order, now, |quota| {
            take(quota, times.next().unwrap_or(0), now, order.cells)
        })
    }

    /// How many cells to take in advance, at most `most`. Whoever asks again within a second takes twice
    /// as many, and whoever has not needed any for longer, half.
    pub(super) fn advance(&mut self, most: u64, now: u64) -> u64 {
        let soon = (self.asked).is_some_and(|asked| now.saturating_sub(asked) < TERM);
        self.step = match soon {
            true => self.step.saturating_mul(2).clamp(1, most.max(1)).min(most),
            false => self.step / 2,
        };
        self.asked = Some(now);
        self.most = most;
        self.step.min(most.saturating_sub(self.lease.left(now)))
    }

    /// Learns from an answer. What was taken for others lapses after `patience`.
    pub(super) fn learn(&mut self, reply: &Reply, sent: u64, now: u64, patience: u64) {
        // The server answered after `sent`: its times are these or later ones.
        let local = |time: &u64| match time.saturating_sub(reply.now) {
            0 => 0,
            ahead => sent.saturating_add(ahead),
        };
        self.times = reply.times.iter().map(local).collect();
        self.learned = Some(sent);
        self.spare = Cells {
            count: self.spare.left(now).saturating_add(reply.further),
            until: now.saturating_add(patience),
        };
        self.lease = Cells {
            // Of two questions that were under way at once, one given up, each may have brought some.
            count: (self.lease.left(now).saturating_add(reply.advance)).min(self.most),
            until: self.times.iter().copied().max().unwrap_or(0),
        };
    }

    /// Puts cells back that were held: a request that had them did not pass.
    pub(super) fn give_back(&mut self, cells: u64, now: u64) {
        if self.most > 0 && now < self.lease.until {
            self.lease.count = self.lease.count.saturating_add(cells).min(self.most);
        } else {
            self.spare.count = self.spare.left(now).saturating_add(cells);
        }
    }

    /// Cells of this bucket were put back at the server.
    pub(super) fn lower(&mut self, order: &Order) {
        for (time, quota) in self.times.iter_mut().zip(&order.quotas) {
            *time = gcra::refund(*quota, *time, order.cells);
        }
    }

    fn is_fresh(&self, now: u64) -> bool {
        (self.learned).is_some_and(|learned| now.saturating_sub(learned) < TRUSTED)
    }

    fn take(&mut self, cells: u64, now: u64) -> bool {
        let from = match (self.spare.left(now), self.lease.left(now)) {
            (spare, _) if spare >= cells => &mut self.spare,
            (_, lease) if lease >= cells => &mut self.lease,
            _ => return false,
        };
        from.count -= cells;
        true
    }

    /// One verdict for each window; cells that are held count as being there.
    fn quote(&self, order: &Order, now: u64, mut take: impl FnMut(Quota) -> Take) -> Verdicts {
        let held = self.spare.left(now).saturating_add(self.lease.left(now));
        let mut times = self.times.iter().copied();
        let quote = |quota: &Quota| {
            let time = gcra::refund(*quota, times.next().unwrap_or(0), held);
            verdict(*quota, time, now, take(*quota))
        };
        order.quotas.iter().map(quote).collect()
    }
}

impl Cells {
    fn left(self, now: u64) -> u64 {
        if now < self.until { self.count } else { 0 }
    }
}

impl Reply {
    /// The same bucket without the cells of `order`, which were put back.
    pub(super) fn without(&self, order: &Order) -> Self {
        let refund = |(quota, time): (&Quota, &u64)| gcra::refund(*quota, *time, order.cells);
        Self {
            times: order.quotas.iter().zip(&self.times).map(refund).collect(),
            ..self.clone()
        }
    }

    /// What each window would say to `order`, if nothing has been taken.
    pub(super) fn levels(&self, order: &Order) -> Verdicts {
        let quote = |(quota, time): (&Quota, &u64)| {
            let take = take(*quota, *time, self.now, order.cells);
            verdict(*quota, *time, self.now, take)
        };
        order.quotas.iter().zip(&self.times).map(quote).collect()
    }

    /// What each window said. Cells that were taken for others, or in advance, count as being there.
    pub(super) fn verdicts(&self, order: &Order) -> Verdicts {
        let others = self.further.saturating_add(self.advance);
        let quote = |(quota, time): (&Quota, &u64)| {
            let time = gcra::refund(*quota, *time, others);
            let take = match self.enough {
                true => Take::Passed(time),
                false => take(*quota, time, self.now, order.cells),
            };
            verdict(*quota, time, self.now, take)
        };
        let mut verdicts: Verdicts = order.quotas.iter().zip(&self.times).map(quote).collect();
        if !self.enough && verdicts.iter().all(Verdict::has_passed) {
            // Windows so long that the server counts them shorter.
            for (verdict, quota) in verdicts.iter_mut().zip(&order.quotas) {
                *verdict = Verdict::refused(quota.cells(), 0, quota.interval());
            }
        }
        verdicts
    }
}

/// What taking cells comes to. A time beyond the window is that of another process's longer one.
fn take(quota: Quota, time: u64, now: u64, cells: u64) -> Take {
    gcra::put_off(quota, time, now, gcra::take(quota, time, now, cells))
}

/// Whether all windows let the request pass.
pub(super) fn passed(verdicts: &[Verdict]) -> bool {
    verdicts
        .iter()
        .all(|verdict| verdict.outcome() == Outcome::Passed)
}

/// How long a refusal is believed without asking again, in nanoseconds.
pub(super) const TRUSTED: u64 = 1_000_000_000;

/// A lease is to last about as long, in nanoseconds.
const TERM: u64 = 1_000_000_000;

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
