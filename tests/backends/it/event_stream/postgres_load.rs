//! Writers who commit out of order, and a server that is killed meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::event_stream::{
    Bounds, Epoch, Event, EventId, EventStore, Page, Position, PostgresStore, Read, Selector,
};
use server::Postgres;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use tokio::time::sleep;

use super::load::{Crowd, Draw, judge, length};
use super::{event, until};

const WRITERS: u64 = 8;

/// What writers were told is committed, in the order in which they were told.
#[derive(Default)]
struct Told {
    committed: Vec<(EventId, String)>,
    rolled_back: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_writers_overlap_and_the_server_is_killed() {
    let mut server = Postgres::start();
    let store = PostgresStore::new(pool(&server, 4));
    store.migrate().await.unwrap();
    let crowd = Crowd::gather(store.clone()).await;
    let start = crowd.start;

    let writing = write(&server, &store);
    sleep(length() / 2).await;
    server.kill();
    sleep(Duration::from_millis(300)).await;
    server.restart();
    let (told, end) = finish(&store, writing).await;

    let (stretches, stats) = crowd.leave(end).await;
    let log = whole_log(&pool(&server, 1), start.epoch()).await;
    judge(&log, &stretches).unwrap();
    assert_eq!(stats.resets, 0);

    // And that it was as hard as it was meant to be.
    for committed in &told.committed {
        assert!(
            log.contains(committed),
            "{committed:?} was lost by the server"
        );
    }
    let late = out_of_order(&told.committed);
    assert!(
        late > 20 && told.rolled_back > 20,
        "{late}, {}",
        told.rolled_back
    );
    assert!(stats.demotions > 0 && stats.hand_overs > 50, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_without_the_watermark_is_caught_by_the_same_load() {
    let server = Postgres::start();
    let store = PostgresStore::new(pool(&server, 4));
    store.migrate().await.unwrap();
    let naive = Naive(pool(&server, 4));
    let crowd = Crowd::gather(naive).await;

    let writing = write(&server, &store);
    let (_, end) = finish(&store, writing).await;

    let (stretches, _) = crowd.leave(end).await;
    let log = whole_log(&pool(&server, 1), Epoch::new(1)).await;
    let found = judge(&log, &stretches).unwrap_err();
    assert!(found.contains("lost"), "{found}");
}

struct Writing {
    told: Arc<Mutex<Told>>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

/// Lets writers write for the length of the test.
fn write(server: &Postgres, store: &PostgresStore) -> Writing {
    let told = Arc::<Mutex<Told>>::default();
    let pool = pool(server, 8);
    let writers = (0..WRITERS).map(|writer| {
        let (store, pool, told) = (store.clone(), pool.clone(), Arc::clone(&told));
        tokio::spawn(async move {
            let (clock, mut draw) = (Clock::new(), Draw(writer));
            let began = clock.now();
            for n in 0_u64.. {
                if clock.now().since(began) > length() {
                    return;
                }
                let keep = draw.below(5) > 0;
                match transact(&store, &pool, &mut draw, &format!("{writer}.{n}"), keep).await {
                    Ok(written) if keep => told.lock().unwrap().committed.extend(written),
                    Ok(_) => told.lock().unwrap().rolled_back += 1,
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        })
    });
    let writers = writers.collect();
    Writing { told, writers }
}

/// One transaction of one to three events, which takes its time.
async fn transact(
    store: &PostgresStore,
    pool: &PgPool,
    draw: &mut Draw,
    name: &str,
    keep: bool,
) -> sqlx::Result<Vec<(EventId, String)>> {
    let mut tx = pool.begin().await?;
    let mut written = Vec::new();
    for part in 0..=draw.below(3) {
        let data = format!("{name}.{part}");
        written.push((store.append_in(&mut tx, event(&data)).await?, data));
        sleep(Duration::from_millis(draw.below(40))).await;
    }
    match keep {
        true => tx.commit().await?,
        false => tx.rollback().await?,
    }
    Ok(written)
}

async fn finish(store: &PostgresStore, writing: Writing) -> (Told, EventId) {
    for writer in writing.writers {
        writer.await.unwrap();
    }
    let end = until(|| async { store.append(event("the end")).await.ok() });
    let end = end.await.unwrap();
    (std::mem::take(&mut *writing.told.lock().unwrap()), end)
}

/// Commits that came after one that stands later in the log.
fn out_of_order(committed: &[(EventId, String)]) -> usize {
    let mut newest = Position::START;
    let late = committed.iter().filter(|(id, _)| {
        let is_late = id.position() < newest;
        newest = newest.max(id.position());
        is_late
    });
    late.count()
}

fn pool(server: &Postgres, most: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(most);
    options.connect_lazy(&server.url()).unwrap()
}

async fn whole_log(pool: &PgPool, epoch: Epoch) -> Vec<(EventId, String)> {
    let all = "SELECT tx, id, data FROM bartizan_events ORDER BY tx, id";
    let rows = sqlx::query(all).fetch_all(pool).await.unwrap();
    let place = |row: &PgRow| EventId::new(epoch, position(row));
    rows.iter()
        .map(|row| (place(row), row.get("data")))
        .collect()
}

fn position(row: &PgRow) -> Position {
    let number = |name| u128::from(row.get::<i64, _>(name).unsigned_abs());
    Position::new(number("tx") << 64 | number("id"))
}

/// The same table, read as far as there are rows.
struct Naive(PgPool);

impl Naive {
    async fn rows(&self, after: Position, limit: usize) -> sqlx::Result<Vec<Event>> {
        let (tx, id) = (after.get() >> 64, after.get() as u64);
        let after = "SELECT tx, id, data FROM bartizan_events
            WHERE (tx, id) > ($1, $2) ORDER BY tx, id LIMIT $3";
        let rows = sqlx::query(after)
            .bind(i64::try_from(tx).unwrap())
            .bind(i64::try_from(id).unwrap())
            .bind(i64::try_from(limit).unwrap());
        let rows = rows.fetch_all(&self.0).await?;
        let event = |row: &PgRow| {
            let id = EventId::new(Epoch::new(1), position(row));
            Event::new(id, event(row.get("data")))
        };
        Ok(rows.iter().map(event).collect())
    }
}

impl EventStore for Naive {
    type Error = sqlx::Error;

    async fn bounds(&self) -> sqlx::Result<Bounds> {
        let all = self.rows(Position::START, 1_000_000).await?;
        let head = all
            .last()
            .map_or(Position::START, |event| event.id().position());
        Ok(Bounds::new(Epoch::new(1), Position::START, head))
    }

    async fn read_after(&self, cursor: EventId, _: &Selector, limit: usize) -> sqlx::Result<Read> {
        let events = self.rows(cursor.position(), limit).await?;
        let next = events.last().map_or(cursor, Event::id);
        Ok(Read::Page(Page::new(events, next)))
    }

    async fn find_recent(&self, _: &Selector, limit: usize) -> sqlx::Result<Page> {
        let mut all = self.rows(Position::START, 1_000_000).await?;
        let head = self.bounds().await?.head();
        all.drain(..all.len().saturating_sub(limit));
        Ok(Page::new(all, head))
    }
}
