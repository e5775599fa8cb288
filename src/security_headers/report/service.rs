//! The collector: a service that always answers the same.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::answer::{preflight, taken};
use super::future::CollectFuture;
use super::intake::{Intake, Limits};
use super::read::Format;
use super::sink::ReportSink;
use crate::body::{NoBody, ResponseBody};
use crate::clock::Clock;
use crate::request;

/// The endpoint that browsers post violation reports to: a service that passes them to a
/// [`ReportSink`].
///
/// 1. It takes `application/csp-report` (one report) and `application/reports+json` (the Reporting
///    API's batches), and answers 204 whatever it was sent, so that nobody learns anything and no
///    browser tries again. It answers the Reporting API's CORS preflight, and 405 to other methods.
/// 2. Anybody may post anything to it, so everything has a bound: the bytes read, the reports taken
///    from one request, the reports passed on in one second by all clones together, and a table of
///    fixed size that holds repetitions back for a minute.
/// 3. What a browser extension caused is dropped. Addresses lose their query, fragment and
///    credentials; every text is shortened, and loses control characters, which could forge a log line, and
///    those that hide or reorder what stands beside them.
/// 4. The counter `bartizan_reports_total` has the label `outcome`: `accepted`, `repeated`,
///    `extension`, `throttled` or `unreadable` (feature `metrics`).
///
/// Mount it where [`reports_to`](crate::security_headers::SecurityHeaders::reports_to) points, outside
/// of checks against cross-site requests: browsers post on their own. The bound per second is for the
/// whole process; a bound per client is a rate limiting layer's affair, and one on the time that a
/// body may take a timeout's.
///
/// ```
/// use bartizan::security_headers::{MemorySink, ReportCollector};
/// use http::Request;
/// use http_body_util::Full;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let latest = MemorySink::new(100);
/// let collector = ReportCollector::new(latest.clone());
///
/// let body = r#"[{"type": "csp-violation", "url": "https://a.example/page?secret", "body": {
///     "blockedURL": "inline", "effectiveDirective": "script-src-elem"}}]"#;
/// let request = Request::post("/csp-reports")
///     .header("content-type", "application/reports+json")
///     .body(Full::<bytes::Bytes>::from(body))?;
/// let response = collector.oneshot(request).await?;
///
/// assert_eq!(response.status(), 204);
/// assert_eq!(latest.reports()[0].document(), "https://a.example/page");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a collector does nothing until it is mounted"]
pub struct ReportCollector {
    intake: Arc<Intake>,
    limits: Limits,
    clock: Clock,
}

impl ReportCollector {
    /// A collector that passes reports to `sink`.
    pub fn new(sink: impl ReportSink) -> Self {
        Self {
            intake: Arc::new(Intake::new(Box::new(sink))),
            limits: Limits {
                body: 64 * 1024,
                per_request: 20,
                per_second: 50,
            },
            clock: Clock::new(),
        }
    }

    /// The longest body that is read, in bytes. Default: 65,536. A longer one counts for nothing.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// How many reports of one request are looked at. Default: 20.
    pub fn reports_per_request(mut self, reports: usize) -> Self {
        self.limits.per_request = reports;
        self
    }

    /// How many reports the sink gets in one second, of all clients together. Default: 50. What comes
    /// beyond that is dropped, without its body being read.
    pub fn reports_per_second(mut self, reports: u32) -> Self {
        self.limits.per_second = reports;
        self
    }

    /// The clock by which seconds are counted: for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What a POST with this `Content-Type` would have to be read as; `None` if not at all.
    fn admit<B>(&self, request: &Request<B>) -> Option<Format> {
        let kind = request.headers().get(CONTENT_TYPE)?;
        let format = Format::of(kind.as_bytes());
        if format.is_none() {
            self.intake.refuse();
        }
        let format = format?;
        let closed = self.intake.is_closed(self.limits, self.clock.now());
        (!closed).then_some(format)
    }
}

impl<B> Service<Request<B>> for ReportCollector
where
    B: Body,
{
    type Response = Response<ResponseBody<NoBody>>;
    type Error = Infallible;
    type Future = CollectFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> CollectFuture<B> {
        match *request.method() {
            Method::POST => match self.admit(&request) {
                Some(format) => {
                    let Self {
                        intake,
                        limits,
                        clock,
                    } = self.clone();
                    CollectFuture::reading(request.into_body(), format, intake, limits, clock)
                }
                None => CollectFuture::answered(taken()),
            },
            Method::OPTIONS => CollectFuture::answered(preflight()),
            _ => CollectFuture::answered(request::method_not_allowed("POST, OPTIONS")),
        }
    }
}

impl fmt::Debug for ReportCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportCollector")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
