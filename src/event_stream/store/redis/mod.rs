//! The log in a Redis stream: one key, read by scripts that see it in one moment.

pub use self::log::RedisStore;

mod block;
mod link;
mod log;
mod range;
mod reply;
mod scripts;
