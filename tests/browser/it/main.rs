//! bartizan in a real Chromium.
#![expect(
    clippy::unwrap_used,
    reason = "whatever goes wrong here fails the test"
)]

mod demo;
mod page;
mod policy;
mod proxy;
mod smoke;
mod streams;
mod transports;
