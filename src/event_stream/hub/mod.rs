//! One log, many readers: the hub that feeds every stream of a process.

pub use self::builder::EventHubBuilder;
pub use self::handle::EventHub;
pub use self::stats::HubStats;
pub use self::tailer::Tailer;

pub(super) use self::addresses::Address;
pub(super) use self::admit::Unavailable;
pub(super) use self::connection::Connection;
pub(super) use self::frame::Frames;
pub(super) use self::reads::{Came, From, Question};
pub(super) use self::shard::Step;
pub(super) use self::slot::{Closing, Opening};

mod addresses;
mod admit;
mod builder;
mod connection;
mod few;
mod frame;
mod handle;
mod index;
mod nap;
mod reads;
mod replay;
mod revocations;
mod ring;
mod roll;
mod shard;
mod shared;
mod slot;
mod stats;
mod tailer;
mod wheel;

#[cfg(test)]
mod model;
