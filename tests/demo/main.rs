//! The demo, started as a process and spoken to over loopback, as its README promises it.
#![allow(
    clippy::unwrap_used,
    reason = "whatever goes wrong here fails the test"
)]

mod contract;
mod events;
mod flags;
mod health;
mod http;
mod input;
mod limits;
mod logs;
mod openapi;
mod server;
mod shutdown;
mod sockets;
