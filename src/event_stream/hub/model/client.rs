//! The model's client: connects, reads a socket of few frames, breaks off, resumes, and checks every
//! block that it reads against the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use bytes::Bytes;

use super::store::Store;
use crate::event_stream::encode::tests::parse;
use crate::event_stream::hub::nap::Nap;
use crate::event_stream::hub::{Frames, Question};
use crate::event_stream::id::EventId;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::Read;

/// What a client has that the hub does not know.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) wants: Selector,
    /// Its last event id.
    pub(super) last: Option<EventId>,
    pub(super) connection: Option<Connection>,
    /// It sends an id that is none.
    pub(super) garbled: bool,
    pub(super) resets: u64,
    pub(super) delivered: u64,
}

/// One connection of a client: what `EventBody` holds, and the socket behind it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) process: usize,
    pub(super) slot: u32,
    pub(super) awake: Arc<Awake>,
    pub(super) nap: Option<Nap>,
    pub(super) work: Option<Work>,
    /// How many trims and epochs there had been when it went to the store.
    pub(super) replaying: Option<(u64, u64)>,
    pub(super) frames: Frames,
    pub(super) socket: VecDeque<Bytes>,
}

/// A read of the store, asked or answered.
#[derive(Debug)]
pub(super) enum Work {
    Asked(Question),
    Came(Question, Read),
}

#[derive(Debug)]
pub(super) struct Awake(pub(super) AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Client {
    pub(super) fn new(wants: Selector) -> Self {
        Self {
            wants,
            last: None,
            connection: None,
            garbled: false,
            resets: 0,
            delivered: 0,
        }
    }

    /// Reads one frame of the socket.
    pub(super) fn read(&mut self, store: &Store) -> Result<(), String> {
        let frame = self
            .connection
            .as_mut()
            .and_then(|on| on.socket.pop_front());
        for block in parse(std::str::from_utf8(&frame.unwrap_or_default()).unwrap()) {
            if !block.id.is_empty() {
                let id = block
                    .id
                    .parse()
                    .map_err(|error| format!("{error}: {block:?}"))?;
                let fired = block.fired.as_ref().map(|(kind, data)| (&**kind, &**data));
                self.hear(store, id, fired)?;
                self.last = Some(id);
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        store: &Store,
        id: EventId,
        fired: Option<(&str, &str)>,
    ) -> Result<(), String> {
        let complain = |what: &str| Err(format!("{what}: {id} after {:?}: {fired:?}", self.last));
        if let Some(("reset", _)) = fired {
            self.resets += 1;
            let may = self.last.is_none_or(|last| !store.bounds().contain(last));
            if !may && !self.garbled {
                return complain("a reset for nothing");
            }
            self.garbled = false;
            return Ok(());
        }
        let is_event = fired.is_some_and(|(kind, _)| kind != "caught-up");
        if is_event {
            self.delivered += 1;
            match (store.get(id), fired) {
                (Some(event), Some((_, data))) if event.data() == data => {
                    if !self.wants.admits_address(&event.clone().into_address()) {
                        return complain("an event of somebody else");
                    }
                }
                _ => return complain("an event that is not in the log"),
            }
        }
        let Some(last) = self.last else {
            return Ok(());
        };
        if last.epoch() != id.epoch() {
            return complain("another epoch without a reset");
        }
        if id.position() < last.position() || (is_event && id == last) {
            return complain("heard twice");
        }
        // An event is itself owed: what lies before it must not be.
        let upto = match (is_event, id.position().get()) {
            (true, position) => EventId::new(id.epoch(), (position as u64 - 1).into()),
            (false, _) => id,
        };
        if store.owes(&self.wants, last, Some(upto)) {
            return complain("an event was skipped");
        }
        Ok(())
    }
}
