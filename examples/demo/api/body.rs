//! The bound of all request bodies: 64 KiB, and ten seconds to send them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::ApiError;

/// Reads the body whole before anything else looks at the request, or refuses it.
///
/// A client that is still sending when its connection is closed may never see the answer, so a body
/// that is too large is read on and thrown away for a while.
pub(super) async fn bounded(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > MAX as u64 {
        // Who waits for a 100 has sent nothing yet, and must not be asked to.
        if !parts.headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return ApiError::too_large().into_response();
    }
    let mut body = body;
    match tokio::time::timeout(TIME, Limited::new(&mut body, MAX).collect()).await {
        Ok(Ok(whole)) => {
            let whole: Bytes = whole.to_bytes();
            next.run(Request::from_parts(parts, Body::from(whole)))
                .await
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body).await;
            ApiError::too_large().into_response()
        }
        Ok(Err(_)) => {
            ApiError::new(StatusCode::BAD_REQUEST, "the body could not be read").into_response()
        }
        Err(_) => {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long").into_response()
        }
    }
}

async fn discard(mut body: Body) {
    let mut left = DISCARDED;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARDED_FOR, reading).await;
}

/// Bytes of a body.
const MAX: usize = 64 * 1024;

/// Time to send one.
const TIME: Duration = Duration::from_secs(10);

/// How much of a refused body is thrown away, and for how long.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDED_FOR: Duration = Duration::from_secs(2);
