//! `POST /api/demo/lock`: breaks the database on purpose, to show what health makes of it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::extract::Json;
use super::problem::ApiError;

/// For how long the database's write lock is held.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct Lock {
    /// More than 0, at most 30.
    #[schema(example = 8.0, exclusive_minimum = 0.0, maximum = 30.0)]
    seconds: f64,
}

#[utoipa::path(
    post, path = "/api/demo/lock", operation_id = "lockDatabase", tag = "demo", request_body = Lock,
    responses((status = 202, description = "The lock is held, and given back after that time", body = Lock)),
)]
/// Holds the database's write lock: writes answer 503, health names the root cause, and both recover.
pub(super) async fn hold(
    State(app): State<App>,
    Json(lock): Json<Lock>,
) -> Result<(StatusCode, axum::Json<Lock>), ApiError> {
    if !(lock.seconds > 0.0 && lock.seconds <= MAX_SECONDS) {
        return Err(ApiError::invalid("seconds are more than 0 and at most 30"));
    }
    let time = Duration::from_secs_f64(lock.seconds);
    app.repository.hold_write_lock(time).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(lock)))
}

const MAX_SECONDS: f64 = 30.0;
