//! The newest part of the log in memory, each event encoded once. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

use super::replay::scanned;
use crate::event_stream::encode::Encoded;
use crate::event_stream::event::{Address, Event};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::store::{Bounds, Page};

/// Everything in `(floor, head]` of one epoch. Bounded by count, by bytes and by age.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    epoch: Epoch,
    /// The position of the last event that was evicted, or where the tail began. Not "the oldest
    /// minus one": positions have holes.
    floor: Position,
    head: Position,
    entries: VecDeque<Entry>,
    /// The sequence number of the first entry: dense, of this process alone.
    first: u64,
    bytes: usize,
    bounds: RingBounds,
    /// The current tick.
    now: u32,
}

/// What a ring may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingBounds {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// In ticks, from when an event came into the ring.
    pub(crate) age: u32,
}

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) bytes: Bytes,
    pub(crate) address: Address,
    /// The tick at which it came into the ring.
    since: u32,
}

impl Entry {
    pub(super) fn since(&self) -> u32 {
        self.since
    }
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self {
            position: event.id().position(),
            bytes: Encoded::from(&event).into_bytes(),
            address: event.into_content().into_address(),
            since: 0,
        }
    }
}

impl Ring {
    /// An empty ring that begins at `at`.
    pub(crate) fn new(at: EventId, bounds: RingBounds) -> Self {
        Self {
            epoch: at.epoch(),
            floor: at.position(),
            head: at.position(),
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            bounds,
            now: 0,
        }
    }

    /// A ring filled with the newest of the log: `page` is what `find_recent(everything, limit)`
    /// answered, and `log` what was asked afterwards, so that nothing is claimed that was trimmed
    /// in between. `None` when the log was replaced between the two.
    pub(super) fn primed(
        page: &Page,
        limit: usize,
        log: &Bounds,
        bounds: RingBounds,
    ) -> Option<Self> {
        let head = scanned(page);
        if log.epoch() != head.epoch() {
            return None;
        }
        // With fewer events than were asked for, these are all that the log retains.
        let floor = match page.events().first() {
            _ if page.events().len() < limit => log.floor().position().min(head.position()),
            Some(first) => first.id().position(),
            None => head.position(),
        };
        let mut ring = Self::new(EventId::new(head.epoch(), floor), bounds);
        for event in page.events() {
            ring.push(Entry::from(event.clone()));
        }
        ring.advance(head.position());
        Some(ring)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn floor(&self) -> Position {
        self.floor
    }

    pub(crate) fn head(&self) -> EventId {
        EventId::new(self.epoch, self.head)
    }

    /// The number that an event at `position` gets. `None` when that is at or below the head, which
    /// a store has no business to send.
    pub(super) fn number(&self, position: Position) -> Option<u64> {
        (position > self.head).then(|| self.first + self.entries.len() as u64)
    }

    /// Adds an event after the head, evicts what passes the bounds, and answers its number.
    pub(super) fn push(&mut self, mut entry: Entry) -> Option<u64> {
        let number = self.number(entry.position)?;
        self.head = entry.position;
        self.bytes += entry.bytes.len();
        entry.since = self.now;
        self.entries.push_back(entry);
        while self.entries.len() > self.bounds.events || self.bytes > self.bounds.bytes {
            self.evict();
        }
        Some(number)
    }

    /// Moves to the tick `now`, and evicts what is too old.
    pub(super) fn tick(&mut self, now: u32) {
        self.now = now;
        let age = self.bounds.age;
        let old = |entry: &Entry| now.saturating_sub(entry.since) >= age;
        while self.entries.front().is_some_and(old) {
            self.evict();
        }
    }

    /// Takes the place of another ring at the tick `now`: all that it holds came just now.
    pub(super) fn take_over(&mut self, now: u32) {
        self.now = now;
        for entry in &mut self.entries {
            entry.since = now;
        }
    }

    fn evict(&mut self) {
        if let Some(evicted) = self.entries.pop_front() {
            self.first += 1;
            self.bytes -= evicted.bytes.len();
            self.floor = evicted.position;
        }
    }

    /// Says that there is nothing more up to `head`.
    pub(super) fn advance(&mut self, head: Position) {
        self.head = self.head.max(head);
    }

    /// The entries after `cursor`, with their numbers.
    pub(super) fn after(&self, cursor: Position) -> impl Iterator<Item = (u64, &Entry)> {
        let from = self
            .entries
            .partition_point(|entry| entry.position <= cursor);
        (self.first + from as u64..).zip(self.entries.range(from..))
    }

    /// The number that the entry after `cursor` has or will have, and that the next push will have.
    pub(super) fn span(&self, cursor: Position) -> (u64, u64) {
        let from = self
            .entries
            .partition_point(|entry| entry.position <= cursor);
        (
            self.first + from as u64,
            self.first + self.entries.len() as u64,
        )
    }

    /// The entry whose number ends in these 32 bits, while it is held.
    pub(super) fn entry(&self, number: u32) -> Option<&Entry> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "numbers are compared modulo 2^32"
        )]
        let distance = number.wrapping_sub(self.first as u32);
        self.entries.get(distance as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_stream::event::NewEvent;

    fn ring(events: usize, bytes: usize) -> Ring {
        let at = EventId::new(Epoch::new(1), Position::from(10));
        let age = 8;
        Ring::new(at, RingBounds { events, bytes, age })
    }

    fn entry(position: u64, length: usize) -> Entry {
        Entry {
            position: Position::from(position),
            bytes: vec![b'x'; length].into(),
            address: NewEvent::text("x", "").unwrap().into_address(),
            since: 0,
        }
    }

    #[test]
    fn the_floor_is_the_last_position_evicted_holes_and_all() {
        let mut ring = ring(2, 100);
        assert_eq!(ring.floor(), Position::from(10));
        for position in [20, 30, 40] {
            ring.push(entry(position, 1));
        }
        assert_eq!(ring.floor(), Position::from(20));
        assert_eq!(ring.after(Position::from(20)).count(), 2);
        assert_eq!(ring.after(Position::from(35)).next().unwrap().0, 2);
        assert_eq!(ring.span(Position::from(40)), (3, 3));
        assert!(ring.entry(0).is_none());
        assert_eq!(ring.entry(1).unwrap().position, Position::from(30));
    }

    #[test]
    fn bytes_bound_it_too_and_an_event_above_the_bound_passes_through() {
        let mut ring = ring(99, 10);
        ring.push(entry(11, 6));
        ring.push(entry(12, 6));
        assert_eq!(ring.floor(), Position::from(11));
        ring.push(entry(13, 60));
        assert_eq!(
            (ring.floor(), ring.head().position()),
            (Position::from(13), Position::from(13))
        );
        assert_eq!(ring.bytes, 0);
    }

    #[test]
    fn what_is_too_old_is_evicted_and_age_counts_from_when_it_came_into_this_ring() {
        let mut ring = ring(9, 99);
        ring.push(entry(11, 1));
        ring.tick(7);
        ring.push(entry(12, 1));
        assert_eq!(ring.floor(), Position::from(10));
        ring.tick(8);
        assert_eq!(ring.floor(), Position::from(11));
        ring.take_over(100);
        ring.tick(107);
        assert_eq!((ring.floor(), ring.bytes), (Position::from(11), 1));
        ring.tick(108);
        assert_eq!((ring.floor(), ring.bytes), (Position::from(12), 0));
        assert_eq!(ring.head().position(), Position::from(12));
        // A clock that goes backwards evicts nothing.
        ring.push(entry(13, 1));
        ring.tick(0);
        assert_eq!(ring.floor(), Position::from(12));
    }

    #[test]
    fn an_event_from_the_past_is_not_taken_twice() {
        let mut ring = ring(9, 99);
        assert!(ring.push(entry(11, 1)).is_some());
        assert!(ring.push(entry(11, 1)).is_none());
        assert!(ring.push(entry(9, 1)).is_none());
        ring.advance(Position::from(5));
        assert_eq!(ring.head().position(), Position::from(11));
    }
}
