//! What stands in a log and is no event.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::event_stream::id::EventId;
use crate::trace::emit;

/// Tells of entries that are no events: loudly of the first, since whoever reads the log meets them again
/// and again, and clients choose how often it is read.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    told: AtomicBool,
}

impl Strangers {
    /// Takes in that what stands at `id` is left out. Answers whether it was told loudly.
    pub(super) fn met(&self, id: EventId) -> bool {
        let first = !self.told.swap(true, Ordering::Relaxed);
        if first {
            emit!(
                warn,
                { event = id },
                "an entry of the log is no event, and is left out; of others like it only debugging tells"
            );
        } else {
            emit!(debug, { event = id }, "an entry of the log is no event");
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_stream::id::{Epoch, Position};

    #[test]
    fn however_often_they_are_read_the_first_alone_is_told_loudly() {
        let strangers = Strangers::default();
        let met = (1_u64..100).filter(|at| {
            let id = EventId::new(Epoch::new(1), Position::from(at % 3 + 1));
            strangers.met(id)
        });
        assert_eq!(met.count(), 1);
    }
}
