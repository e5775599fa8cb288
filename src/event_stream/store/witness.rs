//! What this process has read of a log that others keep. Pure.

use std::sync::{Mutex, PoisonError};

use super::Bounds;
use crate::event_stream::id::{EventId, Position};

/// The newest place that this process was shown.
///
/// A log that denies it later was rolled back, also where its epoch and everything else in it are
/// those of before: a replica that lagged was promoted, a disk was restored. A client's cursor
/// proves nothing of the kind, since anybody can make one up.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Option<EventId>>);

impl Witness {
    /// What to ask the log for in the next read: it must still stand there.
    pub(super) fn newest(&self) -> Option<EventId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log ends at `head`: reads that overtake each other leave the later place.
    pub(super) fn saw(&self, head: EventId) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(match *newest {
            Some(known) if known.epoch() == head.epoch() => known.at_least(head.position()),
            _ => head,
        });
    }
}

/// What a log says of itself in one moment, and of two places in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) bounds: Bounds,
    /// Whether there is an event at the reader's cursor.
    pub(super) cursor_stands: bool,
    /// Whether there is one at the place that this process was shown before it asked.
    pub(super) newest_stands: bool,
}

impl Sight {
    /// Whether a reader at `cursor` can go on: it stands where an event is, or where the log
    /// begins.
    ///
    /// A place between two events was never given out by this log: it is of one that was rolled
    /// back, or made up.
    pub(super) fn continues(&self, cursor: EventId) -> bool {
        self.bounds.contain(cursor) && (self.cursor_stands || self.begins(cursor.position()))
    }

    /// Whether the log has lost what `newest` proves was in it.
    pub(super) fn was_rolled_back(&self, newest: Option<EventId>) -> bool {
        newest.is_some_and(|newest| {
            newest.epoch() == self.bounds.epoch()
                && newest.position() > self.bounds.floor().position()
                && !self.newest_stands
        })
    }

    fn begins(&self, position: Position) -> bool {
        position == self.bounds.floor().position()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_stream::id::Epoch;

    fn id(epoch: u64, position: u128) -> EventId {
        EventId::new(Epoch::new(epoch), Position::new(position))
    }

    fn sight(floor: u128, head: u128, stands: bool) -> Sight {
        let bounds = Bounds::new(Epoch::new(1), Position::new(floor), Position::new(head));
        Sight {
            bounds,
            cursor_stands: stands,
            newest_stands: stands,
        }
    }

    #[test]
    fn a_cursor_goes_on_from_an_event_and_from_where_the_log_begins() {
        assert!(sight(3, 9, true).continues(id(1, 5)));
        assert!(!sight(3, 9, false).continues(id(1, 5)));
        assert!(sight(3, 9, false).continues(id(1, 3)));
        assert!(!sight(3, 9, true).continues(id(2, 5)));
        assert!(!sight(3, 9, true).continues(id(1, 2)));
    }

    #[test]
    fn a_log_that_denies_what_it_has_shown_was_rolled_back() {
        for (newest, head, stands, rolled_back) in [
            (Some(id(1, 5)), 9, true, false),
            // Newer events have come where the old one was lost.
            (Some(id(1, 5)), 9, false, true),
            (Some(id(1, 12)), 9, false, true),
            // Trimmed since.
            (Some(id(1, 3)), 9, false, false),
            // Of a log that has been replaced, and told so.
            (Some(id(2, 5)), 9, false, false),
            (None, 9, false, false),
        ] {
            let sight = sight(3, head, stands);
            assert_eq!(sight.was_rolled_back(newest), rolled_back, "{newest:?}");
        }
    }

    #[test]
    fn reads_that_overtake_each_other_leave_the_later_place() {
        let witness = Witness::default();
        witness.saw(id(1, 5));
        witness.saw(id(1, 4));
        assert_eq!(witness.newest(), Some(id(1, 5)));
        witness.saw(id(2, 1));
        assert_eq!(witness.newest(), Some(id(2, 1)));
    }
}
