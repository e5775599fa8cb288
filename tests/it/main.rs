//! The public API of each room, driven through tower: paused time, no socket.

mod event_stream;
mod health;
mod rate_limit;
mod security_headers;
