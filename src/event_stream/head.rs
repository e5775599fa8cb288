//! The heads of responses: a stream, or a long-poll.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::shed::EVENT_STREAM;

/// Says that the stream was reset, and why, in the head as well as in the body.
pub(super) fn reset<B>(response: &mut Response<B>, reason: &str) {
    if let Ok(reason) = HeaderValue::from_str(reason) {
        response.headers_mut().insert(RESET, reason);
    }
}

/// 200 with a document that is true for one client, now.
pub(super) fn json<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 200 with `body`, and what keeps proxies from holding it back or changing it. No `Connection`,
/// which HTTP/2 forbids, and no length.
pub(super) fn stream<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // Just these: hyper keeps the map, empty, for as long as the connection lives.
    *headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    // nginx, and those who copy it, buffer otherwise.
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The media type of a long-poll.
pub(super) const JSON: &str = "application/json";

const RESET: HeaderName = HeaderName::from_static("event-stream-reset");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
