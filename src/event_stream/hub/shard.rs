//! Connections and their copy of the ring, under one lock. Pure: time is a tick, the store is
//! somebody else's.
//!
//! Everything that decides between waiting and reading happens in one call here, so in one critical
//! section. Wakers are collected, and woken after the lock is released.

use std::marker::PhantomData;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use super::frame::{Memo, take};
use super::index::{Index, index};
use super::reads::{From, Question};
use super::replay::{HandOver, Proved, scanned};
use super::ring::{Entry, Ring};
use super::slot::{Closing, Slot, State, Unsettled};
use super::stats::Counts;
use super::wheel::Wheel;
use crate::event_stream::encode;
use crate::event_stream::id::{EventId, Position};
use crate::event_stream::store::{Bounds, Page};

#[derive(Debug)]
pub(crate) struct Shard<H = Proved> {
    slots: Slab<Slot>,
    index: Index,
    wheel: Wheel,
    /// `None` until the tailer has read the log for the first time.
    ring: Option<Ring>,
    /// Counts rings, so that a reader can tell one from the next.
    ring_generation: u32,
    slot_generation: u32,
    memo: Option<Memo>,
    terms: Terms,
    pub(super) counts: Counts,
    rule: PhantomData<H>,
}

/// What holds for every stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Ticks between two signs of life.
    pub(crate) keep_alive: u32,
    /// Ticks that data may wait for a body that is not polled.
    pub(crate) write_stall: u32,
    /// Streams that one user may hold open.
    pub(crate) per_user: usize,
}

/// What a connection does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Write this.
    Send(Bytes),
    /// Write this, which is all there is: the reader is parked already, as after `Park`.
    Last(Bytes, Option<Waker>),
    /// Wait: the waker is kept. It took the place of this one, of another task.
    Park(Option<Waker>),
    /// Read the store, then say what came: `arrived` or `gone`.
    Read(Box<Question>),
    /// Ask whether the grant still holds.
    Recheck,
    /// End, after telling the client where it stands.
    Close(Closing, Option<EventId>),
}

impl<H: HandOver> Shard<H> {
    /// A shard without connections.
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            slots: Slab::new(),
            index: Index::default(),
            wheel: Wheel::new(),
            ring: None,
            ring_generation: 0,
            slot_generation: 0,
            memo: None,
            terms,
            counts: Counts::default(),
            rule: PhantomData,
        }
    }

    /// Says what the connection does next, or keeps its waker.
    pub(crate) fn poll(&mut self, id: u32, waker: &Waker) -> Step {
        let Some(slot) = self.slots.get_mut(id as usize) else {
            return Step::Close(Closing::Stale, None);
        };
        slot.touch(self.wheel.now());
        if let Some(closing) = slot.closing {
            return Step::Close(closing, slot.settled());
        }
        if std::mem::take(&mut slot.recheck) {
            return Step::Recheck;
        }
        let Some(ring) = &self.ring else {
            return rest(slot, waker);
        };
        if slot.state == State::Parked {
            slot.cursor = H::seen_while_parked(slot.cursor, ring.head());
        }
        match slot.unsettled {
            None => {}
            Some(Unsettled::Recent(limit)) => {
                let selector = slot.selector.clone();
                let from = From::Newest(limit.into());
                return Step::Read(Box::new(Question { from, selector }));
            }
            Some(Unsettled::Head) => {
                // Told at once: a client that breaks off before the first event resumes from here.
                slot.unsettled = None;
                slot.cursor = ring.head();
                return Step::Send(encode::cursor(slot.cursor));
            }
            Some(Unsettled::Unreadable) => {
                slot.unsettled = None;
                slot.cursor = ring.head();
                self.counts.resets += 1;
                return Step::Send(encode::reset("unreadable", slot.cursor));
            }
        }
        if std::mem::take(&mut slot.beat) {
            return Step::Send(encode::cursor(slot.cursor));
        }
        if slot.needs_the_store::<H>(ring) {
            let elsewhere = slot.cursor.epoch() != ring.epoch();
            if elsewhere && slot.ahead_in == Some(self.ring_generation) {
                // The store has moved to another epoch and this ring has not, yet.
                return Step::Park(slot.keep(waker));
            }
            self.counts.demotions += u64::from(!slot.announce && !slot.replaying);
            return Step::Read(Box::new(slot.replay::<H>(self.ring_generation)));
        }
        self.counts.hand_overs += u64::from(std::mem::take(&mut slot.replaying));
        slot.unverified = false;
        let class = || self.index.class_of(id);
        if let Some(frame) = take::<H>(slot, ring, class, &mut self.memo) {
            return match slot.has_all(ring) {
                true => Step::Last(frame, slot.park::<H>(waker)),
                false => Step::Send(frame),
            };
        }
        if std::mem::take(&mut slot.announce) {
            return Step::Send(encode::caught_up(slot.cursor));
        }
        Step::Park(slot.park::<H>(waker))
    }

    /// What a connection that has just opened reads first, where the ring does not go back as far as
    /// its cursor, or its log is another one.
    pub(crate) fn first_read(&mut self, id: u32) -> Option<Question> {
        let (slot, ring) = (self.slots.get_mut(id as usize)?, self.ring.as_ref()?);
        let reads = slot.settled().is_some() && slot.needs_the_store::<H>(ring);
        reads.then(|| slot.replay::<H>(self.ring_generation))
    }

    /// Says what a connection does while a read of the store, or a recheck, is under way. A `quiet`
    /// one writes nothing meanwhile.
    pub(crate) fn poll_waiting(&mut self, id: u32, waker: &Waker, quiet: bool) -> Step {
        let Some(slot) = self.slots.get_mut(id as usize) else {
            return Step::Close(Closing::Stale, None);
        };
        slot.touch(self.wheel.now());
        match slot.closing {
            Some(closing) => Step::Close(closing, slot.settled()),
            None if quiet => Step::Park(slot.keep(waker)),
            None => rest(slot, waker),
        }
    }

    /// Takes in the page that a connection read.
    pub(crate) fn arrived(&mut self, id: u32, page: &Page) {
        let Some(slot) = self.slots.get_mut(id as usize) else {
            return;
        };
        slot.unverified = false;
        if slot.unsettled.take().is_some() {
            slot.replaying = true;
            slot.cursor = scanned(page);
            return;
        }
        let before = slot.cursor;
        slot.cursor = H::after_page(before, page);
        if slot.cursor == before {
            slot.ahead_in = Some(slot.asked_in);
        }
    }

    /// Takes in that what a connection wants to read is gone: it goes on at the head. Answers why.
    pub(crate) fn gone(&mut self, id: u32, bounds: &Bounds) -> &'static str {
        self.counts.resets += 1;
        let Some(slot) = self.slots.get_mut(id as usize) else {
            return "gone";
        };
        let before = std::mem::replace(&mut slot.cursor, bounds.head());
        slot.unverified = false;
        match before {
            _ if before.epoch() != bounds.epoch() => "epoch",
            _ if before.position() < bounds.floor().position() => "trimmed",
            _ => "unknown",
        }
    }

    /// Takes in what the tailer read: `entries` are all there is up to `head`.
    pub(crate) fn ingest(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        head: Position,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(ring) = &mut self.ring else {
            return;
        };
        let (woken, now) = (wakers.len(), self.wheel.now());
        for entry in entries {
            let Some(number) = ring.number(entry.position) else {
                continue;
            };
            let head_before = ring.head();
            let event = EventId::new(ring.epoch(), entry.position);
            let slots = &mut self.slots;
            self.index.recipients(&entry.address, |id| {
                let Some(slot) = slots.get_mut(id as usize) else {
                    return true;
                };
                #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, as in Ring")]
                wakers.extend(slot.notify::<H>(event, head_before, number as u32, now));
                // Who scans finds the rest, and nobody stops scanning while the lock is held.
                slot.state == State::Walk
            });
            ring.push(entry);
        }
        self.index.burst_over();
        ring.advance(head);
        self.counts.wakes += (wakers.len() - woken) as u64;
    }

    /// Starts on another ring: at first, after a gap, after a change of epoch. Everyone is woken,
    /// also readers who are in the new epoch already and wait for the ring to follow.
    pub(crate) fn replace(&mut self, ring: Ring, wakers: &mut Vec<Waker>) {
        let old = self.ring.replace(ring);
        let Some(ring) = &mut self.ring else { return };
        ring.take_over(self.wheel.now());
        self.ring_generation = self.ring_generation.wrapping_add(1);
        self.memo = None;
        for (_, slot) in &mut self.slots {
            let parked = slot.state == State::Parked;
            if !H::wakes_on_replacement(parked, slot.cursor, ring) {
                continue;
            }
            // It had seen everything that the former ring held.
            if let (true, Some(old)) = (parked, &old) {
                slot.cursor = H::seen_while_parked(slot.cursor, old.head());
            }
            slot.unlist();
            wakers.extend(slot.wake(self.wheel.now()));
        }
    }

    pub(crate) fn head(&self) -> Option<EventId> {
        self.ring.as_ref().map(Ring::head)
    }
}

/// Waits, keeping what the reader's place is: the next wake may come from anywhere.
fn rest(slot: &mut Slot, waker: &Waker) -> Step {
    if std::mem::take(&mut slot.beat) {
        return Step::Send(slot.settled().map_or_else(encode::comment, encode::cursor));
    }
    Step::Park(slot.keep(waker))
}

mod lag;
mod places;

#[cfg(test)]
mod tests;
