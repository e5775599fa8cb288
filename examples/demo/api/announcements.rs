//! `POST /api/announcements`: something for everybody.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::extract::Json;
use super::problem::ApiError;
use crate::repository::Announcement;

/// An announcement to make.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewAnnouncement {
    /// What is announced.
    #[schema(example = "Closed on Monday")]
    text: String,
}

#[utoipa::path(
    post, path = "/api/announcements", operation_id = "createAnnouncement", tag = "announcements", request_body = NewAnnouncement,
    responses((status = 201, description = "Appended to the log as the public event `announcement`", body = Announcement)),
)]
/// Appends a public announcement to the event log.
pub(super) async fn create(
    State(app): State<App>,
    Json(new): Json<NewAnnouncement>,
) -> Result<(StatusCode, axum::Json<Announcement>), ApiError> {
    let announcement = app.repository.announce(new.text).await?;
    Ok((StatusCode::CREATED, axum::Json(announcement)))
}
