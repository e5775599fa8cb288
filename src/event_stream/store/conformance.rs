//! Checks that a store keeps the [contract](EventStore#contract), for the tests of hosts that write
//! one (feature `test-util`).
//!
//! Each check takes a closure that makes an empty store and one that appends to it, since writing is
//! the store's own affair, and answers the first rule that is broken. [`check`] is for every store;
//! the others take one more closure and are for stores that can do what it asks:
//!
//! | the store | check |
//! |---|---|
//! | any | [`check`] |
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
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures::future::{join, join_all};

use super::{Bounds, EventStore, Page, Read};
use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::selector::Selector;

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

/// Checks what holds for every store: order, limits, selectors, progress, what is newest, cursors
/// that mean nothing, writers and readers at once, reads that are dropped half way. About 900
/// events in all.
///
/// # Errors
///
/// The first rule that is broken.
pub async fn check<S: EventStore>(
    fresh: impl AsyncFn() -> S,
    append: impl AsyncFn(&S, NewEvent),
) -> Checked {
    empty_log(&fresh().await).await?;
    let store = fresh().await;
    for n in 0..24 {
        append(&store, sample(n)).await;
    }
    let all = read_all(&store, &Selector::everything(), 100).await?;
    contents(&all)?;
    for limit in [1, 3, 24] {
        let paged = read_all(&store, &Selector::everything(), limit).await?;
        expect(paged == all, PAGES, || {
            format!("pages of {limit} differ from one of 100")
        })?;
    }
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
        newest(&store, &selector, &wanted).await?;
    }
    meaningless_cursors(&store).await?;
    dropped_reads(&store, &all).await?;
    rare_events(&fresh().await, &append).await?;
    many_writers(&fresh().await, &append).await
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
    newest(&store, &Selector::everything(), &all[4..]).await?;

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

async fn empty_log<S: EventStore>(store: &S) -> Checked {
    let bounds = bounds(store).await?;
    let empty = bounds.floor() == bounds.head();
    expect(empty, ORDER, || {
        format!("an empty log has bounds {bounds:?}")
    })?;
    let page = page(store, bounds.head(), &Selector::everything(), 9).await?;
    let still = page.events.is_empty() && page.next == bounds.head();
    expect(still, PROGRESS, || format!("an empty log gives {page:?}"))?;
    newest(store, &Selector::everything(), &[]).await
}

fn contents(all: &[Event]) -> Checked {
    expect(all.len() == 24, PAGES, || {
        format!("24 were appended, {} came back", all.len())
    })?;
    for (event, n) in all.iter().zip(0..) {
        expect(*event.content() == sample(n), ORDER, || {
            format!("event {n} is {event:?}")
        })?;
    }
    Ok(())
}

/// `find_recent` gives the newest that match, and where to go on from.
async fn newest<S: EventStore>(store: &S, selector: &Selector, matching: &[Event]) -> Checked {
    for limit in [1, 4, 1000] {
        let page = answered(store.find_recent(selector, limit).await)?;
        let wanted = &matching[matching.len().saturating_sub(limit)..];
        expect(page.events == wanted, RECENT, || {
            format!("the newest {limit} of {selector:?} are {:?}", page.events)
        })?;
        let head = bounds(store).await?.head();
        expect(page.next == head, RECENT, || {
            format!("its `next` is {}, not {head}", page.next)
        })?;
    }
    Ok(())
}

async fn meaningless_cursors<S: EventStore>(store: &S) -> Checked {
    let head = bounds(store).await?.head();
    let position = head.position();
    let other = Epoch::new(head.epoch().get().wrapping_add(1));
    gone(store, EventId::new(other, position)).await?;
    gone(store, EventId::new(other, Position::START)).await?;
    for beyond in [position.get() + 1, u128::from(u64::MAX), u128::MAX] {
        gone(store, EventId::new(head.epoch(), Position::new(beyond))).await?;
    }
    Ok(())
}

/// A read that is dropped at any await changes nothing.
async fn dropped_reads<S: EventStore>(store: &S, all: &[Event]) -> Checked {
    let everything = Selector::everything();
    for polls in 0..8 {
        let cursor = all[0].id();
        let mut read = pin!(store.read_after(cursor, &everything, 4));
        let mut left = polls;
        poll_fn(|cx| {
            if left == 0 || read.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
    }
    let again = read_all(store, &everything, 7).await?;
    expect(again == all, CANCEL, || {
        "after dropped reads the log reads differently".to_owned()
    })
}

/// A reader of rare events gets to the end, in reads that the scanned events pay for.
async fn rare_events<S: EventStore>(store: &S, append: &impl AsyncFn(&S, NewEvent)) -> Checked {
    for n in 0..500 {
        append(store, sample(n)).await;
    }
    let rare = Selector::everything().only_types(["never"]);
    let found = read_all(store, &rare, 1).await?;
    let matching = found.iter().filter(|event| rare.matches(event)).count();
    expect(matching == 0, PAGES, || {
        format!("{found:?} does not match {rare:?}")
    })?;
    // And the whole of it by a reader of one event at a time.
    let all = read_all(store, &Selector::everything(), 1).await?;
    expect(all.len() == 500, PAGES, || {
        format!("500 were appended, {} came back", all.len())
    })
}

/// What several writers append is read once and in order while they do.
async fn many_writers<S: EventStore>(store: &S, append: &impl AsyncFn(&S, NewEvent)) -> Checked {
    let mut reader = Follower::at(bounds(store).await?.head());
    let writer = |writer: u32| async move {
        for n in 0..25 {
            append(store, sample(writer * 25 + n)).await;
            pass().await;
        }
    };
    let reading = async {
        for _ in 0..PATIENCE {
            reader.follow(store).await?;
            if reader.events.len() >= 100 {
                break;
            }
            pass().await;
        }
        Ok::<_, Violation>(())
    };
    join(join_all((0..4).map(writer)), reading).await.1?;
    reader.follow(store).await?;
    let mut data: Vec<_> = reader
        .events
        .iter()
        .map(|event| event.content().data())
        .collect();
    data.sort_unstable();
    data.dedup();
    expect(
        data.len() == 100 && reader.events.len() == 100,
        STABLE,
        || {
            format!(
                "of 100 events of four writers a reader saw {}",
                reader.events.len()
            )
        },
    )
}

/// A reader that goes on from page to page, and checks each.
#[derive(Debug)]
struct Follower {
    cursor: EventId,
    events: Vec<Event>,
}

impl Follower {
    fn at(cursor: EventId) -> Self {
        let events = Vec::new();
        Self { cursor, events }
    }

    /// Reads up to where there is nothing more.
    async fn follow<S: EventStore>(&mut self, store: &S) -> Checked {
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
async fn read_all<S: EventStore>(
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
async fn page<S: EventStore>(
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

async fn gone<S: EventStore>(store: &S, cursor: EventId) -> Checked {
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

async fn bounds<S: EventStore>(store: &S) -> Result<Bounds, Violation> {
    answered(store.bounds().await)
}

fn answered<T, E: Error>(answer: Result<T, E>) -> Result<T, Violation> {
    answer.map_err(|error| Violation {
        rule: "the log can be reached",
        found: error.to_string(),
    })
}

fn expect(holds: bool, rule: &'static str, found: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Violation {
            rule,
            found: found(),
        }),
    }
}

/// Lets others go on.
async fn pass() {
    let mut passed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Events of several types, topics and users, with data that is awkward to keep.
fn sample(n: u32) -> NewEvent {
    let kind = ["a", "b", "c.d"][n as usize % 3];
    let data = format!(
        "{n}{}",
        ["", "\r\n", "é\u{feff}", "' \" \\"][n as usize % 4]
    );
    let event = NewEvent::text(kind, data).expect("the type is one");
    let event = match n % 5 {
        0 => event.for_user("u1"),
        1 => event.for_user("u2"),
        _ => event,
    };
    match n % 2 {
        0 => event.topic("t"),
        _ => event,
    }
}

fn selectors() -> [Selector; 5] {
    [
        Selector::everything(),
        Selector::public(),
        Selector::everything().only_types(["b", "c.d"]),
        Selector::public().only_users(["u1"]).only_topics(["t"]),
        Selector::everything().only_types(["never"]),
    ]
}

const ORDER: &str = "positions are totally ordered";
const PAGES: &str = "a page is all there is between the cursor and `next`";
const STABLE: &str = "nothing appears at or below what was read";
const PROGRESS: &str = "`next` says how far was scanned";
const RECENT: &str = "`find_recent` gives the newest that match, and the head";
const SILENT: &str = "a cursor is answered with what follows it, or is gone";
const EPOCH: &str = "the epoch changes when, and only when, the log was lost";
const CANCEL: &str = "a read may be dropped";

/// Reads after which a reader that has not arrived never will.
const PATIENCE: usize = 20_000;
