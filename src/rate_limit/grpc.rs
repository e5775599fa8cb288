//! The refusal of a gRPC call: a status in trailers alone, since its client reads nothing else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use super::reject::Cause;

/// Whether a request is a gRPC call: a POST of its media type. gRPC-Web is plain HTTP to its browser,
/// and is not one; nor is a GET that says so, to have a cache keep the 200 of a refusal as the page.
pub(super) fn is_grpc(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    *method == Method::POST
        && kind
            .and_then(|kind| kind.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The whole response: HTTP status 200 and a gRPC status. `RESOURCE_EXHAUSTED` says when to come back
/// in `google.rpc.RetryInfo`, and in the push-back that gRPC's own retries obey; a negative one tells
/// them not to retry at all.
pub(super) fn refusal(cause: Cause, wait: Option<Duration>) -> Response<Bytes> {
    let (code, message) = match cause {
        Cause::Exceeded => (RESOURCE_EXHAUSTED, "quota exceeded"),
        Cause::TooCostly => (
            RESOURCE_EXHAUSTED,
            "the call costs more than the quota ever holds",
        ),
        Cause::NoKey => (
            INVALID_ARGUMENT,
            "the call lacks what its rate limit is counted by",
        ),
        Cause::Unavailable => (UNAVAILABLE, "the rate limit cannot be looked up"),
    };
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    match wait {
        Some(wait) => {
            let millis = wait.as_nanos().div_ceil(1_000_000);
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            headers.insert(PUSHBACK, HeaderValue::from(millis));
            let details = STANDARD_NO_PAD.encode(status(code, message, wait));
            if let Ok(details) = HeaderValue::try_from(details) {
                headers.insert(DETAILS, details);
            }
        }
        None => {
            headers.insert(PUSHBACK, HeaderValue::from_static("-1"));
        }
    }
    response
}

/// `google.rpc.Status { code, message, details: [Any(RetryInfo { retry_delay })] }`.
fn status(code: u16, message: &str, wait: Duration) -> Vec<u8> {
    let mut delay = Vec::new();
    integer(&mut delay, 1, wait.as_secs());
    integer(&mut delay, 2, wait.subsec_nanos().into());
    let mut retry_info = Vec::new();
    bytes(&mut retry_info, 1, &delay);
    let mut any = Vec::new();
    bytes(&mut any, 1, RETRY_INFO);
    bytes(&mut any, 2, &retry_info);
    let mut status = Vec::new();
    integer(&mut status, 1, code.into());
    bytes(&mut status, 2, message.as_bytes());
    bytes(&mut status, 3, &any);
    status
}

/// A protobuf field of wire type 0. Zero is the default, and left out.
fn integer(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

/// A protobuf field of wire type 2.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const RESOURCE_EXHAUSTED: u16 = 8;
const INVALID_ARGUMENT: u16 = 3;
const UNAVAILABLE: u16 = 14;
const RETRY_INFO: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_by_its_media_type() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert!(!is_grpc(&Method::GET, &headers));
            is_grpc(&Method::POST, &headers)
        };
        assert!(is("application/grpc") && is("application/grpc+proto"));
        assert!(is("application/grpc;charset=utf-8"));
        assert!(!is("application/grpc-web") && !is("application/json"));
        assert!(!is_grpc(&Method::POST, &HeaderMap::new()));
    }

    #[test]
    fn the_details_are_the_bytes_of_google_rpc_status() {
        // As protoc encodes code: 8, message: "m", retry_delay { seconds: 300 nanos: 1 }.
        let mut expected = b"\x08\x08\x12\x01m\x1a\x33\x0a\x28".to_vec();
        expected.extend_from_slice(RETRY_INFO);
        expected.extend_from_slice(b"\x12\x07\x0a\x05\x08\xac\x02\x10\x01");
        assert_eq!(status(8, "m", Duration::new(300, 1)), expected);
    }

    #[test]
    fn push_back_rounds_up_and_is_negative_where_waiting_is_of_no_use() {
        let response = refusal(Cause::Exceeded, Some(Duration::from_nanos(1)));
        assert_eq!(response.headers()[PUSHBACK], "1");
        assert_eq!(response.headers()[GRPC_STATUS], "8");
        let response = refusal(Cause::TooCostly, None);
        assert_eq!(response.headers()[PUSHBACK], "-1");
        assert!(!response.headers().contains_key(DETAILS));
    }
}
