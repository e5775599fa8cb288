//! The head of a response that is a stream.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};

use crate::shed::EVENT_STREAM;

/// 200 with `body`, and what keeps proxies from holding it back or changing it. No `Connection`,
/// which HTTP/2 forbids, and no length.
pub(super) fn stream<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    // nginx, and those who copy it, buffer otherwise.
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
