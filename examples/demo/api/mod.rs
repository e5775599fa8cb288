//! The payments API itself: plain axum, unaware of the guards around it.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use bartizan::client::ClientSource;
use bartizan::event_stream::EventStream;
use bartizan::security_headers::{Finding, MemorySink, Report, ReportCollector, ReportSink};

use self::problem::ApiError;
use crate::page;
use crate::repository::Repository;
use crate::session::Sessions;

mod announcements;
mod body;
mod extract;
mod headers;
mod lock;
pub(crate) mod openapi;
mod problem;
mod session;
mod transactions;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) repository: Repository,
    pub(crate) sessions: Sessions,
    pub(crate) clients: ClientSource,
    /// What the policy of the page leaves open.
    pub(crate) findings: Arc<[Finding]>,
    /// What browsers had to block lately.
    pub(crate) reports: MemorySink,
}

/// The routes. Every body is bounded, and every error is a problem document.
pub(crate) fn router(app: App, events: EventStream) -> Router {
    Router::new()
        .route_service("/api/events", events)
        .route("/", get(page::show))
        .route("/icon.svg", get(page::icon))
        .route_service("/csp-reports", ReportCollector::new(blocked(&app.reports)))
        .route("/openapi.json", get(openapi::document))
        .route("/api/session", post(session::open))
        .route(
            "/api/transactions",
            get(transactions::list).post(transactions::create),
        )
        .route("/api/announcements", post(announcements::create))
        .route("/api/demo/headers", get(headers::tell))
        .route("/api/demo/lock", post(lock::hold))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "no such page") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the Allow header says what works",
            )
        })
        .layer(from_fn(body::bounded))
        .with_state(app)
}

/// What a browser had to block is worth a line: somebody injects, or we have forgotten something. The
/// latest are shown on the page.
fn blocked(latest: &MemorySink) -> impl ReportSink + use<> {
    let latest = latest.clone();
    move |report: Report| {
        tracing::warn!(
            directive = report.directive(),
            blocked = report.blocked(),
            document = report.document(),
            "a browser blocked something"
        );
        latest.report(report);
    }
}
