//! Probes: how one dependency is asked how it is.
//!
//! A probe asks one question ("does `SELECT 1` answer?") and says what it saw. When to ask, how long
//! to wait, how often it must fail before anyone is told, and who may read the answer are the
//! business of [`Dependency`](super::Dependency) and [`Driver`](super::Driver). A host writes a
//! closure, or implements [`Probe`](super::Probe); here are the adapters and ready-made ones.

pub use self::blocking::{Blocking, blocking};

#[cfg(feature = "test-util")]
pub(super) mod conformance;
pub(super) mod contract;
pub(super) mod error;
pub(super) mod observation;
pub(super) mod outcome;

mod blocking;
mod classify;
