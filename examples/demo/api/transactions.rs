//! `/api/transactions`: write one, list one's own.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::extract::{Json, Query, User, refuse_nul};
use super::problem::{ApiError, ProblemDocument};
use crate::repository::Transaction;

/// A transaction to write.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewTransaction {
    /// Any finite number.
    #[schema(example = 12.5)]
    amount: f64,
    /// At most 1,024 bytes, without U+0000.
    #[schema(example = "coffee", max_length = 1024)]
    memo: Option<String>,
}

#[utoipa::path(
    post, path = "/api/transactions", operation_id = "createTransaction", tag = "transactions", request_body = NewTransaction,
    responses((status = 201, description = "Written, together with its event `transaction.created`", body = Transaction)),
    security(("session" = [])),
)]
/// Writes a transaction of the caller.
pub(super) async fn create(
    State(app): State<App>,
    User(user): User,
    Json(new): Json<NewTransaction>,
) -> Result<(StatusCode, axum::Json<Transaction>), ApiError> {
    if !new.amount.is_finite() {
        return Err(ApiError::invalid("the amount is a finite number"));
    }
    if new.memo.as_ref().is_some_and(|memo| memo.len() > MAX_MEMO) {
        return Err(ApiError::invalid("a memo has at most 1024 bytes"));
    }
    refuse_nul(new.memo.as_deref().unwrap_or_default())?;
    let row = app.repository.record(user, new.amount, new.memo).await?;
    Ok((StatusCode::CREATED, axum::Json(row)))
}

/// Which transactions.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// At most this many; more than 1,000 are never sent.
    #[param(default = 50, maximum = 1000)]
    limit: Option<u32>,
}

#[utoipa::path(
    get, path = "/api/transactions", operation_id = "listTransactions", tag = "transactions", params(Listing),
    responses(
        (status = 200, description = "The caller's newest, newest first", body = [Transaction]),
        (status = 400, description = "The limit is no number", content_type = "application/problem+json", body = ProblemDocument),
    ),
    security(("session" = [])),
)]
/// Lists the caller's newest transactions.
pub(super) async fn list(
    State(app): State<App>,
    User(user): User,
    Query(listing): Query<Listing>,
) -> Result<axum::Json<Vec<Transaction>>, ApiError> {
    let limit = listing.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    Ok(axum::Json(app.repository.newest(user, limit).await?))
}

const MAX_MEMO: usize = 1024;
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1000;
