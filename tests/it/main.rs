//! The public API of each room, driven through tower: paused time, no socket.

mod client;
mod event_stream;
mod health;
mod logs;
mod rate_limit;
mod recorder;
mod security_headers;
mod stack;
