//! The endpoint that browsers post violation reports to.
//!
//! 1. [`ReportCollector`] takes `application/csp-report` (one report) and `application/reports+json`
//!    (the Reporting API's batches), and answers 204 whatever it was sent, so that nobody learns
//!    anything and no browser tries again. It answers the Reporting API's CORS preflight, and 405 to
//!    other methods.
//! 2. Anybody may post anything to it, so everything has a bound: the bytes read, the reports taken
//!    from one request, the reports passed on in one second, and a table of fixed size that holds
//!    back repetitions for a minute.
//! 3. What a browser extension caused is dropped. Addresses lose their query, fragment and
//!    credentials; every text is shortened, and has no control character that could forge a log line.
//! 4. What is left goes to the host's [`ReportSink`]: a closure, a channel, or a [`MemorySink`].
//!
//! The bound per second is for the whole process. A bound per client is the rate limiter's affair:
//! put a rate limiting layer around the collector.

#[cfg(feature = "test-util")]
pub use self::conformance::report_sink_conformance;
pub use self::future::CollectFuture;
pub use self::service::ReportCollector;
pub use self::sink::{MemorySink, ReportSink};
pub use self::violation::{Disposition, Report};

mod answer;
mod budget;
mod clean;
#[cfg(feature = "test-util")]
mod conformance;
mod future;
mod intake;
mod read;
mod seen;
mod service;
mod sink;
mod violation;
