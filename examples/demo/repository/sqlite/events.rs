//! The event log as the hub reads it.
//!
//! Everything here follows from one fact: SQLite has one writer at a time, and positions are given
//! out under its lock. So they appear in order, and what one read transaction sees is stable.

use std::sync::Arc;

use bartizan::event_stream::{
    Bounds, Epoch, Event, EventId, EventStore, NewEvent, Page, Position, Read, Selector,
};
use futures::Stream;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, named_params, params};

use super::{Error, Repository};

impl EventStore for Repository {
    type Error = Error;

    async fn bounds(&self) -> Result<Bounds, Error> {
        let epoch = self.epoch;
        self.log.run(move |db| bounds(db, epoch)).await
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> Result<Read, Error> {
        let (epoch, selector) = (self.epoch, selector.clone());
        self.log
            .run(move |db| {
                let db = db.transaction()?; // bounds and events of one moment
                let bounds = bounds(&db, epoch)?;
                if !bounds.contain(cursor) {
                    return Ok(Read::Gone(bounds));
                }
                let events = select(&db, epoch, &selector, Order::After(cursor), limit)?;
                let next = match events.last() {
                    Some(last) if events.len() >= limit => last.id(),
                    _ if limit == 0 => cursor,
                    _ => bounds.head(),
                };
                Ok(Read::Page(Page::new(events, next)))
            })
            .await
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> Result<Page, Error> {
        let (epoch, selector) = (self.epoch, selector.clone());
        self.log
            .run(move |db| {
                let db = db.transaction()?;
                let next = bounds(&db, epoch)?.head();
                let mut events = select(&db, epoch, &selector, Order::Newest, limit)?;
                events.reverse();
                Ok(Page::new(events, next))
            })
            .await
    }

    /// Commits of this process. Those of another one are found by the tailer's polling.
    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let mut committed = self.committed.subscribe();
        async_stream::stream! {
            while committed.changed().await.is_ok() {
                yield ();
            }
        }
    }
}

/// Appends an event inside the caller's transaction, forgets the oldest beyond the log's bound, and
/// answers the position.
pub(super) fn append(db: &Transaction<'_>, event: &NewEvent) -> rusqlite::Result<i64> {
    db.execute(
        "INSERT INTO events (type, user, topic, data) VALUES (?1, ?2, ?3, ?4)",
        params![event.kind(), event.user(), event.topic_name(), event.data()],
    )?;
    let position = db.last_insert_rowid();
    db.execute(
        "DELETE FROM events WHERE position <= ?1",
        [position - EVENTS_KEPT],
    )?;
    Ok(position)
}

fn bounds(db: &Connection, epoch: Epoch) -> rusqlite::Result<Bounds> {
    // The sequence remembers the newest position also when every event is trimmed, and a position
    // whose transaction was rolled back is given out again: there are no holes.
    db.query_row(
        "SELECT coalesce((SELECT min(position) - 1 FROM events), seq), seq
         FROM (SELECT coalesce(max(seq), 0) AS seq FROM sqlite_sequence WHERE name = 'events')",
        [],
        |row| {
            let (floor, head) = (position(row.get(0)?), position(row.get(1)?));
            Ok(Bounds::new(epoch, floor, head))
        },
    )
}

/// Which end of the log to begin at.
enum Order {
    After(EventId),
    Newest,
}

fn select(
    db: &Connection,
    epoch: Epoch,
    selector: &Selector,
    order: Order,
    limit: usize,
) -> rusqlite::Result<Vec<Event>> {
    let (cursor, direction) = match order {
        // The cursor lies within the bounds, so it fits.
        Order::After(cursor) => (
            i64::try_from(cursor.position().get()).unwrap_or(i64::MAX),
            "ASC",
        ),
        Order::Newest => (0, "DESC"),
    };
    let mut rows = db.prepare(&format!(
        "SELECT position, type, user, topic, data FROM events
         WHERE position > :cursor
           AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
           AND (:topics IS NULL OR topic IN (SELECT value FROM json_each(:topics)))
           AND CASE WHEN user IS NULL THEN :public
               ELSE :users IS NULL OR user IN (SELECT value FROM json_each(:users)) END
         ORDER BY position {direction} LIMIT :limit"
    ))?;
    let found = rows.query_map(
        named_params! {
            ":cursor": cursor,
            ":types": selector.types().map(list),
            ":topics": selector.topics().map(list),
            ":public": selector.includes_public(),
            ":users": selector.users().map(list),
            ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
        },
        |row| event(row, epoch),
    )?;
    found.collect()
}

fn event(row: &Row<'_>, epoch: Epoch) -> rusqlite::Result<Event> {
    let (kind, data): (String, String) = (row.get("type")?, row.get("data")?);
    let mut content = NewEvent::text(kind, data)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, error.into()))?;
    if let Some(user) = row.get::<_, Option<String>>("user")? {
        content = content.for_user(user);
    }
    if let Some(topic) = row.get::<_, Option<String>>("topic")? {
        content = content.topic(topic);
    }
    let id = EventId::new(epoch, position(row.get("position")?));
    Ok(Event::new(id, content))
}

/// Positions are rowids, which begin at 1.
fn position(row: i64) -> Position {
    Position::from(row.unsigned_abs())
}

/// As a JSON array, which one parameter can hold.
fn list(names: &[Arc<str>]) -> String {
    serde_json::Value::from_iter(names.iter().map(|name| &**name)).to_string()
}

/// Events that the log keeps; a client that was away for longer is told to load afresh.
pub(super) const EVENTS_KEPT: i64 = 100_000;
