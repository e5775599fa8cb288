//! Which entries a script is to read. Pure.

use super::reply::id;
use crate::event_stream::id::Position;

/// Entries to read, and in which order.
pub(super) struct Range {
    pub(super) command: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) count: usize,
}

impl Range {
    pub(super) fn nothing() -> Self {
        Self::after(Position::START, 0)
    }

    /// What follows `cursor`, and the entry that it stands at: that it is there is half of the
    /// answer.
    pub(super) fn after(cursor: Position, most: usize) -> Self {
        Self {
            command: "XRANGE",
            from: id(cursor),
            to: "+".to_owned(),
            count: if most == 0 { 0 } else { most.saturating_add(1) },
        }
    }

    pub(super) fn newest(most: usize) -> Self {
        Self {
            command: "XREVRANGE",
            from: "+".to_owned(),
            to: "-".to_owned(),
            count: most,
        }
    }
}
