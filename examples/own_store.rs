//! A host's own repository as the log of an event stream: an `INSERT` in the host's transaction, and
//! three reads. Here it is SQLite; comments say what to look at elsewhere.
//!
//! `cargo run --example own_store`; the tests below hold it to the contract.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan::event_stream::{
    Bounds, Epoch, Event, EventHub, EventId, EventStore, EventStream, NewEvent, Page, Position,
    Read, Selector,
};
use http_body_util::BodyExt;
use rusqlite::{Connection, Row, Transaction};
use tower::ServiceExt;

#[derive(Clone)]
struct Repository(Arc<Mutex<Connection>>);

impl Repository {
    fn open(path: &str) -> rusqlite::Result<Self> {
        let db = Connection::open(path)?;
        // AUTOINCREMENT never gives the id of a deleted event to another. The epoch stays with the
        // log: whoever restores a backup deletes it, so that clients are told.
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT,
                 type TEXT NOT NULL, data TEXT NOT NULL, user TEXT, topic TEXT);
             CREATE TABLE IF NOT EXISTS log (epoch INTEGER NOT NULL);
             INSERT INTO log SELECT abs(random() / 2) WHERE NOT EXISTS (SELECT * FROM log);",
        )?;
        Ok(Self(Arc::new(Mutex::new(db))))
    }

    /// One transaction on a thread that may wait: everything in it is of one moment.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let db = Arc::clone(&self.0);
        let run = move || {
            let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = db.transaction()?;
            let done = work(&tx)?;
            tx.commit().map(|()| done)
        };
        let done = tokio::task::spawn_blocking(run).await?;
        done.map_err(io::Error::other)
    }
}

/// Goes into the transaction that makes what the event tells of: both happen, or neither.
fn append(tx: &Transaction<'_>, event: &NewEvent) -> rusqlite::Result<usize> {
    tx.execute(
        "INSERT INTO events (type, data, user, topic) VALUES (?1, ?2, ?3, ?4)",
        (event.kind(), event.data(), event.user(), event.topic_name()),
    )
}

/// SQLite has one writer at a time, so the newest id is stable. Where writers overlap, the id that was
/// given out first may be committed last: let `head` be what every writer has left behind.
fn bounds(tx: &Transaction<'_>) -> rusqlite::Result<Bounds> {
    let one = "SELECT epoch, coalesce((SELECT min(id) - 1 FROM events), seq), seq FROM log,
        (SELECT coalesce(max(seq), 0) AS seq FROM sqlite_sequence WHERE name = 'events')";
    tx.query_row(one, [], |row| {
        let number = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
        let (floor, head) = (number(1)?.into(), number(2)?.into());
        Ok(Bounds::new(Epoch::new(number(0)?), floor, head))
    })
}

fn event(row: &Row<'_>, epoch: Epoch) -> rusqlite::Result<Event> {
    let position = Position::from(row.get::<_, i64>("id")?.unsigned_abs());
    let (kind, data): (String, String) = (row.get("type")?, row.get("data")?);
    let mut content = NewEvent::text(kind, data).map_err(|_| rusqlite::Error::InvalidQuery)?;
    if let Some(user) = row.get::<_, Option<String>>("user")? {
        content = content.for_user(user);
    }
    if let Some(topic) = row.get::<_, Option<String>>("topic")? {
        content = content.topic(topic);
    }
    Ok(Event::new(EventId::new(epoch, position), content))
}

impl EventStore for Repository {
    type Error = io::Error;

    async fn bounds(&self) -> io::Result<Bounds> {
        self.run(bounds).await
    }

    /// The selector is a hint here: the hub leaves out what a client does not get.
    async fn read_after(&self, cursor: EventId, _: &Selector, limit: usize) -> io::Result<Read> {
        self.run(move |tx| {
            let bounds = bounds(tx)?;
            if !bounds.contain(cursor) {
                return Ok(Read::Gone(bounds));
            }
            let mut rows = tx.prepare("SELECT * FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            // Within the bounds every number is one of SQLite's.
            let after = i64::try_from(cursor.position().get()).unwrap_or(i64::MAX);
            let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
            let events = rows.query_map((after, limit), |row| event(row, bounds.epoch()))?;
            let events: Vec<_> = events.collect::<Result<_, _>>()?;
            let next = events.last().map_or(bounds.head(), Event::id);
            Ok(Read::Page(Page::new(events, next)))
        })
        .await
    }

    /// The selector is no hint here. With many events, put it into the `WHERE`.
    async fn find_recent(&self, selector: &Selector, limit: usize) -> io::Result<Page> {
        let selector = selector.clone();
        self.run(move |tx| {
            let bounds = bounds(tx)?;
            let mut rows = tx.prepare("SELECT * FROM events ORDER BY id DESC")?;
            let all = rows.query_map([], |row| event(row, bounds.epoch()))?;
            let wanted = all.filter(|event| event.as_ref().map_or(true, |e| selector.matches(e)));
            let mut events: Vec<_> = wanted.take(limit).collect::<Result<_, _>>()?;
            events.reverse();
            Ok(Page::new(events, bounds.head()))
        })
        .await
    }
}

// That is the repository. The rest shows it at work.

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let repository = Repository::open(":memory:")?;
    let (hub, tailer) = EventHub::builder(repository.clone()).build();
    tokio::spawn(tailer);
    let paid = NewEvent::json("order.paid", &["tea", "milk"])?;
    repository.run(move |tx| append(tx, &paid)).await?;
    // Gives the tailer its first look at the log; a server has been up for longer.
    while hub.head().is_none() {
        tokio::task::yield_now().await;
    }
    let request =
        http::Request::get("/events?recent=10&wait=1").header("accept", "application/json");
    let answer = EventStream::new(hub).oneshot(request.body(())?).await?;
    let document = answer.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&document));
    Ok(())
}

#[cfg(test)]
mod tests {
    use bartizan::event_stream::conformance::{self, Meanwhile};

    use super::*;

    async fn fresh() -> Repository {
        Repository::open(":memory:").expect("memory is there")
    }

    async fn append_one(repository: &Repository, event: NewEvent) {
        let appended = repository.run(move |tx| append(tx, &event)).await;
        appended.expect("it is a table of any events");
    }

    async fn trim(repository: &Repository, id: EventId) {
        let upto = i64::try_from(id.position().get()).expect("an id of the log");
        let trimmed =
            repository.run(move |tx| tx.execute("DELETE FROM events WHERE id <= ?1", [upto]));
        trimmed.await.expect("rows can be deleted");
    }

    #[tokio::test]
    async fn it_keeps_the_contract() -> Result<(), conformance::Violation> {
        conformance::check(fresh, append_one).await?;
        conformance::check_trim(fresh, append_one, trim).await?;
        // Writers queue for each other, so the second begins when the first has committed.
        let overlap = async |repository: &Repository, first, second, meanwhile: Meanwhile<'_>| {
            append_one(repository, first).await;
            meanwhile.await;
            append_one(repository, second).await;
        };
        conformance::check_commit_order(fresh, append_one, overlap).await?;
        let lose = async |_: Repository| fresh().await;
        conformance::check_loss(fresh, append_one, lose).await
    }
}
