//! Checks that a store keeps the [contract](EventStore#contract), for the tests of hosts that write
//! one (feature `test-util`).
//!
//! Each check takes a closure that makes an empty store and one that appends to it, since writing is
//! the store's own affair, and answers the first rule that is broken. [`check`] is for every store;
//! the others take one more closure and are for stores that can do what it asks:
//!
//! | the store | check |
//! |---|---|
//! | any | [`check`], [`check_delivery`] |
//! | has several writers, or transactions | [`check_commit_order`] |
//! | forgets old events | [`check_trim`] |
//! | survives its process | [`check_reopen`] |
//! | can be restored or flushed | [`check_loss`] |
//!
//! ```
//! use bartizan::event_stream::{MemoryStore, conformance};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! conformance::check(
//!     async || MemoryStore::new(),
//!     async |store: &MemoryStore, event| {
//!         store.append(event).expect("it is small");
//!     },
//! )
//! .await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use self::delivery::Hints;
use self::reading::{EPOCH, Follower, PAGES, SILENT, STABLE, bounds, expect, gone, page, read_all};
use self::samples::{sample, selectors};
use super::EventStore;
use crate::event_stream::event::NewEvent;
use crate::event_stream::id::EventId;
use crate::event_stream::selector::Selector;

mod delivery;
mod reading;
mod rules;
mod samples;

/// A rule of the contract that a store breaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    rule: &'static str,
    found: String,
}

impl Violation {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.rule
    }

    /// What the store did instead.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.found)
    }
}

impl Error for Violation {}

/// What [`check_commit_order`] does between two commits: await it there.
pub type Meanwhile<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

type Checked = Result<(), Violation>;

/// Checks what holds for every store: order, limits, selectors, names that no event has, progress,
/// what is newest, cursors that mean nothing, writers and readers at once, reads that are dropped at
/// every await. About 900 events in all.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
) -> Checked {
    rules::empty_log(&fresh().await).await?;
    let store = fresh().await;
    for n in 0..24 {
        append(&store, sample(n)).await;
    }
    let all = read_all(&store, &Selector::everything(), 100).await?;
    rules::contents(&all)?;
    for limit in [1, 3, 24] {
        let paged = read_all(&store, &Selector::everything(), limit).await?;
        expect(paged == all, PAGES, || {
            format!("pages of {limit} differ from one of 100")
        })?;
    }
    rules::names_that_no_event_has(&store).await?;
    for selector in selectors() {
        let mut some = read_all(&store, &selector, 5).await?;
        some.retain(|event| selector.matches(event));
        let wanted: Vec<_> = all
            .iter()
            .filter(|event| selector.matches(event))
            .cloned()
            .collect();
        expect(some == wanted, PAGES, || {
            format!("{selector:?} gives {some:?}")
        })?;
        rules::newest(&store, &selector, &wanted).await?;
    }
    rules::meaningless_cursors(&store).await?;
    rules::dropped_reads(&store, &all).await?;
    rules::rare_events(&fresh().await, &append).await?;
    rules::many_writers(&fresh().await, &append).await
}

/// Checks the whole way, through an [`EventHub`](crate::event_stream::EventHub): a client who was
/// away for half of `events` events and is there for the rest gets each once and in order. The hub
/// keeps a single event, so the store serves nearly all; and it is run again, with a tenth of the
/// events, with the store's hints lost, and with a storm of hints.
///
/// 10,000 events show most; take fewer where an append is slow. It needs tokio's timers, of real time
/// or paused.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check_delivery<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
    events: u32,
) -> Checked {
    delivery::deliver(fresh().await, &append, Hints::AsTheyAre, events).await?;
    for hints in [Hints::Lost, Hints::Storming] {
        delivery::deliver(fresh().await, &append, hints, events / 10).await?;
    }
    Ok(())
}

/// Checks that an event which takes its place first and is committed last is not skipped.
///
/// `overlap` begins to write its first event so that it takes its position, commits the second,
/// awaits the [`Meanwhile`], and then commits the first. Where writers queue for each other it
/// awaits the `Meanwhile` between the two commits.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check_commit_order<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
    overlap: impl AsyncFn(&S, NewEvent, NewEvent, Meanwhile<'_>),
) -> Checked {
    let store = fresh().await;
    append(&store, sample(0)).await;
    let mut reader = Follower::at(bounds(&store).await?.head());
    let mut early = Ok(());
    let meanwhile = Box::pin(async { early = reader.follow(&store).await });
    overlap(&store, sample(1), sample(2), meanwhile).await;
    early?;
    append(&store, sample(3)).await;
    reader.follow(&store).await?;
    let mut found: Vec<_> = reader
        .events
        .iter()
        .map(|event| event.content().data())
        .collect();
    found.sort_unstable();
    let mut wanted = [sample(1), sample(2), sample(3)].map(|event| event.data().to_owned());
    wanted.sort_unstable();
    expect(found == wanted, STABLE, || {
        format!("of two writers that overlap and one after them, a reader saw {found:?}")
    })
}

/// Checks what a store says of events that it has forgotten. `trim` forgets everything up to and
/// including an event.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check_trim<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
    trim: impl AsyncFn(&S, EventId),
) -> Checked {
    let store = fresh().await;
    let start = bounds(&store).await?.head();
    for n in 0..10 {
        append(&store, sample(n)).await;
    }
    let all = read_all(&store, &Selector::everything(), 100).await?;
    let id = |at: usize| all[at].id();
    trim(&store, id(3)).await;
    for cursor in [start, id(0), id(2)] {
        gone(&store, cursor).await?;
    }
    let page = page(&store, id(3), &Selector::everything(), 2).await?;
    expect(page.events == all[4..6], PAGES, || {
        format!("after the trim comes {page:?}")
    })?;
    let floor = bounds(&store).await?.floor();
    expect(floor.position() >= id(3).position(), SILENT, || {
        format!("the floor is {floor}")
    })?;
    rules::newest(&store, &Selector::everything(), &all[4..]).await?;

    // A reader in the middle of its pages.
    trim(&store, id(7)).await;
    gone(&store, id(5)).await?;
    trim(&store, id(9)).await;
    gone(&store, id(8)).await?;
    let mut reader = Follower::at(id(9));
    append(&store, sample(10)).await;
    reader.follow(&store).await?;
    expect(reader.events.len() == 1, PAGES, || {
        "an emptied log says nothing more".to_owned()
    })
}

/// Checks that a log which survives its process keeps its epoch, so that clients resume. `reopen`
/// closes the store and opens it again.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check_reopen<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
    reopen: impl AsyncFn(S) -> S,
) -> Checked {
    let store = fresh().await;
    for n in 0..5 {
        append(&store, sample(n)).await;
    }
    let all = read_all(&store, &Selector::everything(), 100).await?;
    let store = reopen(store).await;
    append(&store, sample(5)).await;
    let mut reader = Follower::at(all[2].id());
    reader.follow(&store).await?;
    expect(
        reader.events.len() == 3 && reader.events[..2] == all[3..],
        EPOCH,
        || {
            format!(
                "after it was opened again a reader of the third event gets {:?}",
                reader.events
            )
        },
    )
}

/// Checks that a log which lost something says so. `lose` takes events away that were readable, as
/// a restore from a backup, a fail-over or a flush does, and opens what is left.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check_loss<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
    lose: impl AsyncFn(S) -> S,
) -> Checked {
    let store = fresh().await;
    for n in 0..5 {
        append(&store, sample(n)).await;
    }
    let all = read_all(&store, &Selector::everything(), 100).await?;
    let store = lose(store).await;
    // As many again, so that the former positions mean other events.
    for n in 5..15 {
        append(&store, sample(n)).await;
    }
    for event in &all {
        gone(&store, event.id()).await?;
    }
    let epoch = bounds(&store).await?.epoch();
    expect(epoch != all[0].id().epoch(), EPOCH, || {
        "it is the same after a loss".to_owned()
    })
}
