//! A program under test and everything it starts: one thing to pause, resume, kill and clean up.
//!
//! 1. [`Process`] is a program in a process group of its own, with its output in a file.
//! 2. What it signals is the whole [`tree`]: the group, and also the descendants that left it
//!    (PostgreSQL and Chromium give their children sessions of their own).
//! 3. Dropping it kills the tree, also while a panic unwinds. Should the test program itself be
//!    killed, so that nothing is dropped, a small guard process notices and cleans up instead.
//! 4. A [`Server`] is a process with a port and a directory, that can be killed and started again on
//!    both.
//! 5. [`example`] builds the demo for those who start it.
//! 6. [`wait_until`] is how a test waits: for a condition, with a deadline.

mod directory;
mod example;
mod guard;
mod port;
mod process;
mod program;
mod server;
pub mod tree;
mod wait;

pub use self::directory::Directory;
pub use self::example::example;
pub use self::port::free_port;
pub use self::process::Process;
pub use self::program::find_program;
pub use self::server::{DEADLINE, Kind, Server};
pub use self::wait::wait_until;

/// Whether this is root, under whom some programs refuse to run and others must run differently.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
