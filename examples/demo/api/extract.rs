//! What handlers take from a request, refused with a problem document where it cannot be read.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::App;
use super::problem::ApiError;

/// A JSON body: an object, as the contract has it.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let axum::Json(Object(value)) = axum::Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// What is derived takes the members of a struct as a list, too, in the order of their declaration.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// A text of PostgreSQL cannot hold it: it is refused wherever the text is kept, so that no client
/// depends on where that is.
pub(crate) fn refuse_nul(text: &str) -> Result<(), ApiError> {
    match text.contains('\0') {
        true => Err(ApiError::invalid("a text is kept without U+0000")),
        false => Ok(()),
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the body as application/json",
            ),
            JsonRejection::JsonSyntaxError(_) => {
                Self::new(StatusCode::BAD_REQUEST, "the body is not JSON")
            }
            JsonRejection::JsonDataError(_) => Self::invalid(
                "the body is no object, lacks a member, or has one twice or of another type",
            ),
            other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(),
            _ => Self::new(StatusCode::BAD_REQUEST, "the body could not be read"),
        }
    }
}

/// The query of the URL.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<QueryRejection> for ApiError {
    fn from(_: QueryRejection) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "a parameter of the query cannot be read",
        )
    }
}

/// The user of the session.
#[derive(Debug)]
pub(crate) struct User(pub(crate) String);

impl FromRequestParts<App> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let user = app.sessions.user(&parts.headers).map(Self);
        user.ok_or_else(|| {
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "open a session first: POST /api/session",
            )
        })
    }
}
