//! The log in memory: the embedded default, bounded, lost with the process.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use tokio::sync::watch;
use tokio::task::yield_now;

use super::{Bounds, EventStore, Page, Read};
use crate::event_stream::event::{Event, EventError, EventErrorKind, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::selector::Selector;

/// A log in this process's memory.
///
/// It keeps the newest 65,536 events or 64 MiB, whichever is less, and trims the oldest first;
/// [`bounded`](Self::bounded) sets other bounds. Clones share the log. Its epoch is random, so a
/// client of an earlier process is told that what it saw is gone.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Log>,
    /// The newest position, for whoever waits: a hint, so it may skip.
    appended: watch::Sender<Position>,
}

struct Log {
    epoch: Epoch,
    floor: Position,
    head: Position,
    events: VecDeque<Event>,
    bytes: usize,
    most_events: usize,
    most_bytes: usize,
}

impl MemoryStore {
    /// A log of at most 65,536 events and 64 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(65_536, 64 << 20)
    }

    /// A log of at most `events` events, whose text takes at most `bytes` bytes with 128 more for
    /// each event.
    #[must_use]
    pub fn bounded(events: usize, bytes: usize) -> Self {
        let log = Log {
            epoch: Epoch::random(),
            floor: Position::START,
            head: Position::START,
            events: VecDeque::new(),
            bytes: 0,
            most_events: events,
            most_bytes: bytes,
        };
        Self {
            shared: Arc::new(Shared {
                log: Mutex::new(log),
                appended: watch::Sender::new(Position::START),
            }),
        }
    }

    /// Appends an event, and trims the oldest where a bound is passed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](EventErrorKind::TooLarge) when the event alone passes the bound in bytes.
    pub fn append(&self, event: NewEvent) -> Result<EventId, EventError> {
        let mut log = self.lock();
        if event.weight() > log.most_bytes {
            return Err(EventError::new(EventErrorKind::TooLarge));
        }
        log.head = Position::new(log.head.get() + 1);
        let id = EventId::new(log.epoch, log.head);
        log.bytes += event.weight();
        log.events.push_back(Event::new(id, event));
        while log.events.len() > log.most_events || log.bytes > log.most_bytes {
            log.evict();
        }
        drop(log);
        self.shared.appended.send_replace(id.position());
        Ok(id)
    }

    /// Forgets every event up to and including `id`. Readers behind it are told.
    pub fn trim(&self, id: EventId) {
        let mut log = self.lock();
        if id.epoch() == log.epoch {
            while log
                .events
                .front()
                .is_some_and(|event| event.id().position() <= id.position())
            {
                log.evict();
            }
        }
    }

    /// Forgets everything and starts a new epoch. Readers are told.
    pub fn clear(&self) {
        let mut log = self.lock();
        log.epoch = Epoch::random();
        log.floor = Position::START;
        log.head = Position::START;
        let events = std::mem::take(&mut log.events);
        log.bytes = 0;
        drop(log);
        self.shared.appended.send_replace(Position::START);
        // Nobody waits for that.
        drop(events);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Every change leaves the log whole: a panic elsewhere is no reason to lose it.
        self.shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStore for MemoryStore {
    type Error = Infallible;

    async fn bounds(&self) -> Result<Bounds, Infallible> {
        Ok(self.lock().bounds())
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> Result<Read, Infallible> {
        Ok(self.lock().read_after(cursor, selector, limit))
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> Result<Page, Infallible> {
        let head = self.lock().bounds().head();
        let mut events = Vec::new();
        let mut upto = Some(head);
        while let Some(from) = upto.filter(|_| events.len() < limit) {
            upto = self.lock().search(from, selector, limit, &mut events);
            if upto.is_some() {
                yield_now().await;
            }
        }
        events.reverse();
        Ok(Page::new(events, head))
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let mut appended = self.shared.appended.subscribe();
        async_stream::stream! {
            while appended.changed().await.is_ok() {
                yield ();
            }
        }
    }
}

impl Log {
    fn bounds(&self) -> Bounds {
        Bounds::new(self.epoch, self.floor, self.head)
    }

    fn read_after(&self, cursor: EventId, selector: &Selector, limit: usize) -> Read {
        let limit = limit.max(1);
        if !self.bounds().contain(cursor) {
            return Read::Gone(self.bounds());
        }
        let from = self
            .events
            .partition_point(|event| event.id().position() <= cursor.position());
        let mut events = Vec::new();
        // The lock is held meanwhile, so a reader of rare events comes back for more.
        for event in self.events.range(from..).take(MOST_SCANNED.max(limit)) {
            if selector.matches(event) {
                events.push(event.clone());
            }
            if events.len() >= limit {
                return Read::Page(Page::new(events, event.id()));
            }
        }
        let next = match self.events.get(from + MOST_SCANNED.max(limit) - 1) {
            Some(last) => last.id(),
            None => self.bounds().head(),
        };
        Read::Page(Page::new(events, next))
    }

    /// Adds the newest events that match, up to `limit` of them, from `upto` on down. Answers where the
    /// rest of the search begins, if there is one: a look at the whole log would keep writers waiting.
    fn search(
        &self,
        upto: EventId,
        selector: &Selector,
        limit: usize,
        found: &mut Vec<Event>,
    ) -> Option<EventId> {
        if upto.epoch() != self.epoch {
            return None;
        }
        let end = self
            .events
            .partition_point(|event| event.id().position() <= upto.position());
        let start = end.saturating_sub(MOST_SCANNED);
        let newest = self.events.range(start..end).rev();
        let matching = newest.filter(|event| selector.matches(event));
        found.extend(matching.take(limit - found.len()).cloned());
        let rest = start.checked_sub(1).filter(|_| found.len() < limit)?;
        Some(self.events[rest].id())
    }

    fn evict(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.floor = event.id().position();
            self.bytes -= event.content().weight();
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = self.lock().bounds();
        f.debug_struct("MemoryStore")
            .field("bounds", &bounds)
            .finish_non_exhaustive()
    }
}

/// Events that are looked at in one go: some tens of microseconds under the lock.
const MOST_SCANNED: usize = 4096;

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    fn event(data: &str) -> NewEvent {
        NewEvent::text("x", data).unwrap()
    }

    #[tokio::test]
    async fn both_bounds_trim_the_oldest_first_and_the_floor_follows() {
        let weight = event("12345678").weight();
        for store in [
            MemoryStore::bounded(3, 1 << 20),
            MemoryStore::bounded(99, 3 * weight),
        ] {
            let ids: Vec<_> = (0..5)
                .map(|_| store.append(event("12345678")).unwrap())
                .collect();
            let bounds = store.bounds().await.unwrap();
            assert_eq!((bounds.floor(), bounds.head()), (ids[1], ids[4]));
            assert!(bounds.contain(ids[1]) && !bounds.contain(ids[0]));
        }
    }

    #[test]
    fn an_event_that_could_never_fit_is_refused_and_nothing_is_lost_for_it() {
        let store = MemoryStore::bounded(9, 200);
        store.append(event("")).unwrap();
        let error = store.append(event(&"x".repeat(300))).unwrap_err();
        assert_eq!(error.kind(), EventErrorKind::TooLarge);
        assert_eq!(store.lock().events.len(), 1);
    }

    /// A client chooses what it looks for, and one that looks for nothing there is had all appends wait
    /// for a walk over the whole log.
    #[tokio::test]
    async fn a_search_for_the_newest_of_a_rare_kind_gives_way_to_writers() {
        let store = MemoryStore::new();
        let rare = || NewEvent::text("rare", "").unwrap();
        let first = store.append(rare()).unwrap();
        for _ in 0..3 * MOST_SCANNED {
            store.append(event("")).unwrap();
        }
        let head = store.append(rare()).unwrap();
        let selector = Selector::everything().only_types(["rare"]);
        let mut search = pin!(store.find_recent(&selector, 10));
        assert!(poll!(&mut search).is_pending());
        store.append(rare()).unwrap();
        let page = search.await.unwrap();
        let found: Vec<_> = page.events().iter().map(Event::id).collect();
        assert_eq!((found, page.next()), (vec![first, head], head));
    }

    #[tokio::test]
    async fn what_is_trimmed_or_cleared_during_a_search_is_not_found_and_ends_it() {
        let selector = Selector::everything();
        for clears in [false, true] {
            let store = MemoryStore::new();
            let ids = [(); 2 * MOST_SCANNED].map(|()| store.append(event("")).unwrap());
            let mut search = pin!(store.find_recent(&selector, usize::MAX));
            assert!(poll!(&mut search).is_pending());
            match clears {
                true => store.clear(),
                false => store.trim(ids[MOST_SCANNED + 9]),
            }
            let page = search.await.unwrap();
            assert_eq!(page.events().len(), MOST_SCANNED);
            assert_eq!(page.next(), ids[2 * MOST_SCANNED - 1]);
        }
    }

    #[tokio::test]
    async fn a_reader_of_rare_events_moves_on_through_the_others() {
        let store = MemoryStore::new();
        let start = store.bounds().await.unwrap().head();
        for _ in 0..2 * MOST_SCANNED {
            store.append(event("")).unwrap();
        }
        let rare = Selector::everything().only_types(["rare"]);
        let Read::Page(page) = store.read_after(start, &rare, 10).await.unwrap() else {
            panic!("nothing was trimmed");
        };
        assert!(page.events().is_empty());
        assert_eq!(page.next().position(), Position::new(MOST_SCANNED as u128));
    }
}
