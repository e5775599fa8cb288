//! The log in a Redis stream: one key, read by scripts that see it in one moment.

pub use self::log::RedisStore;

mod block;
mod log;
mod reply;
mod scripts;
