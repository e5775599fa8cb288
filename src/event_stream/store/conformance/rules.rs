//! The rules that hold for every store, one function each.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures::future::{join, join_all};

use super::reading::{
    CANCEL, Follower, NAMES, ORDER, PAGES, PATIENCE, PROGRESS, RECENT, STABLE, answered, bounds,
    expect, gone, page, read_all,
};
use super::samples::{sample, selectors_by_nul};
use super::{Checked, Violation};
use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::selector::Selector;
use crate::event_stream::store::EventStore;

pub(super) async fn empty_log<S: EventStore>(store: &S) -> Checked {
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

pub(super) fn contents(all: &[Event]) -> Checked {
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
pub(super) async fn newest<S: EventStore>(
    store: &S,
    selector: &Selector,
    matching: &[Event],
) -> Checked {
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

/// Not even one that the store could not keep. Who is granted it is asked for by it.
pub(super) async fn names_that_no_event_has<S: EventStore>(store: &S) -> Checked {
    let start = bounds(store).await?.floor();
    let refused = |error: S::Error| Violation {
        rule: NAMES,
        found: format!("a NUL in a name gives: {error}"),
    };
    for selector in selectors_by_nul() {
        store
            .read_after(start, &selector, 9)
            .await
            .map_err(refused)?;
        store.find_recent(&selector, 9).await.map_err(refused)?;
    }
    Ok(())
}

pub(super) async fn meaningless_cursors<S: EventStore>(store: &S) -> Checked {
    let head = bounds(store).await?.head();
    let position = head.position();
    let other = Epoch::new(head.epoch().get().wrapping_add(1));
    gone(store, EventId::new(other, position)).await?;
    gone(store, EventId::new(other, Position::START)).await?;
    for beyond in [position.get() + 1, u128::from(u64::MAX), u128::MAX] {
        // Where positions are large, a number may lie among them.
        let beyond = Position::new(beyond);
        if beyond > position {
            gone(store, EventId::new(head.epoch(), beyond)).await?;
        }
    }
    Ok(())
}

/// A read that is dropped at any await changes nothing.
pub(super) async fn dropped_reads<S: EventStore>(store: &S, all: &[Event]) -> Checked {
    let everything = Selector::everything();
    for polls in 0..PATIENCE {
        let page = dropped_after(polls, store.read_after(all[0].id(), &everything, 4)).await;
        let recent = dropped_after(polls, store.find_recent(&everything, 4)).await;
        let bounds = dropped_after(polls, store.bounds()).await;
        if !page && !recent && !bounds {
            break;
        }
    }
    let again = read_all(store, &everything, 7).await?;
    expect(again == all, CANCEL, || {
        "after dropped reads the log reads differently".to_owned()
    })
}

/// Polls a read so many times and drops it. Answers whether that was before its end.
async fn dropped_after<T>(polls: usize, read: impl Future<Output = T>) -> bool {
    let mut read = pin!(read);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        read.as_mut().poll(cx).map(|_| false)
    })
    .await
}

/// A reader of rare events gets to the end, in reads that the scanned events pay for.
pub(super) async fn rare_events<S: EventStore>(
    store: &S,
    append: &impl AsyncFn(&S, NewEvent),
) -> Checked {
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

/// What several writers append is read once and in order while they do, and the newest of it is what
/// there is up to where a reader is told to go on.
pub(super) async fn many_writers<S: EventStore>(
    store: &S,
    append: &impl AsyncFn(&S, NewEvent),
) -> Checked {
    let mut reader = Follower::at(bounds(store).await?.head());
    let writer = |writer: u32| async move {
        for n in 0..25 {
            append(store, sample(writer * 25 + n)).await;
            pass().await;
        }
    };
    let mut newest = Vec::new();
    let reading = async {
        for _ in 0..PATIENCE {
            newest.push(answered(
                store.find_recent(&Selector::everything(), 10).await,
            )?);
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
    for page in newest {
        let next = page.next.position();
        let upto = reader
            .events
            .partition_point(|event| event.id().position() <= next);
        let wanted = &reader.events[upto.saturating_sub(10)..upto];
        expect(page.events == wanted, RECENT, || {
            format!("up to {} the newest 10 are {:?}", page.next, page.events)
        })?;
    }
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

/// Lets others go on.
pub(super) async fn pass() {
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
