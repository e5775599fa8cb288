//! The examples, each built and started as a user would, and called over loopback.
#![expect(
    clippy::unwrap_used,
    reason = "whatever goes wrong here fails the test"
)]

mod axum;
mod call;
mod example;
mod hyper;
mod own_store;
mod stack;
mod tonic;
