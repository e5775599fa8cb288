//! How far readers are behind.

use std::ops::Range;

use super::Shard;
use crate::event_stream::hub::replay::HandOver;
use crate::event_stream::hub::slot::State;
use crate::event_stream::hub::stats::Lag;

impl<H: HandOver> Shard<H> {
    /// How far the readers in some places of this shard are behind now.
    pub(in crate::event_stream::hub) fn lag(&self, places: Range<usize>) -> Lag {
        let mut lag = Lag::default();
        let Some(ring) = &self.ring else {
            return lag;
        };
        for slot in places.filter_map(|place| self.slots.get(place)) {
            let here = slot.settled().filter(|at| at.epoch() == ring.epoch());
            let Some(cursor) = here.filter(|_| slot.closing.is_none()) else {
                continue;
            };
            if slot.replaying {
                lag.replaying += 1;
                continue;
            }
            let (events, oldest) = match slot.state {
                State::Parked => continue,
                State::Listed => {
                    let first = slot.listed().first();
                    let oldest = first.and_then(|number| ring.entry(*number));
                    (slot.listed().len() as u64, oldest)
                }
                // Some of these it may not see.
                State::Walk => {
                    let (from, to) = ring.span(cursor.position());
                    (
                        to - from,
                        ring.after(cursor.position()).next().map(|(_, entry)| entry),
                    )
                }
            };
            lag.waiting += usize::from(events > 0);
            lag.events = lag.events.max(events);
            let since = oldest.map_or(0, |entry| self.wheel.now().saturating_sub(entry.since()));
            lag.ticks = lag.ticks.max(since);
        }
        lag
    }
}
