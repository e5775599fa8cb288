//! Reading a store page by page, with each page checked by itself.

use std::error::Error;

use super::{Checked, Violation};
use crate::event_stream::event::Event;
use crate::event_stream::id::EventId;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::{Bounds, EventStore, Page, Read};

/// A reader that goes on from page to page, and checks each.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) cursor: EventId,
    pub(super) events: Vec<Event>,
}

impl Follower {
    pub(super) fn at(cursor: EventId) -> Self {
        let events = Vec::new();
        Self { cursor, events }
    }

    /// Reads up to where there is nothing more.
    pub(super) async fn follow<S: EventStore>(&mut self, store: &S) -> Checked {
        loop {
            let page = page(store, self.cursor, &Selector::everything(), 10).await?;
            let still = page.events.is_empty() && page.next == self.cursor;
            self.cursor = page.next;
            self.events.extend(page.events);
            if still {
                return Ok(());
            }
        }
    }
}

/// All that a reader gets from the beginning of the log.
pub(super) async fn read_all<S: EventStore>(
    store: &S,
    selector: &Selector,
    limit: usize,
) -> Result<Vec<Event>, Violation> {
    let bounds = bounds(store).await?;
    let mut cursor = bounds.floor();
    let mut events = Vec::new();
    for _ in 0..PATIENCE {
        if cursor.position() >= bounds.head().position() {
            return Ok(events);
        }
        let page = page(store, cursor, selector, limit).await?;
        if page.next == cursor {
            break;
        }
        cursor = page.next;
        events.extend(page.events);
    }
    Err(Violation {
        rule: PROGRESS,
        found: format!("a reader of {selector:?} never gets beyond {cursor}"),
    })
}

/// One page, checked by itself.
pub(super) async fn page<S: EventStore>(
    store: &S,
    cursor: EventId,
    selector: &Selector,
    limit: usize,
) -> Result<Page, Violation> {
    let page = match answered(store.read_after(cursor, selector, limit).await)? {
        Read::Page(page) => page,
        Read::Gone(bounds) => {
            return Err(Violation {
                rule: SILENT,
                found: format!("{cursor} is said to be gone from {bounds:?}"),
            });
        }
    };
    let fits = page.events.len() <= limit;
    expect(fits, PAGES, || {
        format!("{} events for a limit of {limit}", page.events.len())
    })?;
    let mut last = cursor;
    for event in &page.events {
        let id = event.id();
        let later = id.epoch() == last.epoch() && id.position() > last.position();
        expect(later, ORDER, || format!("{id} comes after {last}"))?;
        last = id;
    }
    let ahead = page.next.epoch() == last.epoch() && page.next.position() >= last.position();
    expect(ahead, PROGRESS, || {
        format!("`next` is {} after {last}", page.next)
    })?;
    Ok(page)
}

pub(super) async fn gone<S: EventStore>(store: &S, cursor: EventId) -> Checked {
    let read = answered(store.read_after(cursor, &Selector::everything(), 9).await)?;
    match read {
        Read::Gone(said) => {
            let holds = !said.contain(cursor);
            expect(holds, SILENT, || {
                format!("{cursor} is gone, and lies within {said:?}")
            })
        }
        Read::Page(page) => Err(Violation {
            rule: SILENT,
            found: format!("{cursor} means nothing here, and is answered with {page:?}"),
        }),
    }
}

pub(super) async fn bounds<S: EventStore>(store: &S) -> Result<Bounds, Violation> {
    answered(store.bounds().await)
}

pub(super) fn answered<T, E: Error>(answer: Result<T, E>) -> Result<T, Violation> {
    answer.map_err(|error| Violation {
        rule: "the log can be reached",
        found: error.to_string(),
    })
}

pub(super) fn expect(holds: bool, rule: &'static str, found: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Violation {
            rule,
            found: found(),
        }),
    }
}

pub(super) const ORDER: &str = "positions are totally ordered";
pub(super) const PAGES: &str = "a page is all there is between the cursor and `next`";
pub(super) const STABLE: &str = "nothing appears at or below what was read";
pub(super) const PROGRESS: &str = "`next` says how far was scanned";
pub(super) const RECENT: &str = "`find_recent` gives the newest that match, and the head";
pub(super) const SILENT: &str = "a cursor is answered with what follows it, or is gone";
pub(super) const NAMES: &str = "a name that no event has selects nothing, and is no error";
pub(super) const EPOCH: &str = "the epoch changes when, and only when, the log was lost";
pub(super) const DELIVERY: &str = "a client gets each event once and in order";
pub(super) const CANCEL: &str = "a read may be dropped";

/// Reads after which a reader that has not arrived never will.
pub(super) const PATIENCE: usize = 20_000;
