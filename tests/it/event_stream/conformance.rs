//! The conformance suite passes what is right and finds what is planted.

use std::fmt;
use std::sync::{Arc, Mutex};

use bartizan::event_stream::conformance::{
    self, check, check_commit_order, check_delivery, check_loss, check_reopen, check_trim,
};
use bartizan::event_stream::{
    Bounds, Epoch, Event, EventId, EventStore, MemoryStore, NewEvent, Page, Position, Read,
    Selector,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// `WHERE id > $last`, past writers that have not committed.
    NoWatermark,
    /// `WHERE id >= $last`.
    Inclusive,
    /// `next` is the last matching event.
    NextIsLastMatch,
    /// `next` is the head, though the limit cut the page short.
    NextIsHead,
    /// One event more than was asked for.
    OverLimit,
    /// Newest first.
    Backwards,
    /// What was trimmed is passed over.
    SilentTrim,
    /// A cursor beyond the head waits.
    SilentBeyond,
    /// The epoch is not looked at.
    AnyEpoch,
    /// A lost log goes on under the same epoch.
    SameEpoch,
    /// A log that survived starts a new epoch.
    NewEpoch,
    /// `find_recent` applies the limit before the selector.
    RecentUnfiltered,
    /// `find_recent` says to go on from its last event.
    RecentNext,
    /// `find_recent` reads the events first and where to go on from afterwards.
    RecentTorn,
    /// A NUL ends a name, as in C.
    CutsNames,
    /// A NUL in a name is an error, as in PostgreSQL.
    RefusesNames,
    /// A read that is dropped takes its events along.
    LosesDropped,
}

/// A host's log with transactions, and one fault.
#[derive(Clone)]
struct Planted {
    fault: Fault,
    log: Arc<Mutex<Log>>,
}

#[derive(Clone, Debug)]
struct Log {
    epoch: u64,
    floor: u64,
    newest: u64,
    rows: Vec<(u64, NewEvent, bool)>,
}

impl Planted {
    fn new(fault: Fault) -> Self {
        let log = Log {
            epoch: 7,
            floor: 0,
            newest: 0,
            rows: Vec::new(),
        };
        let log = Arc::new(Mutex::new(log));
        Self { fault, log }
    }

    fn begin(&self, event: NewEvent) -> u64 {
        let mut log = self.log.lock().unwrap();
        log.newest += 1;
        let position = log.newest;
        log.rows.push((position, event, false));
        position
    }

    fn commit(&self, position: u64) {
        let mut log = self.log.lock().unwrap();
        let row = log.rows.iter_mut().find(|row| row.0 == position);
        row.unwrap().2 = true;
    }

    fn append(&self, event: NewEvent) {
        let position = self.begin(event);
        self.commit(position);
    }

    fn trim(&self, id: EventId) {
        let mut log = self.log.lock().unwrap();
        log.floor = u64::try_from(id.position().get()).unwrap();
        let floor = log.floor;
        log.rows.retain(|row| row.0 > floor);
    }

    fn id(log: &Log, position: u64) -> EventId {
        EventId::new(Epoch::new(log.epoch), Position::from(position))
    }

    /// What the selector comes to in the store's own language.
    fn asked(&self, selector: &Selector) -> Result<Selector, fmt::Error> {
        let names = |names: &[Arc<str>]| -> Vec<Arc<str>> {
            let cut = |name: &Arc<str>| name.split('\0').next().unwrap().into();
            names.iter().map(cut).collect()
        };
        let lists = [selector.types(), selector.topics(), selector.users()];
        let mut all = lists.into_iter().flatten().flatten();
        let holds_nul = all.any(|name| name.contains('\0'));
        match self.fault {
            Fault::RefusesNames if holds_nul => Err(fmt::Error),
            Fault::CutsNames if holds_nul => {
                let mut cut = selector.clone();
                if let Some(types) = selector.types() {
                    cut = cut.only_types(names(types));
                }
                if let Some(topics) = selector.topics() {
                    cut = cut.only_topics(names(topics));
                }
                if let Some(users) = selector.users() {
                    cut = cut.only_users(names(users));
                }
                Ok(cut)
            }
            _ => Ok(selector.clone()),
        }
    }

    /// What may be read, and up to where.
    fn visible(&self, log: &Log) -> (Vec<Event>, u64) {
        let pending = log.rows.iter().filter(|row| !row.2).map(|row| row.0).min();
        let head = match pending {
            Some(pending) if self.fault != Fault::NoWatermark => pending - 1,
            _ => log.newest,
        };
        let rows = log.rows.iter().filter(|row| row.2 && row.0 <= head);
        let events = rows.map(|row| Event::new(Self::id(log, row.0), row.1.clone()));
        (events.collect(), head)
    }
}

impl EventStore for Planted {
    type Error = fmt::Error;

    async fn bounds(&self) -> Result<Bounds, fmt::Error> {
        let log = self.log.lock().unwrap();
        let (_, head) = self.visible(&log);
        let epoch = Epoch::new(log.epoch);
        Ok(Bounds::new(
            epoch,
            Position::from(log.floor),
            Position::from(head),
        ))
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> Result<Read, fmt::Error> {
        let selector = self.asked(selector)?;
        let bounds = self.bounds().await?;
        let taken = (self.fault == Fault::LosesDropped)
            .then(|| std::mem::take(&mut self.log.lock().unwrap().rows));
        // As a driver does: a read that is dropped was asked, and not answered.
        tokio::task::yield_now().await;
        let mut log = self.log.lock().unwrap();
        log.rows.extend(taken.into_iter().flatten());
        let forgiven = match self.fault {
            Fault::SilentTrim => cursor.position() < bounds.floor().position(),
            Fault::SilentBeyond => cursor.position() > bounds.head().position(),
            Fault::AnyEpoch => bounds.contain(EventId::new(bounds.epoch(), cursor.position())),
            _ => false,
        };
        if !bounds.contain(cursor)
            && !(forgiven && (cursor.epoch() == bounds.epoch() || self.fault == Fault::AnyEpoch))
        {
            return Ok(Read::Gone(bounds));
        }
        let after = |event: &Event| match self.fault {
            Fault::Inclusive => event.id().position() >= cursor.position(),
            _ => event.id().position() > cursor.position(),
        };
        let limit = limit + usize::from(self.fault == Fault::OverLimit);
        let (events, head) = self.visible(&log);
        let matching = events
            .into_iter()
            .filter(|event| after(event) && selector.matches(event));
        let mut events: Vec<_> = matching.take(limit).collect();
        let next = match events.last() {
            _ if self.fault == Fault::NextIsHead => Self::id(&log, head),
            Some(last) if events.len() == limit => last.id(),
            Some(last) if self.fault == Fault::NextIsLastMatch => last.id(),
            None if self.fault == Fault::NextIsLastMatch => cursor,
            _ => Self::id(
                &log,
                head.max(u64::try_from(cursor.position().get()).unwrap_or(0)),
            ),
        };
        if self.fault == Fault::Backwards {
            events.reverse();
        }
        Ok(Read::Page(Page::new(events, next)))
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> Result<Page, fmt::Error> {
        let selector = self.asked(selector)?;
        let earlier = self.visible(&self.log.lock().unwrap()).0;
        tokio::task::yield_now().await;
        let log = self.log.lock().unwrap();
        let (mut events, head) = self.visible(&log);
        if self.fault == Fault::RecentTorn {
            events = earlier;
        }
        if self.fault == Fault::RecentUnfiltered {
            events.drain(..events.len().saturating_sub(limit));
        }
        events.retain(|event| selector.matches(event));
        events.drain(..events.len().saturating_sub(limit));
        let next = match events.last() {
            Some(last) if self.fault == Fault::RecentNext => last.id(),
            _ => Self::id(&log, head),
        };
        Ok(Page::new(events, next))
    }
}

type Checked = Result<(), conformance::Violation>;

/// Every check, over a store with transactions.
async fn all_checks(fault: Fault) -> [Checked; 5] {
    let fresh = async || Planted::new(fault);
    let append = async |store: &Planted, event| store.append(event);
    let overlap = async |store: &Planted, first, second, meanwhile: conformance::Meanwhile<'_>| {
        let first = store.begin(first);
        store.append(second);
        meanwhile.await;
        store.commit(first);
    };
    let reopen = async |store: Planted| {
        store.log.lock().unwrap().epoch += u64::from(fault == Fault::NewEpoch);
        store
    };
    let lose = async |store: Planted| {
        let mut log = store.log.lock().unwrap();
        log.rows.truncate(2);
        log.newest = 2;
        log.epoch += u64::from(fault != Fault::SameEpoch);
        drop(log);
        store
    };
    [
        check(fresh, append).await,
        check_commit_order(fresh, append, overlap).await,
        check_trim(fresh, append, async |store, id| store.trim(id)).await,
        check_reopen(fresh, append, reopen).await,
        check_loss(fresh, append, lose).await,
    ]
}

#[tokio::test]
async fn a_store_that_keeps_the_contract_passes() {
    assert!(all_checks(Fault::None).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn each_planted_fault_is_found_by_the_check_that_is_for_it() {
    for (fault, check, rule) in [
        (
            Fault::NoWatermark,
            1,
            "nothing appears at or below what was read",
        ),
        (Fault::Inclusive, 0, "totally ordered"),
        (Fault::NextIsLastMatch, 0, "how far was scanned"),
        (Fault::NextIsHead, 0, "all there is"),
        (Fault::OverLimit, 0, "all there is"),
        (Fault::Backwards, 0, "totally ordered"),
        (Fault::SilentTrim, 2, "or is gone"),
        (Fault::SilentBeyond, 0, "or is gone"),
        (Fault::AnyEpoch, 0, "or is gone"),
        (Fault::SameEpoch, 4, "or is gone"),
        (Fault::NewEpoch, 3, "or is gone"),
        (Fault::RecentUnfiltered, 0, "`find_recent`"),
        (Fault::RecentNext, 0, "`find_recent`"),
        (Fault::RecentTorn, 0, "`find_recent`"),
        (Fault::CutsNames, 0, "`find_recent`"),
        (Fault::RefusesNames, 0, "that no event has"),
        (Fault::LosesDropped, 0, "may be dropped"),
    ] {
        let checks = all_checks(fault).await;
        let violation = checks[check]
            .clone()
            .expect_err(&format!("{fault:?} is not found"));
        assert!(violation.rule().contains(rule), "{fault:?}: {violation}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_costs_a_client_is_found_on_the_way_to_it() {
    let append = async |store: &Planted, event| store.append(event);
    for (fault, costs) in [
        (Fault::None, false),
        (Fault::NextIsHead, true),
        (Fault::Backwards, true),
    ] {
        let checked = check_delivery(async || Planted::new(fault), append, 700).await;
        let found = checked.err().map(|violation| violation.rule().to_owned());
        let rule = costs.then_some("a client gets each event once and in order");
        assert_eq!(found.as_deref(), rule, "{fault:?}");
    }
}

/// The three ways to be wrong that the model of the hub is held to as well.
#[tokio::test]
async fn a_lost_hand_over_a_doubled_event_and_a_skipped_commit_are_each_found() {
    for (fault, found) in [
        // A reader goes on from the head, and misses what lay before it.
        (Fault::NextIsHead, "differ"),
        (Fault::Inclusive, "comes after"),
        (Fault::NoWatermark, "a reader saw"),
    ] {
        let broken = all_checks(fault).await.into_iter().find_map(Result::err);
        let broken = broken.unwrap_or_else(|| panic!("{fault:?} is not found"));
        assert!(broken.found().contains(found), "{fault:?}: {broken}");
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    let fresh = async || MemoryStore::new();
    let append = async |store: &MemoryStore, event| {
        store.append(event).unwrap();
    };
    let overlap =
        async |store: &MemoryStore, first, second, meanwhile: conformance::Meanwhile<'_>| {
            store.append(first).unwrap();
            meanwhile.await;
            store.append(second).unwrap();
        };
    check(fresh, append).await.unwrap();
    check_delivery(fresh, append, 10_000).await.unwrap();
    check_commit_order(fresh, append, overlap).await.unwrap();
    check_trim(fresh, append, async |store, id| store.trim(id))
        .await
        .unwrap();
    // Its clones are the same log.
    check_reopen(fresh, append, async |store| store.clone())
        .await
        .unwrap();
    let lose = async |store: MemoryStore| {
        store.clear();
        store
    };
    check_loss(fresh, append, lose).await.unwrap();
    check(
        async || Arc::new(MemoryStore::new()),
        async |store, event| {
            store.append(event).unwrap();
        },
    )
    .await
    .unwrap();
}
