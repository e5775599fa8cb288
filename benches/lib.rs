//! What the benches have in common: a request and a handler, and many streams of one hub.
//!
//! `cargo bench --package bartizan-benches` runs all of them, `--bench store` one.

pub use self::call::{Handler, call, empty, page, request};
pub use self::fleet::{Fleet, event};

mod call;
mod fleet;
