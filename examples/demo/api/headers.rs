//! `GET /api/demo/headers`: what is weak in the page's headers, and what browsers had to block.

use axum::Json;
use axum::extract::State;
use bartizan::security_headers::{Finding, Report};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;

/// What there is to know about the security headers.
#[derive(Serialize, ToSchema)]
pub(super) struct Headers {
    /// What the policy leaves open, the worst first.
    findings: Vec<Weakness>,
    /// The latest reports of browsers, the newest first.
    reports: Vec<Blocked>,
}

/// A finding about the policy.
#[derive(Serialize, ToSchema)]
struct Weakness {
    /// `High`, `Medium`, `Low` or `Info`.
    severity: String,
    directive: String,
    value: String,
    help: String,
}

/// Something that a browser blocked. Strangers can make it up: show it as text.
#[derive(Serialize, ToSchema)]
struct Blocked {
    directive: String,
    /// What was blocked: an address, or a word such as `inline`.
    blocked: String,
    /// The page that it happened in.
    document: String,
}

#[utoipa::path(
    get, path = "/api/demo/headers", operation_id = "headers", tag = "headers",
    responses((status = 200, description = "Findings and reports", body = Headers)),
)]
/// Tells what is weak in the page's headers, and what browsers had to block lately.
pub(super) async fn tell(State(app): State<App>) -> Json<Headers> {
    Json(Headers {
        findings: app.findings.iter().map(Weakness::from).collect(),
        reports: app
            .reports
            .reports()
            .iter()
            .rev()
            .map(Blocked::from)
            .collect(),
    })
}

impl From<&Finding> for Weakness {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: format!("{:?}", finding.severity()),
            directive: finding.directive().to_owned(),
            value: finding.value().to_owned(),
            help: finding.help().to_owned(),
        }
    }
}

impl From<&Report> for Blocked {
    fn from(report: &Report) -> Self {
        Self {
            directive: report.directive().to_owned(),
            blocked: report.blocked().to_owned(),
            document: report.document().to_owned(),
        }
    }
}
