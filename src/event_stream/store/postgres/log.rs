//! The store: what it is told, what it writes, what it answers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};
use sqlx::{AssertSqlSafe, Executor, Row};

use super::held::{Held, News};
use super::listen;
use super::prune::Keep;
use super::row::{Found, Place, epoch, number, place};
use super::sql::{DEFAULT_TABLE, Order, Statements};
use crate::backend::Deadline;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::event_stream::event::NewEvent;
use crate::event_stream::id::{EventId, Position};
use crate::event_stream::selector::Selector;
use crate::event_stream::store::strangers::Strangers;
use crate::event_stream::store::witness::Witness;
use crate::event_stream::store::{Bounds, EventStore, Page, Read};
use crate::trace::emit;

/// A log in a table of PostgreSQL 13 or later, which any number of processes read and write.
///
/// [`append_in`](Self::append_in) writes an event in the transaction that makes what it tells of:
/// both are committed, or neither. Clones are the same store.
///
/// # Behaviour
///
/// 1. A place in the log is the number of the writing transaction and a number within it. Reads
///    stop below the oldest transaction that still runs (`pg_snapshot_xmin`), so that nothing can
///    be committed behind a reader: events that are committed out of order are delayed, and never
///    skipped.
/// 2. So a transaction that writes for long delays all events that come after it, whatever it
///    writes and in whichever database of the server, and a prepared one until it is finished. They
///    come once it has ended; [`held_back`](Self::held_back) and, after 10 s, a warning tell of it.
///    `idle_in_transaction_session_timeout` bounds it; `SELECT pid, xact_start, query FROM
///    pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY age(backend_xid) DESC` names it.
/// 3. The order is that of transaction numbers, and of writing within one.
/// 4. A page is one statement on one connection of the pool, which is given back at once. Types,
///    topics and users are part of it, each with an index; of a topic or a user, types are looked for
///    among its events. Nothing is held between reads but the optional listener.
/// 5. Cursors that stand where no event is, are answered as gone. The epoch changes by itself when
///    the log is read from another cluster, another timeline or another table than before, which is
///    what a restored backup, a restored dump and a promoted standby look like; when the table is
///    truncated; and when it denies an event that this process has read. After a disk was set back
///    under the server, which nothing of this shows, call [`new_epoch`](Self::new_epoch).
///
/// # Writing from elsewhere
///
/// The one statement, in any language and any transaction; leave out what the event does not have:
///
/// ```sql
/// INSERT INTO bartizan_events (type, data, for_user, topic) VALUES ($1, $2, $3, $4);
/// ```
///
/// The table refuses what cannot be the type of an event. Never write its other columns. `DELETE`
/// raises the log's floor, so that readers below are told: delete the oldest, and blank the `data`
/// of one in the middle instead.
///
/// # Deployment
///
/// - *Rights*: `SELECT` and `INSERT` on `bartizan_events` and `SELECT` on `bartizan_events_log` to
///   read and append; `UPDATE` on both to begin a new epoch, and `DELETE` to prune. Sessions see
///   the tables through one `search_path`. Where a provider forbids `pg_control_system` or `pg_walfile_name`, replace
///   `bartizan_events_origin()` by a function that returns a constant, and call `new_epoch` after
///   each restore.
/// - *Retention*: nothing is deleted until [`pruner`](Self::pruner) is polled by one process or
///   more, or [`prune`](Self::prune) is called by a schedule. Positions are stable all the while.
/// - *Vacuum*: events are written once and deleted oldest first: autovacuum's defaults do.
/// - *Durability*: with `synchronous_commit = off` a crash may take back events that were read;
///   those who read them are told. A fail-over is told as well, since a standby that lagged has
///   lost events.
/// - *Replicas*: the pool must lead to the primary. A standby refuses the reads, which counts as an
///   outage. Logical replication copies the numbers of the publisher's transactions, which mean nothing
///   elsewhere: read at the publisher.
/// - *PgBouncer*: session mode, or transaction mode from 1.21 with `max_prepared_statements`. There
///   `LISTEN` needs [a connection past it](Self::listen_by); polling, the default, does not.
/// - *Time limits*: a read gives up after [`patience`](Self::patience) and closes its connection.
///   `statement_timeout` in the pool's options ends what the server still does for it.
/// - Text cannot hold NUL in PostgreSQL: an event whose data, user or topic has one is refused. JSON
///   never has. Where a user or a topic is asked for by such a name, nothing stands under it.
///
/// # Example
///
/// `tests/backends` runs this code against a server.
///
/// ```no_run
/// use bartizan::event_stream::{EventHub, NewEvent, PostgresStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = sqlx::PgPool::connect("postgres://orders@db.internal/orders").await?;
/// let store = PostgresStore::new(pool.clone());
/// store.migrate().await?;
/// let (hub, tailer) = EventHub::builder(store.clone()).build();
/// tokio::spawn(tailer);
/// tokio::spawn(store.pruner());
///
/// let mut tx = pool.begin().await?;
/// sqlx::query("UPDATE orders SET paid = true WHERE id = 7").execute(&mut *tx).await?;
/// let paid = NewEvent::json("order.paid", &7)?.for_user("u1");
/// store.append_in(&mut tx, paid).await?;
/// tx.commit().await?;
/// # drop(hub);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostgresStore {
    pub(super) pool: PgPool,
    pub(super) statements: Arc<Statements>,
    pub(super) keep: Keep,
    notify: bool,
    /// How to connect to listen, if not as the pool does.
    listener: Option<Arc<PgConnectOptions>>,
    patience: Duration,
    witness: Arc<Witness>,
    strangers: Arc<Strangers>,
    held: Arc<Held>,
}

impl PostgresStore {
    /// A log in the table `bartizan_events`, read through `pool`.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            statements: Arc::new(Statements::new(DEFAULT_TABLE)),
            keep: Keep::default(),
            notify: false,
            listener: None,
            patience: Duration::from_secs(5),
            witness: Arc::default(),
            strangers: Arc::default(),
            held: Arc::default(),
        }
    }

    /// Another table: logs side by side. What else the migration makes is named after it.
    ///
    /// # Errors
    ///
    /// When `name` is not 1 to 48 of `a-z`, `0-9` and `_`, beginning with a letter.
    pub fn table(mut self, name: &str) -> Result<Self, ConfigError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || name.len() > 48 || !name.bytes().all(plain) {
            let fix = "a table is 1 to 48 of a-z, 0-9 and _, beginning with a letter";
            return Err(ConfigError::new("events table", name, fix));
        }
        self.statements = Arc::new(Statements::new(name));
        Ok(self)
    }

    /// How many of the newest events [`prune`](Self::prune) leaves: 1,000,000.
    pub fn keep_events(mut self, most: u64) -> Self {
        self.keep.events = most;
        self
    }

    /// How long [`prune`](Self::prune) leaves an event: 7 days.
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.keep.age = age;
        self
    }

    /// Whether to hint by `NOTIFY` and `LISTEN`: off.
    ///
    /// An append of this store then notifies, and readers hear of it before they would have polled,
    /// over one more connection beside the pool's. Each commit that notifies takes a lock that is
    /// the server's only one: polling is better where many write. Writers elsewhere add `SELECT
    /// pg_notify('bartizan_events', '')` if they care.
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// How to connect to the server to listen, where [`notify`](Self::notify) is on: as the pool does,
    /// unless set.
    ///
    /// Where the pool leads through PgBouncer in transaction mode, this has to be the server itself. A
    /// `LISTEN` stays with the connection that it came over, and who is lent that connection next gets
    /// notifications in place of answers.
    pub fn listen_by(mut self, options: PgConnectOptions) -> Self {
        self.listener = Some(Arc::new(options));
        self
    }

    /// How long a read waits for a connection and its answer: 5 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Makes the tables where they are missing. Several processes may call it at once; where they
    /// exist it takes no lock on them.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or the role may not create tables and functions.
    pub async fn migrate(&self) -> sqlx::Result<()> {
        let migration = AssertSqlSafe(self.migration());
        self.pool.execute(sqlx::raw_sql(migration)).await?;
        Ok(())
    }

    /// The text of [`migrate`](Self::migrate), for the host's own tool. It is one statement, and
    /// changes nothing where the tables exist.
    #[must_use]
    pub fn migration(&self) -> String {
        self.statements.migration()
    }

    /// Appends an event in a transaction of its own.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses. An answer that is lost leaves open whether it
    /// was appended.
    pub async fn append(&self, event: NewEvent) -> sqlx::Result<EventId> {
        let mut connection = self.pool.acquire().await?;
        self.append_in(&mut connection, event).await
    }

    /// Appends an event in the transaction that `connection` is in.
    ///
    /// Readers get it after the commit; `&mut tx` of a sqlx transaction is such a connection. The
    /// id means nothing if the transaction is rolled back.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses; then the transaction cannot be committed.
    pub async fn append_in(
        &self,
        connection: &mut PgConnection,
        event: NewEvent,
    ) -> sqlx::Result<EventId> {
        let statement = self.statements.append(self.notify);
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(event.kind())
            .bind(event.data())
            .bind(event.user())
            .bind(event.topic_name())
            .fetch_one(connection)
            .await?;
        let place = place(&row, 0)?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(EventId::new(epoch(row.try_get(2)?), place.position()))
    }

    /// For how long events that are committed have waited for one transaction that is older than they
    /// and still runs, by the last read; `None` while none wait. For a status page, or a probe.
    ///
    /// After 10 s it is logged as a warning, with the number of the transaction.
    #[must_use]
    pub fn held_back(&self) -> Option<Duration> {
        self.held.back_for(Clock::new().now())
    }

    /// Starts a new epoch: every client is told that the log is not the one it has read.
    ///
    /// For whoever has set the server's disk back, or changed the log by hand. From elsewhere:
    /// `SELECT bartizan_events_new_epoch()`.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or the role may not.
    pub async fn new_epoch(&self) -> sqlx::Result<()> {
        let found = self.look().await?;
        self.renew(&found).await
    }

    async fn renew(&self, found: &Found) -> sqlx::Result<()> {
        let statement = sqlx::query(AssertSqlSafe(self.statements.renew()))
            .bind(number(found.sight.bounds.epoch()));
        let (mut connection, deadline) = self.connection().await?;
        // Whoever holds the log's row may hold it for long.
        match deadline.bound(statement.execute(&mut *connection)).await {
            Some(renewed) => renewed.map(drop),
            None => Err(late(connection)),
        }
    }

    /// One of the pool, for as long as a read may take.
    async fn connection(&self) -> sqlx::Result<(PoolConnection<Postgres>, Deadline)> {
        let deadline = Deadline::after(self.patience);
        let acquired = deadline.bound(self.pool.acquire()).await;
        let connection = acquired.ok_or(sqlx::Error::PoolTimedOut)??;
        Ok((connection, deadline))
    }

    async fn look(&self) -> sqlx::Result<Found> {
        let nothing = Selector::everything();
        self.ask(None, Position::START, &nothing, Order::OldestFirst, 0)
            .await
    }

    /// Reads, and reads again where the log turned out to be another than before.
    async fn find(
        &self,
        cursor: Position,
        selector: &Selector,
        order: Order,
        limit: usize,
    ) -> sqlx::Result<Found> {
        let newest = self.witness.newest();
        let mut found = self.ask(newest, cursor, selector, order, limit).await?;
        if !found.unmoved || found.sight.was_rolled_back(newest) {
            emit!(
                warn,
                {},
                "the event log was restored or rolled back: it begins a new epoch"
            );
            self.renew(&found).await?;
            found = self.ask(newest, cursor, selector, order, limit).await?;
        }
        self.witness.saw(found.sight.bounds.head());
        self.tell(&found);
        Ok(found)
    }

    /// One statement.
    async fn ask(
        &self,
        newest: Option<EventId>,
        cursor: Position,
        selector: &Selector,
        order: Order,
        limit: usize,
    ) -> sqlx::Result<Found> {
        let names = |names: Option<&[Arc<str>]>| {
            names.map(|names| {
                // No event has such a name, and the server refuses to be asked about it.
                let held = names.iter().filter(|name| !name.contains('\0'));
                held.map(|name| (**name).to_owned()).collect::<Vec<_>>()
            })
        };
        let cursor = Place::of(cursor);
        let newest = Place::of(newest.map_or(Position::START, EventId::position));
        let statement = sqlx::query(AssertSqlSafe(self.statements.read(selector, order)))
            .bind(cursor.tx)
            .bind(cursor.id)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(names(selector.types()))
            .bind(names(selector.topics()))
            .bind(names(selector.users()))
            .bind(newest.tx)
            .bind(newest.id);
        let (mut connection, deadline) = self.connection().await?;
        match deadline.bound(statement.fetch_all(&mut *connection)).await {
            Some(rows) => Found::read(&rows?, limit, &self.strangers),
            None => Err(late(connection)),
        }
    }

    /// Says what the log waits for, once it has waited for long.
    fn tell(&self, found: &Found) {
        match self.held.saw(found.held_by, Clock::new().now()) {
            None => {}
            Some(News::Held(transaction)) => emit!(
                warn,
                { transaction = transaction },
                "events that are committed wait for an older transaction that has not ended: look for its \
                 number in pg_stat_activity.backend_xid and pg_prepared_xacts"
            ),
            Some(News::Over) => emit!(info, {}, "the transaction that events waited for has ended"),
        }
    }
}

impl EventStore for PostgresStore {
    type Error = sqlx::Error;

    async fn bounds(&self) -> sqlx::Result<Bounds> {
        let everything = Selector::everything();
        let found = self.find(Position::START, &everything, Order::OldestFirst, 0);
        Ok(found.await?.sight.bounds)
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> sqlx::Result<Read> {
        let limit = limit.max(1);
        let found = self.find(cursor.position(), selector, Order::OldestFirst, limit);
        let found = found.await?;
        if !found.sight.continues(cursor) {
            return Ok(Read::Gone(found.sight.bounds));
        }
        let next = found.full.unwrap_or(found.sight.bounds.head());
        Ok(Read::Page(Page::new(found.events, next)))
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> sqlx::Result<Page> {
        let mut rows = limit;
        loop {
            let found = self.find(Position::START, selector, Order::NewestFirst, rows);
            let found = found.await?;
            let mut events = found.events;
            if found.full.is_none() || events.len() >= limit {
                events.truncate(limit);
                events.reverse();
                return Ok(Page::new(events, found.sight.bounds.head()));
            }
            // What is no event takes no event's place: fewer than asked for are all that there is.
            rows = rows.saturating_mul(2);
        }
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let options = || {
            let own = self.listener.clone();
            own.unwrap_or_else(|| self.pool.connect_options())
        };
        let channel = || self.statements.table().to_owned();
        listen::hints(self.notify.then(|| (options(), channel())))
    }
}

/// What hangs must not take the host's connections, one read after the other.
fn late(mut connection: PoolConnection<Postgres>) -> sqlx::Error {
    connection.close_on_drop();
    io::Error::from(io::ErrorKind::TimedOut).into()
}

impl fmt::Debug for PostgresStore {
    /// A pool holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.statements.table())
            .field("keep", &self.keep)
            .field("notify", &self.notify)
            .finish_non_exhaustive()
    }
}
