//! Answers the polls of a stream that waits already without the lock of its shard. Pure.
//!
//! A server polls a body again after each frame until it has nothing, and some do so once more when
//! all is written. The poll that took the last event has parked the reader, so those have nothing to
//! ask for: nothing is there for a reader whose waker is still kept, as whoever has something for it
//! takes the waker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{RawWakerVTable, Waker};

use super::replay::HandOver;

/// How often somebody has had a shard who may take wakers out of it. Apart from the lock, which is
/// written at each poll.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Turns(AtomicU64);

impl Turns {
    /// Says that wakers may be taken: with the shard locked, and before any is.
    pub(super) fn pass(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What a stream remembers of having been parked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nap {
    turn: u64,
    /// Which waker is kept. Only compared, and to no other waker's while this one is kept.
    data: usize,
    vtable: &'static RawWakerVTable,
}

impl Nap {
    /// The shard, which is still locked, has kept `waker`.
    pub(super) fn new(turns: &Turns, waker: &Waker) -> Self {
        Self {
            turn: turns.now(),
            data: waker.data().addr(),
            vtable: waker.vtable(),
        }
    }

    /// Whether it would be kept again, and there is nothing else to do. Whoever has passed the turn and
    /// is not seen here wakes the stream after this.
    pub(super) fn lasts<H: HandOver>(&self, turns: &Turns, waker: &Waker) -> bool {
        H::sleeps_on(self.turn, turns.now())
            && self.data == waker.data().addr()
            && std::ptr::eq(self.vtable, waker.vtable())
    }
}
