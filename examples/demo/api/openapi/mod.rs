//! `GET /openapi.json`: the contract, generated from the types that carry it out.
//!
//! What handlers take and give comes from their own annotations. What the guards add to every route
//! of a kind (a 429, the RateLimit fields, the bounds of bodies) is added here to all of them at once,
//! and the routes that the guards answer themselves are described here.

use axum::Json;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{Modify, OpenApi as _};

use super::problem::ProblemDocument;
use super::{announcements, headers, lock, session, transactions};

mod guarded;

/// `GET /openapi.json`
pub(super) async fn document() -> Json<OpenApi> {
    Json(Contract::openapi())
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "bartizan demo",
        description = "A small payments API behind the four guards of bartizan. Errors are problem documents (RFC 9457). Every response carries security headers.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        session::open, transactions::create, transactions::list, announcements::create, lock::hold, headers::tell,
        guarded::page, guarded::icon, guarded::this, guarded::events, guarded::reports, guarded::livez,
        guarded::readyz, guarded::startupz, guarded::health, guarded::health_of, guarded::status,
    ),
    components(schemas(ProblemDocument, guarded::SocketMessage)),
    modifiers(&Guards),
)]
struct Contract;

/// What the guards and the bounds add to each operation.
struct Guards;

impl Modify for Guards {
    fn modify(&self, api: &mut OpenApi) {
        let cookie = ApiKeyValue::with_description("session", "From POST /api/session");
        api.components
            .get_or_insert_default()
            .add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        for item in api.paths.paths.values_mut() {
            for (limit, operation) in [("reads", &mut item.get), ("writes", &mut item.post)] {
                if let Some(operation) = operation {
                    guard(operation, limit);
                }
            }
        }
    }
}

fn guard(operation: &mut Operation, limit: &str) {
    let tag = operation
        .tags
        .as_deref()
        .and_then(<[_]>::first)
        .map(String::as_str);
    let limited = !matches!(tag, Some("health" | "reports" | "contract"));
    let stores = matches!(tag, Some("transactions" | "announcements" | "demo"));
    let responses = &mut operation.responses.responses;
    if limited {
        // A switch of protocols passes as it is.
        for (_, response) in responses.iter_mut().filter(|(status, _)| *status != "101") {
            if let RefOr::T(response) = response {
                response.headers.extend(rate_limit_fields(limit));
            }
        }
        let mut refused = problem(&format!(
            "Over the limit of {limit} for the client's address"
        ));
        refused.headers.insert(
            "Retry-After".into(),
            header("Seconds to wait", Type::Integer),
        );
        refused.headers.extend(rate_limit_fields(limit));
        responses.insert("429".into(), refused.into());
    }
    if tag == Some("transactions") {
        responses.insert("401".into(), problem("No session").into());
    }
    let mut refusals = Vec::new();
    if operation.request_body.is_some() {
        refusals.extend([
            ("408", "The body took more than ten seconds"),
            ("413", "The body is over 64 KiB"),
        ]);
        if limited {
            refusals.extend([
                ("400", "The body is not JSON"),
                ("415", "The body is not declared as application/json"),
                (
                    "422",
                    "A member is missing, of another type, or out of its bounds",
                ),
            ]);
        }
    }
    for (status, why) in refusals {
        responses.insert(status.into(), problem(why).into());
    }
    if stores {
        let mut busy = problem("The database is locked by somebody else; nothing was written");
        busy.headers.insert(
            "Retry-After".into(),
            header("Seconds to wait", Type::Integer),
        );
        responses.insert("503".into(), busy.into());
        responses.insert("500".into(), problem("The database failed").into());
    }
}

fn rate_limit_fields(limit: &str) -> [(String, Header); 2] {
    let policy = format!("The quota, as `\"{limit}\";q=..;w=1`");
    let left = format!("What is left, as `\"{limit}\";r=..;t=..`");
    [
        ("RateLimit-Policy".into(), header(&policy, Type::String)),
        ("RateLimit".into(), header(&left, Type::String)),
    ]
}

fn header(description: &str, kind: Type) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(ObjectBuilder::new().schema_type(kind).build())
        .build()
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
}
