//! JSON: the health document of [draft-inadarei-api-health-check-06], and the status document.
//!
//! [draft-inadarei-api-health-check-06]: https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06

use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Viewer;
use crate::health::Status;
use crate::health::report::{Check, Report};

/// `/health`.
pub(in crate::health) fn health(report: &Report, viewer: Viewer) -> Vec<u8> {
    let (status, reasons) = (report.status().as_str(), codes(report));
    let identity = &report.identity;
    match viewer {
        Viewer::Public => to_bytes(&Brief { status, reasons }),
        Viewer::Details => to_bytes(&Health {
            status,
            version: &identity.version,
            release_id: &identity.release,
            commit: identity.commit.as_deref(),
            service_id: &identity.name,
            reasons,
            root_causes: report.root_causes().collect(),
            checks: Checks {
                checks: &report.checks,
                uptime: Some((report.uptime, report.time)),
            },
        }),
    }
}

/// `/health/{name}`.
pub(in crate::health) fn check(check: &Check, viewer: Viewer) -> Vec<u8> {
    let status = check.status.as_str();
    match viewer {
        Viewer::Public => to_bytes(&Brief {
            status,
            reasons: check.reason.iter().map(|reason| reason.as_str()).collect(),
        }),
        Viewer::Details => to_bytes(&One {
            status,
            checks: Checks {
                checks: std::slice::from_ref(check),
                uptime: None,
            },
        }),
    }
}

/// `/api/status`.
pub(in crate::health) fn status(report: &Report, viewer: Viewer) -> Vec<u8> {
    let (status, reasons) = (report.status().as_str(), codes(report));
    let identity = &report.identity;
    match viewer {
        Viewer::Public => to_bytes(&Brief { status, reasons }),
        Viewer::Details => to_bytes(&StatusDocument {
            status,
            service: &identity.name,
            version: &identity.version,
            release: &identity.release,
            commit: identity.commit.as_deref(),
            uptime_seconds: seconds(report.uptime),
            time: timestamp(report.time),
            reasons,
            root_causes: report.root_causes().collect(),
            dependencies: report.checks.iter().map(DependencyDocument::of).collect(),
        }),
    }
}

/// What the public sees, of the whole and of one dependency.
#[derive(serde::Serialize)]
struct Brief {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    status: &'static str,
    version: &'a str,
    release_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    service_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    root_causes: Vec<&'a str>,
    checks: Checks<'a>,
}

#[derive(serde::Serialize)]
struct One<'a> {
    status: &'static str,
    checks: Checks<'a>,
}

/// The draft's `checks`: `name:measurement` to an array of one.
struct Checks<'a> {
    checks: &'a [Check],
    uptime: Option<(Duration, SystemTime)>,
}

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for check in self.checks {
            let entry = Entry::of(check);
            // The colon divides component from measurement, and there may be no other.
            let measurement = entry.measurement.replace(':', "_");
            map.serialize_entry(&format!("{}:{measurement}", check.name), &[entry])?;
        }
        if let Some((uptime, time)) = self.uptime {
            let entry = Uptime {
                component_type: "system",
                observed_value: seconds(uptime),
                observed_unit: "s",
                status: Status::Pass.as_str(),
                time: timestamp(time),
            };
            map.serialize_entry("uptime", &[entry])?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    component_id: &'a str,
    component_type: &'static str,
    scope: &'static str,
    #[serde(skip)]
    measurement: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocked_by: Vec<&'a str>,
    /// The draft wants it absent on `pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl<'a> Entry<'a> {
    fn of(check: &'a Check) -> Self {
        let last = check.last.as_ref().map(|(outcome, _)| outcome);
        let latency = || {
            let latency = last.and_then(|outcome| outcome.latency)?;
            Some((milliseconds(latency), "ms", "responseTime"))
        };
        let observed = last.and_then(|outcome| outcome.observed).or_else(latency);
        Self {
            component_id: &check.name,
            component_type: "component",
            scope: check.scope.as_str(),
            measurement: observed.map_or("responseTime", |(_, _, measurement)| measurement),
            observed_value: observed.map(|(value, _, _)| value),
            observed_unit: observed.map(|(_, unit, _)| unit),
            status: check.status.as_str(),
            reason: check.reason.map(|reason| reason.as_str()),
            blocked_by: check.blocked_by().collect(),
            output: output(check),
            consecutive_failures: check.failures,
            since: check.since.and_then(timestamp),
            time: check.last.as_ref().and_then(|(_, time)| timestamp(*time)),
        }
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Uptime {
    component_type: &'static str,
    observed_value: f64,
    observed_unit: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument<'a> {
    status: &'static str,
    service: &'a str,
    version: &'a str,
    release: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    uptime_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
    root_causes: Vec<&'a str>,
    dependencies: Vec<DependencyDocument<'a>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyDocument<'a> {
    name: &'a str,
    scope: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocked_by: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl<'a> DependencyDocument<'a> {
    fn of(check: &'a Check) -> Self {
        let observed = check
            .last
            .as_ref()
            .and_then(|(outcome, _)| outcome.observed);
        Self {
            name: &check.name,
            scope: check.scope.as_str(),
            depends_on: check.depends_on().collect(),
            status: check.status.as_str(),
            reason: check.reason.map(|reason| reason.as_str()),
            blocked_by: check.blocked_by().collect(),
            latency_ms: check.latency().map(milliseconds),
            observed_value: observed.map(|(value, _, _)| value),
            observed_unit: observed.map(|(_, unit, _)| unit),
            output: output(check),
            since: check.since.and_then(timestamp),
            time: check.last.as_ref().and_then(|(_, time)| timestamp(*time)),
        }
    }
}

/// The text that the probe gave for the public, while it is not well.
fn output(check: &Check) -> Option<&str> {
    let (outcome, _) = check.last.as_ref()?;
    let shown = check.status != Status::Pass && !check.is_blocked();
    outcome.text.as_deref().filter(|_| shown)
}

fn codes(report: &Report) -> Vec<&'static str> {
    report
        .reasons()
        .iter()
        .map(|reason| reason.as_str())
        .collect()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// To a microsecond: what is below that is noise.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// RFC 3339 in UTC, to the second. A wall clock that stands outside the years that RFC 3339 can say
/// is not rendered.
fn timestamp(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    let whole = jiff::Timestamp::from_second(time.as_second()).ok()?;
    (whole.as_second() >= 0).then(|| whole.to_string())
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn to_bytes(document: &impl Serialize) -> Vec<u8> {
    // Structs of strings and finite numbers always serialise.
    serde_json::to_vec(document).unwrap_or_default()
}

#[cfg(test)]
mod tests;
