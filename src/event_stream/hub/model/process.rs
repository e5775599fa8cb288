//! The model's process: a shard, and where its tailer is.

use std::task::Waker;

use super::world::Dice;
use crate::event_stream::hub::nap::Turns;
use crate::event_stream::hub::replay::HandOver;
use crate::event_stream::hub::ring::RingBounds;
use crate::event_stream::hub::shard::{Shard, Terms};
use crate::event_stream::id::EventId;
use crate::event_stream::store::{Bounds, Page, Read};

#[derive(Debug)]
pub(super) struct Process<H> {
    pub(super) shard: Shard<H>,
    pub(super) turns: Turns,
    pub(super) tail: Tail,
    pub(super) ring: RingBounds,
    pub(super) tick: u32,
}

/// Where a process's tailer is.
#[derive(Debug)]
pub(super) enum Tail {
    Start,
    Recent(Page),
    Bounds(Page, Bounds),
    At(EventId),
    Came(EventId, Read),
}

impl<H: HandOver> Process<H> {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let events = dice.roll(7) as usize;
        Self {
            shard: Shard::new(TERMS),
            turns: Turns::default(),
            tail: Tail::Start,
            ring: RingBounds {
                events,
                bytes: 1 << 20,
                age: [2, 8, u32::MAX][dice.roll(3) as usize],
            },
            tick: 0,
        }
    }
}

/// Wakes those whose wakers were taken out of a shard.
pub(super) fn wake(turns: &Turns, wakers: Vec<Waker>) {
    if !wakers.is_empty() {
        turns.pass();
    }
    wakers.into_iter().for_each(Waker::wake);
}

/// Nobody is ended here.
const TERMS: Terms = Terms {
    keep_alive: 1,
    write_stall: u32::MAX,
    per_user: usize::MAX,
};
