//! The collector of violation reports.

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
