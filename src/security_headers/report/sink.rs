//! Where reports go: the host's trait, and a bounded one in memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::violation::Report;

/// What a host does with reports: log them, count them, send them on.
///
/// # Contract
///
/// - It is called in the task of the connection that posted the report, from many at once: it must
///   not block. Hand what takes time to a channel that can be full.
/// - It may lose reports. They are hints: browsers lose them too, and anybody can make them up.
/// - It is called at most as often as the collector allows in one second, never twice for one report,
///   and with the same violation again after a minute at the earliest, as a rule.
/// - Its texts are strangers' words, shortened and on one line. An attacker gains from a sink that
///   trusts them, as markup or as a query, and from one that grows with them.
/// - If it panics, the connection that posted the report ends, and nothing else.
///
/// `report_sink_conformance` (feature `test-util`) hands a sink what attackers would.
///
/// A closure is one:
///
/// ```
/// use bartizan::security_headers::{Report, ReportCollector};
///
/// let collector = ReportCollector::new(|report: Report| {
///     eprintln!("{} blocked {}", report.directive(), report.blocked());
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no sink for reports",
    note = "a sink is a `MemorySink`, a `Fn(Report) + Send + Sync + 'static`, or implements `ReportSink`"
)]
pub trait ReportSink: Send + Sync + 'static {
    /// Takes one report.
    fn report(&self, report: Report);
}

impl<F: Fn(Report) + Send + Sync + 'static> ReportSink for F {
    fn report(&self, report: Report) {
        self(report);
    }
}

/// Keeps the latest reports in memory; clones share them.
#[derive(Clone)]
pub struct MemorySink {
    reports: Arc<Mutex<VecDeque<Report>>>,
    capacity: usize,
}

impl MemorySink {
    /// Keeps the latest `capacity` reports: an older one makes room for each that comes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            reports: Arc::default(),
            capacity,
        }
    }

    /// The reports, oldest first.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter().cloned().collect()
    }
}

impl ReportSink for MemorySink {
    fn report(&self, report: Report) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push_back(report);
        while reports.len() > self.capacity {
            reports.pop_front();
        }
    }
}

impl fmt::Debug for MemorySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySink")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
