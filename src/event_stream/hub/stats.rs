//! What a hub tells about itself.

use crate::trace::{Counter, Gauge};

/// Counts of a hub since it was built, but for `connections`: those are open now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Streams that are open.
    pub connections: usize,
    /// Requests that were turned away: too many, draining, or no tailer.
    pub turned_away: usize,
    /// Wakes that the publishing of events caused: one for each reader who was waiting.
    pub wakes: u64,
    /// Times that a reader fell behind the ring and was served from the store instead.
    pub demotions: u64,
    /// Times that a reader went over from the store to the ring.
    pub hand_overs: u64,
    /// Times that a reader was told that what it wants to resume from is gone.
    pub resets: u64,
}

pub(super) struct Meters {
    pub(super) connections: Gauge,
    pub(super) turned_away: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            connections: Gauge::new("bartizan_event_stream_connections", &[]),
            turned_away: Counter::new("bartizan_event_stream_turned_away_total", &[]),
        }
    }
}
