//! What the health of a service looks like to a metrics recorder.

use super::Status;
use super::probe::outcome::Outcome;
use super::report::{Check, Report};
use crate::trace::{Counter, Gauge};

/// The gauges and counters of one service; without the feature `metrics`, nothing.
///
/// They are set when something happens, so that a scrape reads and never runs a probe.
#[derive(Debug)]
pub(super) struct Meters {
    ready: Gauge,
    ticks: Counter,
    /// One per dependency, as declared.
    dependencies: Vec<Meter>,
}

#[derive(Debug)]
struct Meter {
    status: Gauge,
    latency: Gauge,
    runs: Counter,
    failures: Counter,
    transitions: Counter,
}

impl Meters {
    /// Registers them all, as `report` has them before the first result.
    pub(super) fn new(report: &Report) -> Self {
        let meter = |check: &Check| {
            let labels = [("dependency", check.name())];
            Meter {
                status: Gauge::new("bartizan_health_dependency_status", &labels),
                latency: Gauge::new("bartizan_health_probe_duration_seconds", &labels),
                runs: Counter::new("bartizan_health_probe_runs_total", &labels),
                failures: Counter::new("bartizan_health_probe_failures_total", &labels),
                transitions: Counter::new("bartizan_health_transitions_total", &labels),
            }
        };
        let meters = Self {
            ready: Gauge::new("bartizan_health_ready", &[]),
            ticks: Counter::new("bartizan_health_driver_ticks_total", &[]),
            dependencies: report.checks.iter().map(meter).collect(),
        };
        meters.show(report);
        meters
    }

    /// The driver is there: once a second, and a counter that stands still says that it is not.
    pub(super) fn tick(&self) {
        self.ticks.add(1);
    }

    pub(super) fn begin(&self, index: usize) {
        self.dependencies[index].runs.add(1);
    }

    pub(super) fn end(&self, index: usize, outcome: &Outcome, in_time: bool) {
        let meter = &self.dependencies[index];
        if let Some(latency) = outcome.latency {
            meter.latency.set(latency.as_secs_f64());
        }
        if outcome.status == Status::Fail || !in_time {
            meter.failures.add(1);
        }
    }

    /// A transition from `before` to `after`.
    pub(super) fn moved(&self, before: &Report, after: &Report) {
        let pairs = before.checks.iter().zip(&after.checks);
        for (meter, (was, is)) in self.dependencies.iter().zip(pairs) {
            if level(was) != level(is) {
                meter.transitions.add(1);
            }
        }
        self.show(after);
    }

    fn show(&self, report: &Report) {
        self.ready.set(if report.is_ready() { 1.0 } else { 0.0 });
        for (meter, check) in self.dependencies.iter().zip(&report.checks) {
            meter.status.set(level(check).into());
        }
    }
}

/// 0 passes, 1 warns, 2 fails; 3 is blocked, so that an alert on 2 is about root causes alone.
fn level(check: &Check) -> u8 {
    match check.status {
        _ if check.is_blocked() => 3,
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Fail => 2,
    }
}
