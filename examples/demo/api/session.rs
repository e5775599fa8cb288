//! `POST /api/session`: who are you? Anyone you like, it is a demo.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{RequestExt, body::Body};
use bartizan::client::Scheme;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::extract::{Json, refuse_nul};
use super::problem::ApiError;

/// A session to open.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewSession {
    /// Any name of 1 to 256 bytes, without U+0000.
    #[schema(example = "u1", min_length = 1, max_length = 256)]
    user: String,
}

#[utoipa::path(
    post, path = "/api/session", operation_id = "openSession", tag = "session", request_body = NewSession,
    responses((status = 204, description = "The session is open", headers(
        ("Set-Cookie" = String, description = "`session=..; HttpOnly; SameSite=Lax; Path=/`, and `Secure` over https")
    ))),
)]
/// Opens a session for any name.
pub(super) async fn open(
    State(app): State<App>,
    request: Request<Body>,
) -> Result<impl IntoResponse, ApiError> {
    let secure = app.clients.identify(&request).scheme() == Scheme::Https;
    let Json(NewSession { user }) = request.extract().await?;
    if user.is_empty() || user.len() > MAX_NAME {
        return Err(ApiError::invalid("a user's name has 1 to 256 bytes"));
    }
    refuse_nul(&user)?;
    let cookie = app.sessions.cookie(&user, secure);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

/// Bytes of a name, so that its cookie stays far below what browsers take.
const MAX_NAME: usize = 256;
