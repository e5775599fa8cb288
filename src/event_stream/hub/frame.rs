//! What a reader gets in one go. Pure.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::replay::HandOver;
use super::ring::Ring;
use super::slot::{Slot, State};
use crate::event_stream::id::Position;
use crate::event_stream::selector::Users;

/// The frame that was built last: connections in lock step share it.
#[derive(Debug)]
pub(super) struct Memo {
    key: (u64, u64, u32),
    upto: Position,
    frame: Option<Bytes>,
}

/// All that a live reader has not seen, as one frame; its cursor moves past it.
pub(super) fn take<H: HandOver>(
    slot: &mut Slot,
    ring: &Ring,
    class: impl FnOnce() -> u32,
    memo: &mut Option<Memo>,
) -> Option<Bytes> {
    if slot.state == State::Listed {
        return take_listed::<H>(slot, ring);
    }
    if slot.cursor.position() >= ring.head().position() {
        return None;
    }
    let (from, to) = ring.span(slot.cursor.position());
    if from == to {
        slot.cursor = slot.cursor.at_least(ring.head().position());
        return None;
    }
    // Without private events of its own, what a reader gets depends on its class alone.
    let own = matches!(&slot.selector.users, Users::These(users) if !users.is_empty());
    let key = (from, to, class());
    if !own {
        if let Some(memo) = memo.as_ref().filter(|memo| memo.key == key) {
            slot.cursor = slot.cursor.at_least(memo.upto);
            return memo.frame.clone();
        }
    }
    let mut frame = FrameOf::Nothing;
    let mut upto = slot.cursor.position();
    let mut whole = true;
    for (_, entry) in ring.after(upto) {
        if slot.selector.admits_address(&entry.address) && !frame.add(&entry.bytes) {
            whole = false;
            break;
        }
        upto = entry.position;
    }
    if whole {
        upto = ring.head().position();
    }
    slot.cursor = slot.cursor.at_least(upto);
    let frame = frame.finish();
    if !own {
        *memo = Some(Memo {
            key,
            upto,
            frame: frame.clone(),
        });
    }
    frame
}

fn take_listed<H: HandOver>(slot: &mut Slot, ring: &Ring) -> Option<Bytes> {
    // One event is by far the most that a reader finds.
    let only = match *slot.listed() {
        [number] => ring.entry(number),
        _ => None,
    };
    if let Some(entry) = only {
        slot.cursor = slot.cursor.at_least(ring.head().position());
        if H::clears_taken() {
            slot.unlist();
        }
        return Some(entry.bytes.clone());
    }
    let mut frame = FrameOf::Nothing;
    let mut upto = slot.cursor.position();
    let mut taken = 0;
    for entry in slot
        .listed()
        .iter()
        .filter_map(|number| ring.entry(*number))
    {
        if !frame.add(&entry.bytes) {
            break;
        }
        upto = entry.position;
        taken += 1;
    }
    if taken == slot.listed().len() {
        upto = upto.max(ring.head().position());
    }
    slot.cursor = slot.cursor.at_least(upto);
    if H::clears_taken() {
        slot.took(taken);
    }
    frame.finish()
}

/// The frames of a page that go to a reader one by one; all who read the same page share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    all: Option<Arc<[Bytes]>>,
    sent: usize,
}

impl Frames {
    /// Events in frames of a size that hyper queues without growing.
    pub(crate) fn of(events: impl Iterator<Item = Bytes>) -> Self {
        let mut frames = Vec::new();
        let mut frame = FrameOf::Nothing;
        for event in events {
            if !frame.add(&event) {
                frames.extend(std::mem::replace(&mut frame, FrameOf::One(event)).finish());
            }
        }
        frames.extend(frame.finish());
        Self {
            all: (!frames.is_empty()).then(|| frames.into()),
            sent: 0,
        }
    }

    /// Whether all were sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_none()
    }
}

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let all = self.all.as_ref()?;
        let frame = all.get(self.sent).cloned();
        self.sent += 1;
        if self.sent >= all.len() {
            self.all = None;
        }
        frame
    }
}

/// A frame in the making: one event is passed on as it is, several are copied together.
#[derive(Debug)]
pub(crate) enum FrameOf {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl FrameOf {
    /// Adds an event, or answers that the frame is full. The first always fits.
    pub(crate) fn add(&mut self, event: &Bytes) -> bool {
        let length = match self {
            Self::Nothing => 0,
            Self::One(one) => one.len(),
            Self::Several(several) => several.len(),
        };
        if length > 0 && length + event.len() > LARGEST_FRAME {
            return false;
        }
        match self {
            Self::Nothing => *self = Self::One(event.clone()),
            Self::One(one) => {
                let both = one.len() + event.len();
                let room = (4 * both).min(LARGEST_FRAME).max(both);
                let mut several = BytesMut::with_capacity(room);
                several.extend_from_slice(one);
                several.extend_from_slice(event);
                *self = Self::Several(several);
            }
            Self::Several(several) => several.extend_from_slice(event),
        }
        true
    }

    pub(crate) fn finish(self) -> Option<Bytes> {
        match self {
            Self::Nothing => None,
            Self::One(one) => Some(one),
            Self::Several(several) => Some(several.freeze()),
        }
    }
}

/// hyper queues 16 frames of a body at most, so this bounds what it holds for one connection.
pub(crate) const LARGEST_FRAME: usize = 16 * 1024;
