//! One connection, as the hub keeps it: a cursor, a waker and a short list. Pure.

use std::sync::Arc;
use std::task::Waker;

use super::reads::{From, Question};
use super::replay::HandOver;
use super::ring::Ring;
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::request::Start;
use crate::event_stream::selector::Selector;

/// What a connection is when it opens.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) selector: Selector,
    pub(crate) start: Start,
    /// Whom `revoke` names.
    pub(crate) who: Option<Arc<str>>,
    /// Whether the grant is asked about again on every keep-alive tick.
    pub(crate) rechecks: bool,
    /// The tick at which it is old enough.
    pub(crate) ages: u32,
    /// The tick at which its grant expires.
    pub(crate) expires: u32,
}

#[cfg(test)]
impl Opening {
    /// Public, and without an end.
    pub(super) fn public(start: Start) -> Self {
        Self {
            selector: Selector::public(),
            start,
            who: None,
            rechecks: false,
            ages: u32::MAX,
            expires: u32::MAX,
        }
    }
}

/// Why the hub ends a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Closing {
    /// The process is going away.
    Drain,
    /// It is old enough, or its grant has expired.
    Age,
    /// Its user may no longer see anything.
    Revoked,
    /// Nothing feeds the hub.
    Stale,
    /// A newer stream of the same user took its place.
    Superseded,
    /// Data waited for it longer than it may, and nobody took it.
    Stalled,
}

impl Closing {
    /// All of them, each at its own number.
    pub(super) const ALL: [Self; 6] = [
        Self::Drain,
        Self::Age,
        Self::Revoked,
        Self::Stale,
        Self::Superseded,
        Self::Stalled,
    ];

    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Age => "age",
            Self::Revoked => "revoked",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Stalled => "stalled",
        }
    }
}

/// Delivering an event touches the first of its cache lines alone: fields that are read or written for
/// it come first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Slot {
    pub(super) waker: Option<Waker>,
    /// Where the reader stands.
    pub(super) cursor: EventId,
    /// The tick at which it was last polled or woken.
    touched: u32,
    /// Where it starts, until the cursor says so.
    pub(super) unsettled: Option<Unsettled>,
    pub(super) state: State,
    pub(super) closing: Option<Closing>,
    /// A keep-alive is due.
    pub(super) beat: bool,
    pub(super) recheck: bool,
    /// `caught-up` is owed.
    pub(super) announce: bool,
    /// The cursor came from the client, and nobody has said yet that the log reaches that far.
    pub(super) unverified: bool,
    /// It reads the store.
    pub(super) replaying: bool,
    listed_len: u8,
    listed: [u32; LISTED],
    pub(super) selector: Selector,
    pub(super) who: Option<Arc<str>>,
    pub(super) rechecks: bool,
    pub(super) ages: u32,
    pub(super) expires: u32,
    /// The ring's generation when the store was last asked, and the one in which the store had
    /// nothing more for a reader of another epoch than the ring's.
    pub(super) asked_in: u32,
    pub(super) ahead_in: Option<u32>,
    pub(super) generation: u32,
    pub(super) due: u32,
}

/// A start that is not a cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unsettled {
    Head,
    Recent(u16),
    Unreadable,
}

/// What the hub knows of a reader's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It has seen everything up to `max(cursor, head)`, and its waker is kept.
    Parked,
    /// All that it has not seen is in the list.
    Listed,
    /// It scans from its cursor.
    Walk,
}

impl Slot {
    /// The place of a connection that opens at the tick `now`.
    pub(super) fn new(opening: Opening, generation: u32, now: u32) -> Self {
        let (cursor, unsettled) = match opening.start {
            Start::After(id) => (id, None),
            Start::Head => (NOWHERE, Some(Unsettled::Head)),
            Start::Recent(limit) => (NOWHERE, Some(Unsettled::Recent(limit))),
            Start::Unreadable => (NOWHERE, Some(Unsettled::Unreadable)),
        };
        Self {
            waker: None,
            cursor,
            state: State::Walk,
            listed: [0; LISTED],
            listed_len: 0,
            selector: opening.selector,
            who: opening.who,
            rechecks: opening.rechecks,
            ages: opening.ages,
            expires: opening.expires,
            unsettled,
            asked_in: 0,
            ahead_in: None,
            generation,
            due: 0,
            touched: now,
            closing: None,
            beat: false,
            recheck: false,
            announce: opening.start != Start::Head,
            unverified: unsettled.is_none(),
            replaying: false,
        }
    }

    /// The tick at which it ends.
    pub(super) fn ends(&self) -> u32 {
        self.ages.min(self.expires)
    }

    /// Where the reader stands, once that is settled.
    pub(super) fn settled(&self) -> Option<EventId> {
        self.unsettled.is_none().then_some(self.cursor)
    }

    /// Whether the store has to be read for what comes after its cursor, or for whether the log goes
    /// that far at all.
    pub(super) fn needs_the_store<H: HandOver>(&self, ring: &Ring) -> bool {
        let head = ring.head();
        let beyond = self.unverified
            && self.cursor.epoch() == head.epoch()
            && self.cursor.position() > head.position();
        beyond || !H::is_live(self.cursor, ring)
    }

    /// Whether a live reader has been told everything that `ring` has for it.
    pub(super) fn has_all(&self, ring: &Ring) -> bool {
        let past = self.cursor.position() >= ring.head().position();
        past && self.state == State::Walk && !self.announce
    }

    /// Waits, having been told everything. Answers the waker of another task, as [`keep`](Self::keep).
    #[must_use = "it is dropped after the lock is released, since a waker may do anything when it is"]
    pub(super) fn park<H: HandOver>(&mut self, waker: &Waker) -> Option<Waker> {
        self.state = State::Parked;
        H::keeps_waker().then(|| self.keep(waker)).flatten()
    }

    /// Goes over to the store, while the ring is the `generation`th.
    pub(super) fn replay<H: HandOver>(&mut self, generation: u32) -> Question {
        if H::clears_listed() {
            self.unlist();
        }
        self.replaying = true;
        self.asked_in = generation;
        Question {
            from: From::After(self.cursor),
            selector: self.selector.clone(),
        }
    }

    /// Takes in that the ring got an event which this reader may see. Answers whom to wake.
    pub(super) fn notify<H: HandOver>(
        &mut self,
        event: EventId,
        head_before: EventId,
        number: u32,
        now: u32,
    ) -> Option<Waker> {
        if self.state == State::Parked {
            self.cursor = H::seen_while_parked(self.cursor, head_before);
        }
        if self.state == State::Walk || !H::is_new(event, self.cursor) {
            return None;
        }
        match (self.state, self.listed_len as usize) {
            (State::Listed, LISTED) => self.unlist(),
            (State::Listed, len) => {
                self.listed[len] = number;
                self.listed_len += 1;
            }
            _ => {
                self.listed[0] = number;
                self.listed_len = 1;
                self.state = State::Listed;
            }
        }
        self.wake(now)
    }

    /// Takes in that it has something to do from the tick `now` on. Answers whom to wake: nobody
    /// who was woken before and has not come yet.
    pub(super) fn wake(&mut self, now: u32) -> Option<Waker> {
        let waker = self.waker.take();
        if waker.is_some() {
            self.touched = now;
        }
        waker
    }

    /// Takes in that it is polled at the tick `now`.
    pub(super) fn touch(&mut self, now: u32) {
        self.touched = now;
    }

    /// Since which tick it has something to do and is not polled.
    pub(super) fn neglected_since(&self) -> Option<u32> {
        self.waker.is_none().then_some(self.touched)
    }

    /// Numbers of the events that wait for it.
    pub(super) fn listed(&self) -> &[u32] {
        &self.listed[..self.listed_len as usize]
    }

    /// Forgets the first `taken` listed events. It scans from its cursor when none is left.
    pub(super) fn took(&mut self, taken: usize) {
        if taken >= self.listed().len() {
            return self.unlist();
        }
        self.listed.rotate_left(taken);
        self.listed_len -= u8::try_from(taken).expect("fewer than are listed");
    }

    /// Forgets the list: what was on it comes after the cursor, and is found by scanning.
    pub(super) fn unlist(&mut self) {
        self.listed_len = 0;
        self.state = State::Walk;
    }

    /// Keeps the waker of the task that polls it. Answers that of another task, which polled it before.
    #[must_use = "it is dropped after the lock is released, since a waker may do anything when it is"]
    pub(super) fn keep(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waker.replace(waker.clone()),
        }
    }
}

/// The cursor of a reader whose start is not settled: it means nothing.
const NOWHERE: EventId = EventId::new(Epoch::new(0), Position::START);

/// Events that are listed before a reader scans instead.
const LISTED: usize = 6;
