//! What a request that may not pass is answered with.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use smallvec::SmallVec;

use super::grpc;
use super::headers::{number, seconds};
use crate::problem::{MEDIA_TYPE, Problem};
use crate::shed;

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// A quota is used up for now.
    Exceeded,
    /// It costs more than a quota ever holds.
    TooCostly,
    /// It lacks what a policy counts by, and that policy's key says
    /// [`or_reject`](super::Key::or_reject).
    NoKey,
    /// The store cannot be reached, and refuses meanwhile.
    Unavailable,
}

/// A refusal that is about to be answered.
pub struct Rejection<'a> {
    pub(super) cause: Cause,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) violated: SmallVec<[&'a str; 4]>,
    pub(super) wait: Option<Duration>,
    /// Whether an `EventSource` is to get the answer that does not end it.
    pub(super) spare_event_source: bool,
    /// The document, where it was made before.
    pub(super) document: Option<&'a Bytes>,
}

impl Rejection<'_> {
    /// Why the request may not pass.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// The names of the windows that refused, or of the policy whose key is missing.
    #[must_use]
    pub fn violated(&self) -> &[&str] {
        &self.violated
    }

    /// How long until the request may pass: the longest wait of all windows that refused. None if
    /// waiting is of no use.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.wait
    }

    /// The request's method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        self.method
    }

    /// The request's header fields. Do not repeat them to whoever sent them.
    #[must_use]
    pub const fn request_headers(&self) -> &HeaderMap {
        self.headers
    }

    /// The answer that a layer without a [`Reject`] of its own gives: see the
    /// [module](super#what-a-refused-request-gets).
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        if grpc::is_grpc(self.method, self.headers) {
            return grpc::refusal(self.cause, self.wait);
        }
        if self.spare_event_source && shed::is_event_source(self.method, self.headers) {
            match (self.cause, self.wait) {
                (Cause::Exceeded | Cause::Unavailable, Some(wait)) => {
                    return shed::come_back_after(wait);
                }
                (Cause::TooCostly, _) => return shed::never_come_back(),
                _ => {}
            }
        }
        let mut response = match self.document {
            Some(document) => problem_response(document.clone()),
            None => problem(self.cause, &self.violated).into_response(),
        };
        self.ensure_retry_after(&mut response);
        response
    }

    /// Says when to come back, unless the response does.
    pub(super) fn ensure_retry_after(&self, response: &mut Response<Bytes>) {
        if let Some(wait) = self.wait {
            let entry = response.headers_mut().entry(RETRY_AFTER);
            entry.or_insert_with(|| number(seconds(wait).max(1)));
        }
    }
}

impl fmt::Debug for Rejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("cause", &self.cause)
            .field("violated", &self.violated)
            .field("retry_after", &self.wait)
            .finish_non_exhaustive()
    }
}

/// Answers in the host's own way. A closure `Fn(&Rejection<'_>) -> Response<Bytes>` does.
///
/// It runs on every refusal, so it should cost less than the request would have. To a response with
/// an error status the layer adds `Retry-After`, if the host left it out, and the `RateLimit`
/// fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer refused requests",
    note = "a closure must take `&Rejection<'_>` and return `http::Response<bytes::Bytes>`"
)]
pub trait Reject: Send + Sync + 'static {
    /// The answer to one refused request.
    fn reject(&self, rejection: &Rejection<'_>) -> Response<Bytes>;
}

impl<F> Reject for F
where
    F: Fn(&Rejection<'_>) -> Response<Bytes> + Send + Sync + 'static,
{
    fn reject(&self, rejection: &Rejection<'_>) -> Response<Bytes> {
        self(rejection)
    }
}

/// The document of a quota that is used up by one window, to be made once.
pub(super) fn document(window: &str) -> Bytes {
    problem(Cause::Exceeded, &[window])
        .into_response()
        .into_body()
}

fn problem(cause: Cause, violated: &[&str]) -> Problem {
    let status = match cause {
        Cause::Exceeded => StatusCode::TOO_MANY_REQUESTS,
        Cause::TooCostly => StatusCode::PAYLOAD_TOO_LARGE,
        Cause::NoKey => {
            return Problem::new(StatusCode::BAD_REQUEST)
                .detail("the request lacks what its rate limit is counted by");
        }
        Cause::Unavailable => {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .kind(REDUCED_CAPACITY, REDUCED_CAPACITY_TITLE)
                .member("violated-policies", violated.to_vec());
        }
    };
    let problem = Problem::new(status).kind(QUOTA_EXCEEDED, TITLE);
    let problem = match cause {
        Cause::TooCostly => problem.detail("the request costs more than the quota ever holds"),
        _ => problem,
    };
    problem.member("violated-policies", violated.to_vec())
}

fn problem_response(document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    // Room for what is added on the way out, in one allocation.
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Registered by draft-ietf-httpapi-ratelimit-headers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const TITLE: &str = "Request cannot be satisfied as assigned quota has been exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
const REDUCED_CAPACITY_TITLE: &str =
    "Request cannot be satisfied due to temporary server capacity constraints";
