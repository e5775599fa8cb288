//! What a request's body goes through before any of it reaches the sink.

use super::budget::Budget;
use super::clean;
use super::read::Format;
use super::seen::Seen;
use super::sink::ReportSink;
use crate::clock::Instant;
use crate::trace::Counter;

/// What the clones of one collector share.
pub(super) struct Intake {
    sink: Box<dyn ReportSink>,
    budget: Budget,
    seen: Seen,
    counted: Counted,
}

/// How much a collector takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) body: usize,
    pub(super) per_request: usize,
    pub(super) per_second: u32,
}

/// What became of reports, each a value of the label `outcome`.
struct Counted {
    accepted: Counter,
    repeated: Counter,
    extension: Counter,
    throttled: Counter,
    unreadable: Counter,
}

impl Intake {
    pub(super) fn new(sink: Box<dyn ReportSink>) -> Self {
        let counter = |outcome| Counter::new("bartizan_reports_total", &[("outcome", outcome)]);
        Self {
            sink,
            budget: Budget::default(),
            seen: Seen::new(),
            counted: Counted {
                accepted: counter("accepted"),
                repeated: counter("repeated"),
                extension: counter("extension"),
                throttled: counter("throttled"),
                unreadable: counter("unreadable"),
            },
        }
    }

    /// Whether a body would be read for nothing, because this second's share is used up.
    pub(super) fn is_closed(&self, limits: Limits, now: Instant) -> bool {
        let spent = self.budget.is_spent(now, limits.per_second);
        self.counted.throttled.add(spent.into());
        spent
    }

    /// Counts a body that is too long, broken off, or in no known format.
    pub(super) fn refuse(&self) {
        self.counted.unreadable.add(1);
    }

    /// Passes on what is worth it.
    pub(super) fn take(&self, format: Format, body: &[u8], limits: Limits, now: Instant) {
        let Some(reports) = format.read(body, limits.per_request) else {
            return self.refuse();
        };
        for report in reports {
            let code = [report.blocked(), report.source_file()];
            let outcome = if code.into_iter().any(clean::is_of_an_extension) {
                &self.counted.extension
            } else if self.budget.is_spent(now, limits.per_second) {
                // Not noted as seen: it may come through when it is repeated.
                &self.counted.throttled
            } else if self.seen.note(&report, now) {
                &self.counted.repeated
            } else if self.budget.take(now, limits.per_second) {
                self.sink.report(report);
                &self.counted.accepted
            } else {
                &self.counted.throttled
            };
            outcome.add(1);
        }
    }
}
