//! The log in PostgreSQL: written in the host's transactions, read below a watermark.

pub use self::log::PostgresStore;

mod held;
mod listen;
mod log;
mod prune;
mod row;
mod sql;
