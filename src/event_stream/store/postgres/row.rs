//! Places and events, as rows of PostgreSQL hold them.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::store::Bounds;
use crate::event_stream::store::strangers::Strangers;
use crate::event_stream::store::witness::Sight;

/// A place in the log: the writing transaction, and the number within it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) tx: i64,
    pub(super) id: i64,
}

impl Place {
    /// A position that no row has is one beyond all of them.
    pub(super) fn of(position: Position) -> Self {
        let (tx, id) = (position.get() >> 64, position.get() & u128::from(u64::MAX));
        let number = |part| i64::try_from(part).unwrap_or(i64::MAX);
        Self {
            tx: number(tx),
            id: number(id),
        }
    }

    pub(super) fn position(self) -> Position {
        let number = |part: i64| u128::from(part.unsigned_abs());
        Position::new(number(self.tx) << 64 | number(self.id))
    }
}

/// Columns in the order of the statements, so that names need not be looked up for each row.
mod column {
    pub(super) const EPOCH: usize = 0;
    pub(super) const UNMOVED: usize = 1;
    pub(super) const FLOOR: usize = 2;
    pub(super) const HEAD: usize = 4;
    pub(super) const CURSOR_STANDS: usize = 6;
    pub(super) const NEWEST_STANDS: usize = 7;
    pub(super) const HELD_BY: usize = 8;
    pub(super) const EVENT: usize = 9;
}

/// What a read found: of which log, what of it, and how many rows that were.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) sight: Sight,
    /// Whether the log is where it was when its epoch began.
    pub(super) unmoved: bool,
    /// The transaction that events wait for which are committed, if some do.
    pub(super) held_by: Option<i64>,
    pub(super) events: Vec<Event>,
    /// Where the last row stands, if there were as many as were asked for.
    pub(super) full: Option<EventId>,
}

impl Found {
    pub(super) fn read(rows: &[PgRow], limit: usize, strangers: &Strangers) -> sqlx::Result<Self> {
        let log = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let epoch = epoch(log.try_get(column::EPOCH)?);
        let floor = place(log, column::FLOOR)?.unwrap_or(Place { tx: 0, id: 0 });
        let head = place(log, column::HEAD)?.unwrap_or(floor);
        let sight = Sight {
            bounds: Bounds::new(epoch, floor.position(), head.position()),
            cursor_stands: log.try_get(column::CURSOR_STANDS)?,
            newest_stands: log.try_get(column::NEWEST_STANDS)?,
        };
        let mut events = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in rows {
            let Some(place) = place(row, column::EVENT)? else {
                continue;
            };
            let id = EventId::new(epoch, place.position());
            last = Some(id);
            match content(row)? {
                Some(content) => events.push(Event::new(id, content)),
                // The table refuses such a type; one row must not end the log for everybody.
                None => drop(strangers.met(id)),
            }
        }
        Ok(Self {
            sight,
            unmoved: log.try_get::<Option<bool>, _>(column::UNMOVED)? == Some(true),
            held_by: log.try_get(column::HELD_BY)?,
            events,
            full: last.filter(|_| rows.len() >= limit),
        })
    }
}

/// The number in the log's own row.
pub(super) fn epoch(number: i64) -> Epoch {
    Epoch::new(u64::from_ne_bytes(number.to_ne_bytes()))
}

pub(super) fn number(epoch: Epoch) -> i64 {
    i64::from_ne_bytes(epoch.get().to_ne_bytes())
}

/// The place in the columns from `at` on.
pub(super) fn place(row: &PgRow, at: usize) -> sqlx::Result<Option<Place>> {
    let (tx, id) = (
        row.try_get::<Option<_>, _>(at)?,
        row.try_get::<Option<_>, _>(at + 1)?,
    );
    Ok(tx.zip(id).map(|(tx, id)| Place { tx, id }))
}

/// `None` for what cannot be an event.
fn content(row: &PgRow) -> sqlx::Result<Option<NewEvent>> {
    let text = |at: usize| row.try_get::<Option<&str>, _>(column::EVENT + at);
    let (kind, user, topic) = (text(2)?.unwrap_or_default(), text(3)?, text(4)?);
    let content = NewEvent::text(kind, text(5)?.unwrap_or_default()).ok();
    let content = content.map(|event| match user {
        Some(user) => event.for_user(user),
        None => event,
    });
    Ok(content.map(|event| match topic {
        Some(topic) => event.topic(topic),
        None => event,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_the_order_of_transactions_and_of_events_within_one() {
        let place = |tx, id| Place { tx, id };
        for pair in [
            [place(0, 0), place(0, 1)],
            [place(7, i64::MAX), place(8, 1)],
            [place(8, 1), place(8, 2)],
        ] {
            let [before, after] = pair.map(Place::position);
            assert!(before < after);
            assert_eq!([before, after].map(Place::of), pair);
        }
    }

    #[test]
    fn a_position_that_no_row_has_is_beyond_all() {
        let end = Place::of(Position::new(u128::MAX));
        assert_eq!((end.tx, end.id), (i64::MAX, i64::MAX));
    }

    #[test]
    fn an_epoch_is_any_number() {
        for number_of_row in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(number(epoch(number_of_row)), number_of_row);
        }
    }
}
