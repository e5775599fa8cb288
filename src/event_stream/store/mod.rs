//! The log that a host supplies, and the one that comes with the crate.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::stream::{BoxStream, StreamExt, pending};

use super::event::Event;
use super::id::{Epoch, EventId, Position};
use super::selector::Selector;

pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis::RedisStore;

#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod strangers;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod witness;

/// A log of events that can be read from any place: the host's repository, or [`MemoryStore`].
///
/// Writing is the store's own affair: an `append` on ours, an `INSERT` inside the host's own
/// transaction.
///
/// # Contract
///
/// 1. **Order.** Positions are totally ordered within an epoch, and larger than
///    [`Position::START`]. Holes are fine.
/// 2. **Stability.** Once a page said `next`, nothing may ever appear at or below it. This is what
///    `WHERE id > $last` over a sequence breaks: ids are handed out before they are committed, so
///    7 can appear after 8 was read. Read only up to the position below which every writer has
///    finished, and let `next` be no later than that.
/// 3. **Progress.** `next` says how far was *scanned*, past events that the selector left out and
///    past holes: the last event returned when the limit was reached, the newest stable position
///    otherwise. A `next` at the last match makes readers of rare events scan for ever.
/// 4. **Nothing silent.** A cursor of another epoch, below what is retained, or beyond the newest
///    position (a log that was rolled back, or an id that somebody made up) is answered
///    [`Read::Gone`], never with a page. A page is all there is between the cursor and `next`. What
///    lies among the positions and was never given out may be answered either way.
/// 5. **Epoch.** It changes when the log was lost, restored or flushed, and is kept beside the log
///    otherwise: clients of a restarted process resume.
/// 6. **One truth.** All methods answer from the primary: a lagging replica would take a client's
///    cursor for a roll-back.
/// 7. **Cancellation.** Any future may be dropped at any await, and reads change nothing.
/// 8. **Any name.** A selector may hold types, topics and users that no event has and the store
///    cannot keep, such as one with a NUL. They select nothing, and are no error: it would end the
///    streams of whoever was granted one.
/// 9. **Errors** are taken as an outage: the read is tried again, with a growing pause, and the
///    streams stay open. So is a panic.
///
/// What breaks it costs events, silently. The `conformance` suite (feature `test-util`) checks it.
///
/// # Example
///
/// `examples/own_store.rs` implements it over SQLite in a hundred lines, and holds it to the
/// contract; `examples/demo` has a fuller one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a log of events",
    note = "implement `EventStore` for your repository, or use `MemoryStore`"
)]
pub trait EventStore: Send + Sync + 'static {
    /// Why a read failed. It is logged, and never reaches a response.
    type Error: Error + Send + Sync + 'static;

    /// The epoch, and between which positions the log can be read now.
    ///
    /// # Errors
    ///
    /// When the log cannot be reached.
    fn bounds(&self) -> impl Future<Output = Result<Bounds, Self::Error>> + Send;

    /// At most `limit` events strictly after `cursor`, in order.
    ///
    /// `selector` is a hint: events that it leaves out may be returned or not. A page may hold
    /// fewer than `limit` events although there are more, as long as `next` moves on.
    ///
    /// # Errors
    ///
    /// When the log cannot be reached.
    fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Read, Self::Error>> + Send;

    /// The newest `limit` events that `selector` matches, oldest first; `next` is the newest stable
    /// position, read in the same snapshot, from which a reader goes on.
    ///
    /// Unlike in [`read_after`](Self::read_after) the selector is no hint here: what it leaves out
    /// would take the place of what was asked for.
    ///
    /// # Errors
    ///
    /// When the log cannot be reached.
    fn find_recent(
        &self,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Self::Error>> + Send;

    /// Wakes the tailer: "there may be something new". Hints may be lost, doubled, early or never
    /// come (the default): data always comes from a read, and the tailer polls anyway.
    fn hints(&self) -> impl Stream<Item = ()> + Send {
        pending()
    }
}

impl<S: EventStore> EventStore for Arc<S> {
    type Error = S::Error;

    fn bounds(&self) -> impl Future<Output = Result<Bounds, Self::Error>> + Send {
        (**self).bounds()
    }

    fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Read, Self::Error>> + Send {
        (**self).read_after(cursor, selector, limit)
    }

    fn find_recent(
        &self,
        selector: &Selector,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Self::Error>> + Send {
        (**self).find_recent(selector, limit)
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        (**self).hints()
    }
}

/// Between which positions a log can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    epoch: Epoch,
    floor: Position,
    head: Position,
}

impl Bounds {
    /// The log `epoch`, from which everything after `floor` can be read, up to `head`.
    ///
    /// `floor` is the position of the last event that was trimmed, or [`Position::START`] while
    /// none was. `head` is the newest stable position; a `head` below `floor` counts as `floor`.
    #[must_use]
    pub fn new(epoch: Epoch, floor: Position, head: Position) -> Self {
        let head = head.max(floor);
        Self { epoch, floor, head }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The oldest cursor from which a reader can go on.
    #[must_use]
    pub fn floor(&self) -> EventId {
        EventId::new(self.epoch, self.floor)
    }

    /// The newest stable position.
    #[must_use]
    pub fn head(&self) -> EventId {
        EventId::new(self.epoch, self.head)
    }

    /// Whether a reader that has seen everything up to `cursor` can go on from there.
    #[must_use]
    pub fn contain(&self, cursor: EventId) -> bool {
        cursor.epoch() == self.epoch && (self.floor..=self.head).contains(&cursor.position())
    }
}

/// Events in order, and how far was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    pub(super) events: Vec<Event>,
    pub(super) next: EventId,
}

impl Page {
    /// `events` are all there is up to `next`, as the [contract](EventStore#contract) has it.
    #[must_use]
    pub fn new(events: Vec<Event>, next: EventId) -> Self {
        Self { events, next }
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How far was read.
    #[must_use]
    pub fn next(&self) -> EventId {
        self.next
    }
}

/// The answer to a reader's cursor.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the contract knows no third answer"
)]
pub enum Read {
    /// What comes after it.
    Page(Page),
    /// Nothing can be said about what comes after it; here is what can be read.
    Gone(Bounds),
}

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// [`EventStore`], erased: one box per page read, so that no other type has a parameter.
pub(super) trait DynStore: Send + Sync {
    fn bounds(&self) -> BoxFuture<'_, Bounds>;
    fn read_after<'a>(
        &'a self,
        cursor: EventId,
        selector: &'a Selector,
        limit: usize,
    ) -> BoxFuture<'a, Read>;
    fn find_recent<'a>(&'a self, selector: &'a Selector, limit: usize) -> BoxFuture<'a, Page>;
    fn hints(&self) -> BoxStream<'_, ()>;
}

impl<S: EventStore> DynStore for S {
    fn bounds(&self) -> BoxFuture<'_, Bounds> {
        Box::pin(async move { Ok(EventStore::bounds(self).await?) })
    }

    fn read_after<'a>(
        &'a self,
        cursor: EventId,
        selector: &'a Selector,
        limit: usize,
    ) -> BoxFuture<'a, Read> {
        Box::pin(async move { Ok(EventStore::read_after(self, cursor, selector, limit).await?) })
    }

    fn find_recent<'a>(&'a self, selector: &'a Selector, limit: usize) -> BoxFuture<'a, Page> {
        Box::pin(async move { Ok(EventStore::find_recent(self, selector, limit).await?) })
    }

    fn hints(&self) -> BoxStream<'_, ()> {
        EventStore::hints(self).boxed()
    }
}

impl fmt::Debug for dyn DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStore")
    }
}
