//! A connection's place in the hub.

use std::fmt;
use std::sync::Arc;

use super::addresses::Address;
use super::shard::Shard;
use super::shared::Shared;

/// A connection's place in the hub, given back when it is dropped.
pub(in crate::event_stream) struct Connection {
    pub(in crate::event_stream) hub: Arc<Shared>,
    shard: usize,
    slot: u32,
    address: Option<Address>,
}

impl Connection {
    pub(super) fn new(hub: Arc<Shared>, shard: usize, slot: u32, address: Option<Address>) -> Self {
        Self {
            hub,
            shard,
            slot,
            address,
        }
    }

    /// Acts on the connection's shard, under its lock.
    pub(in crate::event_stream) fn with<T>(&self, act: impl FnOnce(&mut Shard, u32) -> T) -> T {
        act(&mut self.hub.lock(self.shard), self.slot)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let slot = self.hub.lock(self.shard).close(self.slot);
        drop(slot);
        self.hub.left(self.address);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
