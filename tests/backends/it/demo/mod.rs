//! The demo as a host would run it, on servers that it shares with another one.

mod fleet;
mod page;
mod process;
mod recipe;
mod servers;
mod writers;

pub(crate) use self::process::{Demo, status};
