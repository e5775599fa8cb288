//! The model's log: positions with holes, commits out of order, roll-backs, trims, new epochs.

use std::collections::{BTreeMap, BTreeSet};

use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::selector::Selector;
use crate::event_stream::store::{Bounds, Page, Read};

/// What a faulty store does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    None,
    /// `WHERE id > $last`: reads past writers that have not committed.
    NoWatermark,
    /// `next` is the last matching event.
    NextIsLastMatch,
    /// A trimmed cursor is answered with what is left.
    SilentTrim,
    /// The log starts over under the same epoch.
    SameEpoch,
    /// A page begins with the event at the cursor.
    Inclusive,
}

/// All logs there ever were; the last is the current one.
#[derive(Debug)]
pub(super) struct Store {
    logs: Vec<Log>,
    pub(super) fault: Fault,
    pub(super) reads: u64,
}

#[derive(Debug, Default)]
struct Log {
    records: BTreeMap<u64, Record>,
    /// Positions that were taken, by writers that have not finished.
    open: BTreeSet<u64>,
    floor: u64,
    newest: u64,
}

#[derive(Debug)]
struct Record {
    event: NewEvent,
    committed: bool,
}

impl Store {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            logs: vec![Log::default()],
            fault,
            reads: 0,
        }
    }

    /// Takes a position; nobody may see the event before it is committed.
    pub(super) fn begin(&mut self, event: NewEvent, hole: u64) -> u64 {
        let log = self.current();
        log.newest += 1 + hole;
        let committed = false;
        log.records.insert(log.newest, Record { event, committed });
        log.open.insert(log.newest);
        log.newest
    }

    pub(super) fn commit(&mut self, position: u64) {
        let log = self.current();
        log.open.remove(&position);
        if let Some(record) = log.records.get_mut(&position) {
            record.committed = true;
        }
    }

    /// Whether an event after `position` was committed before it.
    pub(super) fn overtaken(&self, position: u64) -> bool {
        let log = &self.logs[self.logs.len() - 1];
        let mut later = log.records.range(position + 1..);
        later.any(|(_, record)| record.committed)
    }

    pub(super) fn roll_back(&mut self, position: u64) {
        let log = self.current();
        log.open.remove(&position);
        log.records.remove(&position);
    }

    /// Forgets about `share`/4 of what everybody may see.
    pub(super) fn trim(&mut self, share: u64) {
        let head = self.head();
        let log = self.current();
        let floor = log.floor + (head.saturating_sub(log.floor)) * share / 4;
        log.floor = floor;
    }

    /// The log is lost; another takes its place.
    pub(super) fn replace(&mut self) {
        // Nobody was promised what was not committed.
        self.current().records.retain(|_, record| record.committed);
        self.logs.push(Log::default());
    }

    pub(super) fn epoch(&self) -> Epoch {
        match self.fault {
            Fault::SameEpoch => Epoch::new(1),
            _ => Epoch::new(self.logs.len() as u64),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        let floor = self.logs[self.logs.len() - 1].floor;
        Bounds::new(
            self.epoch(),
            Position::from(floor),
            Position::from(self.head()),
        )
    }

    pub(super) fn read_after(&mut self, cursor: EventId, want: &Selector, limit: usize) -> Read {
        self.reads += 1;
        let bounds = self.bounds();
        if !bounds.contain(cursor) {
            let forgiving = self.fault == Fault::SilentTrim && cursor.epoch() == bounds.epoch();
            if !forgiving {
                return Read::Gone(bounds);
            }
        }
        let mut from = u64::try_from(cursor.position().get()).unwrap();
        if self.fault != Fault::Inclusive {
            from += 1;
        }
        let visible = self.visible(from);
        let events: Vec<_> = visible
            .filter(|event| want.matches(event))
            .take(limit)
            .collect();
        let next = match events.last() {
            Some(last) if events.len() == limit => last.id(),
            Some(last) if self.fault == Fault::NextIsLastMatch => last.id(),
            None if self.fault == Fault::NextIsLastMatch => cursor,
            _ => bounds.head().at_least(cursor.position()),
        };
        Read::Page(Page::new(events, next))
    }

    pub(super) fn find_recent(&mut self, want: &Selector, limit: usize) -> Page {
        self.reads += 1;
        let mut events: Vec<_> = self
            .visible(0)
            .filter(|event| want.matches(event))
            .collect();
        events.drain(..events.len().saturating_sub(limit));
        Page::new(events, self.bounds().head())
    }

    /// Whether a reader of `want` is owed something between `after` and `upto`, both of one log:
    /// what is committed, and what may still be.
    pub(super) fn owes(&self, want: &Selector, after: EventId, upto: Option<EventId>) -> bool {
        let low = u64::try_from(after.position().get()).unwrap() + 1;
        let high = upto.map_or(u64::MAX, |upto| {
            u64::try_from(upto.position().get()).unwrap()
        });
        let Some(log) = self.log(after.epoch()) else {
            return false;
        };
        low <= high
            && log
                .records
                .range(low..=high)
                .any(|(_, record)| want.admits_address(&record.event.clone().into_address()))
    }

    /// The committed event at `id`.
    pub(super) fn get(&self, id: EventId) -> Option<&NewEvent> {
        let position = u64::try_from(id.position().get()).unwrap();
        let record = self.log(id.epoch())?.records.get(&position)?;
        record.committed.then_some(&record.event)
    }

    fn visible(&self, from: u64) -> impl Iterator<Item = Event> {
        let log = &self.logs[self.logs.len() - 1];
        let (low, high, epoch) = (from.max(log.floor + 1), self.head(), self.epoch());
        let records = (low <= high).then(|| log.records.range(low..=high));
        records
            .into_iter()
            .flatten()
            .filter(|(_, record)| record.committed)
            .map(move |(position, record)| {
                let id = EventId::new(epoch, Position::from(*position));
                Event::new(id, record.event.clone())
            })
    }

    /// The position below which every writer has finished.
    fn head(&self) -> u64 {
        let log = &self.logs[self.logs.len() - 1];
        match log.open.first() {
            Some(position) if self.fault != Fault::NoWatermark => position - 1,
            _ => log.newest,
        }
    }

    fn log(&self, epoch: Epoch) -> Option<&Log> {
        match self.fault {
            Fault::SameEpoch => self.logs.last(),
            _ => self
                .logs
                .get(usize::try_from(epoch.get()).unwrap().checked_sub(1)?),
        }
    }

    fn current(&mut self) -> &mut Log {
        let last = self.logs.len() - 1;
        &mut self.logs[last]
    }
}
