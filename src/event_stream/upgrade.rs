//! Another protocol on the connection of a request: all that the service knows of it.

use std::fmt;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::body::EventBody;

/// Hands the connection over to another protocol that carries the stream, and answers so.
pub(super) type Switch = Box<dyn FnOnce(EventBody) -> Response<Bytes> + Send>;

/// A protocol that requests can switch to.
pub(super) trait Upgrade: fmt::Debug + Send + Sync {
    /// What to do once the stream is open, or why there will be none; `None` when the request does
    /// not ask for this protocol.
    fn read(&self, request: &mut Parts) -> Option<Result<Switch, Response<Bytes>>>;
}
