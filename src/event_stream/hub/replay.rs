//! The rule of the hand-over between store and ring. Pure.
//!
//! A reader is *live* iff its epoch is the ring's and its cursor is not below the ring's floor,
//! tested in the critical section that reads or parks; otherwise it reads pages of the store. A
//! parked reader has seen everything up to `max(cursor, head)`: its cursor may be ahead of this
//! process's ring, after a page of the store or another process, and is never lowered.
//!
//! Each method is one clause. The model in `model/` runs the shard over this rule, and over
//! mutants of it that each break one clause, and sees the loss or the doubling.

use super::ring::Ring;
use crate::event_stream::event::Event;
use crate::event_stream::id::{EventId, Position};
use crate::event_stream::selector::Selector;
use crate::event_stream::store::Page;

pub(crate) trait HandOver {
    /// Whether the ring holds everything after `cursor`.
    fn is_live(cursor: EventId, ring: &Ring) -> bool {
        cursor.epoch() == ring.epoch() && cursor.position() >= ring.floor()
    }

    /// Up to where a parked reader has seen everything.
    fn seen_while_parked(cursor: EventId, head: EventId) -> EventId {
        match cursor.epoch() == head.epoch() {
            true => cursor.at_least(head.position()),
            false => cursor,
        }
    }

    /// Whether a new event of the ring is new to a reader.
    fn is_new(event: EventId, cursor: EventId) -> bool {
        event.epoch() == cursor.epoch() && event.position() > cursor.position()
    }

    /// Whether a change of state forgets the events that were listed for a reader.
    fn clears_listed() -> bool {
        true
    }

    /// Whether events that were sent are forgotten.
    fn clears_taken() -> bool {
        true
    }

    /// Whether the waker of a reader that found nothing is kept before anybody can add something.
    fn keeps_waker() -> bool {
        true
    }

    /// Whether a reader that was parked in one turn of its shard's wakers, and is polled in another, is
    /// parked still.
    fn sleeps_on(parked: u64, polled: u64) -> bool {
        parked == polled
    }

    /// Whether a reader, `parked` or waiting for the ring to follow, is woken when `ring` comes.
    fn wakes_on_replacement(_parked: bool, _cursor: EventId, _ring: &Ring) -> bool {
        true
    }

    /// Where a reader stands after a page.
    fn after_page(cursor: EventId, page: &Page) -> EventId {
        cursor.at_least(scanned(page).position())
    }
}

/// The rule as it is proved.
#[derive(Debug)]
pub(crate) struct Proved;

impl HandOver for Proved {}

/// What of a page goes to a reader at `cursor`, whatever the store did with the selector: matching
/// events, in order, none that the reader has seen.
pub(crate) fn deliverable<'a>(
    page: &'a Page,
    cursor: Option<EventId>,
    selector: &'a Selector,
) -> impl Iterator<Item = &'a Event> {
    let epoch = page.next().epoch();
    let mut last = cursor.map_or(Position::START, EventId::position);
    page.events().iter().filter(move |event| {
        let fresh = event.id().epoch() == epoch && event.id().position() > last;
        if fresh {
            last = event.id().position();
        }
        fresh && selector.matches(event)
    })
}

/// Where to go on after a page: as far as was scanned, and never before its last event.
pub(crate) fn scanned(page: &Page) -> EventId {
    let last = page
        .events()
        .last()
        .map_or(Position::START, |event| event.id().position());
    page.next().at_least(last)
}
