//! When each probe runs, and what its results mean: the driver's decisions, without a driver.
//!
//! Nothing here waits, spawns or reads a clock. [`Plan::start`] says which probe may run now,
//! [`Plan::finish`] takes what came of it, [`Plan::sample`] takes note of those that do not answer,
//! and [`Plan::next`] says when to look again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::graph::Graph;
use super::probe::outcome::Outcome;
use super::report::{Check, Scope};
use super::track::Track;
use super::{Reason, Status};
use crate::clock::Instant;
use crate::rand;

/// How often and how long one dependency is probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) interval_failing: Duration,
    pub(super) soft: Duration,
    pub(super) hard: Duration,
    pub(super) fall: u32,
    pub(super) rise: u32,
}

impl Timing {
    /// How old a result may become before it says nothing any more: three missed runs, and one that
    /// hung as long as it may.
    pub(super) fn max_age(&self) -> Duration {
        self.interval.saturating_mul(3).saturating_add(self.hard)
    }
}

/// The state of every probe.
#[derive(Debug)]
pub(super) struct Plan {
    graph: Graph,
    nodes: Vec<Node>,
    /// Runs within their soft deadline that may be in flight at once.
    slots: usize,
    jitter_percent: u32,
    started: bool,
    changed: bool,
}

#[derive(Debug)]
struct Node {
    scope: Scope,
    timing: Timing,
    phase: Phase,
    track: Track,
    /// A parent is down: not probed, and results of a run still in flight are not believed.
    blocked: bool,
    /// It was blocked and has not answered since.
    unverified: bool,
    /// When the first of its last failures in a row was taken.
    failing_since: Option<Instant>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Idle {
        due: Instant,
    },
    /// In flight. Past its soft deadline it is `late`, and each `sample` counts as a failure.
    Running {
        sample: Instant,
        late: bool,
    },
}

#[derive(Clone, Debug)]
struct Last {
    outcome: Outcome,
    at: Instant,
    time: SystemTime,
}

impl Plan {
    pub(super) fn new(
        graph: Graph,
        nodes: impl IntoIterator<Item = (Scope, Timing)>,
        slots: usize,
        jitter_percent: u32,
    ) -> Self {
        let due = Instant::from_nanos(0);
        let nodes = nodes
            .into_iter()
            .map(|(scope, timing)| Node {
                scope,
                timing,
                phase: Phase::Idle { due },
                track: Track::new(timing.fall, timing.rise),
                blocked: false,
                unverified: false,
                failing_since: None,
                last: None,
            })
            .collect();
        Self {
            graph,
            nodes,
            slots,
            jitter_percent,
            started: false,
            changed: true,
        }
    }

    /// The probe to start now, marked as running; `None` when all that may run does.
    ///
    /// The longest overdue goes first, parents before children. A run past its soft deadline no
    /// longer takes a slot: what hangs must not keep the news of what does not.
    pub(super) fn start(&mut self, now: Instant) -> Option<usize> {
        if self.in_time() >= self.slots {
            return None;
        }
        let due = |index: usize| match self.nodes[index].phase {
            Phase::Idle { due } if due <= now && self.may_run(index) => Some(due),
            _ => None,
        };
        let order = self.graph.order().iter();
        let (_, index) = order
            .filter_map(|&index| due(index).map(|due| (due, index)))
            .min_by_key(|(due, _)| *due)?;
        let node = &mut self.nodes[index];
        node.phase = Phase::Running {
            sample: now.after(node.timing.soft),
            late: false,
        };
        Some(index)
    }

    /// Takes what came of a run.
    pub(super) fn finish(
        &mut self,
        index: usize,
        outcome: Outcome,
        now: Instant,
        time: SystemTime,
    ) {
        let node = &mut self.nodes[index];
        let Phase::Running { late, .. } = node.phase else {
            return;
        };
        if node.blocked {
            // It was probed before its parent fell. What it says now is about the parent.
            node.phase = Phase::Idle { due: now };
            return;
        }
        if !late {
            // A late one was counted each time it was sampled.
            self.record(index, outcome, now, time);
        }
        let node = &self.nodes[index];
        let recovered = node.track.failures() == 0 && node.track.state() != Some(Status::Fail);
        let wait = if recovered {
            node.timing.interval
        } else {
            node.timing.interval_failing
        };
        let due = now.after(self.spread(wait));
        self.nodes[index].phase = Phase::Idle { due };
    }

    /// Takes note of time that has passed: a run that has not answered within its soft deadline has
    /// failed, and failed again whenever the next run would have begun; results grow too old.
    pub(super) fn sample(&mut self, now: Instant, time: SystemTime) {
        for index in 0..self.nodes.len() {
            match self.nodes[index].phase {
                Phase::Running { sample, .. } if sample <= now => {}
                _ => continue,
            }
            let sample = now.after(self.spread(self.nodes[index].timing.interval_failing));
            self.nodes[index].phase = Phase::Running { sample, late: true };
            if !self.nodes[index].blocked {
                self.record(index, Outcome::failed(Reason::Timeout, None), now, time);
            }
        }
        self.settle(now);
    }

    /// When something is to be done next, if nothing else happens.
    pub(super) fn next(&self) -> Option<Instant> {
        let free = self.in_time() < self.slots;
        (0..self.nodes.len())
            .filter_map(|index| match self.nodes[index].phase {
                Phase::Idle { due } => (free && self.may_run(index)).then_some(due),
                Phase::Running { sample, .. } => Some(sample),
            })
            .min()
    }

    /// Every dependency has a first result, or is blocked by one that has; once true, always true.
    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    /// Whether anything that a reader would see has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The state of every dependency, as declared.
    pub(super) fn checks(&self, now: Instant) -> Vec<Check> {
        (0..self.nodes.len())
            .map(|index| self.check(index, now))
            .collect()
    }

    fn check(&self, index: usize, now: Instant) -> Check {
        let node = &self.nodes[index];
        let (status, reason) = if node.blocked {
            (Status::Fail, Some(Reason::Blocked))
        } else if node.is_expired(now) {
            (Status::Fail, Some(Reason::Stale))
        } else {
            match node.track.state() {
                Some(status) if !node.unverified => (status, node.track.reason()),
                // After start-up a gap in knowledge is a concern, not an outage.
                _ if self.started => (Status::Warn, Some(Reason::Pending)),
                _ => (Status::Fail, Some(Reason::Pending)),
            }
        };
        let down = |parent: &&usize| {
            let parent = &self.nodes[**parent];
            parent.blocked || parent.is_down(now)
        };
        let blocked_by = if node.blocked {
            let parents = self.graph.parents(index).iter().filter(down);
            parents
                .map(|parent| Arc::clone(self.graph.name(*parent)))
                .collect()
        } else {
            Vec::new()
        };
        Check {
            name: Arc::clone(self.graph.name(index)),
            scope: node.scope,
            depends_on: Arc::clone(self.graph.parent_names(index)),
            status,
            reason,
            blocked_by,
            failures: node.track.failures(),
            last: node
                .last
                .as_ref()
                .map(|last| (last.outcome.clone(), last.time)),
            since: None,
        }
    }

    fn record(&mut self, index: usize, outcome: Outcome, now: Instant, time: SystemTime) {
        let begins_to_fail =
            outcome.status == Status::Fail && self.nodes[index].track.failures() == 0;
        if begins_to_fail {
            self.nodes[index].failing_since = Some(now);
        }
        let held = self.may_be_innocent(index);
        let node = &mut self.nodes[index];
        let before = node.track.state();
        let flipped = node.track.record(outcome.status, outcome.reason, held);
        let moved = node.track.state() != before;
        self.changed |= flipped || node.unverified;
        node.unverified = false;
        node.last = Some(Last {
            outcome,
            at: now,
            time,
        });
        if begins_to_fail {
            // Look below at once, so that the blame goes to where it belongs.
            for &parent in self.graph.parents(index) {
                if let Phase::Idle { due } = &mut self.nodes[parent].phase {
                    *due = now.min(*due);
                }
            }
        }
        if moved {
            self.settle(now);
        }
    }

    /// Works out anew who is blocked, and lets those that no longer are be probed at once.
    fn settle(&mut self, now: Instant) {
        let blocked = self.graph.blocked(|index| self.nodes[index].is_down(now));
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if blocked.contains(index) == node.blocked {
                continue;
            }
            self.changed = true;
            node.blocked = !node.blocked;
            node.unverified = true;
            if let (false, Phase::Idle { due }) = (node.blocked, &mut node.phase) {
                *due = now;
            }
        }
        let settled = |node: &Node| node.blocked || node.track.state().is_some();
        if !self.started && self.nodes.iter().all(settled) {
            self.started = true;
            self.changed = true;
        }
    }

    /// Not blocked, and every parent has said that it is up.
    fn may_run(&self, index: usize) -> bool {
        let known = |parent: &usize| {
            let parent = &self.nodes[*parent];
            parent.track.state().is_some() && !parent.unverified
        };
        !self.nodes[index].blocked && self.graph.parents(index).iter().all(known)
    }

    /// Whether something that `index` rests on may yet turn out to be the cause of its failures:
    /// it has begun to fail too, or has not answered since.
    fn may_be_innocent(&self, index: usize) -> bool {
        let since = self.nodes[index].failing_since;
        let silent = |parent: &usize| self.nodes[*parent].last.as_ref().map(|last| last.at) < since;
        let above = self.graph.ancestors(index);
        self.graph.parents(index).iter().any(silent)
            || (!above.is_empty()
                && (0..self.nodes.len())
                    .any(|index| above.contains(index) && self.nodes[index].track.is_suspect()))
    }

    fn spread(&self, interval: Duration) -> Duration {
        rand::jitter(interval, self.jitter_percent)
    }

    fn in_time(&self) -> usize {
        let in_time = |node: &&Node| matches!(node.phase, Phase::Running { late: false, .. });
        self.nodes.iter().filter(in_time).count()
    }
}

impl Node {
    /// Down by itself, as far as is known.
    fn is_down(&self, now: Instant) -> bool {
        self.track.state() == Some(Status::Fail) || self.is_expired(now)
    }

    fn is_expired(&self, now: Instant) -> bool {
        !self.blocked
            && !self.unverified
            && self
                .last
                .as_ref()
                .is_some_and(|last| now.since(last.at) > self.timing.max_age())
    }
}

#[cfg(test)]
mod tests;
