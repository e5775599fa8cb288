#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Shared: what every room stands on. Shared never imports a room.
pub mod body;
pub mod client;
pub mod clock;
pub mod config;
pub mod problem;
mod rand;
mod request;
mod shed;
mod trace;

// Rooms: each a folder, each a feature. Rooms never import one another.
#[cfg(feature = "event-stream")]
pub mod event_stream;
#[cfg(feature = "health")]
pub mod health;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "security-headers")]
pub mod security_headers;
