//! Who is a browser's `EventSource`, and the answer that turns it away without killing it.
//!
//! The specification makes a browser close an `EventSource` for good on any status but 200, so a 429
//! or a 503 in front of an event stream disconnects a user until the page is reloaded. What it does
//! honour is a stream that says when to come back and ends: it reconnects, and keeps its
//! `Last-Event-ID` ([WHATWG HTML, 9.2.3]).
//!
//! [WHATWG HTML, 9.2.3]: https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
#![allow(dead_code, reason = "each room can be built alone and uses its part")]

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::rand;

/// Whether a request comes from a browser's `EventSource`: a GET whose only `Accept` is exactly
/// `text/event-stream`. A client that fetches for itself can read a status code, and gets one.
pub(crate) fn is_event_source(method: &Method, headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(ACCEPT).iter();
    *method == Method::GET
        && accepts.next().is_some_and(|value| value == EVENT_STREAM)
        && accepts.next().is_none()
}

/// A stream that asks its client to come back after `wait`, or up to half as much again, and ends.
///
/// Never after less than a second, so that a short wait does not become a storm; and never after
/// more than a day or so, since browsers count the milliseconds of a timer in 31 bits and fire it at
/// once beyond them. Who comes back early is told again.
pub(crate) fn come_back_after(wait: Duration) -> Response<Bytes> {
    let wait = wait.clamp(MIN_RETRY, MAX_RETRY);
    let retry = rand::between(wait, wait + wait / 2);
    let millis = retry.as_nanos().div_ceil(1_000_000);
    let mut response = Response::new(Bytes::from(format!("retry: {millis}\n\n")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 204, which an `EventSource` takes as: never come back.
pub(crate) fn never_come_back() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The media type of an event stream.
pub(crate) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_that_accepts_nothing_else_is_an_event_source() {
        let accept = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            headers
        };
        let browser = accept(&["text/event-stream"]);
        assert!(is_event_source(&Method::GET, &browser));
        assert!(!is_event_source(&Method::POST, &browser));
        assert!(!is_event_source(&Method::GET, &accept(&[])));
        for list in ["text/event-stream, */*", "*/*", "text/event-stream;q=1"] {
            assert!(!is_event_source(&Method::GET, &accept(&[list])), "{list}");
        }
        let two = accept(&["text/event-stream", "application/json"]);
        assert!(!is_event_source(&Method::GET, &two));
    }

    #[test]
    fn the_retry_is_jittered_and_never_below_a_second() {
        let retry = |wait| {
            let response = come_back_after(wait);
            assert_eq!(response.status(), 200);
            let text = String::from_utf8(response.into_body().to_vec()).unwrap();
            let digits = text.strip_prefix("retry: ").unwrap();
            digits.strip_suffix("\n\n").unwrap().parse::<u64>().unwrap()
        };
        let drawn: Vec<_> = (0..50).map(|_| retry(Duration::ZERO)).collect();
        assert!(drawn.iter().all(|ms| (1000..=1500).contains(ms)));
        assert!(drawn.iter().any(|ms| *ms != drawn[0]));
        assert!((60_000..=90_000).contains(&retry(Duration::from_secs(60))));
        let day = 24 * 3600 * 1000;
        assert!((day..=day / 2 * 3).contains(&retry(Duration::MAX)));
        for _ in 0..50 {
            assert!(retry(Duration::new(2, 1)) >= 2001, "a wait is rounded up");
        }
    }

    #[test]
    fn both_answers_are_kept_by_nobody_and_the_last_word_has_no_body() {
        let again = come_back_after(Duration::ZERO);
        assert_eq!(again.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(again.headers()[CACHE_CONTROL], "no-store");
        let never = never_come_back();
        assert_eq!(never.status(), StatusCode::NO_CONTENT);
        assert_eq!(never.headers()[CACHE_CONTROL], "no-store");
        assert!(never.body().is_empty() && !never.headers().contains_key(CONTENT_TYPE));
    }
}
