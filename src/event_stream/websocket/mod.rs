//! The events of a stream as messages over a WebSocket, for clients to whom no stream gets through.

pub use self::builder::WebSockets;
pub use self::connection::WebSocketConnection;

mod builder;
mod connection;
mod handshake;
mod message;
mod origin;
mod talk;
