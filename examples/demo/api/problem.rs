//! Errors of the API: problem documents with fixed texts, so that nothing a request said and nothing
//! a database said comes back.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bartizan::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::repository;

/// An error of a handler, ready to be sent.
#[derive(Debug)]
pub(crate) struct ApiError(Problem);

impl ApiError {
    pub(crate) fn new(status: StatusCode, detail: &'static str) -> Self {
        Self(Problem::new(status).detail(detail))
    }

    /// 422: the document can be read, and says something that cannot be.
    pub(crate) fn invalid(detail: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 413, with the one bound of all bodies.
    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "a body is at most 64 KiB")
    }
}

impl From<repository::Error> for ApiError {
    fn from(error: repository::Error) -> Self {
        match error {
            repository::Error::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is busy; nothing was written",
            ),
            #[cfg(feature = "postgres")]
            repository::Error::Postgres(error) if is_away(&error) => {
                tracing::warn!(%error, "repository");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the database is away; whether anything was written is open",
                )
            }
            #[cfg(feature = "redis")]
            repository::Error::Redis(error) => {
                tracing::warn!(%error, "event log");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the event log is away; a transaction was written, and nobody was told",
                )
            }
            error => {
                tracing::error!(%error, source = ?std::error::Error::source(&error), "repository");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the database failed")
            }
        }
    }
}

/// Whether the connection failed, or the server is starting or stopping.
#[cfg(feature = "postgres")]
fn is_away(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code.starts_with("57P"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response().map(Body::from);
        let (name, value) = match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "2"),
            StatusCode::UNAUTHORIZED => {
                (header::WWW_AUTHENTICATE, "Cookie cookie-name=\"session\"")
            }
            _ => return response,
        };
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        response
    }
}

/// What every error looks like: RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// Which kind of problem; `about:blank` says no more than the status.
    #[schema(example = "about:blank")]
    r#type: String,
    /// The kind, for people.
    title: String,
    /// The status code.
    status: u16,
    /// What happened this time.
    detail: Option<String>,
    /// The quotas that are used up.
    #[serde(rename = "violated-policies")]
    violated_policies: Option<Vec<String>>,
    /// Which parameter of the query cannot be read.
    parameter: Option<String>,
    /// Why there is no stream: `draining`, for one.
    reason: Option<String>,
}
