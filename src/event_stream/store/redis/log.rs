//! The store: what it is told, what it writes, what it answers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use redis::aio::ConnectionLike;
use redis::{Client, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::Mutex;

use super::block::{self, Door};
use super::link::Link;
use super::range::Range;
use super::reply::{self, Entry, Reply, epoch, id, name, position};
use super::scripts::{PRUNED, Scripts};
use crate::backend::Deadline;
use crate::clock::Clock;
use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::selector::Selector;
use crate::event_stream::store::strangers::Strangers;
use crate::event_stream::store::witness::{Sight, Witness};
use crate::event_stream::store::{Bounds, EventStore, Page, Read};
use crate::trace::emit;

/// A log in a stream of Redis 7 or later, or of Valkey, which any number of processes read and write.
///
/// It is quick and bounded, and not part of any transaction of the host: between a commit elsewhere
/// and [`append`](Self::append) a process can be killed, and then the event is never written. Where
/// that matters, the log belongs into the database. Clones are the same store.
///
/// `C` is any connection of the `redis` crate that can be cloned: a `ConnectionManager`, which
/// [mostly](#deployment) reconnects; a `MultiplexedConnection`, which does not; a
/// `ClusterConnection`.
///
/// # Behaviour
///
/// 1. A place in the log is the id that `XADD` gives: Redis appends one after the other, so nothing
///    appears behind a reader.
/// 2. Everything is in one key, the epoch and the floor as well: a consumer group without
///    consumers, `bartizan:..`, keeps them. A flush, an eviction, a deletion take all of it, and
///    the next read starts a new epoch.
/// 3. Every read is one script, of one moment. Redis has no index by type or user: pages hold
///    whatever comes next, and the store leaves out what the selector does. So the newest of a rare
///    kind cost a read of the whole stream, in pieces: bound it accordingly.
/// 4. An append trims, at most 128 entries at a time, what is over
///    [`keep_events`](Self::keep_events) or older than [`keep_for`](Self::keep_for): the log is at
///    most some hundred entries longer. What others trim (`XTRIM`, `XADD .. MAXLEN`) is noticed,
///    and readers behind it are told.
/// 5. A log that was rolled back, by a fail-over to a replica that lagged or a restart from old
///    data, is told by what it lacks: a cursor that stands where no entry is, is answered as gone;
///    and where this process itself has read such an entry, a new epoch begins.
///
/// # Writing from elsewhere
///
/// One command, in any language; leave out the fields that the event does not have. Entries that
/// are no events are left out.
///
/// ```text
/// XADD bartizan:events * type order.paid data 7 user u1 topic orders
/// ```
///
/// # Deployment
///
/// - *Persistence*: `appendonly yes`; with `appendfsync everysec` a power cut takes back the last
///   second, with `always` nothing. Without persistence a restart begins a new epoch.
/// - *Replication* is asynchronous: a fail-over loses what had not been copied, although `append`
///   had answered. `min-replicas-to-write` narrows that, and nothing in Redis closes it.
/// - *Memory*: `maxmemory-policy noeviction`, or a `volatile` one. When it is full appends are
///   refused; reads and trims go on.
/// - *Replicas* refuse the scripts: the connection must lead to the primary.
/// - *Cluster*: the log is one key, on one node, as fast as that is. [`wait_at`](Self::wait_at)
///   needs that node's address.
/// - *Rights*: `EVALSHA`, `EVAL`, `SCRIPT LOAD`, and for the key `XADD`, `XRANGE`, `XREVRANGE`,
///   `XREAD`, `XLEN`, `XTRIM`, `XINFO`, `XGROUP`, `EXISTS`, `TIME`.
/// - *Connections*: the one that is given, shared by all reads; and one more with `wait_at`. A
///   `ConnectionManager` gives up for good if its password is refused for some seconds; it keeps a
///   connection that leads nowhere until the system gives that up, up to a quarter of an hour; and
///   it stays with a primary that has become a replica. [`reconnect`](Self::reconnect) is for these.
///
/// # Example
///
/// `tests/backends` runs this code against a server.
///
/// ```no_run
/// use bartizan::event_stream::{EventHub, NewEvent, RedisStore};
/// use redis::aio::{ConnectionManager, ConnectionManagerConfig};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://events.internal/")?;
/// let door = client.clone();
/// let connect = move || {
///     ConnectionManager::new_lazy_with_config(client.clone(), ConnectionManagerConfig::new())
/// };
/// let store = RedisStore::new(connect()?).reconnect(connect).wait_at(door);
/// let (hub, tailer) = EventHub::builder(store.clone()).build();
/// tokio::spawn(tailer);
///
/// store.append(NewEvent::json("order.paid", &7)?.for_user("u1")).await?;
/// # drop(hub);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisStore<C> {
    link: Arc<Link<C>>,
    connect: Option<Arc<Connect<C>>>,
    door: Option<Door>,
    key: Arc<str>,
    keep_events: u64,
    keep_for: Duration,
    patience: Duration,
    scripts: Arc<Scripts>,
    witness: Arc<Witness>,
    strangers: Arc<Strangers>,
}

type Connect<C> = dyn Fn() -> RedisResult<C> + Send + Sync;

impl<C> RedisStore<C> {
    /// A log under the key `bartizan:events`.
    pub fn new(connection: C) -> Self {
        Self {
            link: Arc::new(Link::new(connection)),
            connect: None,
            door: None,
            key: Arc::from("bartizan:events"),
            keep_events: 100_000,
            keep_for: Duration::from_secs(7 * 24 * 60 * 60),
            patience: Duration::from_secs(5),
            scripts: Arc::new(Scripts::new()),
            witness: Arc::default(),
            strangers: Arc::default(),
        }
    }

    /// Takes another connection from `connect` as long as the server cannot be reached: whenever every
    /// call has failed for as long as [`patience`](Self::patience). Off unless set; an error leaves the
    /// one that there is.
    ///
    /// A connection that comes back by itself [does not always](Self#deployment). `connect` is called
    /// while a read waits, so it must not: it returns one that connects when it is first used, as in
    /// the [example](Self#example). All clones get the new connection, and that of
    /// [`wait_at`](Self::wait_at) is made anew as well.
    pub fn reconnect(
        mut self,
        connect: impl Fn() -> RedisResult<C> + Send + Sync + 'static,
    ) -> Self {
        self.connect = Some(Arc::new(connect));
        self
    }

    /// Another key: logs side by side.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = key.into();
        self
    }

    /// Waits for news at `client`, over one connection that `XREAD` blocks, rather than poll: off.
    ///
    /// One reader at a time waits, for all clones of this store. What it hears are hints: polling
    /// goes on, less often.
    pub fn wait_at(mut self, client: Client) -> Self {
        self.door = Some(Arc::new(Mutex::new(client)));
        self
    }

    /// How many of the newest events are kept: 100,000.
    pub fn keep_events(mut self, most: u64) -> Self {
        self.keep_events = most;
        self
    }

    /// How long an event is kept: 7 days. It goes when later ones are appended, or by
    /// [`prune`](Self::prune).
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.keep_for = age;
        self
    }

    /// How long a read waits for its answer: 5 s, unless the connection gives up before.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Appends an event.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, is out of memory, or is a replica. An answer that is lost
    /// leaves open whether it was appended.
    pub async fn append(&self, event: NewEvent) -> RedisResult<EventId> {
        let mut call = self.scripts.append.key(&*self.key);
        call.arg(name(Epoch::random()));
        call.arg(self.keep_events).arg(self.age());
        call.arg("type").arg(event.kind());
        call.arg("data").arg(event.data());
        for (field, value) in [("user", event.user()), ("topic", event.topic_name())] {
            if let Some(value) = value {
                call.arg(field).arg(value);
            }
        }
        let (group, id): (String, String) = self.call(&call).await?;
        Ok(EventId::new(epoch(&group)?, position(&id)?))
    }

    /// Trims what is over the bounds and answers how many entries that were: for logs to which only
    /// others append.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or is a replica.
    pub async fn prune(&self) -> RedisResult<u64> {
        let mut pruned = 0;
        loop {
            let mut call = self.scripts.prune.key(&*self.key);
            call.arg(self.keep_events).arg(self.age());
            let some = self.call::<u64>(&call).await?;
            pruned += some;
            // What was appended meanwhile is left for the next time, or this might never end.
            if some < PRUNED {
                return Ok(pruned);
            }
        }
    }

    /// Forgets every event up to and including `id`, and answers how many those were. Readers
    /// behind it are told. An id of another epoch forgets nothing.
    ///
    /// # Errors
    ///
    /// Those of [`prune`](Self::prune).
    pub async fn trim(&self, id: EventId) -> RedisResult<u64> {
        let last = id.position();
        let after = Position::new(last.get().saturating_add(1));
        let mut call = self.scripts.trim.key(&*self.key);
        call.arg(name(id.epoch()));
        call.arg(reply::id(last)).arg(reply::id(after));
        self.call(&call).await
    }

    /// Starts a new epoch: every client is told that the log is not the one it has read.
    ///
    /// # Errors
    ///
    /// Those of [`prune`](Self::prune).
    pub async fn new_epoch(&self) -> RedisResult<()> {
        let (sight, _) = self.ask(None, &Range::nothing()).await?;
        self.renew(&sight).await
    }

    /// One entry must not end the log for everybody.
    fn event(&self, id: EventId, values: &[Vec<u8>]) -> Option<Event> {
        let event = reply::event(id, values);
        if event.is_none() {
            self.strangers.met(id);
        }
        event
    }

    /// Milliseconds after which an event may go.
    fn age(&self) -> u64 {
        u64::try_from(self.keep_for.as_millis()).unwrap_or(u64::MAX)
    }

    async fn renew(&self, sight: &Sight) -> RedisResult<()> {
        let mut call = self.scripts.renew.key(&*self.key);
        call.arg(name(sight.bounds.epoch()));
        call.arg(name(Epoch::random()));
        self.call(&call).await
    }

    /// Reads, and reads again where the log turned out to have been rolled back.
    async fn find(&self, range: &Range) -> RedisResult<(Sight, Vec<Entry>)> {
        let newest = self.witness.newest();
        let mut found = self.ask(newest, range).await?;
        if found.0.was_rolled_back(newest) {
            emit!(
                warn,
                {},
                "the event log was rolled back: it begins a new epoch"
            );
            self.renew(&found.0).await?;
            found = self.ask(newest, range).await?;
        }
        self.witness.saw(found.0.bounds.head());
        Ok(found)
    }

    /// One script.
    async fn ask(
        &self,
        newest: Option<EventId>,
        range: &Range,
    ) -> RedisResult<(Sight, Vec<Entry>)> {
        let newest = newest.map_or(Position::START, EventId::position);
        let mut call = self.scripts.read.key(&*self.key);
        call.arg(name(Epoch::random())).arg(id(newest));
        call.arg(range.command).arg(&range.from).arg(&range.to);
        call.arg(range.count);
        let (group, stream, stands, entries): Reply = self.call(&call).await?;
        let sight = Sight {
            bounds: reply::bounds(&group, &stream)?,
            cursor_stands: entries.first().is_some_and(|entry| entry.0 == range.from),
            newest_stands: stands > 0,
        };
        Ok((sight, entries))
    }

    async fn call<T>(&self, call: &ScriptInvocation<'_>) -> RedisResult<T>
    where
        T: FromRedisValue + Send + Sync,
    {
        let mut connection = self.link.connection();
        let deadline = Deadline::after(self.patience);
        let answered = deadline.bound(call.invoke_async(&mut connection)).await;
        let answered =
            answered.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        match answered {
            Ok(_) => self.link.answered(),
            Err(_) => self.failed(),
        }
        answered
    }

    fn failed(&self) {
        let is_over = self.link.failed(Clock::new().now(), self.patience);
        let connect = self.connect.as_ref().filter(|_| is_over);
        if let Some(Ok(connection)) = connect.map(|connect| connect()) {
            self.link.replace(connection);
        }
    }
}

impl<C> EventStore for RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    type Error = RedisError;

    async fn bounds(&self) -> RedisResult<Bounds> {
        Ok(self.find(&Range::nothing()).await?.0.bounds)
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> RedisResult<Read> {
        let limit = limit.max(1);
        let range = Range::after(cursor.position(), limit.max(LEAST_SCANNED));
        let (sight, entries) = self.find(&range).await?;
        if !sight.continues(cursor) {
            return Ok(Read::Gone(sight.bounds));
        }
        let full = entries.len() >= range.count;
        let mut events = Vec::new();
        let mut last = cursor;
        for (at, values) in entries.iter().skip(usize::from(sight.cursor_stands)) {
            last = EventId::new(cursor.epoch(), position(at)?);
            events.extend(
                self.event(last, values)
                    .filter(|event| selector.matches(event)),
            );
            if events.len() >= limit {
                return Ok(Read::Page(Page::new(events, last)));
            }
        }
        let next = if full { last } else { sight.bounds.head() };
        Ok(Read::Page(Page::new(events, next)))
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> RedisResult<Page> {
        let mut range = Range::newest(limit.max(RECENT_SCANNED));
        let (sight, mut entries) = self.find(&range).await?;
        let epoch = sight.bounds.epoch();
        let mut events: Vec<Event> = Vec::new();
        while events.len() < limit {
            for (at, values) in &entries {
                let event = self.event(EventId::new(epoch, position(at)?), values);
                events.extend(event.filter(|event| selector.matches(event)));
            }
            let Some((oldest, _)) = entries.last() else {
                break;
            };
            range.from = format!("({oldest}");
            let (sight, older) = self.find(&range).await?;
            if sight.bounds.epoch() != epoch {
                // The rest is of another log: what was found stands.
                break;
            }
            entries = older;
        }
        events.truncate(limit);
        events.reverse();
        Ok(Page::new(events, sight.bounds.head()))
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        block::hints(
            self.door.clone(),
            Arc::clone(&self.key),
            self.link.replaced(),
        )
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    /// A client holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("key", &self.key)
            .field("keep_events", &self.keep_events)
            .field("keep_for", &self.keep_for)
            .finish_non_exhaustive()
    }
}

/// A reader of rare events looks at this many entries with each read: some tens of microseconds of
/// the server's time.
const LEAST_SCANNED: usize = 256;

/// The same where the newest are sought, which may be all of the log.
const RECENT_SCANNED: usize = 1024;

#[cfg(test)]
mod tests;
