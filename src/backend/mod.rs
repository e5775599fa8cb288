//! What every backend over a network needs: an end to each wait, and to asking in vain.
//!
//! A store that hangs must not hang the requests that ask it. So each of them has a [`Deadline`]; and
//! since even that is long if every request waits for it, a [`Circuit`] keeps requests from asking a
//! server that has stopped to answer, but for one now and then.
#![allow(
    dead_code,
    unused_imports,
    reason = "each backend can be built alone and uses its part"
)]

mod breaker;
mod circuit;
mod deadline;

pub(crate) use self::breaker::Settings;
pub(crate) use self::circuit::{Call, Circuit};
pub(crate) use self::deadline::Deadline;
